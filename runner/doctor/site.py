"""What is this site's own: key files, certificate, ports."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from cryptography import x509

from runner.cluster.mutual_tls import Credentials, listening
from runner.cluster.site import credentials_of, faults_of_own, listen_of
from runner.doctor.findings import Finding, failed, failure, passed, warning
from runner.errors import ClusterError, RunnerError
from runner.keys.pki import FEW_DAYS, days_left, host_name, read_certificate
from runner.spec.model import Party, Spec
from runner.spec.site import PORTS


def look_at_key(party: str, settings: Party) -> Finding:
    """Whether the party's key file is there, and its own."""
    if settings.key_env is not None:
        return passed(f"key of {party}", f"in the environment variable {settings.key_env}")
    path = settings.key_path()
    if not path.exists():
        return passed(f"key of {party}", f"{path} is not there yet: it is made at first use, or by task=keygen")
    if path.stat().st_mode & 0o077:
        return failed(f"key of {party}", f"{path} can be read by others", f"chmod 600 {path}")
    return passed(f"key of {party}", f"{path}, readable by its owner alone")


def look_at_certificate(spec: Spec) -> Finding:
    """Whether this site's certificate stands for its party, by its key, and for how long."""
    party = str(spec.self_party)
    files = credentials_of(spec)
    try:
        certificate, faults = read_certificate(files.certificate), faults_of_own(spec)
    except RunnerError as error:
        return failure("certificate", error)
    return judge_certificate(files, party, certificate, faults, datetime.datetime.now(datetime.timezone.utc))


def judge_certificate(
    files: Credentials, party: str, certificate: x509.Certificate, faults: list[str], now: datetime.datetime
) -> Finding:
    """What is said of a certificate with these faults."""
    ends, days = certificate.not_valid_after_utc, days_left(certificate, now)
    if faults:
        renew = f"have {files.private_key.with_suffix('.csr')} signed, and put the certificate to {files.certificate}"
        return failed("certificate", f"{files.certificate}: {'; '.join(faults)}", renew)
    told = f"{host_name(party)}, signed by {certificate.issuer.rfc4514_string()}, {days} days left"
    if days < FEW_DAYS:
        return warning("certificate", told, f"renew it before {ends:%Y-%m-%d}: the pin stays the same")
    return passed("certificate", told)


def look_at_ports(spec: Spec) -> Iterator[Finding]:
    """Whether the ports can be bound that the spec names."""
    if not spec.is_remote():
        for party, port in spec.cluster.ports.items():
            yield _bound(party, "127.0.0.1", [port])
        return
    host, first = listen_of(spec)
    yield _bound(str(spec.self_party), host, [first + place if first else 0 for place in range(PORTS)])


def _bound(party: str, host: str, ports: list[int]) -> Finding:
    for port in ports:
        try:
            listening((host, port), party).close()
        except ClusterError as error:
            return failed("ports", f"{host}:{port} cannot be bound: {error.why}", error.fix)
    named = ", ".join(str(port) for port in dict.fromkeys(ports) if port) or "any"
    return passed("ports", f"{host}, {named}: free")
