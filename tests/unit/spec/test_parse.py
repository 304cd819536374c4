"""Parsing: every wrong setting is refused by name, with what is allowed in its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import make_spec

from runner.errors import SpecError
from runner.spec.identity import spec_values
from runner.spec.model import PLAIN_SCHEMES
from runner.spec.parse import allowed, parse, setting_names

Changed = Callable[..., dict[str, Any]]


def refusal(values: dict[str, Any]) -> SpecError:
    """The error of parsing ``values``, after checking that it says everything that an error must say."""
    with pytest.raises(SpecError) as caught:
        parse(values)
    error = caught.value
    for part in (error.what, error.where, error.why):
        assert part.strip() == part != ""
    assert error.fix.strip() == error.fix, "the fix breaks off"
    assert len(error.what) < 200, "the error shows more than the setting that is wrong"
    return error


def test_plain_values_of_a_spec_parse_to_the_same_spec() -> None:
    spec = make_spec("experiment=diabetes_regression", "+cluster.ports.alice=7000", "sgb.enable_monitor=true")
    assert parse(spec_values(spec)) == spec


@pytest.mark.parametrize(
    ("path", "sibling"),
    [
        ("foo", "policy"),
        ("sgb.bar", "max_depth"),
        ("task.bar", "plan"),
        ("parties.alice.bar", "key_file"),
        ("data.bar", "tables"),
        ("data.split.bar", "test_fraction"),
        ("data.tables.bob.bar", "contract"),
        ("label.bar", "holder"),
        ("crypto.bar", "key_bits"),
        ("policy.bar", "predictions"),
        ("policy.predictions.bar", "recipients"),
        ("policy.metrics.bar", "recipients"),
        ("cluster.bar", "viewer"),
    ],
)
def test_unknown_key_is_refused_at_every_depth(changed: Changed, path: str, sibling: str) -> None:
    error = refusal(changed({path: 1}))
    assert error.where == path
    assert path in error.what
    assert sibling in error.fix, "the fix lists the settings of that section"


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("sgb.max_dept", "max_depth"),
        ("sgb.num_boost_rounds", "num_boost_round"),
        ("polcy", "policy"),
        ("policy.prediction", "predictions"),
        ("data.tables.alice.contrct", "contract"),
        ("cluster.viwer", "viewer"),
    ],
)
def test_typo_gets_a_did_you_mean(changed: Changed, path: str, meant: str) -> None:
    assert f"did you mean {meant!r}?" in refusal(changed({path: 1})).fix


@pytest.mark.parametrize(
    ("path", "value", "fix"),
    [
        ("sgb", None, "a section with objective"),
        ("sgb.max_depth", "three", "a whole number >= 1 and <= 16"),
        ("sgb.max_depth", 3.0, "a whole number >= 1 and <= 16"),
        ("sgb.max_depth", True, "a whole number >= 1 and <= 16"),
        ("sgb.gamma", False, "a number >= 0 and <= 10000"),
        ("sgb.learning_rate", "0.1", "a number > 0 and <= 1"),
        ("sgb.enable_goss", 1, "true or false"),
        ("sgb.enable_goss", "yes", "true or false"),
        ("sgb.objective", 3, "one of linear, logistic, multiclass, tweedie"),
        ("sgb.audit_paths", {"alice": "/tmp/x"}, "{}"),
        ("data.id", None, "text"),
        ("data.tables", [], "a mapping"),
        ("data.tables.alice", "alice.parquet", "a section with path, contract"),
        ("data.tables.alice.path", 7, "text"),
        ("parties.alice", None, "a section with key_file"),
        ("policy.predictions.recipients", "alice", "a list"),
        ("policy.predictions.recipients", ["alice", 3], "a list"),
        ("cluster.viewer", 3, "a name of a-z"),
        ("cluster.ports", {"alice": "8000"}, "a whole number >= 1 and <= 65535"),
        ("model", ["a"], "text"),
        ("outputs", None, "text"),
    ],
)
def test_wrong_type_is_refused(changed: Changed, path: str, value: Any, fix: str) -> None:
    error = refusal(changed({path: value}))
    assert error.where.startswith(path)
    assert fix in error.fix


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("path", ["sgb.learning_rate", "sgb.stopping_tolerance", "cluster.stage_timeout"])
def test_number_that_is_not_finite_is_refused(changed: Changed, path: str, value: float) -> None:
    error = refusal(changed({path: value}))
    assert error.where == path
    assert "finite" in error.why
    assert "a number >" in error.fix


def test_nan_is_found_in_lists_and_mappings(changed: Changed) -> None:
    assert refusal(changed({"policy.metrics.recipients": [float("nan")]})).where == "policy.metrics.recipients"
    assert refusal(changed({"cluster.ports": {"alice": float("nan")}})).where == "cluster.ports.alice"


def test_unknown_setting_with_nan_is_told_as_unknown(changed: Changed) -> None:
    error = refusal(changed({"sgb.max_dept": float("nan")}))
    assert error.where == "sgb.max_dept"
    assert "max_depth" in error.fix


@pytest.mark.parametrize(
    ("path", "value", "fix"),
    [
        ("sgb.max_depth", 0, "a whole number >= 1 and <= 16"),
        ("sgb.max_depth", 17, "a whole number >= 1 and <= 16"),
        ("sgb.seed", -1, ">= 0"),
        ("sgb.seed", 2**32, ">= 0"),
        ("sgb.seed", 10**40, ">= 0"),
        ("sgb.gamma", 10**40, "<= 10000"),
        ("sgb.learning_rate", 0, "> 0 and <= 1"),
        ("sgb.learning_rate", 0.0, "> 0 and <= 1"),
        ("sgb.learning_rate", 1.0000001, "> 0 and <= 1"),
        ("sgb.tweedie_variance_power", 2, "> 1 and < 2"),
        ("data.split.test_fraction", 1, "> 0 and < 1"),
        ("data.split.test_fraction", 0, "> 0 and < 1"),
        ("crypto.key_bits", 2047, "a multiple of 1024"),
        ("crypto.key_bits", 512, ">= 1024"),
        ("crypto.key_bits", 16384, "<= 8192"),
        ("cluster.ports", {"alice": 0}, ">= 1 and <= 65535"),
        ("cluster.ports", {"alice": 65536}, ">= 1 and <= 65535"),
        ("cluster.start_timeout", 0, "> 0"),
        ("cluster.silence_timeout", 1, ">= 2 and <= 14"),
        ("cluster.silence_timeout", 15, ">= 2 and <= 14"),
    ],
)
def test_value_out_of_range_is_refused(changed: Changed, path: str, value: Any, fix: str) -> None:
    error = refusal(changed({path: value}))
    assert error.where.startswith(path)
    assert fix in error.fix


@pytest.mark.parametrize(
    ("path", "choice"),
    [
        ("task.name", "train_predict"),
        ("task.plan", "predict"),
        ("label.mode", "single"),
        ("label.predict", "none"),
        ("sgb.objective", "tweedie"),
        ("sgb.tree_growing_method", "leaf"),
        ("sgb.eval_metric", "rmse"),
        ("sgb.shuffle", "shared"),
        ("crypto.scheme", "paillier"),
        ("policy.predictions.form", "score"),
        ("cluster.mode", "debug"),
    ],
)
def test_wrong_choice_gets_the_choices(changed: Changed, path: str, choice: str) -> None:
    error = refusal(changed({path: "nonsense"}))
    assert error.where == path
    assert choice in error.fix


def test_schemes_that_encrypt_nothing_are_not_advertised(changed: Changed) -> None:
    advice = refusal(changed({"crypto.scheme": "rsa"})).fix
    assert not [scheme for scheme in PLAIN_SCHEMES if scheme in advice.replace(",", "").split()]


@pytest.mark.parametrize(
    "path", ["sgb", "data.id", "label.holder", "data.tables.alice.contract", "parties.bob.key_file"]
)
def test_missing_setting_is_named(changed: Changed, path: str) -> None:
    values = changed({})
    *sections, name = path.split(".")
    section = values
    for part in sections:
        section = section[part]
    del section[name]
    error = refusal(values)
    assert error.where == path
    assert "missing" in error.what


@pytest.mark.parametrize(
    "name", ["Alice", "1alice", "al ice", "alice!", "", "a" * 32, "../alice", "alice\n", "älice", "al.ice"]
)
def test_party_needs_a_plain_name(changed: Changed, name: str) -> None:
    """Names become folders, host names and file names."""
    values = changed({})
    values["parties"][name] = values["parties"].pop("alice")
    values["data"]["tables"][name] = values["data"]["tables"].pop("alice")
    with pytest.raises(SpecError) as caught:
        parse(values)
    assert caught.value.where.startswith(("parties", "data.tables"))


@pytest.mark.parametrize("section", ["", "sgb"])
def test_key_that_is_no_text_is_told_alone(changed: Changed, section: str) -> None:
    values = changed({})
    (values[section] if section else values)[1] = 2  # type: ignore[index]
    assert "1" in refusal(values).where.split(".")


@pytest.mark.parametrize("key", ["", "`", "a - at `$.b`", "two\nlines", "sgb.max_depth"])
def test_odd_unknown_key_is_told_alone(changed: Changed, key: str) -> None:
    values = changed({})
    values["sgb"][key] = 1
    with pytest.raises(SpecError) as caught:
        parse(values)
    assert len(str(caught.value)) < 1500, "the error shows the whole section"


def test_first_wrong_entry_of_a_mapping_is_named(changed: Changed) -> None:
    error = refusal(changed({"data.tables.carol": {"path": "x"}}))
    assert error.where == "data.tables.carol.contract"


def test_whole_number_stands_for_a_float(changed: Changed) -> None:
    assert parse(changed({"sgb.learning_rate": 1})).sgb.learning_rate == 1.0


@pytest.mark.parametrize("values", [None, 3, "text", [], [1]])
def test_values_that_are_no_mapping_are_refused(values: Any) -> None:
    with pytest.raises(SpecError):
        parse(values)


def test_allowed_says_what_may_stand_at_a_path() -> None:
    assert allowed("sgb.max_depth") == "a whole number >= 1 and <= 16"
    assert allowed("sgb.objective") == "one of linear, logistic, multiclass, tweedie"
    assert allowed("cluster.ports.alice") == "a whole number >= 1 and <= 65535"
    assert allowed("sgb.base_score") == "a number >= -10 and <= 10 or auto"
    assert allowed("label.class_weight") == "balanced or a mapping; each value a number > 0"
    assert allowed("sgb.nothing") == ""


def test_setting_names_lists_a_section() -> None:
    assert setting_names("crypto") == ["scheme", "key_bits"]
    assert setting_names("data.tables.anyone") == ["path", "contract", "source", "ignore", "owns"]
    assert setting_names("sgb.max_depth") == []
    assert setting_names("nothing.at.all") == []
