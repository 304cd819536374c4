"""Settings of the learning task that contradict each other: several classes, weights, the base score, constraints."""

from __future__ import annotations

from collections.abc import Iterator

from runner.errors import SpecError
from runner.spec.label import SecretLabel, SingleLabel
from runner.spec.model import Spec


def check_objective(spec: Spec) -> None:
    if spec.sgb.monotone_constraints is not None:
        raise SpecError(
            "SGB cannot hold its splits to a direction",
            where="sgb.monotone_constraints",
            why="SecretFlow 1.14's label holder chooses splits among shuffled sums, of which it must not know the "
            "feature or the order, and leaf weights have no bounds",
            fix="remove sgb.monotone_constraints; whether a feature acts in one direction can be tested on predictions",
        )
    _check_base_score(spec)
    _check_weights(spec)
    if spec.sgb.objective == "multiclass":
        for where, wrong, why, fix in _beyond_multiclass(spec):
            if wrong:
                setting = where.partition("=")[0]
                raise SpecError(f"sgb.objective=multiclass does not go with {where}", where=setting, why=why, fix=fix)


def _check_base_score(spec: Spec) -> None:
    if spec.sgb.base_score != "auto":
        return
    if isinstance(spec.label, SecretLabel):
        raise SpecError(
            "sgb.base_score = 'auto' cannot be used with a secret label",
            where="sgb.base_score",
            why="it is made of the label's mean, which nobody may see",
            fix="give a number, or choose another label mode",
        )
    if spec.task.to_run() == "import":
        raise SpecError(
            "sgb.base_score = 'auto' makes no sense of a model that is trained already",
            where="sgb.base_score",
            why="it is made in training, of the label's mean",
            fix="give the base score of the model that is brought in",
        )


def _check_weights(spec: Spec) -> None:
    label = spec.label
    used = [name for name in ("weight", "class_weight") if getattr(label, name) is not None]
    if not used:
        return
    where = f"label.{used[0]}"
    if isinstance(label, SecretLabel):
        raise SpecError(
            f"{where} cannot be used with a secret label",
            where=where,
            why="weights multiply gradients, which nobody sees there",
            fix=f"remove {where}, or choose another label mode",
        )
    if label.class_weight is not None and spec.sgb.objective in ("linear", "tweedie"):
        raise SpecError(
            f"objective {spec.sgb.objective!r} has no classes to weigh",
            where="label.class_weight",
            why="its label is a number",
            fix="remove label.class_weight; label.weight gives each row a weight",
        )
    if label.weight is not None and label.weight in (*spec.data.id_columns(), label.columns().get(label.holder)):
        raise SpecError(
            f"column {label.weight!r} is also the id or the label",
            where="label.weight",
            why="a weight says how much a row counts, and is nothing else",
            fix="name the column of weights",
        )
    if spec.sgb.enable_goss:
        raise SpecError(
            f"{where} does not go with sgb.enable_goss",
            where=where,
            why="SecretFlow 1.14 does not bring weights and the rows that GOSS samples together",
            fix="set sgb.enable_goss=false and sgb.rowsample_by_tree to a share of the rows",
        )


def _beyond_multiclass(spec: Spec) -> Iterator[tuple[str, bool, str, str]]:
    """Where, whether it is so, why it cannot be, what to do."""
    stages, plan = spec.stages(), spec.task.to_run()
    forms = {*spec.policy.predictions.forms.values(), spec.policy.predictions.form}
    yield (
        f"label.mode={spec.label.mode}",
        not isinstance(spec.label, SingleLabel),
        "the classes are told apart where one party has the whole label",
        "use label=single, or sgb.objective=logistic",
    )
    yield (
        f"predict.mode={spec.predict_mode()}",
        "predict" in stages and spec.predict_mode() != "open_to_label_holder",
        "the classes' scores are normalised where the label holder sees them all",
        "set predict.mode=open_to_label_holder, and let policy.predictions give the label holder the scores",
    )
    yield (
        "policy.predictions.form=top_k",
        "predict" in stages and "top_k" in forms,
        "each class has a ranking of its own",
        "set policy.predictions.form to score, rounded or class",
    )
    yield (
        f"task={plan}",
        plan in ("export", "import"),
        "the other formats hold one model, and this is one for each class",
        "apply the model with task=predict",
    )
    for where, used in (("train.checkpoint_every", spec.train.checkpoint_every > 0), ("resume", bool(spec.resume))):
        yield (
            where,
            used and "train" in stages,
            "a checkpoint holds the state of one model's training, and here are several",
            "set train.checkpoint_every=0, and train from the start",
        )
