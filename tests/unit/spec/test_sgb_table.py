"""The table of SGB's settings is SecretFlow's own."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import pytest
from msgspec import inspect

from runner.spec.sgb import Sgb, SgbSettings

OUR_LIMITS = {"seed": (0, 2**32, True, False)}


class Row(NamedTuple):
    """One setting of ours."""

    name: str
    default: Any
    kind: Any
    metadata: inspect.Metadata

    @property
    def limits(self) -> tuple[float, float, bool, bool] | None:
        """Lower, upper, whether each is included; in SecretFlow's way of writing."""
        kind = self.kind
        if not isinstance(kind, (inspect.IntType, inspect.FloatType)):
            return None
        low = kind.ge if kind.ge is not None else kind.gt
        high = kind.le if kind.le is not None else kind.lt
        return (low, float("inf") if high is None else high, kind.ge is not None, kind.le is not None)


def table(kind: type) -> dict[str, Row]:
    described: Any = inspect.type_info(kind)
    rows = {}
    for field in described.fields:
        default = field.default_factory() if field.default_factory is not inspect.NODEFAULT else field.default
        rows[field.name] = Row(field.name, default, field.type.type, field.type)
    return rows


ROWS = table(Sgb)


@pytest.fixture(scope="module")
def params(secretflow: None) -> ModuleType:
    from secretflow.ml.boost.sgb_v.core import params

    return params


def test_names_are_secretflows(params: ModuleType) -> None:
    assert set(ROWS) == params.param_names


def test_defaults_are_secretflows(params: ModuleType) -> None:
    assert {name: row.default for name, row in ROWS.items()} == params.get_classic_XGB_params()


def test_types_of_defaults_are_secretflows(params: ModuleType) -> None:
    theirs = params.get_classic_XGB_params()
    assert {name: type(row.default) for name, row in ROWS.items()} == {k: type(v) for k, v in theirs.items()}


def test_ranges_are_secretflows(params: ModuleType) -> None:
    ours = {name: row.limits for name, row in ROWS.items() if row.limits is not None}
    assert ours == {**params.numeric_params_range, **OUR_LIMITS}


def test_whole_numbers_are_whole_here_too(params: ModuleType) -> None:
    whole = {name for name, row in ROWS.items() if isinstance(row.kind, inspect.IntType)}
    assert whole == {name for name, value in params.get_classic_XGB_params().items() if type(value) is int}


def test_choices_are_secretflows(params: ModuleType) -> None:
    ours = {name: set(row.kind.values) for name, row in ROWS.items() if isinstance(row.kind, inspect.LiteralType)}
    assert ours == {name: set(options) for name, options in params.categorical_params_options.items()}


def test_audit_files_are_not_to_be_had() -> None:
    """SecretFlow would write gradients in the clear."""
    assert ROWS["audit_paths"].kind.max_length == 0


def test_secretflow_accepts_what_is_passed_to_it(params: ModuleType) -> None:
    parameters = SgbSettings(objective="linear", eval_metric="mse", enable_monitor=True).parameters()
    params.type_and_range_check(parameters)
    assert set(parameters) == params.param_names, "each is passed, so that none sticks from a run before"
    assert parameters["objective"] == "linear"


def test_our_own_settings_are_not_passed_to_secretflow(params: ModuleType) -> None:
    assert set(table(SgbSettings)) - set(ROWS) == {"shuffle", "monotone_constraints"}
    assert "shuffle" not in SgbSettings(shuffle="shared").parameters()
    parameters = SgbSettings(objective="multiclass", base_score="auto").parameters()
    params.type_and_range_check(parameters)
    assert (parameters["objective"], parameters["base_score"]) == ("logistic", 0.0), "each class against the rest"


def test_every_setting_says_what_it_is() -> None:
    for row in table(SgbSettings).values():
        assert (row.metadata.extra_json_schema or {}).get("description"), row.name
