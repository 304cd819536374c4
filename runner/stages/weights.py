"""What rows count in training, and the score that it starts from: both made of the label, at the label holder.

A weight multiplies a row's gradient and hessian before they are encrypted. No other party sees a weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.engine.site import Site
from runner.errors import DataError
from runner.spec.model import Spec

Array = NDArray[np.float64]
STEPS = 1024  # of the fixed-point grid that the least weight has at least: gradients keep some three digits
CAPACITY = 62  # bits of a sum of gradients, fraction bits included
BOUND = 10.0  # of a score made of the label's mean, as of one that is given


def row_weights(spec: Spec, site: Site, label: Any) -> Array | None:
    """The weights of the rows with a training label, shape (rows, 1), or None where all count the same.

    Args:
        label: shape (rows,), of the training rows, NaN where a row has none.

    Raises:
        DataError: for weights that the encoding of gradients would lose, and for classes that the label does not have.
    """
    known = ~np.isnan(label)
    column = site.table.weight
    if column is None and spec.label.class_weight is None:
        return None
    weights = np.ones(int(known.sum())) if column is None else column[~site.table.test][known].astype(np.float64)
    if spec.label.class_weight is not None:
        weights = weights * _class_factors(spec.label.class_weight, label[known], site.table.classes)
    _require_encodable(weights, spec.sgb.fixed_point_parameter)
    return weights.reshape(-1, 1)


def _class_factors(wanted: Mapping[str, float] | str, label: Array, classes: Any) -> Array:
    """Each row's factor. ``balanced``: G. King, L. Zeng, "Logistic Regression in Rare Events Data" (2001)."""
    values, places, counts = np.unique(label, return_inverse=True, return_counts=True)
    if isinstance(wanted, str):
        return np.asarray((len(label) / (len(values) * counts))[places.reshape(-1)])
    names = [str(classes[int(value)]) if classes is not None else f"{value:g}" for value in values]
    unknown = set(wanted) - set(names)
    if unknown:
        raise DataError(
            f"label.class_weight names {len(unknown)} of {len(wanted)} classes that no training row has",
            where="label.class_weight",
            why="a weight for a class that is not there has no effect",
            fix="write the classes as they stand in the label holder's table, for instance {0: 1, 1: 5}",
        )
    factors: Array = np.array([wanted.get(name, 1.0) for name in names])[places.reshape(-1)]
    return factors


def _require_encodable(weights: Array, fraction_bits: int) -> None:
    """Gradients are encrypted as whole multiples of 2^-fraction_bits, and their sums have 64 bits."""
    small = int(np.sum(weights < STEPS / 2.0**fraction_bits))
    if small or weights.sum() >= 2.0 ** (CAPACITY - fraction_bits):
        raise DataError(
            f"{small} weights are too small" if small else "the weights are too large",
            where="label.weight, label.class_weight",
            why=f"gradients are encrypted on a grid of 2^-{fraction_bits} (sgb.fixed_point_parameter), in 64 bits",
            fix="multiply all weights (and sgb.reg_lambda) by one number, so that they are about 1",
        )


def mean_score(objective: str, label: Any, weights: Array | None) -> float:
    """The raw score whose prediction is the label's weighted mean: its logit, its logarithm, or the mean itself.

    Held within -10 to 10 for logistic and tweedie.

    Args:
        objective: logistic (also for one class against the rest), linear or tweedie.
        label: shape (rows, 1), of the training rows.
        weights: shape (rows, 1), or None.
    """
    mean = float(np.average(label, weights=weights))
    if objective == "linear":
        return mean
    mean = max(mean, 0.0) if objective == "tweedie" else min(max(mean, 0.0), 1.0)  # labels that make up for noise
    with np.errstate(divide="ignore"):
        score = np.log(mean) - (np.log1p(-mean) if objective == "logistic" else 0.0)
    return float(np.clip(score, -BOUND, BOUND))
