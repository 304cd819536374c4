"""The other organisations' sites, as this site's driver knows them: connected, agreed with, and told of the end.

Before any work the sites compare what they were given (:func:`runner.spec.shared.disagreement`), what they run, and
what their parties grant. The run's secret name is made of a random part of each, so that no site chooses it alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import select
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from runner.cluster.channel import Message
from runner.cluster.link import Links
from runner.cluster.mutual_tls import listening
from runner.cluster.peers import PeerChannel, told
from runner.cluster.relay import Relay
from runner.cluster.site import credentials_of, listen_of, peers_of, reached_at, require_own_certificate, soon_to_renew
from runner.cluster.tls import Identity
from runner.environment import machine, shared_software
from runner.errors import ClusterError, RunnerError, SpecError
from runner.files import canonical_json, want_of_room
from runner.keys.pki import read_certificate
from runner.spec.model import Spec
from runner.spec.shared import disagreement, shared_values

TICK = 0.5
EVERY = 5.0  # seconds between lines that say who is waited for
OTHER_WORDS = 5.0  # seconds for the rest to say what they were given, once one of them gave up


@dataclass(frozen=True)
class Agreement:
    """What all sites of a run have agreed on.

    Attributes:
        session: 64 hexadecimal digits that all sites know, and nobody else.
        same_crew: whether the workers of an earlier run stand at all sites.
        machines: party → what its machine is.
        denied: party → the flows that its grants deny, each with the line that would have to allow it.
        links: party → the port where its relay listens.
    """

    session: str
    same_crew: bool
    machines: dict[str, dict[str, Any]]
    denied: dict[str, list[list[str]]]
    links: dict[str, int]


class Sites:
    """The connections to the other sites, for one run after another.

    Args:
        notice: told what the operator of this site should know.
        warn: told of connections that were refused.

    Attributes:
        party: this site's.
        channels: party → the connection to its driver.
        faults: errors that were found in other threads, and end the run.
    """

    def __init__(self, spec: Spec, notice: Callable[[str], None], warn: Callable[[str], None]) -> None:
        if spec.self_party is None:
            raise AssertionError("the spec lets remote mode run with self_party only")
        self.party = spec.self_party
        self.credentials = credentials_of(spec)
        require_own_certificate(spec)
        if (word := soon_to_renew(spec)) is not None:
            notice(word)
        self._notice = notice
        self._warn = warn
        self.faults: SimpleQueue[RunnerError] = SimpleQueue()
        host, port = listen_of(spec)
        limits = spec.cluster
        if port:
            listening((host, port + 1), self.party).close()  # the worker's, which comes later
        self._relay_listener = listening((host, port + 2 if port else 0), self.party)
        with contextlib.ExitStack() as undo:
            undo.callback(self._relay_listener.close)
            links = Links(self.party, self.credentials, (host, port), limits.grace, warn, self.faults.put)
            self._links = undo.enter_context(links)
            opened = self._links.open(peers_of(spec), limits.wait_for_peers, notice)
            undo.pop_all()
        self.channels = {party: PeerChannel(party, channel) for party, channel in opened.items()}

    def close(self) -> None:
        """End the connections; what was said before still arrives."""
        self._links.close()
        self._relay_listener.close()
        for channel in self.channels.values():
            channel.close()

    def settle(self) -> None:
        """Wait until the other sites have heard how this one's run ended; at most one ``cluster.grace``.

        Raises:
            ClusterError: where one has not, to which the run must have failed.
        """
        if unheard := self._links.settle():
            raise ClusterError(
                f"the site of {' and '.join(unheard)} is gone",
                where=f"party {unheard[0]}, stage attest",
                why="it has not heard that the run was attested here: there the run has failed",
                fix=f"ask {unheard[0]}'s operator, and start again",
            )

    def agree(self, spec: Spec, crew: str, denied: Sequence[Sequence[str]], repeats: str = "") -> Agreement:
        """Compare what all sites were given.

        Args:
            crew: the name of the workers that stand here from an earlier run; empty: none.
            denied: the flows that this party's grants deny, each with the line that would have to allow it.
            repeats: the digest of the run that this one repeats; empty: none.

        Raises:
            SpecError, PolicyError: where it differs, naming the settings, at every site.
            ClusterError: where a site says nothing, or has another time.
        """
        ours: Message = {
            "event": "hello",
            "spec": json.loads(json.dumps(shared_values(spec))),  # lists and tuples are one there
            "versions": shared_software(),
            "machine": machine(),
            "crew": crew,
            "denied": [list(flow) for flow in denied],
            "share": secrets.token_hex(32),
            "links": reached_at(spec, self._relay_listener.getsockname()[1]),
            "repeats": repeats,
        }
        for channel in self.channels.values():
            channel.said = 0
            channel.send(**ours)
        heard, failure = self._hear_hellos(spec.cluster.wait_for_peers)
        for party, hello in heard.items():
            if error := disagreement(self.party, party, ours["spec"], hello["spec"]):
                raise error
            _require_same_original(self.party, party, repeats, hello["repeats"])
            _require_same_versions(self.party, party, ours["versions"], hello["versions"])
        if failure is not None:
            raise failure
        require_same_time(self.party, self._links.ahead(), spec.cluster.max_clock_skew)
        hellos = {party: {self.party: ours, **heard}[party] for party in sorted({self.party, *heard})}
        shares = [hello["share"] for hello in hellos.values()]
        return Agreement(
            session=hashlib.sha256(canonical_json([ours["spec"], shares])).hexdigest(),
            same_crew=bool(crew) and all(hello["crew"] == crew for hello in hellos.values()),
            machines={party: hello["machine"] for party, hello in hellos.items()},
            denied={party: hello["denied"] for party, hello in hellos.items()},
            links={party: hello["links"] for party, hello in hellos.items()},
        )

    def relay(self, spec: Spec, agreement: Agreement, sockets: Path) -> Relay:
        """This site's relay for links of SPU and PSI."""
        peers = {party: peer._replace(port=agreement.links[party]) for party, peer in peers_of(spec).items()}
        return Relay(
            self.party,
            self.credentials,
            self._relay_listener,
            peers,
            {"psi": spec.party_order(), "spu": sorted(spec.parties)},  # SecretFlow sorts the nodes of an SPU
            sockets,
            agreement.session,
            self._warn,
            self.faults.put,
        )

    def identity(self) -> Identity:
        """What this party's own worker shows, and whose connections it takes.

        In place of the authority stand the certificates that the peers' drivers showed: nobody else gets through to the
        worker, and it speaks to nobody else, whomever the authority vouches for besides.
        """
        own = read_certificate(self.credentials.certificate).public_bytes(Encoding.PEM).decode()
        return Identity(
            certificate=own,
            private_key=self.credentials.private_key.read_text(),
            authority="".join([own, *self._links.certificates().values()]),
        )

    def tell_of_failure(self, error: BaseException, stage: str) -> None:
        """Let all other sites know that this one ends, and what of its cause they may know."""
        interrupted = ClusterError(f"{self.party}'s operator stopped the run", where="", why="", fix="")
        unforeseen = ClusterError(f"the site of {self.party} failed", where="", why="", fix="")
        known = error if isinstance(error, RunnerError) else want_of_room(error, self.party)
        cause = known or (interrupted if isinstance(error, KeyboardInterrupt) else unforeseen)
        error_told = told(cause.to_dict(), self.party, stage)
        for channel in self.channels.values():
            channel.send(event="failed", party=self.party, stage=stage, error=error_told, secondary=cause.secondary)

    def _hear_hellos(self, seconds: float) -> tuple[dict[str, Message], RunnerError | None]:
        """What each other site says that it was given; and why one of them gave up, which may differ from a third.

        Args:
            seconds: for all to say so: one may still wait for a third, or write the reports of an earlier job.
        """
        heard: dict[str, Message] = {}
        failure: RunnerError | None = None
        began = time.monotonic()
        until, tell_at = began + seconds, began + EVERY
        waiting = dict(self.channels)
        said = [(party, channel.kept(("hello",)), True) for party, channel in self.channels.items()]
        while True:
            if not self.faults.empty():
                raise self.faults.get()
            for party, messages, standing in said:
                for message in messages:
                    if message["event"] == "hello":
                        heard[party] = message
                    else:
                        failure = failure or RunnerError.from_dict(message["error"])
                if party in heard or messages or not standing:
                    waiting.pop(party, None)
                if not standing and not messages and party not in heard:
                    failure = failure or _gone(party)
            now = time.monotonic()
            if failure is not None:
                until = min(until, now + OTHER_WORDS)
            if not waiting or (failure is not None and now >= until):
                return heard, failure
            if now >= until:
                raise _silent(sorted(waiting)[0], f"it has said nothing for {seconds:g} s")
            if now >= tell_at:
                tell_at = now + EVERY
                names, waited = " and ".join(sorted(waiting)), f"{now - began:.0f} s of {seconds:g} s"
                self._notice(f"waiting for {names} to say what was given there ({waited})")
            ready = select.select(list(waiting.values()), [], [], TICK)[0]
            said = [(channel.party, *channel.read(("hello",))) for channel in ready]


