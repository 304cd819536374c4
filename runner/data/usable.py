"""Whether the rows of a table are fit for what a run does with them; asked again when rows were left out."""

from __future__ import annotations

import numpy as np

from runner.data.classes import require_learnable
from runner.data.table import CheckedTable
from runner.errors import DataError
from runner.spec.label import SingleLabel
from runner.spec.model import Spec
from runner.spec.privacy import LabelDp


def require_usable(spec: Spec, table: CheckedTable) -> None:
    """Refuse a split without training or test rows, a label that is constant in the training rows, and a class
    that none of them has.

    Raises:
        DataError: where it is so.
    """
    plan, test = spec.task.to_run(), table.test
    key = "cv.by or cv.key" if plan == "cv" else "data.split.key"  # what decides which rows are held out
    if plan == "train_predict" and (test.all() or not test.any()):
        share = f"{spec.data.split.hold_out}_fraction"
        raise DataError(
            f"the split leaves no {'training' if test.all() else spec.data.split.hold_out} rows",
            where=f"data.split.{share}",
            why=f"{len(test)} rows were split at {getattr(spec.data.split, share)}",
            fix=f"change data.split.{share}, or bring more rows",
        )
    label = table.training_label
    if plan == "predict" or label is None or not isinstance(spec.label, SingleLabel):
        return
    if len(np.unique(label[~test])) < 2:
        raise DataError(
            "the label is constant in the training rows",
            where=f"data.tables.{spec.label.holder}, the label's column",
            why="a model cannot learn to tell apart what is all the same",
            fix=f"bring rows with different labels, or change {key}",
        )
    named = isinstance(spec.privacy, LabelDp)  # the settings say which classes there are, whether rows have them or not
    if table.classes is not None and not named and "train" in spec.stages():
        require_learnable(spec.label.holder, label, len(table.classes), test, key)
