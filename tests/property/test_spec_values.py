"""Whatever values a spec is given: accepted within the declared ranges, else refused in words."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support import make_spec

from runner.errors import SpecError
from runner.spec.identity import spec_digest, spec_values
from runner.spec.model import Spec
from runner.spec.parse import parse, setting_names

DEFAULTS = spec_values(make_spec())
# Lower, upper, whether each is included: SecretFlow's table (a unit test holds the two together), and ours.
WHOLE = {
    "num_boost_round": (1, 1024, True, True),
    "max_leaf": (1, 32768, True, True),
    "max_depth": (1, 16, True, True),
    "stopping_rounds": (1, 1024, True, True),
    "fixed_point_parameter": (1, 100, True, True),
    "seed": (0, 2**32, True, False),
}
REAL = {
    "quantization_scale": (0, 1e7, True, True),
    "reg_lambda": (0, 10000, True, True),
    "learning_rate": (0, 1, False, True),
    "gamma": (0, 10000, True, True),
    "rowsample_by_tree": (0, 1, False, True),
    "colsample_by_tree": (0, 1, False, True),
    "top_rate": (0, 1, False, False),
    "bottom_rate": (0, 1, False, False),
    "sketch_eps": (0.008, 1, True, True),
    "validation_fraction": (0, 1, False, False),
    "stopping_tolerance": (0, math.inf, True, False),
    "tweedie_variance_power": (1, 2, False, False),
    "base_score": (-10, 10, True, True),
}
RANGES = {**WHOLE, **REAL}

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
json_like = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def sections(values: dict[str, Any], path: str = "") -> Iterator[str]:
    yield path
    for name, value in values.items():
        if isinstance(value, dict):
            yield from sections(value, f"{path}.{name}".lstrip("."))


def places(values: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield (place := f"{path}.{name}".lstrip("."))
        if isinstance(value, dict):
            yield from places(value, place)


def changed(path: str, value: Any) -> dict[str, Any]:
    values = copy.deepcopy(DEFAULTS)
    *outer, name = path.split(".")
    section = values
    for part in outer:
        section = section[part]
    section[name] = value
    return values


def within(value: Any, limits: tuple[float, float, bool, bool]) -> bool:
    low, high, low_included, high_included = limits
    above = value >= low if low_included else value > low
    below = value <= high if high_included else value < high
    return bool(above and below)


@st.composite
def numbers_near(draw: st.DrawFn, name: str) -> Any:
    """Numbers of all sizes, and often the limits and their neighbours."""
    low, high, *_ = RANGES[name]
    edges = [edge for limit in (low, high) if math.isfinite(limit) for edge in (limit, limit - 1, limit + 1)]
    floats = [math.nextafter(float(edge), towards) for edge in edges for towards in (-math.inf, math.inf)]
    return draw(
        st.sampled_from([*edges, *floats])
        | st.integers(-(2**70), 2**70)
        | st.integers(-3, 20)
        | st.floats()
        | st.floats(-0.5, 2.5)
        | st.booleans()
    )


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_sgb_number_is_accepted_exactly_within_its_range(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(RANGES)))
    value = data.draw(numbers_near(name))
    fits = not isinstance(value, bool) and (isinstance(value, int) or (name in REAL and math.isfinite(value)))
    if fits and within(value, RANGES[name]):
        assert parse(changed(f"sgb.{name}", value)).sgb.parameters()[name] == value
    else:
        with pytest.raises(SpecError) as caught:
            parse(changed(f"sgb.{name}", value))
        assert caught.value.where == f"sgb.{name}"


@given(section=st.sampled_from(sorted(sections(DEFAULTS))), key=st.text(min_size=1, max_size=20), value=json_like)
@settings(max_examples=60, deadline=None)
def test_unknown_key_is_always_refused(section: str, key: str, value: Any) -> None:
    mappings = ("parties", "data.tables", "cluster.ports")  # whose entries the user names
    free = section in mappings or section.startswith(("tune.space", "tune.default_space"))  # looked at by a search
    assume(not free and not section.endswith(".source.rename"))
    assume(key not in setting_names(section) and "." not in key)
    with pytest.raises(SpecError):
        parse(changed(f"{section}.{key}".lstrip("."), value))


@given(path=st.sampled_from(sorted(places(DEFAULTS))), value=json_like)
@settings(max_examples=120, deadline=None)
def test_anything_anywhere_is_a_spec_or_a_spec_error(path: str, value: Any) -> None:
    try:
        spec = parse(changed(path, value))
    except SpecError:
        return
    assert isinstance(spec, Spec)
    assert parse(spec_values(spec)) == spec
    assert len(spec_digest(spec)) == 64


@given(values=json_like)
@settings(max_examples=40, deadline=None)
def test_anything_for_the_whole_is_a_spec_error(values: Any) -> None:
    with pytest.raises(SpecError):
        parse(values)
