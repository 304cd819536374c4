"""Settings of sites: what each must say of its own party, and where the others are."""

from __future__ import annotations

from itertools import combinations

from runner.errors import SpecError
from runner.spec.model import Cluster, Spec
from runner.spec.site import PORTS, Site, host_and_port
from runner.spec.suggest import require_known

OF_SITES = ("wait_for_peers", "grace", "max_clock_skew")
LAST_PORT = 65535


def check_site(spec: Spec) -> None:
    """Refuse a site that does not know itself or its peers, and a site's settings where all parties are here."""
    if spec.cluster.insecure:
        raise SpecError(
            "cluster.insecure=true is not possible",
            where="cluster.insecure",
            why="without certificates nobody knows who speaks, and no connection between parties is made that way",
            fix="remove it; for a trial, task=pki makes an authority and certificates in a minute",
        )
    if spec.is_remote():
        check_self(spec)
        _check_addresses(spec)
    else:
        _refuse_unused(spec)
    _check_own(spec)


def check_self(spec: Spec) -> None:
    """Refuse a site that does not know whose it is."""
    if spec.self_party is None:
        raise SpecError(
            "self_party is not given",
            where="self_party",
            why="with cluster=remote each site runs one party and must know which",
            fix=f"set self_party to one of {', '.join(sorted(spec.parties))}",
        )
    require_known(spec.self_party, spec.parties, "self_party")
    if spec.cluster.viewer not in (None, spec.self_party):
        raise SpecError(
            f"cluster.viewer = {spec.cluster.viewer!r} is another site's party",
            where="cluster.viewer",
            why=f"this terminal is {spec.self_party}'s",
            fix="remove cluster.viewer",
        )
    if spec.cluster.ports:
        raise SpecError(
            "cluster.ports has no effect",
            where="cluster.ports",
            why="with cluster=remote a site's ports are site.listen and the two after it",
            fix="remove cluster.ports, and set site.listen=<host>:<port>",
        )


def _check_own(spec: Spec) -> None:
    """A party of this site has a key file and, where it has a table, a contract; of others' nothing is known."""
    elsewhere = "a site file (site=<name>)" if spec.is_remote() else "cluster=remote, if its site is another"
    for party in spec.parties_here():
        if spec.parties[party].key_file is None:
            raise SpecError(
                f"setting 'parties.{party}.key_file' is missing",
                where=f"parties.{party}.key_file",
                why=f"{party}'s keys and seeds come from it",
                fix=f"set parties.{party}.key_file=<path>, or use {elsewhere}",
            )
        if party in spec.data.tables and spec.data.tables[party].contract is None:
            raise SpecError(
                f"setting 'data.tables.{party}.contract' is missing",
                where=f"data.tables.{party}.contract",
                why="a table is read by its contract",
                fix=f"set data.tables.{party}.contract=<file.py:Class> or <file.yaml:Name>, or use {elsewhere}",
            )


def _check_addresses(spec: Spec) -> None:
    places = {}
    for party in spec.party_order():
        address = spec.parties[party].address
        if address is None:
            raise SpecError(
                f"parties.{party}.address is not given",
                where=f"parties.{party}.address",
                why="with cluster=remote the sites reach each other by their parties' addresses",
                fix=f"set parties.{party}.address=<host>:<port>, the same at every site",
            )
        places[party] = _place(address, f"parties.{party}.address", least=1)
    if spec.site.listen is not None:
        _place(spec.site.listen, "site.listen", least=0)
    for one, other in combinations(places, 2):
        (host, port), (other_host, other_port) = places[one], places[other]
        if host == other_host and abs(port - other_port) < PORTS:
            raise SpecError(
                f"{one} and {other} have the same ports",
                where=f"parties.{other}.address",
                why=f"a site has {PORTS} ports, one after the other, and both are on {host}",
                fix=f"set parties.{other}.address={host}:{port + 10}",
            )


def _place(address: str, where: str, least: int) -> tuple[str, int]:
    host, port = host_and_port(address)
    most = LAST_PORT - PORTS + 1
    if not least <= port <= most:
        raise SpecError(
            f"{where} = {address!r} is no place to listen",
            where=where,
            why=f"a site's first port is between {least} and {most}: it has {PORTS}, one after the other",
            fix=f"set {where}={host}:<port>",
        )
    return host, port


def _refuse_unused(spec: Spec) -> None:
    plain = Cluster()
    given = ["self_party"] if spec.self_party is not None else []
    given += ["site"] if spec.site != Site() else []
    given += [f"cluster.{name}" for name in OF_SITES if getattr(spec.cluster, name) != getattr(plain, name)]
    if given:
        raise SpecError(
            f"{given[0]} has no effect",
            where=given[0],
            why=f"cluster.mode is {spec.cluster.mode}: all parties run on this machine",
            fix=f"add cluster=remote, or remove {given[0]}",
        )
