"""Stage `label`: bring the parts of the training label together, as far as the label mode and the policy let them."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from secretflow.device import PYUObject, SPUObject

from runner.engine.site import Site
from runner.errors import DataError
from runner.policy.audit import payload_bytes
from runner.policy.flows import COMBINED, LABEL_COLUMN, OWN_LABELS, label_form
from runner.spec.label import JointLabel, RowShardedLabel, SecretLabel, SingleLabel
from runner.spec.model import Stage
from runner.stages.context import Context

BINARY_RULES = ("any", "all", "majority")
LARGEST_INPUT = 2**24  # of a number that enters the SPU; as float32 there and back, it keeps some seven digits


@dataclass(frozen=True)
class Labels:
    """The label of all rows.

    Attributes:
        value: shape (rows,), float64, NaN where a row has none: at the label holder, or in the SPU (secret mode: of the
            training rows only, shape (rows, 1)).
        present: party → which rows have a label, where rows without one are dropped; else None.
    """

    value: PYUObject | SPUObject
    present: Mapping[str, PYUObject] | None = None


def join_labels(context: Context, stage: Stage = "label") -> Labels:
    """Make the label from its parts.

    Raises:
        DataError: at the label holder, where rows have no label or two different ones and no rule says what to do, or
            where the result is constant. Counts are told, values never.
    """
    label = context.spec.label
    match label:
        case SingleLabel():
            return Labels(context.at(label.holder, lambda site: _noted(site, _own_label(site), stage)))
        case RowShardedLabel():
            return _join_shards(context, label, stage)
        case JointLabel():
            combined = _combine(context, label, stage)
            form = label_form(context.spec, COMBINED.format(rule=label.rule))
            value = context.gate.deliver(combined, label.holder, stage=stage, kind="labels", form=form)
            objective = context.spec.sgb.objective

            def checked(site: Site, value: Any) -> Any:
                return _in_domain(_checked(site, value, stage), objective)

            return Labels(context.at(label.holder, checked, value))
        case SecretLabel():
            return Labels(_combine(context, label, stage))


def training_label(context: Context) -> PYUObject | SPUObject:
    """The label of all rows as training may know it, whether they are held out or not; see :func:`join_labels`."""
    label = context.spec.label
    if isinstance(label, SingleLabel):
        return context.at(label.holder, lambda site: _noted(site, site.table.training_label, "label"))
    return join_labels(context).value


def _own_label(site: Site) -> Any:
    """One owner's label; with noise, the true one of the rows that are held out: it does not leave the owner."""
    true, noisy = site.table.label, site.table.noisy
    return true if true is None or noisy is None else np.where(site.table.test, true, noisy)


def _join_shards(context: Context, label: RowShardedLabel, stage: Stage) -> Labels:
    shards = []
    for owner in sorted(label.owners, key=lambda owner: (owner != label.holder, owner)):
        shard = context.at(owner, lambda site: site.table.training_label)
        if owner != label.holder:
            form = label_form(context.spec, OWN_LABELS)
            shard = context.gate.deliver(shard, label.holder, stage=stage, kind="labels", form=form)
        shards.append(shard)

    def join(site: Site, *shards: Any) -> Any:
        return _joined(np.vstack(shards), label, holder_owns=label.holder in label.owners)

    joined = context.at(label.holder, join, *shards)
    value = context.at(label.holder, lambda site, value: _checked(site, value, stage), joined)
    if label.on_missing == "error":
        return Labels(value)
    known = context.at(label.holder, lambda site, value: ~np.isnan(value), value)
    present = {label.holder: known}
    for party in context.spec.party_order()[1:]:
        present[party] = context.gate.deliver(
            known, party, stage=stage, kind="label_presence", form="which rows have a label"
        )
    return Labels(value, present)


