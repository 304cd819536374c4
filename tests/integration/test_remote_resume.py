"""Three sites of which one dies in mid-training: they go on, and prove that it might as well not have happened."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from integration.launch import LONG, PARTIES, SMALL, Ended, Finished, Launch
from integration.test_remote import Sites, end
from support import type_command

pytestmark = pytest.mark.processes

SETTINGS = (*SMALL, "sgb.num_boost_round=4", "sgb.rowsample_by_tree=0.6", "train.checkpoint_every=1", "cluster.grace=4")


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Sites:
    folder = tmp_path_factory.mktemp("remote")
    for number, party in enumerate(PARTIES, start=1):
        key = folder / "own" / party / "secret.key"
        key.parent.mkdir(parents=True)
        key.write_text(f"{number:02x}" * 32)
        key.chmod(0o600)
    return Sites(folder, folder / "own")


@pytest.fixture(scope="module")
def killed(sites: Sites) -> dict[str, Finished]:
    """A run whose driver at bob's site was killed in the third tree."""
    with sites.type_everywhere(*SETTINGS) as launches:
        launches["alice"].wait_for_line("tree 2/")
        launches["bob"].driver.kill()
        ended = end({party: launch for party, launch in launches.items() if party != "bob"})
        gone = Ended(-9, launches["bob"].printed(), "", 0.0)
        return {p: Finished(launch.place, launch.folder, {"bob": gone, **ended}[p]) for p, launch in launches.items()}


@pytest.fixture(scope="module")
def resumed(sites: Sites, killed: dict[str, Finished]) -> dict[str, Finished]:
    """All operators type the same to go on."""
    with sites.type_everywhere("task=train_predict", "resume=newest") as launches:
        ended = end(launches)
        for one in ended.values():
            assert one.code == 0, one.out + one.err
        return {party: Finished(launch.place, launch.folder, ended[party]) for party, launch in launches.items()}


def type_each(sites: Sites, own: dict[str, list[str]]) -> dict[str, Ended]:
    """Each operator types something of the own, besides whose site it is."""
    with contextlib.ExitStack() as stack:
        site = ("cluster=remote", "site={0}", "self_party={0}")
        return end(
            {
                party: stack.enter_context(
                    Launch(*(part.format(party) for part in site), *own[party], place=sites.places[party])
                )
                for party in PARTIES
            }
        )


def test_site_that_waits_in_vain_names_the_missing(sites: Sites) -> None:
    done = type_command(*sites.command("bob"), *SETTINGS, "cluster.wait_for_peers=1", cwd=sites.places["bob"])
    assert done.returncode == 5
    assert "carol and alice did not come" in done.stderr
    assert "parties.carol.address, parties.alice.address" in done.stderr


def test_stage_that_takes_too_long_ends_at_all_sites(sites: Sites) -> None:
    with sites.type_everywhere(*LONG, "cluster.stage_timeout=3") as launches:
        for party, ended in end(launches).items():
            assert ended.code == 6, f"{party}: {ended.out}{ended.err}"
            assert "stage 'train' takes too long: alice and bob and carol have not ended it" in ended.err


def test_site_says_how_to_go_on(killed: dict[str, Finished]) -> None:
    for party in ("alice", "carol"):
        ended = killed[party].ended
        assert ended.code == 5, ended.err
        assert f"here, at {party}" in ended.out
        assert f"resume={killed[party].folder.relative_to(killed[party].place)}" in ended.out


def test_all_go_on_from_the_checkpoint_that_all_have(killed: dict[str, Finished], resumed: dict[str, Finished]) -> None:
    for party, run in resumed.items():
        assert f"Goes on from {killed[party].folder.relative_to(run.place)}" in run.ended.out
        assert "goes on from the checkpoint after tree" in run.ended.out
        assert "tree 1/" not in run.ended.out
        assert list(run.folder.rglob("*.sealed")) == []


def test_run_from_the_first_tree_on_has_the_same_bits(sites: Sites, resumed: dict[str, Finished]) -> None:
    again = {party: ["task=reproduce", f"run={run.folder}"] for party, run in resumed.items()}
    for party, ended in type_each(sites, again).items():
        assert ended.code == 0, ended.out + ended.err
        assert "REPRODUCED (bit-identical)" in ended.out
        assert "goes on from" not in ended.out
        assert f"Shared       shuffle seeds and digest keys of {party}, from" in ended.out


def test_site_that_repeats_nothing_stops_the_others(sites: Sites, resumed: dict[str, Finished]) -> None:
    """carol types a training of the same settings, which the others would take for their repetition."""
    again = {party: ["task=reproduce", f"run={run.folder}"] for party, run in resumed.items()}
    addresses = [f"parties.{party}.address={address}" for party, address in sites.addresses.items()]
    again["carol"] = ["parties=sites", *addresses, *SETTINGS]
    for ended in type_each(sites, again).values():
        assert ended.code == 2, ended.out + ended.err
        assert "do not repeat the same run" in ended.err


def test_each_site_sees_its_own_partys_ledger(sites: Sites) -> None:
    done = type_command(*sites.command("bob"), "task=ledger", cwd=sites.places["bob"])
    assert done.returncode == 0, done.stderr
    assert "bob" in done.stdout
    assert "alice" not in done.stdout


def test_finished_training_is_not_the_newest_unfinished_one(sites: Sites, resumed: dict[str, Finished]) -> None:
    place = sites.places["bob"]
    for status in Path(place, "sites", "bob").glob("*/*/status.json"):
        status.write_text(json.dumps({"state": "done"}))
    done = type_command(*sites.command("bob"), "task=train", "resume=newest", cwd=place)
    assert done.returncode == 2
    assert "there is nothing to resume" in done.stderr
