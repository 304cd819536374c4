"""The space of a search: settings, each with its range, as written under ``tune.space``; and what may be looked for.

``{int: [2, 8]}``, ``{float: [0.1, 1.0]}``, both with ``step: …`` or ``log: true`` if wanted, and
``{categorical: [level, leaf]}``. A range includes both its ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec import field

from runner.errors import SpecError
from runner.spec.base import Section
from runner.spec.model import Spec
from runner.spec.privacy import OutputDp
from runner.spec.sweep import Tune

Scalar = bool | int | float | str
Direction = Literal["maximize", "minimize"]
KINDS = ("int", "float", "categorical")

# sgb.objective → metric → which way is better. All of them are told of folds, too.
METRICS: dict[str, dict[str, Direction]] = {
    "logistic": {
        "auc": "maximize",
        "ks": "maximize",
        "accuracy": "maximize",
        "log_loss": "minimize",
        "f1": "maximize",
    },
    "multiclass": {
        "log_loss": "minimize",
        "accuracy": "maximize",
        "macro_precision": "maximize",
        "macro_recall": "maximize",
        "macro_f1": "maximize",
        "macro_auc": "maximize",
    },
    "linear": {"rmse": "minimize", "mae": "minimize", "r2": "maximize"},
    "tweedie": {"deviance": "minimize", "rmse": "minimize", "mae": "minimize", "r2": "maximize"},
}
COSTS: dict[str, Direction] = {"train_seconds": "minimize", "bytes_sent": "minimize"}


class Range(Section, frozen=True, kw_only=True):
    """What one setting may be: whole numbers, numbers, or one of a list."""

    whole: tuple[int, int] | None = field(default=None, name="int")
    real: tuple[float, float] | None = field(default=None, name="float")
    categorical: tuple[Scalar, ...] | None = None
    step: float | None = None
    log: bool = False

    def ends(self) -> tuple[float, float] | None:
        """Its least and its largest number; None of a list."""
        return self.whole if self.whole is not None else self.real

    def probes(self) -> tuple[Scalar, ...]:
        """Values that a setting must take if it takes all of the range: of numbers both ends, and one between."""
        if self.categorical is not None:
            return self.categorical
        if self.whole is not None:
            low, high = self.whole
            return (low, high, min(high, low + int(self.step or 1)))
        least, most = self.real or (0.0, 0.0)
        between = least + (self.step if self.step is not None else 0.381966 * (most - least))
        return (least, most, min(most, between))

    def grid(self) -> tuple[Scalar, ...] | None:
        """All its values; None where they are too many to be listed."""
        if self.categorical is not None:
            return self.categorical
        if self.whole is not None and not self.log:
            return tuple(range(self.whole[0], self.whole[1] + 1, int(self.step or 1)))
        if self.real is not None and self.step is not None:
            low, high = self.real
            return tuple(round(low + place * self.step, 12) for place in range(round((high - low) / self.step) + 1))
        return None


def space_of(tune: Tune) -> dict[str, Range]:
    """Setting (dotted) → its range, in the order of the names: the search must not depend on how they were typed.

    Raises:
        SpecError: for what is no range.
    """
    return {path: _range(path, leaf) for path, leaf in sorted(_leaves(tune.space or tune.default_space, ""))}


def objectives_of(spec: Spec) -> dict[str, Direction]:
    """What the search looks for, and which way is better; of the metrics of ``sgb.objective`` the first by default."""
    known = {**METRICS[spec.sgb.objective], **COSTS}
    names = spec.tune.objectives or (next(iter(known)),)
    return {name: known[name] for name in names}


def leader_of(spec: Spec) -> str | None:
    """The party that leads the search: one that gets the metrics, and where trainings are stopped also the curves.

    The viewer if it is one of them, else the first in canonical order; None where there is none. With
    privacy=output_dp it is not the evaluator: what is chosen by its exact metrics would tell of them.
    """
    barred = spec.evaluator() if isinstance(spec.privacy, OutputDp) else None
    allowed = [party for party in spec.party_order() if party != barred]
    order = sorted(allowed, key=lambda party: party != spec.viewer())
    stops = spec.tune.pruner != "none"
    sees = [p for p in order if spec.policy.metrics.includes(p) and (not stops or spec.policy.curves.includes(p))]
    return sees[0] if sees else None


def _leaves(space: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for name, value in space.items():
        where = f"{path}.{name}".lstrip(".")
        if isinstance(value, Mapping) and value and not set(value) & {*KINDS, "step", "log"}:
            yield from _leaves(value, where)
        else:
            yield where, value


def _range(path: str, leaf: Any) -> Range:
    try:
        found = msgspec.convert(leaf, Range)
    except msgspec.ValidationError as error:
        raise not_a_range(path, leaf, str(error).replace(" - at `$.", " - at `")) from None
    if (reason := _wrong(found)) is not None:
        raise not_a_range(path, leaf, reason)
    return found


def not_a_range(path: str, leaf: Any, why: str) -> SpecError:
    """The error for a range that makes no sense."""
    return SpecError(
        f"tune.space.{path} = {leaf!r} is no range",
        where=f"tune.space.{path}",
        why=why,
        fix="write {int: [2, 8]}, {float: [0.1, 1.0]}, with step: … or log: true if wanted, or {categorical: [a, b]}",
    )


def _wrong(given: Range) -> str | None:
    kinds = [kind for kind in (given.whole, given.real, given.categorical) if kind is not None]
    if len(kinds) != 1:
        return "exactly one of int, float and categorical says what it is"
    if given.categorical is not None:
        if given.step is not None or given.log:
            return "a list has no step and no logarithm"
        return None if len(set(given.categorical)) == len(given.categorical) > 1 else "it needs two different values"
    low, high = given.ends() or (0, 0)
    if not all(math.isfinite(end) for end in (low, high)) or low >= high:
        return "its first number must be less than its second"
    if given.log and low <= 0:
        return "a logarithmic range has numbers above 0 only"
    if given.step is None:
        return None
    if given.log:
        return "a logarithmic range has no step"
    whole = given.whole is None or given.step == int(given.step)
    steps = (high - low) / given.step if given.step > 0 else 0.5
    fits = whole and round(steps) >= 1 and abs(steps - round(steps)) < 1e-9
    return None if fits else "its step must lead from the first number to the second"
