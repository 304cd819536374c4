"""Settings of prediction that contradict each other or the policy."""

from __future__ import annotations

from runner.errors import SpecError
from runner.spec.model import Spec
from runner.spec.suggest import require_known


def check_predict(spec: Spec) -> None:
    mode, forms = spec.predict_mode(), {*spec.policy.predictions.forms.values(), spec.policy.predictions.form}
    if spec.needs_spu() and spec.cluster.mode == "debug":
        raise SpecError(
            "cluster=debug cannot compute on secret shares",
            where="cluster.mode",
            why="SecretFlow has no SPU in one process; joint and secret labels and sealed prediction need it",
            fix="use cluster=local",
        )
    _check_evaluate(spec)
    if "predict" not in spec.stages():
        return
    if spec.engine() == "ss_xgb" and mode != "sealed":
        raise SpecError(
            f"predict.mode = {mode!r} does not fit label.mode = 'secret'",
            where="predict.mode",
            why="a model on secret shares is applied on secret shares",
            fix="set predict.mode=sealed or auto",
        )
    if mode == "sealed" and forms & {"rounded", "top_k"}:
        raise SpecError(
            "a sealed prediction opens scores or classes only",
            where="policy.predictions.form",
            why="rounding and ranking are not done on secret shares, and nobody else sees the scores to do it",
            fix="set policy.predictions.form to score or class",
        )
    if spec.sgb.objective in ("linear", "tweedie") and "class" in forms:
        raise SpecError(
            f"objective {spec.sgb.objective!r} has no classes",
            where="policy.predictions.form",
            why="classes are those of a logistic or multiclass model",
            fix="set policy.predictions.form to score or rounded",
        )
    if spec.policy.predictions.own_rows:
        _check_own_rows(spec)
    if mode == "complete":
        _check_complete(spec)
    elif spec.predict.at is not None:
        raise SpecError(
            "predict.at has no effect",
            where="predict.at",
            why=f"predict.mode is {mode}",
            fix="remove predict.at, or set predict.mode=complete",
        )


def _check_evaluate(spec: Spec) -> None:
    settings = spec.evaluate
    if len(set(settings.thresholds)) != len(settings.thresholds):
        raise SpecError(
            "a threshold is named twice",
            where="evaluate.thresholds",
            why="each is one line of a table",
            fix="name each once",
        )
    if settings.group_by is not None and spec.task.to_run() == "cv":
        raise SpecError(
            f"evaluate.group_by = {settings.group_by!r} has no effect",
            where="evaluate.group_by",
            why="a cross-validation tells the metrics of each fold, and of no group",
            fix="remove it, or use task=train_predict",
        )
    if settings.group_by is not None and "evaluate" in spec.stages() and spec.evaluator() is None:
        raise SpecError(
            f"evaluate.group_by = {settings.group_by!r} has no effect",
            where="evaluate.group_by",
            why="label.predict=none says that there are no labels to compare with",
            fix="remove it, or set label.predict",
        )


def _check_own_rows(spec: Spec) -> None:
    for party in spec.prediction_recipients():
        if party in spec.tables_here() and spec.data.tables[party].owns is None:
            raise SpecError(
                f"{party}'s table marks no rows as its own",
                where=f"data.tables.{party}.owns",
                why="with policy.predictions.own_rows=true a recipient gets its own rows and no others",
                fix=f"name the boolean column of {party}'s table that marks them, or take {party} off "
                "policy.predictions.recipients",
            )


def _check_complete(spec: Spec) -> None:
    at = spec.predict.at
    if spec.explain.importance:
        raise SpecError(
            "a model in one place is not explained",
            where="explain.importance",
            why="importance is computed by each party over its own features",
            fix="set explain.importance=false, or predict.mode=auto",
        )
    if at is None:
        raise SpecError(
            "nobody is named to hold the complete model",
            where="predict.at",
            why="predict.mode=complete assembles the model at one party",
            fix="set predict.at to the party that has all features of the new rows",
        )
    require_known(at, spec.parties, "predict.at")
    if spec.task.to_run() != "predict" or set(spec.data.tables) != {at}:
        raise SpecError(
            "predict.mode=complete needs one table with all features",
            where="data.tables",
            why=f"{at} predicts alone, with task=predict",
            fix=f"use task=predict, and data with one table, {at}'s, that has every party's features",
        )
    for party in spec.prediction_recipients():
        if party != at:
            raise SpecError(
                f"{party} cannot get predictions of rows that it does not have",
                where="policy.predictions.recipients",
                why=f"{at} predicts alone, on a table of its own",
                fix=f"set policy.predictions.recipients=[{at}]",
            )
    if spec.evaluator() is not None and (spec.evaluator() != at or set(spec.label.columns()) - {at}):
        raise SpecError(
            f"there are no labels to compare {at}'s predictions with",
            where="label.predict",
            why=f"{at} predicts alone, and the labels of label.predict={spec.label.predict} are not all {at}'s",
            fix=f"set label.predict=none, or label.predict={at} and label.predict_column",
        )
