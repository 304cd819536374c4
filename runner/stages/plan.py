"""Running the plan: the spec's stages, one after another, with a note to the driver before and after each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runner.spec.model import PredictMode, Stage
from runner.stages.align import align
from runner.stages.checkpoint import drop_checkpoints
from runner.stages.context import Context
from runner.stages.evaluate import evaluate
from runner.stages.explain import explain
from runner.stages.export import export
from runner.stages.floors import require_batch, require_test_rows, require_training_rows
from runner.stages.folds import cross_validate
from runner.stages.import_model import import_model
from runner.stages.labels import Labels, join_labels
from runner.stages.load import collect_parts, load, own_parts
from runner.stages.noise import protect_labels
from runner.stages.pieces import predict_in_pieces
from runner.stages.predict import Scores, deliver_predictions
from runner.stages.prepare import forget_preparations, prepare
from runner.stages.release import pay_for_outputs
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
    stages = context.spec.stages_at_once()
    protect_labels(context)
    pay_for_outputs(context)
    for stage in stages:
        emit(event="stage", stage=stage, state="started")
        if stage == stages[0] and "folds" not in stages:
            _require_floors(context)
        _run(stage, context, progress)
        emit(event="stage", stage=stage, state="done")


def _run(stage: Stage, context: Context, progress: _Progress) -> None:
    match stage:
        case "align":
            align(context)
            if context.spec.align.selects_rows() and "folds" not in context.spec.stages():
                _require_floors(context)
        case "folds":
            cross_validate(context, _trainer(context, curve_wanted=False), _scorer(context))
        case "prepare":
            prepare(context)
        case "label":
            progress.labels = join_labels(context)
        case "train":
            progress.model = _trainer(context)(context, _made(progress.labels))
        case "explain":
            explain(context, _made(progress.model))
        case "import":
            progress.model = import_model(context)
        case "save":
            save(context, _made(progress.model))
            if context.spec.train.checkpoint_every or context.spec.resume is not None:
                drop_checkpoints(context)
            progress.model = None
            forget_preparations(context)
        case "load":
            progress.model = _load(context)
        case "predict" if context.pieces:
            progress.scores = predict_in_pieces(context, _made(progress.model), _scorer(context))
        case "predict":
            progress.scores = _scorer(context)(context, _made(progress.model))
            deliver_predictions(context, progress.scores, progress.labels)
        case "evaluate":
            if context.spec.evaluator() is not None:
                evaluate(context, _made(progress.scores), progress.labels)
        case "export":
            export(context, _made(progress.model))


def _trainer(context: Context, curve_wanted: bool = True) -> Callable[[Context, Labels], Any]:
    if context.spec.engine() == "ss_xgb":
        return train_on_shares
    return functools.partial(train, curve_wanted=curve_wanted)


def _scorer(context: Context) -> Callable[[Context, Any], Scores]:
    return score_on_shares if context.spec.engine() == "ss_xgb" else SCORERS[context.spec.predict_mode()]


def _load(context: Context) -> Any:
    """The model as the stage after it takes it: assembled, all parts at one party, or each part at its own."""
    at = context.spec.assembles_at()
    if at is not None:
        return collect_parts(context, at)
    return own_parts(context) if "export" in context.spec.stages() else load(context)


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
