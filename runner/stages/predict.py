"""Stage `predict`: score the test rows (task=predict: all rows), and hand the scores to the recipients only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from secretflow.device import PYUObject, SPUObject

from runner.engine.site import Site
from runner.files import write_atomically
from runner.policy.audit import payload_bytes
from runner.spec.model import Form
from runner.stages.context import Context
from runner.stages.floors import require_rows
from runner.stages.metrics import THRESHOLD

PREDICTIONS = "predictions.parquet"


@dataclass(frozen=True)
class Scores:
    """Scores of the rows to predict, where they were computed.

    Attributes:
        value: shape (rows,): final scores at the party that computed them; or, in the SPU, raw scores, which ``finish``
            turns into final ones at the party that they are opened to.
        classes: in the SPU, the classes (0/1), for recipients that may see no more.
        finish: from raw to final scores.
    """

    value: PYUObject | SPUObject
    classes: SPUObject | None
    finish: Callable[[Any], Any]

    def opened_to(self, context: Context, recipient: str, *, stage: Any, form: Form) -> PYUObject:
        """The scores, or their form that ``recipient`` may see, at ``recipient``."""
        if isinstance(self.value, PYUObject):
            return context.gate.deliver(self.value, recipient, stage=stage, kind="predictions", form=form)
        if form == "class":
            opened = context.gate.deliver(self.classes, recipient, stage=stage, kind="predictions", form=form)
            return context.at(recipient, lambda site, values: np.rint(values).reshape(-1).astype(np.int8), opened)
        opened = context.gate.deliver(self.value, recipient, stage=stage, kind="predictions", form=form)
        return context.at(recipient, lambda site, values: self.finish(np.asarray(values).reshape(-1)), opened)


def deliver_predictions(context: Context, scores: Scores) -> None:
    """Write each recipient's predictions, in the form that the policy gives it, in its own folder.

    ``predictions.parquet`` has the id; the score (float32: a probability for logistic, else the predicted value), the
    rounded score, the class (0/1), or the rank of the ``k`` highest scores; and the label where the recipient has it.
    """
    policy = context.spec.policy.predictions
    effects = []
    for recipient in context.spec.prediction_recipients():
        form = policy.form_for(recipient)
        of_spu = isinstance(scores.value, SPUObject)
        keep: PYUObject | None = None
        if of_spu:
            received = scores.opened_to(context, recipient, stage="predict", form=form)
            if policy.own_rows:
                keep = context.at(recipient, _own_rows)
        else:
            source = scores.value.device.party
            shaped = scores.value
            if policy.own_rows and recipient != source:
                keep = context.gate.deliver(
                    context.at(recipient, _own_rows),
                    source,
                    stage="predict",
                    kind="own_rows",
                    form="which rows are its own",
                )
                shaped = context.at(source, lambda site, values, keep: values[keep], shaped, keep)
                keep = context.at(recipient, _own_rows)
            shaped = context.at(source, _shape(form, policy.decimals, policy.k), shaped)
            received = context.gate.deliver(shaped, recipient, stage="predict", kind="predictions", form=form)
        effects.append(context.at(recipient, _write(context.spec.data.id, form, selected=not of_spu), received, keep))
    context.gate.finish(effects)


def _own_rows(site: Site) -> Any:
    owns = site.table.owns
    return np.zeros(int(site.table.test.sum()), dtype=bool) if owns is None else owns[site.table.test]


def _shape(form: Form, decimals: int, k: int) -> Callable[[Site, Any], Any]:
    """From scores to what a recipient may see, computed before it leaves."""

    def shape(site: Site, scores: Any) -> Any:
        match form:
            case "rounded":
                return np.round(scores, decimals)
            case "class":
                return (scores >= THRESHOLD).astype(np.int8)
            case "top_k":
                return np.argsort(-scores, kind="stable")[:k]
            case _:
                return scores

    return shape


def _write(id_column: str, form: Form, *, selected: bool) -> Any:
    """A function that writes predictions; ``selected`` says that they are already those of the kept rows."""

    def write(site: Site, values: Any, keep: Any) -> None:
        table = site.table
        rows = np.flatnonzero(table.test)
        if keep is not None:
            rows = rows[keep]
            values = values if selected else values[keep]
        if form == "top_k":
            columns = {id_column: table.ids[rows[values]], "rank": np.arange(1, len(values) + 1)}
        elif form == "class":
            columns = {id_column: table.ids[rows], "class": values}
        else:
            columns = {id_column: table.ids[rows], "score": np.asarray(values, dtype=np.float32)}
        for name, column in columns.items():
            site.note("predict", "ids" if name == id_column else form, payload_bytes(column))
        label = table.truth if table.truth is not None else table.label
        if label is not None and form != "top_k":
            columns["label"] = pa.array(label[rows], from_pandas=True)  # a row without a label: null

        def fill(path: Path) -> None:
            parquet.write_table(pa.table(columns), path)

        write_atomically(site.folder / PREDICTIONS, fill)

    return write


def require_batch(context: Context) -> None:
    """Every party refuses, by its own count, to predict fewer rows than the policy's ``min_batch``."""
    floor = context.min_batch

    def count(site: Site) -> None:
        require_rows("a prediction on a batch", int(site.table.test.sum()), floor, "min_batch")

    context.gate.finish([context.at(party, count) for party in context.spec.data.tables])
