"""Comparing two runs: the first stage in the plan that differs is named, and what changed is told."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.files import write_json
from runner.provenance.compare import compare

PLAN = ["validate", "align", "label", "train", "save", "load", "predict", "evaluate"]
Hashed = dict[str, Any]


@pytest.fixture
def original() -> Hashed:
    """What repeats of a manifest, as it is read from the disk: with its keys sorted."""
    everywhere = {
        "validate": ("table", "file", "contract"),
        "align": ("ids",),
        "train": ("model part",),
        "save": ("bundle",),
        "load": ("bundle",),
    }
    at_carol = {"label": ("label",), "predict": ("score", "ids"), "evaluate": ("metrics",)}
    facts = {stage: {party: names for party in ("alice", "bob", "carol")} for stage, names in everywhere.items()}
    facts |= {stage: {"carol": names} for stage, names in at_carol.items()}
    return {
        "spec": {"sgb": {"max_depth": 3, "seed": 1}, "crypto": {"scheme": "ou"}},
        "party_order": ["carol", "alice", "bob"],
        "plan": PLAN,
        "stages": {
            stage: {party: {name: f"{stage} {party} {name}" for name in names} for party, names in parties.items()}
            for stage, parties in sorted(facts.items())
        },
        "model": "a" * 32,
        "code": {"source": "s" * 64, "commit": "c" * 40, "changes": None},
        "versions": {"numpy": "1.26.4", "python": "3.10.1"},
        "machine": {"cores": 2, "cpu_flags": ["avx", "sse"], "variables": {}},
    }


def other(hashed: Hashed, stages: tuple[str, ...] = (), change: Callable[[Hashed], Any] | None = None) -> Hashed:
    """A repetition: with another result at every party of these stages, and whatever else ``change`` does."""
    repeated = copy.deepcopy(hashed)
    for stage in stages:
        for facts in repeated["stages"][stage].values():
            facts.update({name: f"another {value}" for name, value in facts.items()})
    if change is not None:
        change(repeated)
    return repeated


def test_same_run_is_identical_and_has_no_cause(original: Hashed) -> None:
    comparison = compare(original, other(original))
    assert comparison == (None, ())
    assert comparison.first is None


def test_keys_of_the_fixture_are_sorted_as_on_the_disk(original: Hashed, tmp_path: Path) -> None:
    write_json(tmp_path / "hashed.json", original)
    assert list(json.loads((tmp_path / "hashed.json").read_bytes())["stages"]) == list(original["stages"]) != PLAN


@pytest.mark.parametrize("first", [stage for stage in PLAN if stage not in ("save", "load")])
def test_first_stage_is_the_first_of_the_plan(original: Hashed, first: str) -> None:
    """A difference goes on to every later stage, and is told of the stage that made it."""
    comparison = compare(original, other(original, tuple(PLAN[PLAN.index(first) :])))
    assert comparison.first is not None
    assert comparison.first[0] == first


def test_difference_at_one_party_is_told_of_that_party(original: Hashed) -> None:
    def change(repeated: Hashed) -> None:
        repeated["stages"]["train"]["bob"]["model part"] = "another"

    assert compare(original, other(original, ("evaluate",), change)).first == ("train", "bob", "model part")


def test_a_stage_that_is_missing_or_new_differs(original: Hashed) -> None:
    without = other(original, (), lambda repeated: repeated["stages"].pop("evaluate"))
    assert compare(original, without).first == ("evaluate", "carol", "metrics")
    assert compare(without, original).first == ("evaluate", "carol", "metrics")


@pytest.mark.parametrize(
    ("stage", "what"), [("validate", "file"), ("validate", "contract"), ("save", "bundle"), ("load", "bundle")]
)
def test_what_is_no_result_may_differ(original: Hashed, stage: str, what: str) -> None:
    """Another file with the same table in it, another contract that reads it alike; a model's id has the versions."""

    def change(repeated: Hashed) -> None:
        repeated["stages"][stage]["alice"][what] = "another"

    assert compare(original, other(original, (), change)).first is None


CAUSES: dict[str, tuple[Callable[[Hashed], Any], str]] = {
    "a setting": (lambda run: run["spec"]["sgb"].update(max_depth=4), "setting sgb.max_depth: 3 was 4 now"),
    "a new setting": (lambda run: run["spec"]["sgb"].update(gamma=1.0), "setting sgb.gamma: None was 1.0 now"),
    "party order": (
        lambda run: run.update(party_order=["bob", "alice", "carol"]),
        "party order: carol, alice, bob was bob, alice, carol now",
    ),
    "a line of code": (
        lambda run: run["code"].update(source="t" * 64, changes="d" * 64),
        "code: source ssssssssssss (commit cccccccccccc) was "
        "source tttttttttttt (commit cccccccccccc with changes) now",
    ),
    "a version": (lambda run: run["versions"].update(numpy="2.0.0"), "version of numpy: 1.26.4 was 2.0.0 now"),
    "a package gone": (lambda run: run["versions"].pop("numpy"), "version of numpy: 1.26.4 was None now"),
    "the machine": (lambda run: run["machine"].update(cpu_flags=["sse"]), "machine, cpu_flags: other abilities"),
    "a variable": (
        lambda run: run["machine"]["variables"].update(OMP_NUM_THREADS="1"),
        "machine, variables.OMP_NUM_THREADS: None was '1' now",
    ),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_cause_is_told_whether_or_not_results_differ(original: Hashed, cause: str) -> None:
    change, words = CAUSES[cause]
    same = compare(original, other(original, (), change))
    assert (same.first, same.causes) == (None, (words,))
    differing = compare(original, other(original, ("train", "predict", "evaluate"), change))
    assert differing.first == ("train", "alice", "model part")
    assert differing.causes == (words,)


def test_another_table_is_told_first_and_without_values(original: Hashed) -> None:
    def change(repeated: Hashed) -> None:
        repeated["stages"]["validate"]["alice"].update(table="t", file="f")
        repeated["versions"]["numpy"] = "2.0.0"

    comparison = compare(original, other(original, ("train",), change))
    assert comparison.first == ("validate", "alice", "table")
    assert comparison.causes[0] == "data: alice's table is another one (file changed)"
    assert len(comparison.causes) == 2


def test_another_model_is_a_cause_where_none_was_trained(original: Hashed) -> None:
    applied = {**original, "plan": ["validate", "align", "load", "predict"]}
    comparison = compare(applied, other(applied, ("predict",), lambda run: run.update(model="b" * 32)))
    assert comparison.causes == ("model: aaaaaaaaaaaa was bbbbbbbbbbbb now",)
    assert compare(original, {**original, "model": "b" * 32}).causes == ()
