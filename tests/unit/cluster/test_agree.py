"""What three sites compare before they begin, over real connections."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from integration.test_remote import PORTS, free_ports
from made_sites import make_sites
from support import make_spec

from runner.cluster.sites import Agreement, Sites
from runner.errors import SpecError
from runner.spec.model import Spec

PARTIES = ("alice", "bob", "carol")
RUN, OTHER = "1" * 64, "2" * 64


@pytest.fixture
def specs(tmp_path: Path) -> dict[str, Spec]:
    """What is typed at each site."""
    make_sites(tmp_path, PARTIES)
    first = free_ports(PORTS * len(PARTIES))
    places = [f"parties.{party}.address=127.0.0.1:{first + PORTS * at}" for at, party in enumerate(PARTIES)]
    spec = make_spec("cluster=remote", "parties=sites", "self_party=alice", "site=alice", *places)
    found = {}
    for party in PARTIES:
        own = msgspec.structs.replace(spec.parties[party], key_file=str(tmp_path / party / "secret.key"))
        authority = msgspec.structs.replace(spec.site, authority=str(tmp_path / "ca" / "ca.crt"))
        found[party] = msgspec.structs.replace(
            spec, self_party=party, parties={**spec.parties, party: own}, site=authority
        )
    return found


def agree(specs: dict[str, Spec], repeats: dict[str, str]) -> dict[str, Agreement | SpecError]:
    """What each site comes to."""

    def one(party: str) -> Agreement | SpecError:
        with contextlib.closing(Sites(specs[party], lambda text: None, lambda text: None)) as sites:
            try:
                return sites.agree(specs[party], "", [], repeats.get(party, ""))
            except SpecError as error:
                sites.tell_of_failure(error, "agree")
                return error

    with ThreadPoolExecutor(len(PARTIES)) as pool:
        return dict(zip(PARTIES, pool.map(one, PARTIES), strict=True))


def test_sites_that_were_given_the_same_agree(specs: dict[str, Spec]) -> None:
    found = agree(specs, dict.fromkeys(PARTIES, RUN))
    sessions = {party: made.session for party, made in found.items() if isinstance(made, Agreement)}
    assert set(sessions) == set(PARTIES)
    assert len(set(sessions.values())) == 1


@pytest.mark.parametrize("carols", ["", OTHER])
def test_site_that_repeats_another_run_or_none_stops_all(specs: dict[str, Spec], carols: str) -> None:
    """Of the same settings, the others would take it for their repetition."""
    found = agree(specs, {"alice": RUN, "bob": RUN, "carol": carols})
    for party, made in found.items():
        assert isinstance(made, SpecError), party
        assert "do not repeat the same run" in made.what
    assert "carol" in str(found["alice"])
