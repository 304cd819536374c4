"""Organisations for tests: an authority, and parties with certificates, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from runner.cluster.mutual_tls import Credentials
from runner.keys.pki import AUTHORITY, CERTIFICATE, REQUEST, TLS_KEY, make_authority, make_request, sign_request


def make_sites(folder: Path, parties: Iterable[str]) -> dict[str, Credentials]:
    """``folder``/ca has the authority, ``folder``/<party> the party's key and certificate."""
    make_authority(folder / "ca")
    for party in parties:
        make_request(party, folder / party)
        sign_request(folder / "ca", folder / party / REQUEST, days=90)
    return {party: credentials_of(folder, party) for party in parties}


def credentials_of(folder: Path, party: str) -> Credentials:
    """What a party shows, and whom it trusts."""
    own = folder / party
    return Credentials(own / CERTIFICATE, own / TLS_KEY, folder / "ca" / AUTHORITY)
