"""Settings of privacy=output_dp that contradict the rest."""

from __future__ import annotations

from collections.abc import Iterator

from runner.errors import SpecError
from runner.spec.model import Spec
from runner.spec.privacy import OutputDp

Finding = tuple[str, bool, str, str, str]


def check_budget(spec: Spec) -> None:
    budget = spec.policy.privacy.budget
    if budget is not None and budget.rule == "zcdp" and budget.delta == 0:
        raise SpecError(
            "a budget by zCDP needs a delta",
            where="policy.privacy.budget.delta",
            why="a sum of zCDP is converted to an epsilon at a delta above 0",
            fix="set it far below 1 / rows, for instance 1e-6; or take rule basic",
        )


def check_output(spec: Spec) -> None:
    if not isinstance(spec.privacy, OutputDp):
        return
    for what, wrong, where, why, fix in (*_of_plan(spec), *_of_scores(spec, spec.privacy)):
        if wrong:
            raise SpecError(what, where=where, why=why, fix=fix)


def _of_plan(spec: Spec) -> Iterator[Finding]:
    yield (
        "privacy=output_dp does not go with cross-validation",
        spec.task.to_run() == "cv",
        "privacy",
        "every row is a test row of one fold and a training row of the others, which noise on metrics does not protect",
        "set privacy=none, or measure with task=train_predict",
    )
    yield (
        "privacy=output_dp has no effect",
        "predict" not in spec.stages() or (spec.evaluator() is None and not _scores_leave(spec)),
        "privacy",
        "nothing of what this run releases would have noise: it evaluates nothing, and releases no noisy score",
        "leave it out; or set label.predict, for metrics, or privacy.scores_epsilon, for scores that other parties get",
    )
    yield (
        f"privacy=output_dp does not go with objective {spec.sgb.objective!r}",
        spec.sgb.objective != "logistic",
        "sgb.objective",
        "noise is as large as one row can change a number; counts by score and label have such a bound, and errors of "
        "unbounded numbers have none (scores of several classes are not counted)",
        "set sgb.objective=logistic, or privacy=none and give metrics to the evaluator alone",
    )
    yield (
        "metrics by group do not go with privacy=output_dp",
        spec.evaluate.group_by is not None,
        "evaluate.group_by",
        "they would need noise of their own for every group, and which groups there are is data, too",
        "remove evaluate.group_by",
    )


def _of_scores(spec: Spec, privacy: OutputDp) -> Iterator[Finding]:
    if privacy.scores_epsilon is None:
        return
    scorer = str(spec.predict.at) if spec.predict_mode() == "complete" else spec.label.holder
    yield (
        "scores get no noise in sealed prediction",
        spec.predict_mode() == "sealed",
        "privacy.scores_epsilon",
        "they exist as secret shares, until they are opened to their recipients",
        "set predict.mode=open_to_label_holder: the label holder then sees the scores, and adds noise for the others",
    )
    yield (
        f"privacy.scores_epsilon does not go with an evaluation at {spec.evaluator()}",
        spec.evaluator() not in (None, scorer),
        "label.predict",
        f"{scorer} computes the scores, and an evaluator gets them without noise",
        f"set label.predict to {scorer}, or to none",
    )
    yield (
        "privacy.scores_epsilon has no effect",
        not _scores_leave(spec),
        "privacy.scores_epsilon",
        f"{scorer} computes the scores, and no other party gets any",
        "remove it",
    )


def _scores_leave(spec: Spec) -> bool:
    if not isinstance(spec.privacy, OutputDp) or spec.privacy.scores_epsilon is None:
        return False
    scorer = spec.predict.at if spec.predict_mode() == "complete" else spec.label.holder
    return bool(set(spec.prediction_recipients()) - {scorer})
