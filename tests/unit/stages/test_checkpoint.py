"""Interrupted trainings go on to the very model of an uninterrupted one; on SecretFlow's devices in one process."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_tables import made_table

from runner.bundle.checkpoint import checkpoint_folder, list_checkpoints
from runner.errors import BundleError, DataError, RunnerError
from runner.keys.keyring import Keyring
from runner.policy.audit import AuditLog
from runner.policy.decide import decide
from runner.prepare.preparation import as_it_is
from runner.spec.parse import parse

Changed = Callable[..., dict[str, Any]]
ORDER = ("carol", "alice", "bob")  # the label holder first
ROWS, COLUMNS, TREES, EVERY = 160, 4, 5, 2
SMALL = {
    "cluster.mode": "debug",
    "crypto.key_bits": 1024,
    "sgb.num_boost_round": TREES,
    "sgb.max_depth": 3,
    "sgb.sketch_eps": 0.25,
}
MONITOR = {"sgb.enable_monitor": True, "sgb.eval_metric": "mse", "policy.metrics.recipients": ["all"]}
VARIANTS: dict[str, dict[str, Any]] = {
    "all_data": {"sgb.max_depth": 4},
    "samples": {"sgb.rowsample_by_tree": 0.6, "sgb.colsample_by_tree": 0.5},
    "goss": {"sgb.enable_goss": True},
    "leaf_wise": {"sgb.tree_growing_method": "leaf", "sgb.max_leaf": 7, "sgb.colsample_by_tree": 0.7},
    "base_score": {"sgb.base_score": 0.7, "sgb.objective": "linear", "sgb.rowsample_by_tree": 0.7, **MONITOR},
    "shared": {"sgb.shuffle": "shared", "sgb.max_depth": 4, "sgb.base_score": -0.3},
    "weighted": {"label.class_weight": "balanced", "sgb.base_score": "auto", "sgb.rowsample_by_tree": 0.7},
}


class Interrupted(Exception):
    """What ends a training in these tests."""


@pytest.fixture(scope="module")
def devices(secretflow: None) -> Iterator[dict[str, Any]]:
    """Each party's device; every function is called at once, in this process."""
    from secretflow.device import PYU
    from secretflow.device.driver import shutdown

    from runner.engine.start import start_debug

    start_debug(ORDER)
    yield {party: PYU(party) for party in ORDER}
    shutdown()


