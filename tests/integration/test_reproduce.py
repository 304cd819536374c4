"""A run that is over is repeated, to the same bits or with what changed named; and is laid beside another."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
from integration.launch import PARTIES, Finished, table_path
from integration.past_runs import KEY, check, copy_here, copy_to, edit
from omegaconf import OmegaConf
from support import Command, assert_told, type_command

from runner.provenance.manifest import run_digest

pytestmark = pytest.mark.processes


@pytest.fixture
def place(main_run: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the main run (in ``RUN``), the keys and the tables; what works in this process works there."""
    return copy_here(main_run, tmp_path, monkeypatch)


class Repeated(NamedTuple):
    """What came of ``task=reproduce``: where it was typed, how it ended, and the run that it made."""

    place: Path
    done: subprocess.CompletedProcess[str]

    @property
    def folder(self) -> Path:
        """The one run folder that was made."""
        (folder,) = self.place.glob("outputs/*-*-*/*")
        return folder

    def manifest(self) -> Any:
        """The manifest of the run that was made."""
        return json.loads(self.folder.joinpath("manifest.json").read_bytes())


@pytest.fixture(scope="module")
def colleague(main_run: Finished, tmp_path_factory: pytest.TempPathFactory) -> Repeated:
    """A colleague without any key repeats the run in another mode, to whom another version had made it."""
    place = tmp_path_factory.mktemp("colleague")
    copy_to(place, main_run, "data")

    def another(manifest: dict[str, Any]) -> None:
        manifest["hashed"]["versions"]["numpy"] = "9.9.9"
        manifest["hashed"]["code"]["source"] = "0" * 64
        manifest["digest"] = run_digest(manifest["hashed"])

    edit(place / "RUN/manifest.json", another)
    return Repeated(place, type_command("task=reproduce", "run=RUN", "reproduce.vary=[cluster]", cwd=place))


def test_a_colleague_without_keys_comes_to_the_same_bits(colleague: Repeated, main_run: Finished) -> None:
    assert colleague.done.returncode == 0, colleague.done.stderr
    assert "REPRODUCED (bit-identical)" in colleague.done.stdout
    scores = pl.read_parquet(colleague.folder / "parties/carol/predictions.parquet")
    assert scores.equals(main_run.predictions())
    for party in PARTIES:
        shared = [run / "parties" / party / "private_snapshot.json" for run in (colleague.folder, main_run.folder)]
        assert len({path.read_bytes() for path in shared}) == 1
        assert f"{party}: seeds and digest keys are those of RUN, made with another key" in colleague.done.stdout
    assert "carol, alice, bob, from their private snapshots" in colleague.done.stdout


def test_a_colleagues_keys_are_new(colleague: Repeated, main_run: Finished) -> None:
    for party in PARTIES:
        keys = [(where / KEY.format(party)).read_bytes() for where in (colleague.place, main_run.place)]
        assert len(set(keys)) == 2
    signed = [run["signatures"]["alice"]["key"] for run in (colleague.manifest(), main_run.json("manifest.json"))]
    assert len(set(signed)) == 2


def test_what_changed_without_effect_is_told(colleague: Repeated) -> None:
    although = [line for line in colleague.done.stdout.splitlines() if line.startswith("Although")]
    assert len(although) == 2
    assert "version of numpy: 9.9.9 was" in although[1]
    assert "code: source 000000000000" in although[0]
    assert "Varied       cluster" in colleague.done.stdout


