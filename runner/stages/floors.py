"""The policy's floors: no metric or curve of too few rows, no prediction of too small a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from runner.engine.site import Site
from runner.errors import PolicyError
from runner.stages.context import Context


def require_rows(what: str, rows: int, floor: int, setting: str = "min_rows") -> None:
    """Refuse to compute ``what`` from fewer rows than a policy allows; runs at the party that would compute it.

    Raises:
        PolicyError: where there are too few.
    """
    if rows < floor:
        raise PolicyError(
            f"{what} of fewer than {floor} rows is denied",
            where=f"policy.{setting} (the run's, or a party's grants)",
            why="results of few rows tell about single people",
            fix="bring more rows, or let the party that set the floor lower it",
        )


def require_training_rows(context: Context) -> None:
    """Every party refuses, by its own floor and count, a training of too few rows whose metric anyone would see."""
    spec = context.spec
    if spec.engine() == "ss_xgb":
        return  # has neither
    if spec.policy.curves.recipients or spec.sgb.enable_monitor:
        _require_everywhere(context, "a curve", lambda site: int((~site.table.test).sum()))
    if spec.train.validation_curve:
        _require_everywhere(context, "a validation curve", lambda site: int(site.table.test.sum()))
    if spec.sgb.enable_early_stop:
        share = spec.sgb.validation_fraction
        _require_everywhere(context, "a validation metric", lambda site: int((~site.table.test).sum() * share))


def require_test_rows(context: Context) -> None:
    """Every party refuses, by its own floor and count, metrics of too few rows: no party knows another's floor."""
    _require_everywhere(context, "a metric", lambda site: site.rows_to_predict)


def require_batch(context: Context) -> None:
    """Every party refuses, by its own floor and count, to predict fewer rows than ``min_batch``."""
    _require_everywhere(context, "a prediction on a batch", lambda site: site.rows_to_predict, "min_batch")


def _require_everywhere(
    context: Context, what: str, count: Callable[[Site], int], setting: Literal["min_rows", "min_batch"] = "min_rows"
) -> None:
    floor: int = getattr(context, setting)

    def require(site: Site) -> None:
        require_rows(what, count(site), floor, setting)

    context.gate.finish([context.at(party, require) for party in context.spec.data.tables])
