"""Whether, and how, a table is predicted in pieces: some rows after others, so that memory does not grow with it."""

from __future__ import annotations

from runner.errors import SpecError
from runner.spec.model import Spec
from runner.spec.privacy import OutputDp

MOST_AT_ONCE = 1_000_000  # rows that are predicted in one piece, where nothing is set
USUAL_ROWS = 250_000  # of a piece, where there are more
SORTING = "sorting"  # the folder, in a party's own, in which rows are sorted that do not come in the order of their ids


def piece_rows(spec: Spec, rows: int) -> int | None:
    """Rows of a piece, or None where all are predicted at once. The parties have the same rows, and come to the same.

    Args:
        rows: of the table.
    """
    if obstacle(spec):
        return None
    if spec.predict.chunk_rows is not None:
        return spec.predict.chunk_rows if rows > spec.predict.chunk_rows else None
    return USUAL_ROWS if rows > MOST_AT_ONCE else None


def obstacle(spec: Spec) -> str:
    """Why a table has to be predicted at once, or nothing."""
    forms = {spec.policy.predictions.form_for(recipient) for recipient in spec.prediction_recipients()}
    if spec.task.to_run() != "predict":
        return "only task=predict takes pieces: a training, and what follows it, has the whole table"
    if spec.predicts_alone():
        return "a complete model is applied at once, by one party alone"
    if spec.align.selects_rows():
        return f"align={spec.align.method} has to see all ids at once; assume_sorted does not"
    if spec.engine() == "ss_xgb":
        return "a model on secret shares is applied at once"
    if "top_k" in forms:
        return "the highest scores are known when all are"
    if isinstance(spec.privacy, OutputDp):
        return "noise is drawn for all rows at once"
    if spec.sgb.objective == "multiclass" and spec.evaluator() is not None:
        return "classes are numbered when all labels are known; label.predict=none leaves them out"
    return ""


def check_pieces(spec: Spec) -> None:
    """Refuse a size of pieces where there can be none."""
    if spec.predict.chunk_rows is not None and (why := obstacle(spec)):
        raise SpecError(
            "predict.chunk_rows has no effect here",
            where="predict.chunk_rows",
            why=why,
            fix="remove predict.chunk_rows, or change what stands against it",
        )
