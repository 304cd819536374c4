"""Connections between the drivers of organisations: mutual TLS, one per pair, that outlive a short cut of the network.

They carry agreement, liveness and abort: control messages as between a driver and its worker (:mod:`channel`), and no
party's data. To the rest of the driver each peer is a :class:`Channel`; a thread of its own carries what is said there
over the network (:mod:`line`), and connects again after a cut. One longer than the grace ends the channel, as a death
would.

Both ends demand a certificate of the common authority, for the peer's name and, where the spec pins one, of its key.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Mapping
from concurrent import futures
from typing import NamedTuple

import msgspec

from runner.cluster.background import HANDSHAKE, Background, Door, Sparing, Streams
from runner.cluster.channel import Channel
from runner.cluster.line import Greeting, Line
from runner.cluster.mutual_tls import (
    Credentials,
    certificate_of,
    client_context,
    is_refusal,
    listening,
    reason,
)
from runner.errors import ClusterError, RunnerError
from runner.keys.pki import faults_of, host_name, names_in, read_certificate
from runner.spec.site import address_of

LONGEST_LINE = 1 << 23  # bytes of one message: a manifest with its digests is far shorter
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between attempts to connect
ALIVE = 1.0  # seconds between signs of life
MOST_CALLS = 8  # connections of one peer at a time: after a cut it opens another before the old one is known to be dead
LAST_WORDS = 4.0  # seconds for peers to hear what was said before the end
QUIET = 3.0  # seconds of silence after which another connection is tried, at the least


class Peer(NamedTuple):
    """Where another party's site listens, and the pin of its key (None: any key that the authority vouches for)."""

    host: str
    port: int
    pin: str | None = None


