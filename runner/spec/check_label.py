"""Settings of the label that contradict each other or the rest."""

from __future__ import annotations

from runner.errors import SpecError
from runner.spec.label import NONE, SAME, JointLabel, RowShardedLabel, SecretLabel
from runner.spec.model import Spec
from runner.spec.suggest import require_known


def check_label(spec: Spec) -> None:
    label, parties = spec.label, set(spec.parties)
    for party in label.columns():
        require_known(party, parties, "label")
    marks = {table.owns for table in spec.data.tables.values()}
    others = {*label.columns().values(), label.predict_column, *marks}
    if column := next((name for name in spec.data.id_columns() if name in others), None):
        raise SpecError(
            f"the id column {column!r} is also the label, or the mark of own rows",
            where="label.column",
            why="ids put rows in order, and are nothing else",
            fix="name the label's own column",
        )
    if isinstance(label, RowShardedLabel):
        _check_owners(label)
    if label.predict not in (SAME, NONE):
        require_known(label.predict, {*parties, SAME, NONE}, "label.predict")
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
