"""Stage `folds`: cross-validation. Each fold's model is trained and measured in the same open processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from secretflow.device import PYUObject

from runner.data.folds import blocks_of, rows_of_fold
from runner.data.table import CheckedTable
from runner.data.usable import require_usable
from runner.engine.site import Site
from runner.files import write_json
from runner.policy.audit import payload_bytes
from runner.policy.flows import FOLD_METRICS, FOLDS
from runner.spec.model import Spec
from runner.stages.context import Context
from runner.stages.evaluate import assess
from runner.stages.floors import require_test_rows, require_training_rows
from runner.stages.labels import Labels, join_labels, training_label
from runner.stages.predict import Scores
from runner.stages.prepare import prepare

FOLDS_FILE = "cv.json"
Trainer = Callable[[Context, Labels], Any]
Scorer = Callable[[Context, Any], Scores]


def cross_validate(context: Context, train: Trainer, score: Scorer) -> None:
    """Train on the rows of all folds but one, measure on that one; for each fold. Write ``cv.json`` at each recipient.

    Preparations are fitted to a fold's training rows anew. No prediction leaves the evaluator, and no model is kept.
    Afterwards every row is a training row.

    Raises:
        DataError: where the rows cannot be dealt so.
        PolicyError: where a fold has fewer rows than a policy's floor.
    """
    cv, evaluator = context.spec.cv, str(context.spec.evaluator())
    whole = {party: site.table for party, site in context.sites.items()}
    blocks = _deal(context)
    found = []
    for fold in range(cv.folds):
        next(iter(context.sites.values())).emit(event="fold", fold=fold)
        take = _taker(context.spec, whole, fold)
        context.gate.finish([context.at(party, take, dealt) for party, dealt in blocks.items()])
        require_training_rows(context)
        require_test_rows(context)
        prepare(context)
        labels = join_labels(context)
        assessed, _ = assess(context, score(context, train(context, labels)), labels)
        found.append(context.at(evaluator, lambda site, assessed: assessed["headline"], assessed))
        context.gate.finish(found[-1])
    context.gate.finish(context.everywhere(lambda site: site.use_table(whole[site.party])))
    _deliver(context, context.at(evaluator, lambda site, *metrics: summarise(metrics), *found))


def summarise(metrics: Any) -> dict[str, Any]:
    """The metrics of each fold, their mean, and their sample standard deviation over the folds.

    The deviation says how much a fold differs from another; folds share training rows, so that it is no standard error
    of the mean (Bengio and Grandvalet, "No unbiased estimator of the variance of k-fold cross-validation", 2004).
    A metric that a fold does not define (None: the AUC of rows of one class) is left out of both; where too few folds
    define it, they are None.
    """
    known = {name: [fold[name] for fold in metrics if fold[name] is not None] for name in metrics[0]}
    return {
        "folds": list(metrics),
        "mean": {name: float(np.mean(values)) if values else None for name, values in known.items()},
        "sd": {name: float(np.std(values, ddof=1)) if len(values) > 1 else None for name, values in known.items()},
    }


def _deal(context: Context) -> Mapping[str, PYUObject]:
    """Each row's block, at every party."""
    spec = context.spec
    dealer = spec.cv.dealer(spec.label.holder)
    if dealer is None:
        return context.everywhere(lambda site: _dealt(context, site, None))
    if spec.cv.by == "stratified":
        values = training_label(context)
    else:
        values = context.at(dealer, lambda site: site.table.dealt_by)
    dealt = context.at(dealer, lambda site, values: _dealt(context, site, values), values)
    form = FOLDS[spec.cv.by]
    return {
        party: dealt
        if party == dealer
        else context.gate.deliver(dealt, party, stage="folds", kind="protocol", form=form)
        for party in context.devices
    }


def _dealt(context: Context, site: Site, values: Any) -> Any:
    cv = context.spec.cv
    return blocks_of(site.table.ids, cv.folds, cv.key, cv.by, values)


def _taker(spec: Spec, whole: Mapping[str, CheckedTable], fold: int) -> Callable[[Site, Any], None]:
    """Give a party the rows of one fold, of which some are held out; a fold that leaves no two labels is refused."""

    def take(site: Site, blocks: Any) -> None:
        site.note("folds", "blocks", payload_bytes(blocks))
        rows, test = rows_of_fold(blocks, fold, spec.cv.by)
        site.use_table(replace(whole[site.party].with_rows(rows), test=test))
        require_usable(spec, site.table)

    return take


def _deliver(context: Context, summary: PYUObject) -> None:
    spec, evaluator = context.spec, summary.device.party
    effects: list[PYUObject | None] = []
    for party in spec.party_order():
        if party == evaluator or spec.policy.metrics.includes(party):
            received = context.gate.deliver(summary, party, stage="evaluate", kind="metrics", form=FOLD_METRICS)
            effects.append(context.at(party, _write, received))
    effects.append(context.gate.show(summary, stage="evaluate", kind="metrics", form=FOLD_METRICS))
    context.gate.finish(effects)


def _write(site: Site, summary: dict[str, Any]) -> None:
    site.note("evaluate", "metrics", json.dumps(summary, sort_keys=True).encode())  # a metric may be NaN
    write_json(site.folder / FOLDS_FILE, summary)
