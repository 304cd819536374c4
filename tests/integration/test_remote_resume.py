"""Three sites of which one dies in mid-training: they go on, and prove that it might as well not have happened."""

from __future__ import annotations

import contextlib

import pytest
from integration.launch import PARTIES, SMALL, Ended, Finished, Launch
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
    with sites.type_everywhere("task=train", "resume=newest") as launches:
        ended = end(launches)
        for one in ended.values():
            assert one.code == 0, one.out + one.err
        return {party: Finished(launch.place, launch.folder, ended[party]) for party, launch in launches.items()}


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


def test_run_from_the_first_tree_on_has_the_same_bits(resumed: dict[str, Finished]) -> None:
    with contextlib.ExitStack() as stack:
        launches = {}
        for party, run in resumed.items():
            command = ["cluster=remote", "parties=sites", f"site={party}", f"self_party={party}"]
            again = ("task=reproduce", f"run={run.folder}")
            launches[party] = stack.enter_context(Launch(*command, *again, place=run.place))
        repeated = end(launches)
    for party, ended in repeated.items():
        assert ended.code == 0, ended.out + ended.err
        assert "REPRODUCED (bit-identical)" in ended.out
        assert "goes on from" not in ended.out
        assert f"Shared       shuffle seeds and digest keys of {party}, from" in ended.out


def test_each_site_sees_its_own_partys_ledger(sites: Sites) -> None:
    done = type_command(*sites.command("bob"), "task=ledger", cwd=sites.places["bob"])
    assert done.returncode == 0, done.stderr
    assert "bob" in done.stdout
    assert "alice" not in done.stdout


def test_training_that_was_finished_is_not_gone_on_with_again(sites: Sites, resumed: dict[str, Finished]) -> None:
    """The run whose site died is still there, with its checkpoint."""
    assert resumed["bob"].ended.code == 0
    done = type_command(*sites.command("bob"), "task=train", "resume=newest", cwd=sites.places["bob"])
    assert done.returncode == 2
    assert "there is nothing to resume" in done.stderr