def _require_same_versions(party: str, peer: str, ours: Mapping[str, str], theirs: Mapping[str, str]) -> None:
    different = [name for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name)]
    if different:
        said = "; ".join(
            f"{name} is {ours.get(name, 'missing')} at {party}, {theirs.get(name, 'missing')} at {peer}"[:120]
            for name in different[:8]
        )
        raise SpecError(
            f"{party} and {peer} run different versions",
            where=", ".join(name[:40] for name in different[:8]),
            why=said,
            fix="install the same versions at all sites",
        )


def _require_same_original(party: str, peer: str, ours: str, theirs: str) -> None:
    """Refuse to repeat a run where another site repeats none, or another one."""
    if ours != theirs:
        said = {party: ours, peer: theirs}
        raise SpecError(
            f"{party} and {peer} do not repeat the same run",
            where="run",
            why="; ".join(f"{name} repeats {f'run {what[:12]}…' if what else 'none'}" for name, what in said.items()),
            fix="type task=reproduce run=… at every site, with the folder that the same run left there",
        )


def require_same_time(party: str, ahead: Mapping[str, float], most: float) -> None:
    """Certificates, audit logs and manifests have times, and are compared with those of other sites."""
    wrong = {peer: seconds for peer, seconds in sorted(ahead.items()) if abs(seconds) > most}
    if wrong:
        raise ClusterError(
            f"the clocks of {party} and {' and '.join(wrong)} differ",
            where=f"cluster.max_clock_skew = {most:g}",
            why="; ".join(
                f"{peer}'s is {abs(seconds):,.0f} s {'ahead of' if seconds > 0 else 'behind'} {party}'s"
                for peer, seconds in wrong.items()
            ),
            fix="set the clocks of all sites, best by NTP; task=doctor compares them",
        )


def _silent(party: str, why: str) -> ClusterError:
    return ClusterError(
        f"the site of {party} did not say what it was given",
        where=f"party {party}, stage agree",
        why=why,
        fix=f"ask {party}'s operator, and start again",
    )


def _gone(party: str) -> ClusterError:
    return ClusterError(
        f"the site of {party} is gone",
        where=f"party {party}, stage agree",
        why="its connection broke before it said what it was given",
        fix=f"ask {party}'s operator, and start again",
    )
