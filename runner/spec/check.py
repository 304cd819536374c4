"""Settings that are each valid and contradict each other."""

from __future__ import annotations

import os
from collections.abc import Iterable

from runner.errors import SpecError
from runner.spec.label import NONE, SAME, JointLabel, RowShardedLabel, SecretLabel
from runner.spec.model import (
    ALL,
    APPLIES_MODEL,
    COMPLETE_FORMATS,
    PLAIN_SCHEMES,
    RECIPIENT_KINDS,
    RESERVED_NAMES,
    Spec,
)
from runner.spec.suggest import advise

METRICS_BY_OBJECTIVE = {
    "logistic": ("roc_auc",),
    "linear": ("mse", "rmse"),
    "tweedie": ("tweedie_nll", "tweedie_deviance"),
}
LEAST_BIN_WIDTH = 0.008  # SecretFlow keeps bin numbers in eight signed bits: more than 127 bins end in a crash
LEAST_KEY_BITS = 2048


def check(spec: Spec) -> None:
    """Refuse a spec whose settings contradict each other.

    Raises:
        SpecError: naming the first contradiction.
    """
    _check_parties(spec)
    _check_label(spec)
    _check_policy(spec)
    _check_predict(spec)
    _check_sgb(spec)
    _check_crypto(spec)
    _check_task(spec)
    _check_checkpoints(spec)


def _check_task(spec: Spec) -> None:
    plan = spec.task.to_run()
    if plan not in APPLIES_MODEL and spec.model is not None:
        raise SpecError(
            f"model = {spec.model!r} has no effect",
            where="model",
            why=f"task={spec.task.name} makes a model of its own",
            fix="remove model=…, or use task=predict",
        )
    for party, trained in spec.roles.items():
        _known(party, spec.parties, f"roles.{party}")
        if spec.model is None or list(map(spec.trained_as, spec.parties)).count(trained) > 1:
            raise SpecError(
                f"roles.{party} = {trained!r} is not valid",
                where=f"roles.{party}",
                why="roles say who was who in the training of model, and no two parties were one",
                fix="give model=RUN with it, and each of the training's parties once",
            )
    if spec.task.name in APPLIES_MODEL and spec.model is None:
        raise SpecError(
            f"no model to {spec.task.name}",
            where="model",
            why=f"task={spec.task.name} begins with a saved model",
            fix="add model=<run folder of an earlier run>, for instance the one its summary printed",
        )
    _check_export(spec)
    _check_import(spec)


def _check_export(spec: Spec) -> None:
    form, at = spec.export.format, spec.export.at
    if spec.task.to_run() != "export" or form not in COMPLETE_FORMATS:
        if at is not None:
            raise SpecError(
                "export.at has no effect",
                where="export.at",
                why="only task=export with export.format=xgboost or onnx brings a model to one party",
                fix="remove export.at",
            )
    elif at is None:
        raise SpecError(
            "nobody is named to hold the complete model",
            where="export.at",
            why=f"a file for {form} has every party's part of the model in it",
            fix="set export.at to the party that may have the complete model",
        )
    else:
        _known(at, spec.parties, "export.at")
    if spec.task.to_run() in ("export", "import") and spec.engine() == "ss_xgb":
        raise SpecError(
            f"a model with a secret label has no {spec.task.to_run()}",
            where="label.mode",
            why="its leaf weights exist as secret shares only, and no other program's file holds shares",
            fix="use it with task=predict; or train with another label mode",
        )


def _check_import(spec: Spec) -> None:
    folders = spec.import_from
    if spec.task.to_run() != "import":
        if folders is not None:
            raise SpecError(
                "import_from has no effect",
                where="import_from",
                why=f"task={spec.task.name} brings no model in",
                fix="remove import_from=…, or use task=import",
            )
        return
    if spec.task.name == "check" and folders is None:
        return
    for party in folders or ():
        _known(party, spec.parties, f"import_from.{party}")
    for party in spec.party_order():
        if party not in (folders or {}):
            raise SpecError(
                f"{party}'s part of the model is not given",
                where=f"import_from.{party}",
                why="each party brings the folder that SecretFlow's save_model wrote for it",
                fix="write import_from={" + ", ".join(f"{party}: <folder>" for party in sorted(spec.parties)) + "}",
            )