class Links:
    """The connections of this site; ``with`` ends them.

    Args:
        party: this site's.
        listen: host and port (0: a free one); ``port`` has the one that was bound.
        peers: of the other parties; those that come before this one by name are called, the others call.
        grace: seconds for which a connection may be broken, or a peer silent.
        warn: told of every connection that was refused, with the reason.
        fail: given what ends the run, and is this site's own fault.
    """

    def __init__(
        self,
        party: str,
        credentials: Credentials,
        listen: tuple[str, int],
        grace: float,
        warn: Callable[[str], None],
        fail: Callable[[RunnerError], None] = lambda _: None,
    ) -> None:
        self._party = party
        self._credentials = credentials
        self._authority = read_certificate(credentials.authority)
        self._grace = grace
        self._warn = Sparing(warn)
        self._fail = fail
        self._partly = False
        self._opening = True
        self._lines: dict[str, Line] = {}
        self._peers: dict[str, Peer] = {}
        self._changed = threading.Condition()
        self._listener = listening(listen, party)
        self.port: int = self._listener.getsockname()[1]
        self._background = Background("links")

    def __enter__(self) -> Links:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def open(
        self,
        peers: Mapping[str, Peer],
        seconds: float,
        tell: Callable[[str], None],
        every: float = 5.0,
        partly: bool = False,
    ) -> dict[str, Channel]:
        """Connect to all peers; party → channel.

        Where a peer that had met all others has left, the wait is over, and its channel is at its end.

        Args:
            tell: gets a line now and then that says who is missing, and why.
            partly: whether to go on after ``seconds`` with those that came; ``missing`` says who did not.

        Raises:
            ClusterError: where one is still missing after ``seconds``.
        """
        self._partly = partly
        channels = {}
        self._peers = dict(peers)
        for party in peers:
            line = self._lines[party] = Line(party, self._background.loop)
            if party > self._party:
                line.trouble = f"no call from there has come to port {self.port} here yet"
            channels[party] = Channel(line.at_driver)
        door = Door(
            self._background, self._listener, self._credentials, LONGEST_LINE, self._admit, self._refuse_stranger
        )
        self._background.spawn(door.stand_open())
        for party in peers:
            self._background.spawn(self._lines[party].pass_on())
            if party < self._party:
                self._background.spawn(self._call(self._lines[party]))
        self._background.spawn(self._keep_alive())
        self._await_all(seconds, tell, every)
        return channels

    def settle(self) -> list[str]:
        """Wait until the peers have heard all that was said here, those too that are cut off; at most one grace.

        Returns:
            the parties that have not.
        """
        with contextlib.suppress(futures.TimeoutError):
            self._background.do(self._be_heard(), seconds=self._grace)
        return [line.party for line in self._lines.values() if line.is_unheard()]

    def close(self) -> None:
        """Say what is left to say, and end all connections."""
        with contextlib.suppress(futures.TimeoutError):
            self._background.do(self._say_the_rest(), seconds=LAST_WORDS + ALIVE)
        self._background.end()
        self._listener.close()
        for line in self._lines.values():
            line.close()

    def _await_all(self, seconds: float, tell: Callable[[str], None], every: float) -> None:
        waited = 0.0
        with self._changed:
            while self._opening and (missing := [line for line in self._lines.values() if line.writer is None]):
                if waited >= seconds and self._partly:
                    break
                if waited >= seconds:
                    absent = [line for line in missing if not line.came] or missing  # others came, and left
                    raise ClusterError(
                        f"{' and '.join(line.party for line in absent)} did not come",
                        where=", ".join(f"parties.{line.party}.address" for line in absent),
                        why="; ".join(f"{self._whereabouts(line.party)}: {line.trouble}" for line in missing),
                        fix="ask who is missing to type the same command; see that addresses are right at all sites, "
                        "and that no firewall stands between; raise cluster.wait_for_peers to wait longer",
                    )
                if waited:
                    for line in missing:
                        where = self._whereabouts(line.party)
                        tell(f"waiting for {line.party} at {where} ({waited:.0f} s of {seconds:g} s): {line.trouble}")
                step = min(every, seconds - waited)
                self._changed.wait_for(self._is_met, timeout=step)
                waited += step
            self._opening = False

    def _is_met(self) -> bool:
        """Whether there is nobody left to wait for."""
        return not self._opening or all(line.writer for line in self._lines.values())

    def missing(self) -> dict[str, str]:
        """Party → where it should be and why it is not connected, of those that are not."""
        with self._changed:
            absent = [line for line in self._lines.values() if line.writer is None]
            return {line.party: f"{self._whereabouts(line.party)}: {line.trouble}" for line in absent}

    def ahead(self) -> dict[str, float]:
        """Party → seconds by which its clock is ahead of this site's, as it said when it was connected."""
        with self._changed:
            return {line.party: line.ahead for line in self._lines.values() if line.session is not None}

    def _whereabouts(self, party: str) -> str:
        peer = self._peers[party]
        return address_of(peer.host, peer.port)

    def certificates(self) -> dict[str, str]:
        """Party → the certificate that it showed and that was found good (PEM), of those that were connected."""
        return {party: ssl.DER_cert_to_PEM_cert(line.certificate) for party, line in self._lines.items()}

    async def _call(self, line: Line) -> None:
        """Connect to a peer, again and again until the links are closed; more slowly while it does not answer."""
        peer, pause = self._peers[line.party], FIRST_PAUSE
        while True:
            try:
                connected = asyncio.open_connection(
                    peer.host,
                    peer.port,
                    ssl=client_context(self._credentials),
                    server_hostname=host_name(line.party),
                    limit=LONGEST_LINE,
                )
                reader, writer = await asyncio.wait_for(connected, self._patience(line))
                self._background.own(writer)
                if faults := self._faults(writer, line.party):
                    self._refuse(line, peer.host, faults)
                    writer.close()
                else:
                    pause = FIRST_PAUSE
                    await self._converse(line, reader, writer)
            except ssl.SSLCertVerificationError as error:
                self._refuse(line, peer.host, await self._look_at(line.party, peer) or [error.verify_message])
            except (OSError, asyncio.TimeoutError) as error:
                self._note(line, reason(error))
                if is_refusal(error) and line.session is not None:  # it was there: its driver has ended
                    self._give_up(line, "its driver has ended")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _look_at(self, party: str, peer: Peer) -> list[str]:
        """What is wrong with the certificate that stands at a peer's address; nothing is said to it."""
        context = client_context(self._credentials)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            connected = asyncio.open_connection(peer.host, peer.port, ssl=context)
            _, writer = await asyncio.wait_for(connected, HANDSHAKE)
            self._background.own(writer)
        except (OSError, asyncio.TimeoutError):
            return []
        writer.close()
        return self._faults(writer, party)

    def _faults(self, writer: asyncio.StreamWriter, party: str) -> list[str]:
        return faults_of(certificate_of(writer), self._authority, party, self._peers[party].pin)

    def _refuse_stranger(self, address: str, why: str) -> None:
        expected = ", ".join(host_name(party) for party in self._peers if party > self._party)
        self._warn(f"refused a connection from {address}: {why}; expected: a certificate of {expected}")

    async def _admit(self, streams: Streams, address: str) -> None:
        """Let a caller in whose certificate is that of a peer which should call."""
        reader, writer = streams
        names = names_in(certificate_of(writer))
        callers = [party for party in self._peers if host_name(party) in names and party > self._party]
        if len(callers) != 1:
            self._warn(f"refused a connection from {address}: its certificate is for {', '.join(names) or 'nobody'}")
            return
        line = self._lines[callers[0]]
        if faults := self._faults(writer, line.party):
            self._refuse(line, address, faults)
            return
        if line.calls >= MOST_CALLS:
            self._warn(f"refused a connection of {line.party}: it has {MOST_CALLS} already")
            return
        line.calls += 1
        try:
            with contextlib.suppress(OSError):
                await self._converse(line, reader, writer)
        finally:
            line.calls -= 1

    async def _converse(self, line: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Greet, say again what the peer has not heard, then pass on what it says until the connection breaks."""
        try:
            writer.write(line.greeting())
            content = await asyncio.wait_for(reader.readline(), HANDSHAKE)
            if not content:
                self._note(line, "the connection ended")
                return
            greeting = self._read_greeting(line, content)
            if greeting is None:
                return
            with self._changed:
                line.connect(greeting, writer)
                self._changed.notify_all()
            while content := await reader.readline():
                await line.take(content)
            self._note(line, "the connection ended")
        except (msgspec.MsgspecError, RecursionError):
            self._give_up(line, "it said what cannot be read")
        except (OSError, ValueError, asyncio.TimeoutError) as error:
            self._note(line, reason(error))
        finally:
            if line.writer is writer:
                line.writer = None
            writer.close()

    def _read_greeting(self, line: Line, content: bytes) -> Greeting | None:
        """What a connection begins with; None where it is not to be gone on with. One that stands is left in peace."""
        try:
            greeting = msgspec.json.decode(content, type=Greeting)
        except (msgspec.MsgspecError, RecursionError):
            self._warn(f"refused a connection of {line.party}: what it says cannot be read")
            return None
        if not line.is_mine(greeting):
            self._note(line, "it still goes on with what this site had begun before")
            return None
        if line.session in (None, greeting.session):
            return greeting
        if line.writer is None:
            self._give_up(line, "it was started anew")
        else:
            self._warn(f"refused a connection of {line.party}: it is of another run, and the one to this run stands")
        return None

    async def _keep_alive(self) -> None:
        """Give signs of life, and give up a peer that is cut off or silent for longer than the grace."""
        while True:
            began = self._background.loop.time()
            await asyncio.sleep(ALIVE)
            now = self._background.loop.time()
            if (stood := now - began - ALIVE) > self._grace and not self._opening:
                self._fail(self._stood_still(stood))
            for line in (line for line in self._lines.values() if line.session is not None):
                silence = now - line.last_word
                line.give_sign()
                if line.writer is not None and silence > max(QUIET, self._grace / 3):
                    line.writer.transport.abort()  # what was lost on the way is said again sooner by another one
                if silence > self._grace:
                    self._give_up(line, line.trouble or "it is silent")

    def _stood_still(self, seconds: float) -> ClusterError:
        """Why the other sites have given up this one."""
        return ClusterError(
            f"{self._party}'s driver stood still for {seconds:.0f} s",
            where=f"party {self._party}",
            why=f"it was stopped; sites give up one that is silent for longer than cluster.grace ({self._grace:g} s)",
            fix="run again at all sites; raise cluster.grace where that may happen",
        )

    def _patience(self, line: Line) -> float:
        """Seconds for an attempt to connect: where the network was cut, the next one may find it mended."""
        return HANDSHAKE if line.session is None else min(HANDSHAKE, max(QUIET, self._grace / 3))

    async def _be_heard(self) -> None:
        await asyncio.sleep(0)  # what the driver said just now is read first
        while any(line.is_unheard() and not line.is_ended() for line in self._lines.values()):
            await asyncio.sleep(0.01)

    async def _say_the_rest(self) -> None:
        await asyncio.sleep(0)  # what the driver said just now is read first
        until = self._background.loop.time() + LAST_WORDS
        while (
            any(line.writer and line.is_unheard() for line in self._lines.values())
            and self._background.loop.time() < until
        ):
            await asyncio.sleep(0.01)

    def _give_up(self, line: Line, trouble: str) -> None:
        """End the peer's channel: the driver then hears of it as of a death. While it still waits for a third, the peer
        may come again, if it has said nothing; if it has, it had met that third, and to wait is of no use."""
        self._note(line, trouble)
        with self._changed:
            if self._opening and (self._partly or not line.has_spoken()):
                line.begin_anew()
                return
            self._opening = False
            self._changed.notify_all()
        line.end()

    def _note(self, line: Line, trouble: str) -> None:
        with self._changed:
            line.trouble = trouble

    def _refuse(self, line: Line, address: str, faults: list[str]) -> None:
        trouble = f"its certificate is not that of {line.party}: {'; '.join(faults)}"
        if line.trouble != trouble:  # once, however often it is tried
            self._warn(f"refused {address}: {trouble}")
        self._note(line, trouble)
