"""Stage `predict`: score the test rows (task=predict: all rows), and hand the scores to the recipients only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from secretflow.device import PYUObject
from secretflow.ml.boost.sgb_v.model import SgbModel

from runner.engine.site import Site
from runner.files import write_atomically
from runner.stages.context import Context

PREDICTIONS = "predictions.parquet"


def predict(context: Context, model: SgbModel) -> PYUObject:
    """Compute the scores at the label holder and write them in each recipient's own folder.

    ``predictions.parquet`` has the id, the score (float32: a probability for logistic, else the predicted value)
    and, where the recipient owns it, the label.

    Returns:
        the scores, shape (rows,), at the label holder.
    """
    scores = model.predict(context.features(test=True))
    scores = scores.device(lambda values: np.asarray(values).reshape(-1))(scores)
    effects = []
    for recipient in context.spec.policy.predictions.recipients:
        received = context.gate.deliver(scores, recipient, stage="predict", kind="predictions")
        effects.append(context.at(recipient, _write(context.spec.data.id), received))
    context.gate.finish(effects)
    return scores


def _write(id_column: str) -> Any:
    def write(site: Site, scores: Any) -> None:
        table = site.table
        columns = {id_column: table.ids[table.test], "score": np.asarray(scores, dtype=np.float32)}
        if table.label is not None:
            columns["label"] = table.label[table.test]

        def fill(path: Path) -> None:
            parquet.write_table(pa.table(columns), path)

        write_atomically(site.folder / PREDICTIONS, fill)

    return write
