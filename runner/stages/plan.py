"""Running the plan: the spec's stages, one after another, with a note to the driver before and after each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from secretflow.device import PYUObject
from secretflow.ml.boost.sgb_v.model import SgbModel

from runner.spec.model import Stage
from runner.stages.align import align
from runner.stages.context import Context
from runner.stages.evaluate import evaluate
from runner.stages.load import load
from runner.stages.predict import predict
from runner.stages.save import save
from runner.stages.train import train


@dataclass
class _Progress:
    """What one stage leaves for the next. `load` reads the disk, so nothing trained is handed past `save`."""

    model: SgbModel | None = None
    scores: PYUObject | None = None


def run_plan(context: Context, emit: Any) -> None:
    """Run every stage of the spec's plan."""
    progress = _Progress()
    for stage in context.spec.task.stages():
        emit(event="stage", stage=stage, state="started")
        _run(stage, context, progress)
        emit(event="stage", stage=stage, state="done")


def _run(stage: Stage, context: Context, progress: _Progress) -> None:
    match stage:
        case "align":
            align(context)
        case "train":
            progress.model = train(context)
        case "save":
            save(context, _made(progress.model))
            progress.model = None
        case "load":
            progress.model = load(context)
        case "predict":
            progress.scores = predict(context, _made(progress.model))
        case "evaluate":
            evaluate(context, _made(progress.scores))


def _made(value: Any) -> Any:
    if value is None:
        raise AssertionError("a stage ran before the one that makes its input")
    return value
