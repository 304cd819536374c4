"""What this site needs to meet the others: where it listens, its certificate, and where they are."""

from __future__ import annotations

from pathlib import Path

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
