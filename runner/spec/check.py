"""Settings that are each valid and contradict each other."""

from __future__ import annotations

import os
from collections.abc import Iterable

from runner.errors import SpecError
from runner.spec.model import PLAIN_SCHEMES, Spec
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
    _check_sgb(spec)
    _check_crypto(spec)
    if spec.task.name == "predict" or (spec.task.name == "check" and spec.task.plan == "predict"):
        if spec.model is None and spec.task.name == "predict":
            raise SpecError(
                "no model to predict with",
                where="model",
                why="task=predict applies a saved model",
                fix="add model=<run folder of an earlier run>, for instance the one its summary printed",
            )
    elif spec.model is not None:
        raise SpecError(
            f"model = {spec.model!r} has no effect",
            where="model",
            why=f"task={spec.task.name} trains a model of its own",
            fix="remove model=…, or use task=predict",
        )


def _check_parties(spec: Spec) -> None:
    parties = set(spec.parties)
    if len(spec.data.tables) < 2:
        raise SpecError(
            f"{len(spec.data.tables)} party has features",
            where="data.tables",
            why="SGB joins the columns of at least two parties",
            fix="give a table for each party that owns features",
        )
    _known(spec.label.holder, parties, "label.holder")
    for table in spec.data.tables:
        _known(table, parties, f"data.tables.{table}")
    for party in sorted(parties - set(spec.data.tables)):
        raise SpecError(
            f"party {party!r} has no table",
            where=f"data.tables.{party}",
            why="every party of a run brings columns",
            fix=f"add data.tables.{party}, or leave the party out of parties",
        )
    _recipients(spec.policy.predictions.recipients, parties, "policy.predictions.recipients")
    _recipients(spec.policy.metrics.recipients, parties, "policy.metrics.recipients")
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
    if spec.data.id == spec.label.column:
        raise SpecError(
            f"the id column {spec.data.id!r} is also the label",
            where="label.column",
            why="ids put rows in order and never train a model",
            fix="name the label's own column",
        )


def _known(party: str, parties: Iterable[str], where: str) -> None:
    if party not in parties:
        raise SpecError(
            f"{party!r} is no party", where=where, why="it is not listed under parties", fix=advise(party, parties)
        )


def _recipients(recipients: tuple[str, ...], parties: Iterable[str], where: str) -> None:
    for party in recipients:
        _known(party, parties, where)
    if len(set(recipients)) != len(recipients):
        raise SpecError("a recipient is named twice", where=where, why="each is one party", fix="name each party once")


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
