"""Several classes: one logistic SGB for each class against the rest, trained one after another in one run.

A row's score of a class is the probability by that class's model, divided by the sum over all classes: one-vs-rest,
normalised as scikit-learn's OneVsRestClassifier does it. Source: B. Zadrozny, C. Elkan, "Transforming classifier scores
into accurate multiclass probability estimates", KDD 2002 (section 5).

The label holder alone knows the classes' names and which row is of which class; all parties know how many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from secretflow.device import PYUObject
from secretflow.ml.boost.sgb_v.model import SgbModel

from runner.engine.site import Site
from runner.errors import DataError
from runner.policy.flows import CLASS_NAMES, CLASSES
from runner.privacy.choose import label_noise
from runner.privacy.mechanisms import RandomisedResponse
from runner.spec.model import Stage
from runner.stages.context import Context

Array = NDArray[np.float64]


@dataclass(frozen=True)
class OneVsRest:
    """A model of several classes.

    Attributes:
        models: one for each class, in the classes' order.
        names: the classes, a list of int or str, at the label holder.
    """

    models: tuple[SgbModel, ...]
    names: PYUObject

    @property
    def trees(self) -> list[Any]:
        """All models' trees, the first class's first."""
        return [tree for model in self.models for tree in model.trees]

    def counts(self) -> tuple[int, ...]:
        """The number of trees of each class."""
        return tuple(len(model.trees) for model in self.models)


def announce_classes(context: Context) -> tuple[int, PYUObject]:
    """The number of classes, which the label holder tells all parties, and their names, which stay there."""
    noise = label_noise(context.spec)
    known = len(noise.kept) if isinstance(noise, RandomisedResponse) else None
    names = context.at(context.spec.label.holder, lambda site: class_names(site.table.classes)[:known])
    count = context.at(context.spec.label.holder, lambda site, names: len(names), names)
    return int(context.gate.announce(count, stage="train", kind="model_parts", form=CLASSES)), names


def class_names(classes: Any) -> list[Any]:
    """Classes as plain values: int or str."""
    return list(np.asarray(classes).tolist())


def score_classes(context: Context, model: OneVsRest) -> PYUObject:
    """Shape (rows, classes), float64, rows sum to 1: at the label holder, of the rows to predict."""
    features = context.test_features()
    raw = [one.predict_with_trees(features) for one in model.models]
    return context.at(context.spec.label.holder, lambda site, *raw: normalise(raw), *raw)


def normalise(raw: Sequence[Any]) -> Array:
    """Each class's probability against the rest, over their sum; from one array of raw scores a class."""
    columns = np.column_stack([np.asarray(scores, dtype=np.float64).reshape(-1) for scores in raw])
    chances = 1 / (1 + np.exp(-columns))
    return np.asarray(chances / chances.sum(axis=1, keepdims=True))


def names_at(context: Context, names: PYUObject, party: str, stage: Stage) -> PYUObject:
    """The classes' names at a party that gets predictions or compares them with labels."""
    if party == names.device.party:
        return names
    return context.gate.deliver(names, party, stage=stage, kind="predictions", form=CLASS_NAMES)


def columns(form: str, values: Any, names: Sequence[Any]) -> dict[str, Any]:
    """The columns of a predictions file besides the id: the class, and what each class scores where that is allowed.

    Args:
        values: numbers of classes, shape (rows,), for form ``class``; else scores, shape (rows, classes).
    """
    known = np.array(names)
    if form == "class":
        return {"class": known[values]}
    scores = {f"score_{name}": np.asarray(values[:, at], dtype=np.float32) for at, name in enumerate(names)}
    return {"class": known[values.argmax(axis=1)], **scores}


def numbered_as(names: Sequence[Any], site: Site, truth: bool) -> Array:
    """The party's labels of all rows, as numbers of the model's classes; shape (rows,), float64.

    Args:
        names: the model's classes.
        truth: whether it is the column that the party alone compares with, else the label's.

    Raises:
        DataError: where a row to predict has a class that the model does not know.
    """
    table = site.table
    codes, own = (table.truth, table.truth_classes) if truth else (table.label, table.classes)
    places = {str(name): float(place) for place, name in enumerate(names)}
    numbers: Array = np.array([places.get(str(name), np.nan) for name in class_names(own)])[
        np.asarray(codes).astype(int)
    ]
    unknown = int(np.isnan(numbers[table.test]).sum())
    if unknown:
        raise DataError(
            f"{unknown} rows have a class that the model does not know",
            where=f"data.tables.{site.party}, the label's column",
            why="no training row was of that class, so that no prediction of these rows can be right",
            fix="take these rows out, or set label.predict=none to predict them without comparing",
        )
    return numbers
