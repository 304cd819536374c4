"""Which features are beyond the thresholds of the spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from runner.data.profile import ColumnDrift
from runner.spec.drift import Drift


class Finding(NamedTuple):
    """A feature beyond a threshold: ``psi_warn``, ``psi_fail``, ``missing_warn``, …"""

    feature: str
    threshold: str


def judge(drifts: Mapping[str, ColumnDrift], limits: Drift, rows: int, training_rows: int) -> list[Finding]:
    """What is beyond a threshold, and beyond what sampling alone makes of it.

    Args:
        rows: how many rows were compared; below ``limits.min_rows`` of them, or of the training's, nothing is judged.
    """
    if min(rows, training_rows) < limits.min_rows:
        return []
    return [Finding(name, threshold) for name, drift in drifts.items() for threshold in _beyond(drift, limits)]


def _beyond(drift: ColumnDrift, limits: Drift) -> Iterator[str]:
    """For each measure the gravest threshold that is passed."""
    measures = {
        "psi": (drift.psi, drift.noise),
        "missing": (drift.missing, drift.missing_noise),
        "range": (drift.outside, 0.0),
    }
    for measure, (value, noise) in measures.items():
        for level in ("fail", "warn"):
            limit = getattr(limits, f"{measure}_{level}")
            if value is not None and limit is not None and value > max(limit, noise):
                yield f"{measure}_{level}"
                break
