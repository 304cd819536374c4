"""Stage `predict`: score the test rows (task=predict: all rows), and hand the scores to the recipients only."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from secretflow.device import PYUObject, SPUObject

from runner.data.ids import split_ids
from runner.engine.site import Site
from runner.files import new_file, put_in_place, write_atomically
from runner.policy.audit import payload_bytes
from runner.policy.flows import OWN
from runner.privacy.choose import label_noise
from runner.spec.model import Spec
from runner.spec.policy import Form
from runner.stages.context import Context
from runner.stages.labels import Labels
from runner.stages.metrics import THRESHOLD
from runner.stages.multiclass import columns as class_columns
from runner.stages.multiclass import names_at
from runner.stages.release import released_scores

PREDICTIONS = "predictions.parquet"


@dataclass(frozen=True)
class Scores:
    """Scores of the rows to predict, where they were computed.

    Attributes:
        value: shape (rows,): final scores at the party that computed them; or, in the SPU, raw scores, which ``finish``
            turns into final ones at the party that they are opened to.
        classes: in the SPU, the classes (0/1), for recipients that may see no more.
        finish: from raw to final scores.
        names: of a multiclass model, the classes, at the label holder; ``value`` has then shape (rows, classes).
    """

    value: PYUObject | SPUObject
    classes: SPUObject | None
    finish: Callable[[Any], Any]
    names: PYUObject | None = None

    def opened_to(
        self, context: Context, recipient: str, *, stage: Any, form: Form, own: SPUObject | None = None
    ) -> PYUObject:
        """The scores, or their form that ``recipient`` may see, at ``recipient``; 0 in the SPU where ``own`` is 0."""
        if isinstance(self.value, PYUObject):
            return context.gate.deliver(self.value, recipient, stage=stage, kind="predictions", form=form)
        sealed = self.classes if form == "class" else self.value
        if own is not None:
            sealed = context.spu(_only_own)(sealed, own)
        opened = context.gate.deliver(sealed, recipient, stage=stage, kind="predictions", form=form)
        if form == "class":
            return context.at(recipient, lambda site, values: np.rint(values).reshape(-1).astype(np.int8), opened)
        # Not self: the last reference to shares goes at the same step everywhere, or the numbers of messages differ.
        finish = self.finish
        return context.at(recipient, lambda site, values: finish(np.asarray(values).reshape(-1)), opened)


class GrowingFiles:
    """Files of predictions, one a folder, that grow piece by piece and have their names when they are whole."""

    def __init__(self) -> None:
        self._open: dict[Path, tuple[Path, parquet.ParquetWriter]] = {}
        self._empty: dict[Path, pa.Table] = {}

    def add(self, folder: Path, table: pa.Table) -> None:
        """Add rows to the folder's file; all have the columns of the first."""
        if not len(table):  # a recipient of its own rows may have none of a piece: their types are not known then
            self._empty[folder] = table
            return
        if folder not in self._open:
            self._begin(folder, table)
        _, writer = self._open[folder]
        writer.write_table(table.cast(writer.schema))

    def _begin(self, folder: Path, table: pa.Table) -> None:
        path = new_file(folder / PREDICTIONS)
        self._open[folder] = path, parquet.ParquetWriter(path, table.schema)

    def finish(self, folder: Path) -> None:
        """Give the folder's file its name, if it has one."""
        if folder in self._empty and folder not in self._open:
            self._begin(folder, self._empty[folder])
        if folder in self._open:
            path, writer = self._open[folder]
            writer.close()
            put_in_place(path, folder / PREDICTIONS)
            del self._open[folder]

    def drop(self) -> None:
        """Remove what has no name."""
        for path, writer in self._open.values():
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # it writes its end, for which a full disk has no room
                writer.close()
        self._open.clear()


def deliver_predictions(
    context: Context, scores: Scores, labels: Labels | None = None, written: GrowingFiles | None = None
) -> None:
    """Write each recipient's predictions, in the form that the policy gives it, in its own folder.

    ``predictions.parquet`` has the id; the score (float32: a probability for logistic, else the predicted value), the
    rounded score, the class (0/1), or the rank of the ``k`` highest scores; and the label where the recipient has it.
    Of a multiclass model it has the class, and the score of each class (``score_<class>``) where the form allows it.

    Args:
        scores: of the rows to predict.
        labels: the joined training label, where this run has trained; it is the label holder's ``label`` column.
        written: what the predictions of a piece are added to; None: these are all.
    """
    effects = []
    for recipient in context.spec.prediction_recipients():
        form = context.spec.policy.predictions.form_for(recipient)
        received = (_opened if isinstance(scores.value, SPUObject) else _shaped)(context, scores, recipient, form)
        joined = labels.value if labels is not None and recipient == context.spec.label.holder else None
        if label_noise(context.spec) is not None:
            joined = None  # others' labels are noisy ones; what is the recipient's own it has in its table
        if isinstance(joined, SPUObject):
            joined = None
        names = None if scores.names is None else names_at(context, scores.names, recipient, "predict")
        effects.append(context.at(recipient, _write(context.spec, form, written), received, joined, names))
    context.gate.finish(effects)