def _check_checkpoints(spec: Spec) -> None:
    """Refuse checkpoints, and going on from one, where a training has a state that they do not hold."""
    if spec.resume is not None and spec.task.to_run() == "predict":
        raise SpecError(
            f"resume = {spec.resume!r} has no effect",
            where="resume",
            why="task=predict trains nothing",
            fix="remove resume=…, or use task=train or task=train_predict",
        )
    where = "resume" if spec.resume is not None else "train.checkpoint_every" if spec.train.checkpoint_every else None
    if where is None or "train" not in spec.stages():
        return
    if spec.engine() == "ss_xgb":
        raise SpecError(
            "a training with a secret label has no checkpoints",
            where=where,
            why="its state exists as secret shares only, which end with the run",
            fix="set train.checkpoint_every=0, or choose another label mode",
        )
    if spec.sgb.enable_early_stop:
        raise SpecError(
            "a training with early stopping has no checkpoints",
            where=where,
            why="what early stopping remembers of the trees before is not in a checkpoint",
            fix="set train.checkpoint_every=0, or sgb.enable_early_stop=false",
        )


def _check_parties(spec: Spec) -> None:
    parties = set(spec.parties)
    for party in sorted(parties & set(RESERVED_NAMES)):
        raise SpecError(
            f"{party!r} cannot be a party's name",
            where=f"parties.{party}",
            why="the word has a meaning of its own in policies and flows",
            fix="choose another name",
        )
    _known(spec.label.holder, parties, "label.holder")
    for table in spec.tables():
        _known(table, parties, f"data.tables.{table}")
    if spec.task.to_run() != "export" and not spec.predicts_alone():
        _check_tables(spec)
    if spec.cluster.viewer is not None:
        _known(spec.cluster.viewer, parties, "cluster.viewer")
    for party in spec.cluster.ports:
        _known(party, parties, f"cluster.ports.{party}")
    if len(set(spec.cluster.ports.values())) != len(spec.cluster.ports):
        raise SpecError(
            "two parties have one port",
            where="cluster.ports",
            why="each party's process listens on a port of its own",
            fix="give different ports, or none: then the system chooses free ones",
        )


def _check_tables(spec: Spec) -> None:
    if len(spec.data.tables) < 2:
        raise SpecError(
            f"{len(spec.data.tables)} party has features",
            where="data.tables",
            why="SGB joins the columns of at least two parties",
            fix="give a table for each party that owns features",
        )
    for party in sorted(set(spec.parties) - set(spec.data.tables)):
        raise SpecError(
            f"party {party!r} has no table",
            where=f"data.tables.{party}",
            why="every party of a run brings columns",
            fix=f"add data.tables.{party}, or leave the party out of parties",
        )


def _known(party: str, parties: Iterable[str], where: str) -> None:
    if party not in parties:
        raise SpecError(
            f"{party!r} is no party", where=where, why="it is not listed under parties", fix=advise(party, parties)
        )


def _check_label(spec: Spec) -> None:
    label, parties = spec.label, set(spec.parties)
    for party in label.columns():
        _known(party, parties, "label")
    marks = {table.owns for table in spec.data.tables.values()}
    if spec.data.id in {*label.columns().values(), label.predict_column, *marks}:
        raise SpecError(
            f"the id column {spec.data.id!r} is also the label, or the mark of own rows",
            where="label.column",
            why="ids put rows in order, and are nothing else",
            fix="name the label's own column",
        )
    if isinstance(label, RowShardedLabel):
        _check_owners(label)
    if label.predict not in (SAME, NONE):
        _known(label.predict, {*parties, SAME, NONE}, "label.predict")
        if label.predict_column is None and label.predict not in label.columns():
            raise SpecError(
                f"{label.predict} has no column with labels to compare with",
                where="label.predict_column",
                why=f"in training {label.predict} owns no label",
                fix="name the column with label.predict_column=…",
            )
    if isinstance(label, (JointLabel, SecretLabel)):
        _check_combination(spec, label)


