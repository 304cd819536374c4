"""SPU's and PSI's links between organisations: through mutual TLS, each stream bound to the party that opened it.

Their library links processes over Unix sockets in a folder of the run (:mod:`runner.engine.spu`, ``psi``). Between
hosts, each site has such a folder of its own: beside its own socket stands one for every peer, which this relay listens
on and carries to the peer's relay, over TLS with certificates as in :mod:`link`, which hands it to the peer's socket.
A stream goes on only as long as its frames claim no other sender than the certificate's (:mod:`brpc`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from runner.cluster.background import HANDSHAKE, Background, Door, Sparing, Streams
from runner.cluster.brpc import Answers, ForgedFrame, Frames
from runner.cluster.link import Peer
from runner.cluster.mutual_tls import Credentials, certificate_of, client_context, reason
from runner.errors import RunnerError, SecurityError
from runner.files import PRIVATE_DIR
from runner.keys.pki import faults_of, host_name, names_in, read_certificate
from runner.spec.site import address_of

Service = Literal["spu", "psi", "psi-done"]
Folder = Annotated[str, msgspec.Meta(pattern=r"^(spu-)?[0-9]{1,9}\Z")]  # of a link's sockets, within the crew's
PATIENCE = 60.0  # seconds until a peer's process must listen: the parties do not arrive at the same moment
PIECE = 1 << 18  # bytes
PAUSE = 0.02  # seconds
MOST_STREAMS = 16  # of one peer at a time; the links have one for each service and peer
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between attempts to reach a peer's relay


class _Greeting(msgspec.Struct):
    session: str
    folder: Folder
    service: Service


def socket_of(service: Service, party: str) -> str:
    """The name of a party's socket, or of its mark, in the run's folder for sockets."""
    return {"spu": party, "psi": f"psi-{party}.s", "psi-done": f"psi-{party}.s.done"}[service]


class Relay:
    """The relay of one site for one crew; ``close`` ends it and all its streams.

    Args:
        party: this site's.
        listener: a socket that listens where the peers expect this site's relay.
        peers: of the other parties.
        ranks: service → all parties, as its links count them.
        sockets: the crew's folder for sockets at this site.
        session: a name of the crew that all sites agreed on.
        warn: told of every stream that was refused, with the reason.
        fail: given what ends the run: a party of it does what it may not do.
    """

    def __init__(
        self,
        party: str,
        credentials: Credentials,
        listener: socket.socket,
        peers: Mapping[str, Peer],
        ranks: Mapping[str, Sequence[str]],
        sockets: Path,
        session: str,
        warn: Callable[[str], None],
        fail: Callable[[RunnerError], None],
    ) -> None:
        self._party = party
        self._credentials = credentials
        self._authority = read_certificate(credentials.authority)
        self._peers = dict(peers)
        self._ranks = {service: list(parties) for service, parties in ranks.items()}
        self._sockets = sockets
        self._session = session
        self._warn = Sparing(warn)
        self._fail = fail
        self._streams: Counter[str] = Counter()
        self._served: dict[str, list[asyncio.AbstractServer | asyncio.Task[None]]] = {}
        self._background = Background("relay")
        door = Door(self._background, listener, credentials, PIECE, self._admit, self._refuse_stranger)
        self._background.spawn(door.stand_open())

    def serve(self, folder: str, service: Service) -> None:
        """From now on, carry a service's links whose sockets are in ``folder``, which is made."""
        self._background.do(self._listen(folder, service))

    def withdraw(self, folder: str) -> None:
        """The links whose sockets are in ``folder`` are over."""
        self._background.loop.call_soon_threadsafe(self._withdraw, folder)

    def close(self) -> None:
        """End it."""
        self._background.end()

    async def _listen(self, folder: str, service: Service) -> None:
        own = self._sockets / folder
        own.mkdir(mode=PRIVATE_DIR, exist_ok=True)
        for peer in self._peers:
            path = own / socket_of(service, peer)
            server = await asyncio.start_unix_server(self._outward(folder, service, peer), path, limit=PIECE)
            self._served.setdefault(folder, []).append(server)
        if service == "psi":
            telling = asyncio.ensure_future(self._tell_when_done(folder))
            self._background.keep(telling)
            self._served.setdefault(folder, []).append(telling)

    def _withdraw(self, folder: str) -> None:
        for served in self._served.pop(folder, ()):
            if isinstance(served, asyncio.Task):
                served.cancel()
            else:
                served.close()

    def _outward(
        self, folder: str, service: Service, peer: str
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]:
        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._background.own(writer)
            self._background.keep(asyncio.current_task())
            try:
                far_reader, far_writer = await self._call(folder, service, peer)
            except OSError as error:
                at = self._peers[peer]
                self._warn(f"the link to {peer} at {address_of(at.host, at.port)} cannot be opened: {reason(error)}")
                writer.close()
                return
            with self._failing_at(peer, service):
                answers = _copy(far_reader, writer, Answers())
                await _both(_copy(reader, far_writer), answers, (writer, far_writer))

        return carry

    async def _call(
        self, folder: str, service: Service, peer: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        at = self._peers[peer]
        reader, writer = await self._reach(peer)
        self._background.own(writer)
        if faults := faults_of(certificate_of(writer), self._authority, peer, at.pin):
            writer.close()
            self._warn(f"refused {at.host}: its certificate is not that of {peer}: {'; '.join(faults)}")
            raise ConnectionError("another's certificate")
        greeting = {"session": self._session, "folder": folder, "service": service}
        writer.write(json.dumps(greeting).encode() + b"\n")
        return reader, writer

    async def _reach(self, peer: str) -> Streams:
        """A connection to a peer's relay, tried again while the network fails, ever more slowly."""
        at, pause = self._peers[peer], FIRST_PAUSE
        until = self._background.loop.time() + PATIENCE
        while True:
            connected = asyncio.open_connection(
                at.host, at.port, ssl=client_context(self._credentials), server_hostname=host_name(peer), limit=PIECE
            )
            try:
                return await asyncio.wait_for(connected, HANDSHAKE)
            except ssl.SSLCertVerificationError:
                raise
            except (OSError, asyncio.TimeoutError) as error:
                if self._background.loop.time() + pause > until:
                    raise ConnectionError(0, f"{at.host}:{at.port}: {reason(error)}") from None
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _refuse_stranger(self, address: str, why: str) -> None:
        self._warn(f"refused a link from {address}: {why}; expected: {', '.join(self._peers)}")

    async def _admit(self, streams: Streams, address: str) -> None:
        reader, writer = streams
        certificate = certificate_of(writer)
        callers = [peer for peer in self._peers if host_name(peer) in names_in(certificate)]
        faults = [f"it is for {', '.join(names_in(certificate)) or 'nobody'}"]
        if len(callers) == 1:
            faults = faults_of(certificate, self._authority, callers[0], self._peers[callers[0]].pin)
        if faults:
            self._warn(f"refused a link from {address}: its certificate: {'; '.join(faults)}")
            return
        if self._streams[callers[0]] >= MOST_STREAMS:
            self._warn(f"refused a link of {callers[0]}: it has {MOST_STREAMS} already")
            return
        self._streams[callers[0]] += 1
        try:
            await self._inward(callers[0], reader, writer)
        except (OSError, ValueError, msgspec.MsgspecError, RecursionError, asyncio.TimeoutError) as error:
            self._warn(f"a link of {callers[0]} was ended: {reason(error)}")
        finally:
            self._streams[callers[0]] -= 1

    async def _inward(self, peer: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeting = msgspec.json.decode(await asyncio.wait_for(reader.readline(), HANDSHAKE), type=_Greeting)
        service, folder = greeting.service, greeting.folder
        if greeting.session != self._session:
            self._warn(f"refused a link of {peer}: it belongs to another run")
            return
        if service == "psi-done":
            (self._sockets / folder / socket_of("psi-done", peer)).touch()
            return
        near_reader, near_writer = await self._near(self._sockets / folder / socket_of(service, self._party))
        self._background.own(near_writer)
        with self._failing_at(peer, service):
            sent = _copy(reader, near_writer, Frames(self._ranks[service].index(peer)))
            await _both(sent, _copy(near_reader, writer), (writer, near_writer))

    @contextlib.contextmanager
    def _failing_at(self, peer: str, service: Service) -> Iterator[None]:
        """End the run where the peer sends what it may not."""
        try:
            yield
        except ForgedFrame as forged:
            self._fail(
                SecurityError(
                    f"{peer} sent what it may not send",
                    where=f"party {peer}, links of {service}",
                    why=str(forged),
                    fix=f"do not trust {peer}'s site before its operator has found out what happened",
                )
            )

    async def _near(self, path: Path) -> Streams:
        """A connection to this site's own process, once it listens."""
        until = self._background.loop.time() + PATIENCE
        while True:
            try:
                return await asyncio.open_unix_connection(path, limit=PIECE)
            except OSError:
                if self._background.loop.time() > until:
                    raise
                await asyncio.sleep(PAUSE)

    async def _tell_when_done(self, folder: str) -> None:
        """Pass on the mark that this site has its result of PSI, without which no side may leave."""
        mark = self._sockets / folder / socket_of("psi-done", self._party)
        while not mark.exists():
            await asyncio.sleep(PAUSE)
        for peer in self._peers:
            try:
                reader, writer = await self._call(folder, "psi-done", peer)
                await reader.read()  # until the peer has it
                writer.close()
            except OSError as error:
                self._warn(f"{peer} could not be told that psi is done: {reason(error)}")


async def _both(
    one: Coroutine[Any, Any, None], other: Coroutine[Any, Any, None], writers: Sequence[asyncio.StreamWriter]
) -> None:
    """Copy in both directions until one of them ends, then end both."""
    tasks = [asyncio.ensure_future(one), asyncio.ensure_future(other)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            with contextlib.suppress(OSError):
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.close()


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, frames: Frames | Answers | None = None
) -> None:
    while content := await reader.read(PIECE):
        for piece in [content] if frames is None else frames.feed(content):
            writer.write(piece)
        await writer.drain()
