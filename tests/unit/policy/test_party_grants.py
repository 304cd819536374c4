"""Grants: what a party itself agrees to, in a file beside its key; the run's policy cannot go beyond."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import make_spec

from runner.errors import PolicyError
from runner.policy.decide import Grants, decide, floor, require
from runner.policy.grants import load_grants
from runner.spec.model import Spec
from runner.spec.policy import Ids, Policy, Predictions, Recipients

KINDS = ("metrics", "curves", "model_parts", "row_counts")
EVERYTHING = {kind: Recipients(recipients=("all",)) for kind in KINDS} | {"ids": Ids(recipients=("all",))}
GENEROUS = Policy(predictions=Predictions(recipients=("all",)), **EVERYTHING)


def _spec(tmp_path: Path, *overrides: str) -> Spec:
    return make_spec(f"outputs={tmp_path}", *overrides)


def _grant(tmp_path: Path, party: str, text: str) -> None:
    folder = tmp_path / "keys" / party
    folder.mkdir(parents=True)
    (folder / "grants.yaml").write_text(text)


def test_a_party_without_a_file_consents_to_the_policy(tmp_path: Path) -> None:
    spec = _spec(tmp_path)
    assert load_grants(spec, spec.parties) == {}
    require(decide(spec, {}))


def test_an_empty_file_denies_everything_and_says_whose_it_is(tmp_path: Path) -> None:
    _grant(tmp_path, "alice", "{}\n")
    spec = _spec(tmp_path)
    with pytest.raises(PolicyError) as denied:
        require(decide(spec, load_grants(spec, spec.parties)))
    assert "keys/alice/grants.yaml" in denied.value.where
    assert "alice" in denied.value.fix


def test_a_grant_that_names_the_recipients_lets_the_run_go(tmp_path: Path) -> None:
    _grant(
        tmp_path,
        "alice",
        "predictions: {recipients: [carol]}\nmetrics: {recipients: [carol]}\ncurves: {recipients: [carol]}\n"
        "ids: {recipients: [all]}\nmodel_parts: {recipients: [all]}\n",
    )
    spec = _spec(tmp_path)
    require(decide(spec, load_grants(spec, spec.parties)))


@pytest.mark.parametrize("text", ["predictions: {recipient: [carol]}", "x: 1", "min_rows: many", "[", "predictions: 3"])
def test_a_file_that_is_no_policy_is_refused(tmp_path: Path, text: str) -> None:
    _grant(tmp_path, "bob", text)
    spec = _spec(tmp_path)
    with pytest.raises(PolicyError, match="bob's grants cannot be read"):
        load_grants(spec, spec.parties)


@pytest.mark.parametrize(
    ("granted", "asked", "allowed"),
    [
        ("class", "policy.predictions.form=class", True),
        ("class", "policy.predictions.form=score", False),
        ("rounded", "policy.predictions.form=class", True),
        ("rounded", "policy.predictions.form=score", False),
        ("score", "policy.predictions.form=class", True),
        ("top_k", "policy.predictions.form=class", False),
    ],
)
def test_a_form_that_shows_more_than_granted_is_denied(granted: str, asked: str, allowed: bool) -> None:
    spec = make_spec(asked, "policy.predictions.recipients=[alice]", "label.predict=none")
    predictions = Predictions(recipients=("all",), form=granted)  # type: ignore[arg-type]
    policy = Policy(predictions=predictions, **EVERYTHING)
    decided = [d for d in decide(spec, {"bob": Grants(policy, "bob.yaml")}) if d.flow.kind == "predictions"]
    assert all(d.allowed for d in decided) is allowed


def test_fewer_decimals_than_asked_and_a_smaller_k_are_denied() -> None:
    for override, granted in (
        ("policy.predictions.decimals=4", Predictions(recipients=("all",), form="rounded", forms={"carol": "score"})),
        ("policy.predictions.k=50", Predictions(recipients=("all",), form="top_k", forms={"carol": "score"})),
    ):
        spec = make_spec(
            f"+policy.predictions.forms.alice={granted.form}", "policy.predictions.recipients=[carol,alice]", override
        )
        policy = Policy(predictions=granted, **EVERYTHING)
        to_alice = [d for d in decide(spec, {"bob": Grants(policy, "bob.yaml")}) if d.flow.receiver == "alice"]
        assert not all(d.allowed for d in to_alice if d.flow.kind == "predictions")


def test_the_strictest_floor_counts() -> None:
    strict = Grants(Policy(min_rows=100, min_batch=7), "alice.yaml")
    spec = make_spec()
    assert floor(spec, {"alice": strict, "bob": Grants(GENEROUS, "bob.yaml")}, "min_rows") == 100
    assert floor(spec, {"alice": strict}, "min_batch") == 7
