"""Sections that say how several runs are carried out together, and nothing of what one of them computes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from runner.spec.base import Seconds, Section

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
    """A search for good settings (``tune=optuna``), led by a process of a party that gets the metrics.

    ``space``: the settings that are searched, each with its range (see :mod:`runner.spec.tune`); ``default_space``:
    those where it names none. ``objectives``: metrics, ``train_seconds`` or ``bytes_sent``; none: the first metric of
    ``sgb.objective``. ``by``: the rows that the search is led by. ``trials``, ``timeout`` (seconds): after which no
    trial begins. ``sampler``: how the next trial is chosen; ``startup``: how many are drawn at random before ``tpe``
    is. ``pruner``: how a training that promises little is found; none of the first ``pruner_startup`` trials is
    stopped, and none before ``pruner_warmup`` trees.
    """

    name: Literal["none", "optuna"] = "none"
    space: dict[str, Any] = field(default_factory=dict)
    default_space: dict[str, Any] = field(default_factory=dict)
    objectives: tuple[str, ...] = ()
    by: Literal["validation", "cv", "test"] = "validation"
    trials: Annotated[int, Meta(ge=1)] = 20
    timeout: Seconds | None = None
    sampler: Literal["tpe", "random", "grid", "cmaes"] = "tpe"
    startup: Annotated[int, Meta(ge=1)] = 10
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    pruner: Literal["none", "median", "successive_halving", "hyperband"] = "none"
    pruner_startup: Annotated[int, Meta(ge=0)] = 5
    pruner_warmup: Annotated[int, Meta(ge=1)] = 1


class Tracking(Section, frozen=True, kw_only=True):
    """Where runs that are over are listed besides (``tracking=mlflow``): parameters, metrics, digests.

    ``uri``: a server, or a folder of files; None: ``mlruns`` in ``outputs``. ``experiment``: the name under which they
    are listed. The terminal's metrics go there, so name a server of the viewer's own.
    """

    name: Literal["none", "mlflow"] = "none"
    uri: str | None = None
    experiment: Annotated[str, Meta(min_length=1)] = EXPERIMENT
