"""What each column of a party's table is for."""

from __future__ import annotations

from typing import NamedTuple

from runner.spec.label import NONE, SAME
from runner.spec.model import Spec


class Columns(NamedTuple):
    """The columns of a party's table that are no features.

    Attributes:
        ids: those that identify a row together.
        label: the party's (part of the) training label, where it has one.
        truth: the labels that the party compares predictions with, where ``label.predict`` names it.
        owns: the mark of its own rows, where it has one.
        folds: what it deals the folds of a cross-validation by, where it does.
        weight: the weights of the training rows, at the label holder, where it has them.
        group: the column by whose values the party's evaluation is split; it may be a feature too.
        ignored: other columns that are no features.
        read: those of ``label``, ``truth`` and ``weight`` that this task reads; the others may be missing.
    """

    ids: tuple[str, ...]
    label: str | None
    truth: str | None
    owns: str | None
    folds: str | None
    weight: str | None
    group: str | None
    ignored: frozenset[str]
    read: frozenset[str]

    def not_features(self) -> set[str]:
        """All of them that are there."""
        named = (*self.ids, self.label, self.truth, self.owns, self.folds, self.weight)
        return {column for column in named if column is not None} | self.ignored


def columns_of(spec: Spec, party: str) -> Columns:
    """The columns of ``party``'s table that are no features, by what the spec says of labels."""
    label = spec.label.columns().get(party)
    truth = None
    if spec.label.predict == party:
        truth = spec.label.predict_column or label
    plan = spec.task.to_run()
    reads_label = plan != "import" and (plan != "predict" or spec.label.predict == SAME)
    reads_truth = plan != "import" and spec.label.predict != NONE
    weight = spec.label.weight if party == spec.label.holder else None
    reads = ((label, reads_label), (truth, reads_truth), (weight, "train" in spec.stages()))
    read = {column for column, needed in reads if needed}
    table = spec.data.tables[party]
    dealt_in_training = {spec.cv.column} if plan == "predict" and spec.cv.at == party and spec.cv.column else set()
    return Columns(
        ids=spec.data.id_columns(),
        label=label,
        truth=truth,
        owns=table.owns,
        folds=spec.cv.column if plan == "cv" and spec.cv.at == party else None,
        weight=weight,
        group=spec.evaluate.group_by if spec.evaluator() == party else None,
        ignored=frozenset(table.ignore) | dealt_in_training,
        read=frozenset(column for column in read if column is not None),
    )
