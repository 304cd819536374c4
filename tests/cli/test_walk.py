"""The README's walk-through for three organisations, performed by its own words."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest
from faults.hosts import Hosts
from walkthrough import Walk, blocks_of_walk

pytestmark = pytest.mark.processes
SITES = ("bank", "broker", "insurer")
AUTHORITY = "insurer"
HOLDER = "insurer"  # of the label, and the only one whom the policy allows predictions
COMMON = ("mine/parties/ours.yaml", "mine/data/loans.yaml", "mine/experiment/loans.yaml", "made_up.py")


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """All of it, to the end."""
    with Hosts(SITES) as hosts:
        walk = Walk(tmp_path_factory.mktemp("walk"), hosts.by_name)
        for block in blocks_of_walk():
            walk.do(block)
            if "task=keygen" in block.text:
                paste_lines(walk)
                for site in SITES:
                    walk.send(site, "keys/tls.csr", AUTHORITY, f"{site}.csr")
            if "task=pki" in block.text:
                for site in set(SITES) - {AUTHORITY}:
                    walk.send(AUTHORITY, f"{site}.crt", site, f"{site}.crt")
                for site in SITES:
                    walk.send(AUTHORITY, "ca/ca.crt", site, "ca.crt")
        yield walk


def paste_lines(walk: Walk) -> None:
    """Put what every keygen printed for all into the file that is the same at every site."""
    lines = ""
    for site, ended in walk.ended["keygen"].items():
        lines += ended.out[ended.out.index(f"\n{site}:\n") + 1 :]
    for place in walk.places.values():
        place.joinpath("mine/parties/ours.yaml").write_text(lines)


def test_doctors_find_nothing_wrong(walk: Walk) -> None:
    for site, ended in walk.ended["doctor"].items():
        assert "FAILED" not in ended.out
        for peer in set(SITES) - {site}:
            assert f"PASSED   {peer}: settings" in ended.out


def test_every_site_has_its_own_files_and_those_that_all_have(walk: Walk) -> None:
    for name in COMMON:
        assert len({place.joinpath(name).read_bytes() for place in walk.places.values()}) == 1
    for site, place in walk.places.items():
        assert [path.name for path in place.joinpath("mine/site").iterdir()] == [f"{site}.yaml"]
        assert [path.name for path in place.joinpath(walk.run_folder(site), "parties").iterdir()] == [site]
    keys = [path.read_bytes() for place in walk.places.values() for path in place.glob("*/*.key")]
    assert len(set(keys)) == len(keys) == 2 * len(SITES) + 1  # secret.key and tls.key each, and the authority's


def test_predictions_are_at_the_authorised_party_alone(walk: Walk) -> None:
    found = {site: len(list(place.rglob("predictions.parquet"))) for site, place in walk.places.items()}
    assert found == {"bank": 0, "broker": 0, HOLDER: 2}
    for site in set(SITES) - {HOLDER}:
        assert "AUC" not in walk.ended["run"][site].out
    assert "AUC" in walk.ended["run"][HOLDER].out


def test_each_site_verifies_its_own_side(walk: Walk) -> None:
    assert all("VERIFIED" in ended.out for ended in walk.ended["verify"].values())


def test_the_model_is_applied_to_later_tables(walk: Walk) -> None:
    place = walk.places[HOLDER]
    predicted = pl.read_parquet(place / walk.run_folder(HOLDER, "predict") / f"parties/{HOLDER}/predictions.parquet")
    first, later = (set(pl.read_parquet(place / f"tables/{name}.parquet")["customer"]) for name in ("first", "later"))
    assert set(predicted["customer"]) == later
    assert later != first
    assert f"experiment=loans site={HOLDER} task=verify" in walk.ended["predict"][HOLDER].out
