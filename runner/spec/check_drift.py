"""Thresholds of drift that contradict each other."""

from __future__ import annotations

from runner.errors import SpecError
from runner.spec.model import Spec

MEASURES = ("psi", "missing", "range")


def check_drift(spec: Spec) -> None:
    for measure in MEASURES:
        warn, fail = (getattr(spec.drift, f"{measure}_{level}") for level in ("warn", "fail"))
        if warn is not None and fail is not None and fail < warn:
            raise SpecError(
                f"drift.{measure}_fail = {fail} is below drift.{measure}_warn = {warn}",
                where=f"drift.{measure}_fail",
                why="what fails would never warn before",
                fix=f"set drift.{measure}_fail to {warn} or more, or to null: only warn",
            )
