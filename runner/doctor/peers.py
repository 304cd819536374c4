"""The other sites: whether they can be reached, are who they should be, and were given the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from runner.cluster.channel import Channel
from runner.cluster.link import Links, Peer
from runner.cluster.site import credentials_of, listen_of, peers_of
from runner.doctor.findings import Finding, failed, failure, passed, warning
from runner.doctor.machine import PACKAGES
from runner.doctor.ports import held_open, unreachable
from runner.doctor.talk import ANSWER, Heard, Silence, Talk
from runner.errors import RunnerError
from runner.spec.model import Spec
from runner.spec.shared import disagreement, shared_values, shown
from runner.spec.site import PORTS, address_of

SLOW = 0.1  # seconds there and back: a training waits for thousands of answers
NARROW = 1e6  # bytes a second


def look_at_peers(
    spec: Spec, versions: Mapping[str, str], wait: float, tell: Callable[[str], None]
) -> Iterator[Finding]:
    """What the doctors of the other sites and the ways to them are like.

    Args:
        wait: seconds for which a site is waited for.
        tell: gets a line now and then that says who is missing.
    """
    peers = peers_of(spec)
    try:
        links = Links(str(spec.self_party), credentials_of(spec), listen_of(spec), spec.cluster.grace, tell)
    except RunnerError as error:
        yield failure("peers", error)
        return
    with held_open(listen_of(spec), str(spec.self_party)), links:
        channels = links.open(peers, wait, tell, partly=True)
        missing = links.missing()
        for party, trouble in missing.items():
            yield failed(
                f"{party}: connection",
                f"not reached within {wait:.0f} s: {trouble}",
                "let its operator type task=doctor now, too; look at addresses, firewalls and certificates",
            )
        there = {party: channel for party, channel in channels.items() if party not in missing}
        own, values = {name: versions.get(name, "not there") for name in PACKAGES}, shared_values(spec)
        with ThreadPoolExecutor(max_workers=max(1, len(there))) as pool:
            # First the ports: the peer holds them open until the talk is over.
            closed = {party: pool.submit(unreachable, peers[party].host, peers[party].port) for party in there}
            talks = {party: pool.submit(_talk, channel, own, values, wait) for party, channel in there.items()}
            for party, talk in talks.items():
                skew = spec.cluster.max_clock_skew
                yield from judge_peer(str(spec.self_party), party, peers[party], own, values, talk.result(), skew)
                if isinstance(talk.result(), Heard):  # another task may not have opened them
                    yield judge_ports(party, closed[party].result())


def _talk(channel: Channel, versions: Mapping[str, str], values: Mapping[str, Any], wait: float) -> Heard | Silence:
    try:
        return Talk(channel).hold(versions, values, wait + ANSWER)
    except Silence as silence:
        return silence


def judge_ports(peer: str, closed: Mapping[str, str]) -> Finding:
    """What is said of the ports after a peer's first one.

    Args:
        closed: address → why it cannot be reached.
    """
    check = f"{peer}: ports"
    if closed:
        told = "; ".join(f"{address}: {why}" for address, why in closed.items())
        return failed(check, told, f"let {peer}'s firewall, and this site's, pass all {PORTS} ports of the site")
    return passed(check, "those for the workers' channel and for links can be reached, too")


def judge_peer(
    party: str,
    peer: str,
    at: Peer,
    versions: Mapping[str, str],
    values: Mapping[str, Any],
    heard: Heard | Silence,
    max_clock_skew: float,
) -> Iterator[Finding]:
    """What is said of a peer that was reached.

    Args:
        versions, values: this site's.
        max_clock_skew: seconds.
    """
    address = address_of(at.host, at.port)
    if isinstance(heard, Silence):
        yield failed(f"{peer}: connection", f"{address}: {heard}", "type task=doctor at both sites at once")
        return
    pinned = "with the pinned key" if at.pin is not None else "of any key that the authority vouches for"
    yield passed(f"{peer}: connection", f"{address}, mutual TLS, its certificate {pinned}")
    yield _versions(peer, versions, heard.hello.versions)
    error = disagreement(party, peer, values, heard.hello.values)
    yield (
        passed(f"{peer}: settings", "the same at both sites") if error is None else failure(f"{peer}: settings", error)
    )
    yield _latency(peer, heard.latency)
    yield _bandwidth(peer, heard.bandwidth)
    yield _clock(peer, heard.ahead, max_clock_skew)


def _versions(peer: str, ours: Mapping[str, str], theirs: Mapping[str, str]) -> Finding:
    differ = [name for name in PACKAGES if ours.get(name) != theirs.get(name)]
    if differ:
        told = ", ".join(f"{name} {shown(theirs.get(name))}, here {ours.get(name)}" for name in differ)
        return failed(f"{peer}: versions", told, "install the same version of the runner at all sites")
    return passed(f"{peer}: versions", "the same at both sites")


def _latency(peer: str, seconds: float) -> Finding:
    told = f"{seconds * 1000:.1f} ms there and back"
    if seconds > SLOW:
        return warning(f"{peer}: latency", told, "every tree waits for many answers: expect a slow training")
    return passed(f"{peer}: latency", told)


def _bandwidth(peer: str, rate: float) -> Finding:
    told = f"at least {rate / 1e6:.1f} MB/s"
    if rate < NARROW:
        return warning(f"{peer}: bandwidth", told, "expect a slow training: a gradient travels as some hundred bytes")
    return passed(f"{peer}: bandwidth", told)


def _clock(peer: str, ahead: float, most: float) -> Finding:
    told = f"{abs(ahead):.2f} s {'ahead' if ahead > 0 else 'behind'}"
    if abs(ahead) > most:
        return failed(f"{peer}: clock", told, "set the clocks of both sites, best by NTP: certificates have dates")
    return passed(f"{peer}: clock", told)
