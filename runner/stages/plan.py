"""Running the plan: the spec's stages, one after another, with a note to the driver before and after each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runner.spec.model import PredictMode, Stage
from runner.stages.align import align
from runner.stages.context import Context
from runner.stages.evaluate import evaluate
from runner.stages.explain import explain
from runner.stages.floors import require_batch, require_test_rows, require_training_rows
from runner.stages.labels import Labels, join_labels
from runner.stages.load import collect_parts, load
from runner.stages.predict import Scores, deliver_predictions
from runner.stages.save import save
from runner.stages.score import score_completely, score_openly, score_sealed
from runner.stages.secret import score_on_shares, train_on_shares
from runner.stages.train import train

SCORERS: dict[PredictMode, Callable[[Context, Any], Scores]] = {
    "open_to_label_holder": score_openly,
    "sealed": score_sealed,
    "complete": score_completely,
}


@dataclass
class _Progress:
    """What one stage leaves for the next. `load` reads the disk: nothing trained is handed past `save`."""

    labels: Labels | None = None
    model: Any = None
    scores: Scores | None = None


def run_plan(context: Context, emit: Any) -> None:
    """Run every stage of the spec's plan."""
    progress = _Progress()
    stages = context.spec.stages()
    for stage in stages:
        emit(event="stage", stage=stage, state="started")
        if stage == stages[0]:
            _require_floors(context)
        _run(stage, context, progress)
        emit(event="stage", stage=stage, state="done")


def _run(stage: Stage, context: Context, progress: _Progress) -> None:
    match stage:
        case "align":
            align(context)
        case "label":
            progress.labels = join_labels(context)
        case "train":
            trainer = train_on_shares if context.spec.engine() == "ss_xgb" else train
            progress.model = trainer(context, _made(progress.labels))
        case "explain":
            explain(context, _made(progress.model))
        case "save":
            save(context, _made(progress.model))
            progress.model = None
        case "load":
            complete = context.spec.predict_mode() == "complete"
            progress.model = collect_parts(context) if complete else load(context)
        case "predict":
            scorer = score_on_shares if context.spec.engine() == "ss_xgb" else SCORERS[context.spec.predict_mode()]
            progress.scores = scorer(context, _made(progress.model))
            deliver_predictions(context, progress.scores, progress.labels)
        case "evaluate":
            evaluate(context, _made(progress.scores), progress.labels)


def _require_floors(context: Context) -> None:
    """What would be denied for want of rows is denied before anything is computed of them."""
    stages = context.spec.stages()
    if "train" in stages:
        require_training_rows(context)
    if "predict" in stages:
        require_batch(context)
    if context.spec.evaluator() is not None:
        require_test_rows(context)


def _made(value: Any) -> Any:
    if value is None:
        raise AssertionError("a stage ran before the one that makes its input")
    return value
