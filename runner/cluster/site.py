"""What this site needs to meet the others: where it listens, a certificate that stands for it, and where they are."""

from __future__ import annotations

import datetime
from pathlib import Path

from runner.cluster.channel import Message
from runner.cluster.link import Peer
from runner.cluster.mutual_tls import Credentials
from runner.errors import ClusterError, DataError, SpecError
from runner.keys.pki import (
    AUTHORITY,
    CERTIFICATE,
    FEW_DAYS,
    REQUEST,
    TLS_KEY,
    days_left,
    faults_of,
    pin_of,
    read_certificate,
    read_key,
)
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


def faults_of_own(spec: Spec) -> list[str]:
    """What keeps this site's certificate from standing for its party; empty: nothing.

    Raises:
        DataError: where a file of it is missing, or its key is not its owner's alone.
    """
    files, party = credentials_of(spec), _self_of(spec)
    certificate, authority = read_certificate(files.certificate), read_certificate(files.authority)
    faults = faults_of(certificate, authority, party, spec.parties[party].tls_pin)
    if pin_of(certificate.public_key()) != pin_of(read_key(files.private_key).public_key()):  # type: ignore[arg-type]
        faults.append(f"it is of another key than {files.private_key}")
    return faults


def require_own_certificate(spec: Spec) -> None:
    """Refuse to begin with a certificate that the other sites would refuse.

    Raises:
        ClusterError: where a file of it is missing, or it does not stand for this site's party.
    """
    files, party = credentials_of(spec), _self_of(spec)
    request = files.private_key.with_name(REQUEST)
    try:
        faults = faults_of_own(spec)
    except DataError as error:
        raise ClusterError(
            f"{party} cannot show who it is: {error.what}",
            where=error.where,
            why=error.why,
            fix=error.fix if Path(error.where).exists() else _to_make(party, request, files),
        ) from None
    if faults:
        now = datetime.datetime.now(datetime.timezone.utc)
        raise ClusterError(
            f"{party}'s own certificate would be refused by the others",
            where=str(files.certificate),
            why=f"{'; '.join(faults)} (the clock here says {now:%Y-%m-%d %H:%M} UTC)",
            fix=f"set the clock, if it is wrong; else have {request} signed by the authority of {files.authority}, "
            "and put the certificate there",
        )


def soon_to_renew(spec: Spec) -> str | None:
    """A word to this site's operator where the certificate, which is good, ends soon; else None."""
    path = credentials_of(spec).certificate
    certificate = read_certificate(path)
    if (days := days_left(certificate)) >= FEW_DAYS:
        return None
    ends = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    return f"the certificate of {_self_of(spec)}, {path}, ends in {days} days: renew it before {ends}; the pin stays"


def _to_make(party: str, request: Path, files: Credentials) -> str:
    return (
        f"type task=keygen keygen.party={party} for a key and {request.name}, have that signed by the authority that "
        f"all sites trust (for a trial: task=pki), put the certificates to {files.certificate} and {files.authority}"
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