def _check_owners(label: RowShardedLabel) -> None:
    if len(set(label.owners)) != len(label.owners):
        raise SpecError("an owner is named twice", where="label.owners", why="each is one party", fix="name each once")
    if label.on_conflict == "holder" and label.holder not in label.owners:
        raise SpecError(
            "the label holder cannot decide a conflict",
            where="label.on_conflict",
            why=f"{label.holder} owns no labels itself",
            fix="set label.on_conflict to error or any, or add the label holder to label.owners",
        )


def _check_combination(spec: Spec, label: JointLabel | SecretLabel) -> None:
    parties = len(spec.parties)
    if (label.rule == "threshold") != (label.threshold is not None):
        raise SpecError(
            "label.rule and label.threshold do not fit",
            where="label.threshold",
            why="rule=threshold compares the sum of the inputs with label.threshold, and no other rule uses it",
            fix="give both or neither",
        )
    if (label.protocol == "aby3" and parties != 3) or (label.protocol == "cheetah" and parties != 2):
        raise SpecError(
            f"protocol {label.protocol} does not fit {parties} parties",
            where="label.protocol",
            why="ABY3 is for three parties, Cheetah for two",
            fix="set label.protocol=auto",
        )
    if label.rule in ("sum", "mean") and spec.sgb.objective == "logistic":
        raise SpecError(
            f"rule {label.rule} does not fit objective 'logistic'",
            where="label.rule",
            why="a logistic label is 0 or 1, and a sum or a mean is any number",
            fix="set sgb.objective=linear, or label.rule to any, all, majority or threshold",
        )
    if isinstance(label, SecretLabel):
        _check_secret(spec)


def _check_secret(spec: Spec) -> None:
    """SS-XGB knows fewer settings than SGB; a setting that it would not heed is refused."""
    sgb = spec.sgb
    ignored = {
        "objective": sgb.objective == "tweedie",
        "tree_growing_method": sgb.tree_growing_method != "level",
        "gamma": sgb.gamma != 0,
        "enable_goss": sgb.enable_goss,
        "enable_monitor": sgb.enable_monitor,
        "enable_early_stop": sgb.enable_early_stop,
        "enable_quantization": sgb.enable_quantization,
        "enable_packbits": sgb.enable_packbits,
    }
    for name, wrong in ignored.items():
        if wrong:
            raise SpecError(
                f"sgb.{name} = {getattr(sgb, name)!r} cannot be used with a secret label",
                where=f"sgb.{name}",
                why="training on secret shares (SS-XGB) has no such setting",
                fix=f"leave sgb.{name} at its default, or choose another label mode",
            )
    if spec.label.predict == SAME and "evaluate" in spec.stages():
        raise SpecError(
            "nobody can compare predictions with a label that nobody sees",
            where="label.predict",
            why="label.mode=secret keeps the label on secret shares",
            fix="set label.predict=none, or to a party that has labels of its own (label.predict_column)",
        )
    if spec.explain.importance:
        raise SpecError(
            "a model on secret shares has no feature importance",
            where="explain.importance",
            why="the gains of its splits are never opened",
            fix="set explain.importance=false",
        )


def _check_policy(spec: Spec) -> None:
    allowed = {*spec.parties, ALL}
    policy = spec.policy
    named: dict[str, Iterable[str]] = {
        "predictions.forms": policy.predictions.forms,
        "labels.presence": policy.labels.presence,
        **{f"{kind}.recipients": getattr(policy, kind).recipients for kind in RECIPIENT_KINDS},
    }
    for where, recipients in named.items():
        seen = set()
        for party in recipients:
            _known(party, allowed, f"policy.{where}")
            if party in seen:
                raise SpecError(
                    f"{party} is named twice", where=f"policy.{where}", why="each is one party", fix="name each once"
                )
            seen.add(party)