class House:
    """Three parties with their tables and keys, and trainings on them."""

    def __init__(self, place: Path, devices: dict[str, Any], changed: Changed) -> None:
        self.place = place
        self._devices = devices
        self._changed = changed
        draw = np.random.default_rng(7)
        blocks = {party: np.round(draw.normal(size=(ROWS, COLUMNS)), 1) for party in ORDER}
        total = sum(block.sum(axis=1) for block in blocks.values()) + draw.normal(size=ROWS)
        self.tables = {
            party: made_table(
                ids=np.arange(ROWS),
                features=block,
                names=tuple(f"{party}_{column}" for column in range(COLUMNS)),
                dtypes=("Float64",) * COLUMNS,
                test=np.arange(ROWS) % 4 == 3,
                label=(total > 0).astype(float) if party == "carol" else None,
            )
            for party, block in blocks.items()
        }
        self.keys = {party: Keyring(party, party.encode().ljust(32)) for party in ORDER}

    def context(self, run: str, changes: dict[str, Any], stop_after: int | None = None) -> Any:
        """A run's context; the run is interrupted after ``stop_after`` trees."""
        from runner.engine.site import Site
        from runner.policy.gate import Gate
        from runner.stages.context import Context

        spec = parse(self._changed({**SMALL, **changes}))

        def emit(**event: Any) -> None:
            if event == {"event": "tree", "trees": stop_after}:
                raise Interrupted

        sites = {}
        for party in ORDER:
            own = self.place / run / "parties" / party
            own.mkdir(parents=True, exist_ok=True)
            audit = AuditLog(own / "audit.jsonl", b"audit")
            sites[party] = Site(party, own, self.keys[party], audit, emit, self.tables[party])
            sites[party].prepare_with(as_it_is(self.tables[party].names, self.tables[party].dtypes))
        gate = Gate(
            decide(spec),
            self._devices,
            {party: site.audit for party, site in sites.items()},
            dict.fromkeys(ORDER, emit),
        )
        return Context(spec, self._devices, sites, gate, f"nonce of {run}", {}, connect_spu=lambda: None)  # type: ignore[arg-type, return-value]

    def train(self, run: str, changes: dict[str, Any], stop_after: int | None = None) -> bytes:
        """Train; the model with all it has, gains too, bit for bit."""
        from runner.engine.resume import pack_array, pack_splits
        from runner.stages.labels import join_labels
        from runner.stages.train import train

        context = self.context(run, changes, stop_after)
        model = train(context, join_labels(context))
        content = [
            {
                "splits": {device.party: pack_splits(own.data) for device, own in tree.get_split_tree_dict().items()},
                "weights": pack_array(tree.get_leaf_weight().data),
            }
            for tree in model.trees
        ]
        assert len(content) == TREES
        return json.dumps(content, sort_keys=True).encode()

    def interrupt(self, run: str, changes: dict[str, Any], stop_after: int) -> None:
        """Train with checkpoints, and be interrupted after this number of trees."""
        with pytest.raises(Interrupted):
            self.train(run, {**changes, "train.checkpoint_every": EVERY}, stop_after)

    def resume(self, run: str, interrupted: str, changes: dict[str, Any]) -> bytes:
        """Go on from an interrupted run."""
        return self.train(run, {**changes, "resume": str(self.place / interrupted)})

    def load(self, run: str, interrupted: str, changes: dict[str, Any]) -> Any:
        """The start that an interrupted run left, without training."""
        from runner.stages.checkpoint import load_checkpoint

        context = self.context(run, {**changes, "resume": str(self.place / interrupted)})
        label = context.at("carol", lambda site: site.table.label[~site.table.test].reshape(-1, 1))
        return load_checkpoint(context, label)[0]

    def found(self, run: str) -> dict[str, list[int]]:
        """The checkpoints of each party, by their numbers of trees."""
        return {party: list_checkpoints(checkpoint_folder(self.place / run, party)) for party in ORDER}

    def file(self, run: str, party: str, trees: int) -> Path:
        """A party's checkpoint."""
        return checkpoint_folder(self.place / run, party) / f"trees-{trees:06d}.sealed"

    def curve(self, run: str) -> Any:
        """The learning curve that the label holder wrote."""
        return json.loads((self.place / run / "parties" / "carol" / "curve.json").read_bytes())


def at_everyone(*trees: int) -> dict[str, list[int]]:
    """What :meth:`House.found` gives where all parties have the same."""
    return {party: list(trees) for party in ORDER}


@pytest.fixture
def house(tmp_path: Path, devices: dict[str, Any], changed: Changed) -> House:
    """Parties of the test's own."""
    return House(tmp_path, devices, changed)


@pytest.mark.parametrize("variant", VARIANTS)
def test_interrupted_training_goes_on_to_the_same_bits(house: House, variant: str) -> None:
    changes = VARIANTS[variant]
    whole = house.train("whole", changes)
    house.interrupt("interrupted", changes, stop_after=3)
    assert house.found("interrupted") == at_everyone(2)
    assert house.resume("resumed", "interrupted", changes) == whole
    assert house.curve("resumed") == house.curve("whole")
    assert [point["trees"] for point in house.curve("resumed")] == [*range(1, TREES + 1)]


def test_checkpoints_change_no_bit_and_older_ones_go(house: House) -> None:
    changes = VARIANTS["samples"]
    assert house.train("with", {**changes, "train.checkpoint_every": 1}) == house.train("without", changes)
    assert house.found("with") == at_everyone(TREES - 1)
    assert house.found("without") == at_everyone()


