"""Sites: what each must say of its own party, what it need not say of the others, and what has no effect."""

from __future__ import annotations

from typing import Any

import pytest
from support import make_spec

from runner.errors import SpecError
from runner.spec.identity import spec_values
from runner.spec.model import Spec
from runner.spec.parse import parse

PARTIES = ("alice", "bob", "carol")


def site(party: str, *overrides: str) -> Spec:
    return make_spec("cluster=remote", "parties=sites", f"self_party={party}", f"site={party}", *overrides)


def bare(party: str) -> dict[str, Any]:
    """The settings of a site that knows its own table and key, and of the others nothing but who and where they are."""
    values = spec_values(site(party))
    for other, table in values["data"]["tables"].items():
        if other != party:
            table.clear()
    return values


def refused(values: dict[str, Any]) -> SpecError:
    with pytest.raises(SpecError) as raised:
        parse(values)
    return raised.value


@pytest.mark.parametrize("party", PARTIES)
def test_a_site_needs_nothing_of_the_others_tables_and_keys(party: str) -> None:
    spec = parse(bare(party))
    assert spec.parties_here() == (party,)
    assert list(spec.tables_here()) == [party]
    assert sorted(spec.tables()) == sorted(PARTIES)
    assert spec.viewer() == party
    assert [spec.parties[other].key_file for other in PARTIES if other != party] == [None, None]


def test_all_parties_are_here_where_there_are_no_sites() -> None:
    assert make_spec().parties_here() == ("carol", "alice", "bob")
    assert make_spec().tables_here() == make_spec().tables()


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("self_party", None, "self_party"),
        ("self_party", "dave", "self_party"),
        ("parties.alice.key_file", None, "parties.alice.key_file"),
        ("data.tables.alice.contract", None, "data.tables.alice.contract"),
        ("data.tables.alice.path", None, "data.tables.alice.path"),
        ("parties.bob.address", None, "parties.bob.address"),
        ("parties.bob.address", "bob", "parties.bob.address"),
        ("parties.bob.address", "bob:0", "parties.bob.address"),
        ("parties.bob.address", "bob:65534", "parties.bob.address"),
        ("parties.bob.address", "127.0.0.1:7102", "parties.bob.address"),
        ("parties.bob.tls_pin", "abc", "parties.bob.tls_pin"),
        ("site.listen", "7100", "site.listen"),
        ("site.listen", "0.0.0.0:65535", "site.listen"),
        ("cluster.viewer", "bob", "cluster.viewer"),
        ("cluster.ports", {"alice": 7000}, "cluster.ports"),
        ("cluster.grace", 2.5, "cluster.grace"),
        ("cluster.max_clock_skew", 0, "cluster.max_clock_skew"),
    ],
)
def test_what_a_site_needs_is_demanded(path: str, value: Any, where: str) -> None:
    values = bare("alice")
    *sections, name = path.split(".")
    section = values
    for part in sections:
        section = section[part]
    section[name] = value
    assert refused(values).where == where


@pytest.mark.parametrize("address", ["10.0.0.7:7001", "bob.example.org:7001", "[fd00::7]:7001", "127.0.0.1:7103"])
def test_addresses_are_hosts_with_ports(address: str) -> None:
    values = bare("alice")
    values["parties"]["bob"]["address"] = address
    assert parse(values).parties["bob"].address == address


@pytest.mark.parametrize(
    ("override", "where"),
    [
        ("self_party=alice", "self_party"),
        ("site.listen=127.0.0.1:7000", "site"),
        ("+cluster.insecure=true", "cluster.insecure"),
        ("+cluster.grace=5", "cluster.grace"),
        ("parties=sites", "parties.carol.key_file"),
        ("data.tables.bob.contract=null", "data.tables.bob.contract"),
    ],
)
def test_settings_of_sites_are_refused_where_all_parties_are_here(override: str, where: str) -> None:
    with pytest.raises(SpecError) as raised:
        make_spec(override)
    assert raised.value.where == where


@pytest.mark.parametrize("override", ["cluster=remote", "cluster=local", "cluster=debug"])
def test_encryption_is_never_left_out(override: str) -> None:
    with pytest.raises(SpecError, match=r"cluster\.insecure=true is not possible"):
        make_spec(override, "++cluster.insecure=true")
