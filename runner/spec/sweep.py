"""Sections that say how several runs are carried out together, and nothing of what one of them computes."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from runner.spec.base import Section

EXPERIMENT = "sgb"


class Sweep(Section, frozen=True, kw_only=True):
    """How the jobs of a sweep are carried out.

    ``parallel``: how many at a time, each on processes of its own with its share of the cores. ``keep_going``: whether
    the others are done after a job has failed. ``retries``: how often a failed job is begun again. ``reports``: which
    jobs get their HTML reports.
    """

    parallel: Annotated[int, Meta(ge=1)] = 1
    keep_going: bool = True
    retries: Annotated[int, Meta(ge=0)] = 0
    reports: Literal["best", "all", "none"] = "best"


class Tune(Section, frozen=True, kw_only=True):
    """A search for good settings (``tune=optuna``)."""

    name: Literal["none", "optuna"] = "none"


class Tracking(Section, frozen=True, kw_only=True):
    """Where runs that are over are listed besides (``tracking=mlflow``): parameters, metrics, digests.

    ``uri``: a server, or a folder of files; None: ``mlruns`` in ``outputs``. ``experiment``: the name under which they
    are listed. The terminal's metrics go there, so name a server of the viewer's own.
    """

    name: Literal["none", "mlflow"] = "none"
    uri: str | None = None
    experiment: Annotated[str, Meta(min_length=1)] = EXPERIMENT
