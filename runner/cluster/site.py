"""What this site needs to meet the others: where it listens, its certificate, and where they are."""

from __future__ import annotations

from pathlib import Path

from runner.cluster.channel import Message
from runner.cluster.link import Peer
from runner.cluster.mutual_tls import Credentials
from runner.errors import SpecError
from runner.keys.pki import AUTHORITY, CERTIFICATE, TLS_KEY
from runner.spec.model import Spec
from runner.spec.site import host_and_port


def credentials_of(spec: Spec) -> Credentials:
    """The PEM files of this site: those that ``site`` names, else those beside its party's key file."""
    own = spec.parties[_self_of(spec)].key_path().parent
    return Credentials(
        Path(spec.site.certificate or own / CERTIFICATE),
        Path(spec.site.private_key or own / TLS_KEY),
        Path(spec.site.authority or own / AUTHORITY),
    )


def listen_of(spec: Spec) -> tuple[str, int]:
    """Host and first port where this site listens."""
    return host_and_port(spec.site.listen or str(spec.parties[_self_of(spec)].address))


def reached_at(spec: Spec, port: int) -> int:
    """Where the others reach what listens on ``port`` here.

    It is as far from the party's address as ``port`` is from where this site listens: a router in between may shift
    a site's ports, all of them alike.
    """
    first = listen_of(spec)[1]
    return port + host_and_port(str(spec.parties[_self_of(spec)].address))[1] - first if first else port


def as_reached(spec: Spec, message: Message) -> Message:
    """What a worker reports, with its port as other sites have to dial it."""
    if not spec.is_remote() or message["event"] != "listening":
        return message
    return {**message, "port": reached_at(spec, message["port"])}


def peers_of(spec: Spec) -> dict[str, Peer]:
    """Party → where its site listens, and the pin of its key, of all parties but this site's."""
    return {
        party: Peer(*host_and_port(str(spec.parties[party].address)), spec.parties[party].tls_pin)
        for party in spec.party_order()
        if party != spec.self_party
    }


def _self_of(spec: Spec) -> str:
    if spec.self_party is None:
        raise SpecError(
            "this is the site of no party",
            where="self_party",
            why="with cluster.mode=local all parties are on this machine",
            fix="use cluster=remote self_party=<name>",
        )
    return spec.self_party
