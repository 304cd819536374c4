"""Settings that are each valid and contradict each other."""

from __future__ import annotations

import os
from collections.abc import Iterable

from runner.errors import SpecError
from runner.spec.check_align import check_align
from runner.spec.check_drift import check_drift
from runner.spec.check_label import check_label
from runner.spec.check_objective import check_objective
from runner.spec.check_output import check_budget, check_output
from runner.spec.check_predict import check_predict
from runner.spec.check_prepare import check_prepare
from runner.spec.check_privacy import check_privacy
from runner.spec.check_site import check_site
from runner.spec.check_source import check_sources
from runner.spec.check_sweep import check_sweep
from runner.spec.check_task import check_checkpoints, check_task
from runner.spec.check_tracking import check_tracking
from runner.spec.check_tune import check_tune
from runner.spec.model import PLAIN_SCHEMES, RESERVED_NAMES, Spec
from runner.spec.pieces import check_pieces
from runner.spec.policy import ALL, RECIPIENT_KINDS
from runner.spec.suggest import advise, require_known

METRICS_BY_OBJECTIVE = {
    "logistic": ("roc_auc",),
    "linear": ("mse", "rmse"),
    "tweedie": ("tweedie_nll", "tweedie_deviance"),
    "multiclass": ("roc_auc",),
}
LEAST_BIN_WIDTH = 0.008  # SecretFlow keeps bin numbers in eight signed bits: more than 127 bins end in a crash
LEAST_KEY_BITS = 2048


def check(spec: Spec) -> None:
    """Refuse a spec whose settings contradict each other.

    Raises:
        SpecError: naming the first contradiction.
    """
    _check_parties(spec)
    check_site(spec)
    check_sources(spec)
    check_align(spec)
    check_label(spec)
    check_prepare(spec)
    _check_policy(spec)
    check_objective(spec)
    check_privacy(spec)
    check_budget(spec)
    check_output(spec)
    check_predict(spec)
    check_pieces(spec)
    _check_sgb(spec)
    _check_crypto(spec)
    check_drift(spec)
    check_task(spec)
    check_checkpoints(spec)
    check_tune(spec)
    check_sweep(spec)
    check_tracking(spec)


def _check_parties(spec: Spec) -> None:
    parties = set(spec.parties)
    for party in sorted(parties & set(RESERVED_NAMES)):
        raise SpecError(
            f"{party!r} cannot be a party's name",
            where=f"parties.{party}",
            why="the word has a meaning of its own in policies and flows",
            fix="choose another name",
        )
    require_known(spec.label.holder, parties, "label.holder")
    for table in spec.tables():
        require_known(table, parties, f"data.tables.{table}")
    if spec.task.to_run() != "export" and not spec.predicts_alone():
        _check_tables(spec)
    if spec.cluster.viewer is not None:
        require_known(spec.cluster.viewer, parties, "cluster.viewer")
    for party in spec.cluster.ports:
        require_known(party, parties, f"cluster.ports.{party}")
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
            require_known(party, allowed, f"policy.{where}")
            if party in seen:
                raise SpecError(
                    f"{party} is named twice", where=f"policy.{where}", why="each is one party", fix="name each once"
                )
            seen.add(party)


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
