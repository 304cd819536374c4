"""Mutual TLS (1.3) between sites: listening, contexts, and what went wrong, in words."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import ssl
from pathlib import Path
from typing import NamedTuple

from cryptography import x509

from runner.errors import ClusterError

_NUMBER = re.compile(r"\[Errno (\d+)\]")


class Credentials(NamedTuple):
    """This site's PEM files: its certificate, its private key, and the authority whose certificates it takes."""

    certificate: Path
    private_key: Path
    authority: Path


def listening(listen: tuple[str, int], party: str) -> socket.socket:
    """A socket that listens there.

    Raises:
        ClusterError: where the address is not this machine's, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(listen)
    except OSError as error:
        listener.close()
        raise ClusterError(
            f"{party} cannot listen",
            where=f"site.listen = {listen[0]}:{listen[1]}",
            why=error.strerror or type(error).__name__,
            fix="choose an address of this machine and a free port, or end the program that has it",
        ) from None
    listener.listen()
    listener.setblocking(False)
    return listener


def client_context(credentials: Credentials) -> ssl.SSLContext:
    """For calling a peer whose certificate must be of the common authority."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, credentials)


def server_context(credentials: Credentials) -> ssl.SSLContext:
    """For callers that must show a certificate of the common authority."""
    return _context(ssl.PROTOCOL_TLS_SERVER, credentials)


def _context(protocol: int, credentials: Credentials) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(credentials.certificate, credentials.private_key)
    context.load_verify_locations(credentials.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def certificate_of(writer: asyncio.StreamWriter) -> x509.Certificate:
    """The certificate of the other end."""
    return x509.load_der_x509_certificate(shown_by(writer))


def shown_by(writer: asyncio.StreamWriter) -> bytes:
    """The same, DER."""
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return shown


def reason(error: BaseException) -> str:
    """Why a connection failed; no text that a peer sent."""
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    if isinstance(error, ssl.SSLError):
        return str(error.reason or error).lower().replace("_", " ")
    if isinstance(error, socket.gaierror):
        return f"the host's name is not known here ({error.strerror})"
    if is_refusal(error):
        return "nothing listens there"
    if isinstance(error, OSError) and (number := next(iter(_numbers(error)), None)) is not None:
        return os.strerror(number)
    return type(error).__name__


def is_refusal(error: BaseException) -> bool:
    """Whether a host answered that nothing listens there, at each of its addresses."""
    return isinstance(error, OSError) and set(_numbers(error)) == {errno.ECONNREFUSED}


def _numbers(error: OSError) -> list[int]:
    """The system's, which asyncio tells in a text alone where a host has several addresses."""
    return [error.errno] if error.errno is not None else [int(number) for number in _NUMBER.findall(str(error))]