def _check_predict(spec: Spec) -> None:
    mode, forms = spec.predict_mode(), {*spec.policy.predictions.forms.values(), spec.policy.predictions.form}
    if spec.needs_spu() and spec.cluster.mode == "debug":
        raise SpecError(
            "cluster=debug cannot compute on secret shares",
            where="cluster.mode",
            why="SecretFlow has no SPU in one process; joint and secret labels and sealed prediction need it",
            fix="use cluster=local",
        )
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
    if spec.sgb.objective != "logistic" and "class" in forms:
        raise SpecError(
            f"objective {spec.sgb.objective!r} has no classes",
            where="policy.predictions.form",
            why="classes are those of a logistic model",
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


def _check_own_rows(spec: Spec) -> None:
    for party in spec.prediction_recipients():
        if party in spec.data.tables and spec.data.tables[party].owns is None:
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
    _known(at, spec.parties, "predict.at")
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


def _check_sgb(spec: Spec) -> None:
    sgb = spec.sgb
    if sgb.sketch_eps < LEAST_BIN_WIDTH:
        raise SpecError(
            f"sgb.sketch_eps = {sgb.sketch_eps} makes more than 127 bins",
            where="sgb.sketch_eps",
            why="SecretFlow 1.14 numbers bins in eight bits and crashes beyond",
            fix=f"set sgb.sketch_eps to a number >= {LEAST_BIN_WIDTH}",
        )
    allowed = METRICS_BY_OBJECTIVE[sgb.objective]
    if (sgb.enable_monitor or sgb.enable_early_stop) and sgb.eval_metric not in allowed:
        raise SpecError(
            f"metric {sgb.eval_metric!r} does not fit objective {sgb.objective!r}",
            where="sgb.eval_metric",
            why="it is not defined for such predictions",
            fix=advise(sgb.eval_metric, allowed),
        )
    if sgb.save_best_model and not sgb.enable_early_stop:
        raise SpecError(
            "sgb.save_best_model has no effect",
            where="sgb.save_best_model",
            why="the best model is known only with early stopping",
            fix="set sgb.enable_early_stop=true, or sgb.save_best_model=false",
        )
    if sgb.enable_goss and sgb.top_rate + sgb.bottom_rate >= 1:
        raise SpecError(
            f"sgb.top_rate + sgb.bottom_rate = {sgb.top_rate + sgb.bottom_rate:g}",
            where="sgb.top_rate",
            why="GOSS samples both shares from one set of rows",
            fix="make their sum less than 1",
        )
    if sgb.enable_goss and sgb.rowsample_by_tree < 1:
        raise SpecError(
            "rows are sampled twice",
            where="sgb.rowsample_by_tree",
            why="GOSS chooses the rows itself",
            fix="set sgb.rowsample_by_tree=1.0, or sgb.enable_goss=false",
        )


def _check_crypto(spec: Spec) -> None:
    """Schemes and key sizes that protect nothing pass under pytest only, where nothing real is trained."""
    if "PYTEST_CURRENT_TEST" in os.environ:
        return
    if spec.crypto.scheme in PLAIN_SCHEMES:
        raise SpecError(
            f"crypto.scheme = {spec.crypto.scheme!r} encrypts nothing",
            where="crypto.scheme",
            why="gradients would reach the other parties in the clear",
            fix="use crypto=ou (fast) or crypto=paillier",
        )
    if spec.crypto.key_bits < LEAST_KEY_BITS:
        raise SpecError(
            f"crypto.key_bits = {spec.crypto.key_bits} is too short",
            where="crypto.key_bits",
            why="keys under 2048 bits can be broken",
            fix="set crypto.key_bits to 2048 or 3072",
        )