def _joined(shards: Any, label: RowShardedLabel, *, holder_owns: bool) -> Any:
    """One label per row from one shard a line (the holder's first); NaN is no label."""
    known = ~np.isnan(shards)
    low = np.min(np.where(known, shards, np.inf), axis=0)
    high = np.max(np.where(known, shards, -np.inf), axis=0)
    covered = known.any(axis=0)
    conflicts = int(np.sum(covered & (low != high)))
    missing = int(np.sum(~covered))
    if conflicts and label.on_conflict == "error":
        raise DataError(
            f"{conflicts} rows have labels that differ",
            where="label.owners",
            why="two owners each have a label for them, and not the same",
            fix="let each row have one owner, or set label.on_conflict to any (the larger counts) or holder",
        )
    if missing and label.on_missing == "error":
        raise DataError(
            f"{missing} rows have no label",
            where="label.owners",
            why="no owner has a label for them",
            fix="bring the labels, or set label.on_missing=drop",
        )
    value = np.where(covered, high, np.nan)
    if label.on_conflict == "holder" and holder_owns:
        value = np.where(known[0], shards[0], value)
    return value


def _checked(site: Site, value: Any, stage: Stage) -> Any:
    """The joined label, if a model can be trained on it."""
    value = np.asarray(value, dtype=np.float64).reshape(-1)
    training = value[~site.table.test]
    if training.size and len(np.unique(training[~np.isnan(training)])) < 2:
        raise DataError(
            "the joined label is constant in the training rows",
            where="label",
            why="a model cannot learn to tell apart what is all the same",
            fix="look at label.rule and label.threshold, or bring more rows",
        )
    return _noted(site, value, stage)


def _noted(site: Site, value: Any, stage: Stage) -> Any:
    site.note(stage, "label", payload_bytes(value))
    return value


def _in_domain(value: Any, objective: str) -> Any:
    """The label, if the objective can take it: what each owner's contract cannot know of a sum."""
    below = int(np.sum(value < 0))
    if objective == "tweedie" and below:
        raise DataError(
            f"{below} rows have a joined label below 0",
            where="label.rule",
            why="objective 'tweedie' is for labels of at least 0",
            fix="use sgb.objective=linear, or look at the columns in label.inputs",
        )
    return value


def _combine(context: Context, label: JointLabel | SecretLabel, stage: Stage) -> SPUObject:
    """The rule over the owners' columns, computed on secret shares."""
    secret = isinstance(label, SecretLabel)

    def column(site: Site) -> Any:
        label_column = site.table.training_label
        if label_column is None:
            raise DataError(
                f"{site.party} has no label column",
                where="label.inputs",
                why="its table was read without one",
                fix="report this: the contract should have been checked",
            )
        values = label_column[~site.table.test] if secret else label_column
        if np.abs(values).max(initial=0) > LARGEST_INPUT:
            raise DataError(
                f"{site.party}'s label column holds values that are too large",
                where="label.inputs",
                why=f"SPU computes with fixed-point numbers below {LARGEST_INPUT}",
                fix="use a smaller unit, thousands for instance",
            )
        return as_input(label.rule, values, len(label.inputs))

    form = label_form(context.spec, LABEL_COLUMN)
    shares = [
        context.gate.share(context.at(owner, column), context.spu, stage=stage, kind="shares", form=form)
        for owner in label.inputs
    ]
    rule, threshold = label.rule, label.threshold or 0.0

    def combine(columns: list[Any]) -> Any:
        return apply_rule(rule, columns, threshold)

    return context.spu(combine)(shares)


def as_input(rule: str, values: Any, owners: int) -> Any:
    """An owner's column as it enters the SPU: shape (rows,), int32 for rules of 0/1 columns, else float32.

    For ``mean`` the owner divides: a product of two fractions in the SPU would overflow its 64 bits.
    """
    if rule in BINARY_RULES:
        return values.astype(np.int32)
    return (values / owners if rule == "mean" else values).astype(np.float32)


def apply_rule(rule: str, columns: list[Any], threshold: float) -> Any:
    """The label of each row from what :func:`as_input` made of the owners' columns; runs on shares.

    ``any``/``all``: one / every 0/1 column is 1. ``majority``: more than half are. ``sum``, ``mean``: of the columns.
    ``threshold``: 1 where the sum is at least ``threshold``. 0/1 columns come as integers, so that these are exact.
    """
    total = functools.reduce(operator.add, columns)
    match rule:
        case "any":
            return 1 - functools.reduce(operator.mul, [1 - column for column in columns])
        case "all":
            return functools.reduce(operator.mul, columns)
        case "majority":
            return (2 * total > len(columns)).astype(jnp.int32)
        case "sum" | "mean":
            return total
        case "threshold":
            return (total >= threshold).astype(jnp.int32)
        case _:
            raise AssertionError(f"no rule {rule!r}")
