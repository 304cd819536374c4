"""What one organisation's site says of itself, and nobody else's spec does: where it listens, and its certificate."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from runner.spec.base import Section

Address = Annotated[str, Meta(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}\Z")]
PORTS = 3  # of a site, one after the other: for drivers, for the workers' channel, for links of SPU and PSI


class Site(Section, frozen=True, kw_only=True):
    """This site, with ``cluster=remote``; the other sites never see these settings.

    ``listen`` is where its driver waits for the others' (by default ``parties.<self>.address``); the next two ports
    are for the workers' channel and for links of SPU and PSI, and with port 0 the system chooses. ``certificate``,
    ``private_key`` and ``authority`` are PEM files, by default ``tls.crt``, ``tls.key`` and ``ca.crt`` beside the
    party's key file.
    """

    listen: Address | None = None
    certificate: str | None = None
    private_key: str | None = None
    authority: str | None = None


def host_and_port(address: str) -> tuple[str, int]:
    """``host:port`` in its two parts; the brackets round an IPv6 address are taken off."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def address_of(host: str, port: int) -> str:
    """``host:port``, with brackets round an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