def scores_at(context: Context, scores: Scores, evaluator: str) -> PYUObject:
    """The scores, to be compared with labels, at the evaluator."""
    if isinstance(scores.value, PYUObject) and scores.value.device.party == evaluator:
        return scores.value
    return scores.opened_to(context, evaluator, stage="evaluate", form="score")


def _opened(context: Context, scores: Scores, recipient: str, form: Form) -> PYUObject:
    """The recipient's predictions out of the SPU; with ``own_rows``, no score of another row is opened to it."""
    if not context.spec.policy.predictions.own_rows:
        return scores.opened_to(context, recipient, stage="predict", form=form)
    mark = context.at(recipient, lambda site: _own_rows(site).astype(np.int32))
    own = context.gate.share(mark, context.spu, stage="predict", kind="shares", form=OWN)
    opened = scores.opened_to(context, recipient, stage="predict", form=form, own=own)
    return context.at(recipient, lambda site, values: values[_own_rows(site)], opened)


def _only_own(values: Any, own: Any) -> Any:
    return values.reshape(-1) * own


def _shaped(context: Context, scores: Scores, recipient: str, form: Form) -> PYUObject:
    """The recipient's predictions, selected and shaped at the party that computed the scores, before they leave it."""
    policy = context.spec.policy.predictions
    shaped, source = scores.value, scores.value.device.party
    if recipient != source:  # of all rows at once: each has one noisy score, whoever gets it
        shaped = context.at(source, lambda site, values: released_scores(site, context.spec, values), shaped)
    if policy.own_rows:
        own = context.at(recipient, _own_rows)
        if recipient != source:
            own = context.gate.deliver(own, source, stage="predict", kind="own_rows", form=OWN)
        shaped = context.at(source, lambda site, values, own: values[own], shaped, own)
    shaped = context.at(source, _shape(form, policy.decimals, policy.k), shaped)
    return context.gate.deliver(shaped, recipient, stage="predict", kind="predictions", form=form)


def _own_rows(site: Site) -> Any:
    owns = site.table.owns
    return np.zeros(int(site.table.test.sum()), dtype=bool) if owns is None else owns[site.table.test]


def _shape(form: Form, decimals: int, k: int) -> Callable[[Site, Any], Any]:
    """From scores to what a recipient may see, computed before it leaves."""

    def shape(site: Site, scores: Any) -> Any:
        match form:
            case "rounded":
                return np.round(scores, decimals)
            case "class" if scores.ndim == 2:
                return scores.argmax(axis=1)
            case "class":
                return (scores >= THRESHOLD).astype(np.int8)
            case "top_k":
                return np.argsort(-scores, kind="stable")[:k]
            case _:
                return scores

    return shape


def _write(spec: Spec, form: Form, written: GrowingFiles | None) -> Any:
    """A function that writes predictions (with ``own_rows``, of the recipient's own rows)."""
    id_columns, own_rows = spec.data.id_columns(), spec.policy.predictions.own_rows
    has_whole_label = spec.label.mode in ("single", "row_sharded")

    def write(site: Site, values: Any, joined: Any, names: list[Any] | None) -> None:
        table = site.table
        rows = np.flatnonzero(table.test)
        if own_rows:
            rows = rows[_own_rows(site)]
        told = rows
        if names is not None:
            result = class_columns(form, values, names)
        elif form == "top_k":
            told, result = rows[values], {"rank": np.arange(1, len(values) + 1)}
        elif form == "class":
            result = {"class": values}
        else:
            result = {"score": np.asarray(values, dtype=np.float32)}
        ids = table.ids[told]
        site.note("predict", "ids", payload_bytes(ids))
        site.note("predict", form, b"".join(payload_bytes(column) for column in result.values()))
        columns: dict[str, Any] = {**split_ids(ids, id_columns), **result}
        # A party's own column is the label itself, or that of its rows; of a joint or secret label it is an input only.
        own = table.label if has_whole_label else None
        label = next((known for known in (table.truth, joined, own) if known is not None), None)
        if label is not None and names is not None:
            classes = table.classes if table.truth is None else table.truth_classes
            label = np.asarray(classes)[label.astype(int)]
        if label is not None and form != "top_k":
            columns["label"] = pa.array(label[rows], from_pandas=True)  # a row without a label: null

        if written is not None:
            written.add(site.folder, pa.table(columns))
            return

        def fill(path: Path) -> None:
            parquet.write_table(pa.table(columns), path)

        write_atomically(site.folder / PREDICTIONS, fill)

    return write
