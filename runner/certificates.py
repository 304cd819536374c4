"""Keys and certificates before the first run with other sites: each party's own, and a small authority for trials."""

from __future__ import annotations

from pathlib import Path

import msgspec
from omegaconf import DictConfig

from runner.cluster.offline import ask_parties
from runner.errors import SpecError
from runner.keys.pki import (
    AUTHORITY,
    AUTHORITY_KEY,
    CERTIFICATE,
    TLS_KEY,
    make_authority,
    names_in,
    pin_of,
    sign_request,
)
from runner.spec.compose import to_parties
from runner.spec.model import Cluster
from runner.spec.request import Request
from runner.spec.suggest import require_known


def make_keys(config: DictConfig, request: Request) -> None:
    """Let a party make its keys and a certificate request, in a process of its own; print what is for whom.

    Raises:
        SpecError: where nobody is named, or a party that is none, or has no key file.
        DataError: where a key that is there is none, or can be read by others.
    """
    parties, party = to_parties(config), request.keygen.party or config.self_party
    if party is None:
        raise SpecError(
            "keygen.party is not given",
            where="keygen.party",
            why="each party's keys are its own",
            fix=f"set keygen.party to one of {', '.join(sorted(parties))}, or self_party, as for a run",
        )
    require_known(party, parties, "keygen.party")
    order = {
        "order": "keygen",
        "party": party,
        "settings": msgspec.to_builtins(parties[party]),
        "hosts": list(request.keygen.hosts),
    }
    answer = ask_parties({party: order}, Cluster())[party]
    print(f"Keys         of {party}, in {answer['home']}: its secret and {TLS_KEY}. Keep a copy; give them to nobody")
    print(f"Request      {answer['request']}: for the certificate authority, which gives back the certificate and")
    print(f"             its own; put them beside {TLS_KEY} as {CERTIFICATE} and {AUTHORITY}")
    print("For all      the same at every site, below parties; tell them by a way that nobody can change:")
    print(f"{party}:")
    print(f"  address: {parties[party].address or '<host>:<port>'}")
    print(f"  public_key: {answer['public']}")
    print(f"  tls_pin: {answer['pin']}")


def sign_requests(request: Request) -> None:
    """Make the authority if there is none, and sign certificate requests; print for whom and until when.

    Raises:
        DataError: for a request that is none, or asks for another party's name.
    """
    settings = request.pki
    folder = Path(str(settings.folder))
    make_authority(folder)
    print(f"Authority    for trials: {folder / AUTHORITY} is for every party, {folder / AUTHORITY_KEY} for nobody")
    for path in map(Path, settings.sign):
        certificate = sign_request(folder, path, settings.days)
        pin = pin_of(certificate.public_key())  # type: ignore[arg-type]
        print(f"Signed       {path.with_suffix('.crt')}, for {', '.join(names_in(certificate))}")
        print(f"             until {certificate.not_valid_after_utc:%Y-%m-%d}, with the pin {pin}")
