"""Settings of tracking that contradict each other."""

from __future__ import annotations

from runner.errors import SpecError, has_credentials
from runner.spec.model import Spec
from runner.spec.sweep import EXPERIMENT


def check_tracking(spec: Spec) -> None:
    tracking = spec.tracking
    if tracking.name == "none":
        for name, plain in (("uri", None), ("experiment", EXPERIMENT)):
            if getattr(tracking, name) != plain:
                raise SpecError(
                    f"tracking.{name} has no effect",
                    where=f"tracking.{name}",
                    why="tracking=none lists runs nowhere",
                    fix="use tracking=mlflow, or remove the setting",
                )
    if tracking.uri is not None and has_credentials(tracking.uri):
        raise SpecError(
            "a password stands in the spec",
            where="tracking.uri",
            why="the spec is shown to all parties and kept in the run folder",
            fix="put it into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the environment",
        )