def test_resumed_training_is_interrupted_and_goes_on_again(house: House) -> None:
    changes = VARIANTS["samples"]
    house.interrupt("first", changes, stop_after=3)
    house.interrupt("second", {**changes, "resume": str(house.place / "first")}, stop_after=5)
    assert house.found("second") == at_everyone(4), "it wrote its own"
    for party in ORDER[1:]:  # as if it had been killed when they had written nothing yet
        house.file("second", party, 4).unlink()
        shutil.copyfile(house.file("first", party, 2), house.file("second", party, 2))
    shutil.copyfile(house.file("first", "carol", 2), house.file("second", "carol", 2))
    assert house.resume("third", "second", changes) == house.train("whole", changes)


def test_failure_between_the_parties_writes_leaves_a_number_of_trees_that_all_have(house: House) -> None:
    """bob cannot write his second checkpoint: a folder has its name."""
    changes = VARIANTS["samples"]
    house.file("failed", "bob", 4).mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        house.train("failed", {**changes, "train.checkpoint_every": EVERY})
    assert house.found("failed") == {"carol": [2, 4], "alice": [2, 4], "bob": [2]}
    assert house.resume("resumed", "failed", changes) == house.train("whole", changes)


def test_generators_decide(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this, the tests above would pass whatever is put back."""
    from runner.engine.generators import Generators

    house.interrupt("interrupted", VARIANTS["samples"], stop_after=3)
    right = house.resume("resumed", "interrupted", VARIANTS["samples"])
    monkeypatch.setattr(Generators, "restore", lambda self, states: [])
    assert house.resume("forgetful", "interrupted", VARIANTS["samples"]) != right


@pytest.fixture(scope="module")
def one_house(tmp_path_factory: pytest.TempPathFactory, devices: dict[str, Any], changed: Changed) -> House:
    """Parties with one interrupted run, ``interrupted``, that tests copy."""
    house = House(tmp_path_factory.mktemp("house"), devices, changed)
    house.interrupt("interrupted", VARIANTS["samples"], stop_after=3)
    return house


@pytest.fixture
def copied(one_house: House, tmp_path: Path) -> Iterator[House]:
    """The house in a folder of the test's own, with the tables and keys that it had."""
    place, tables, keys = one_house.place, dict(one_house.tables), dict(one_house.keys)
    shutil.copytree(place / "interrupted", tmp_path / "interrupted")
    one_house.place = tmp_path
    yield one_house
    one_house.place, one_house.tables, one_house.keys = place, tables, keys


def refused(house: House, kind: type[RunnerError], *words: str, **changes: Any) -> None:
    with pytest.raises(kind) as error:
        house.load("resumed", "interrupted", {**VARIANTS["samples"], **changes})
    for word in words:
        assert word in str(error.value)


def test_checkpoint_that_is_as_it_was_is_taken(copied: House) -> None:
    assert len(copied.load("resumed", "interrupted", VARIANTS["samples"]).trees) == 2


@pytest.mark.parametrize("party", ORDER)
@pytest.mark.parametrize("place", [0, 20, -1])
def test_altered_checkpoint_is_refused(copied: House, party: str, place: int) -> None:
    file = copied.file("interrupted", party, 2)
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    refused(copied, BundleError, f"{party}'s checkpoint cannot be read", str(file.parent))


def test_another_partys_checkpoint_is_refused(copied: House) -> None:
    shutil.copyfile(copied.file("interrupted", "alice", 2), copied.file("interrupted", "bob", 2))
    refused(copied, BundleError, "bob's checkpoint cannot be read")


def test_checkpoint_under_another_number_of_trees_is_refused(copied: House) -> None:
    for party in ORDER:
        copied.file("interrupted", party, 2).rename(copied.file("interrupted", party, 4))
    refused(copied, BundleError, "checkpoint cannot be read")


def test_checkpoint_under_another_key_is_refused(copied: House) -> None:
    copied.keys["bob"] = Keyring("bob", b"another".ljust(32))
    refused(copied, BundleError, "bob's checkpoint cannot be read")


@pytest.mark.parametrize(("setting", "value"), [("sgb.max_depth", 4), ("data.name", "x"), ("data.split.key", "x")])
def test_checkpoint_of_another_training_is_refused(copied: House, setting: str, value: Any) -> None:
    refused(copied, BundleError, "another training's", **{setting: value})


def test_run_that_goes_on_has_the_checkpoint_too(copied: House) -> None:
    copied.load("resumed", "interrupted", VARIANTS["samples"])
    assert copied.found("resumed") == at_everyone(2)


def test_checkpoints_of_two_trainings_are_not_joined(copied: House) -> None:
    """Each is whole, of the same settings, table and number of trees: but not of one training."""
    copied.interrupt("other", VARIANTS["samples"], stop_after=3)
    shutil.copyfile(copied.file("other", "alice", 2), copied.file("interrupted", "alice", 2))
    refused(copied, BundleError, "different trainings", "at carol and bob, of another at alice")


@pytest.mark.parametrize(("trees", "taken"), [(2, True), (4, False)])
def test_parties_that_would_go_on_after_different_trees_stop(copied: House, trees: int, taken: bool) -> None:
    """As they do where one of them tells each of the others another number."""
    from runner.stages.checkpoint import _require_one_training

    context = copied.context("resumed", {**VARIANTS["samples"], "resume": str(copied.place / "interrupted")})
    numbers = {"carol": 2, "alice": trees, "bob": 2}
    states = {
        party: context.at(party, lambda site, number: {"training": "7f", "trees": number}, number)
        for party, number in numbers.items()
    }
    if taken:
        assert _require_one_training(context, states) == "7f"
        return
    with pytest.raises(BundleError, match="different trainings"):
        _require_one_training(context, states)


def test_missing_checkpoint_is_refused_everywhere(copied: House) -> None:
    copied.file("interrupted", "alice", 2).unlink()
    refused(copied, BundleError, "no checkpoint to go on from", "alice has none")


@pytest.mark.parametrize("party", ORDER)
def test_another_table_is_refused(copied: House, party: str) -> None:
    table = copied.tables[party]
    first = table.columns[table.names[0]].to_numpy().copy()
    first[0] += 1e-9
    columns = table.columns.set_column(0, table.names[0], [first])
    copied.tables[party] = dataclasses.replace(table, columns=columns)
    refused(copied, DataError, f"{party}'s table is not the one of the interrupted training")


def test_scores_of_other_rows_are_refused(secretflow: None) -> None:
    from runner.engine.resume import pack_array
    from runner.stages.checkpoint import _fitting_scores

    state = {"scores": pack_array(np.zeros((5, 1)))}
    assert _fitting_scores(None, state, np.ones((5, 1))).shape == (5, 1)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="do not fit"):
        _fitting_scores(None, state, np.ones((4, 1)))  # type: ignore[arg-type]


def test_nobody_else_can_read_a_checkpoint(copied: House) -> None:
    for party in ORDER:
        file = copied.file("interrupted", party, 2)
        assert file.stat().st_mode & 0o777 == 0o600
        assert b"split" not in file.read_bytes()


def test_only_numbers_of_trees_leave_a_party(copied: House) -> None:
    log = copied.place / "interrupted" / "parties" / "carol" / "audit.jsonl"
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    told = [entry for entry in entries if entry["kind"] == "model_parts"]
    assert {entry["form"] for entry in told} == {"the numbers of trees in its checkpoints"}
    assert {entry["shape"] for entry in told} == {"str"}
    assert {entry["stage"] for entry in told} == {"train"}


def test_checkpoints_go_when_the_model_is_saved(copied: House) -> None:
    from runner.stages.checkpoint import drop_checkpoints

    drop_checkpoints(copied.context("interrupted", VARIANTS["samples"]))
    assert copied.found("interrupted") == at_everyone()
    assert list(copied.place.rglob("checkpoint")) == []
