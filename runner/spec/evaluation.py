"""Sections that say how good a model is measured to be: folds, thresholds, intervals."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from runner.spec.base import PartyName, Section, Share

FoldsBy = Literal["random", "stratified", "group", "time"]


class CrossValidation(Section, frozen=True, kw_only=True):
    """Folds of task=cv: how many, and how the rows are dealt (see :mod:`runner.data.folds`).

    ``random``: by a keyed hash of the id. ``stratified``: as many of each class in every fold, dealt at the label
    holder. ``group`` and ``time``: by ``column`` of the table of ``at``, which is then no feature. With ``refit`` a
    model is trained on all rows afterwards and saved. ``data.split`` has no effect, and every row is in a fold,
    but for the test rows with ``data.split.hold_out=validation``.
    """

    folds: Annotated[int, Meta(ge=2, le=100)] = 5
    by: FoldsBy = "random"
    at: PartyName | None = None
    column: str | None = None
    key: str = "folds-1"
    refit: bool = False

    def dealer(self, holder: str) -> str | None:
        """The party that deals the rows and tells the others; None where each finds the folds itself."""
        return None if self.by == "random" else holder if self.by == "stratified" else self.at


class Evaluate(Section, frozen=True, kw_only=True):
    """What an evaluation says besides the metrics.

    ``thresholds``: where a logistic model's confusion is counted. ``bootstrap``: how often rows are drawn again for
    95 % intervals (0: none). ``group_by``: a column of the evaluator's contract; metrics of each of its groups that has
    ``policy.min_rows`` rows go to those who get metrics.
    """

    thresholds: tuple[Share, ...] = (0.5,)
    bootstrap: Annotated[int, Meta(ge=0, le=10000)] = 200
    group_by: str | None = None