def test_the_repetition_is_a_run_of_its_own(colleague: Repeated, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its snapshot says how it was carried out, and it can be verified."""
    assert OmegaConf.load(colleague.folder / ".hydra/config.yaml").cluster.mode == "debug"
    monkeypatch.chdir(colleague.place)
    check(f"run={colleague.folder.relative_to(colleague.place)}")
    assert sorted(path.name for path in colleague.place.iterdir()) == ["RUN", "outputs"]


@pytest.fixture(scope="module")
def changed(main_run: Finished, tmp_path_factory: pytest.TempPathFactory) -> Repeated:
    """The run repeated with one data cell and one setting changed."""
    place = tmp_path_factory.mktemp("changed")
    copy_to(place, main_run, "data", "keys")
    path = table_path(place, "alice")
    first = pl.int_range(pl.len()) == 0
    table = pl.read_parquet(path)
    table.with_columns(mean_radius=pl.when(first).then(99.0).otherwise("mean_radius")).write_parquet(path)
    overrides = ("sgb.learning_rate=0.2", "cluster.mode=debug", "allow_overrides=true")
    return Repeated(place, type_command("task=reproduce", "run=RUN", *overrides, cwd=place))


def test_planted_changes_are_named_with_the_first_stage(changed: Repeated) -> None:
    assert_told(
        changed.done,
        7,
        "stage validate came to other bits",
        "party alice, table",
        "data: alice's table is another one (file changed)",
        "setting sgb.learning_rate: 0.3 was 0.2 now",
    )
    assert "NOT REPRODUCED: stage validate is the first that differs, in table at alice" in changed.done.stdout
    assert "Changed      setting sgb.learning_rate" in changed.done.stdout
    assert "99.0" not in changed.done.stdout + changed.done.stderr


def test_differences_of_parts_are_at_their_owner_alone(changed: Repeated) -> None:
    found = {path.parent.name: json.loads(path.read_bytes()) for path in changed.folder.rglob("differences.json")}
    assert "carol" in found
    assert found["carol"][0]["where"].startswith("tree 0, leaf weights")
    assert found["carol"][0]["original"] != found["carol"][0]["repeated"]
    assert (changed.folder / "parties/carol/differences.json").stat().st_mode & 0o777 == 0o600
    assert "carol" in changed.done.stderr


def test_a_run_that_differs_can_be_verified_all_the_same(changed: Repeated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(changed.place)
    check(f"run={changed.folder.relative_to(changed.place)}")


def test_what_was_typed_at_the_repetition_is_on_record(changed: Repeated, main_run: Finished) -> None:
    typed = main_run.json("manifest.json")["typed"]["overrides"]
    assert changed.manifest()["typed"]["overrides"] == [*typed, "sgb.learning_rate=0.2", "cluster.mode=debug"]


@pytest.mark.parametrize(
    ("overrides", "code", "words"),
    [
        (["sgb.max_depth=3"], 2, "allow_overrides=true"),
        (["sgb.max_dept=3", "allow_overrides=true"], 2, "did you mean 'max_depth'"),
        (["crypto=paillier", "allow_overrides=true"], 2, "no choices of groups"),
        (["~explain", "allow_overrides=true"], 2, "nothing to sweep or to leave out"),
        (["reproduce.vary=[foo]"], 2, "allowed: cluster, hashseed, ports, row_order, threads"),
    ],
)
def test_overrides_of_a_repetition_are_checked(
    command: Command, place: Path, overrides: list[str], code: int, words: str
) -> None:
    assert_told(command("task=reproduce", "run=RUN", *overrides), code, words)
    assert list(place.glob("outputs/*-*-*")) == []


def test_a_snapshot_that_somebody_changed_is_not_run(command: Command, place: Path) -> None:
    path = Path("RUN/.hydra/config.yaml")
    path.write_text(path.read_text().replace("learning_rate: 0.3", "learning_rate: 0.2"))
    assert_told(command("task=reproduce", "run=RUN"), 8, "the snapshot of the run was altered")
    path.write_text("a: [")
    assert_told(command("task=reproduce", "run=RUN"), 8, "the snapshot of the run cannot be read")
    assert list(place.glob("outputs/*-*-*")) == []


def test_the_plain_way_of_hydra_runs_the_same_run(main_run: Finished, tmp_path: Path) -> None:
    """With types checked, and with no folder but the run's own."""
    copy_to(tmp_path, main_run, "data", "keys")
    hydra = ("--config-path", "RUN/.hydra", "--config-name", "config")
    typo = type_command(*hydra, "sgb.max_dept=3", cwd=tmp_path)
    assert_told(typo, 2, "unknown setting 'sgb.max_dept'", "did you mean 'max_depth'")
    done = type_command(*hydra, "cluster.mode=debug", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    repeated = Repeated(tmp_path, done)
    assert repeated.manifest()["digest"] == main_run.json("manifest.json")["digest"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["RUN", "outputs"]
    assert sorted(path.name for path in (tmp_path / "outputs").iterdir()) == [
        repeated.folder.parent.name,
        "data",
        "keys",
    ]


def test_two_runs_side_by_side(command: Command, place: Path, paillier_run: Finished) -> None:
    done = command("task=diff", "run=RUN", f"other={paillier_run.folder}")
    assert done.returncode == 0, done.stderr
    lines = {line.split("  ")[0]: line for line in done.stdout.splitlines()}
    assert lines["crypto.scheme"].split()[1:] == ["ou", "paillier"]
    assert "AUC" in lines
    assert "sgb.max_depth" not in lines
