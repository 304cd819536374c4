"""Stage `predict` where the table comes in pieces: each is scored, delivered and forgotten before the next.

What is kept of a piece is what the evaluation needs, where there is one: at the evaluator its scores, at whoever has
labels these, and the groups; some twenty bytes a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from secretflow.device import PYUObject

from runner.data.table import CheckedTable
from runner.engine.site import Site
from runner.stages.context import Context
from runner.stages.predict import GrowingFiles, Scores, deliver_predictions, scores_at
from runner.stages.prepare import turn_to

_KEPT = ("label", "truth", "groups")


def predict_in_pieces(context: Context, model: Any, score: Callable[[Context, Any], Scores]) -> Scores | None:
    """Score and deliver piece after piece; each recipient's file has its name when all are in it.

    Args:
        score: computes the scores of the rows at hand.

    Returns:
        the scores of all rows at the evaluator, if there is one; every party's table then has all rows, with labels and
        groups and without ids and features.
    """
    evaluator = context.spec.evaluator()
    files, piles = GrowingFiles(), {party: _Pile() for party in context.sites}
    walks = {party: iter(site.pieces or ()) for party, site in context.sites.items()}
    try:
        for _ in range(context.pieces):
            context.gate.finish(context.everywhere(lambda site: _turn(site, walks[site.party])))
            scores = score(context, model)
            deliver_predictions(context, scores, written=files)
            if evaluator is not None:
                context.gate.finish(_keep(context, scores, evaluator, piles))
            del scores
        context.gate.finish(context.everywhere(lambda site: files.finish(site.folder)))
    finally:
        files.drop()
    if evaluator is None:
        return None
    context.gate.finish(context.everywhere(lambda site: site.use_table(piles[site.party].table())))
    return Scores(context.at(evaluator, lambda site: piles[site.party].scores()), None, lambda values: values)


class _Pile:
    """What is kept of one party's pieces."""

    def __init__(self) -> None:
        self._scores: list[Any] = []
        self._tables: list[CheckedTable] = []

    def add_rows(self, table: CheckedTable) -> None:
        """Keep the labels and groups of these rows."""
        none = np.zeros(len(table.ids), dtype=np.int8)
        self._tables.append(replace(table, ids=none, columns=table.columns.slice(0, 0), owns=None, weight=None))

    def add_scores(self, scores: Any) -> None:
        """Keep the scores of these rows."""
        self._scores.append(np.asarray(scores, dtype=np.float32))

    def scores(self) -> Any:
        """Those of all rows."""
        return np.concatenate(self._scores)

    def table(self) -> CheckedTable:
        """All rows, with what was kept of them."""
        first = self._tables[0]
        parts = {name: _joined(self._tables, name) for name in ("ids", "test", *_KEPT)}
        return replace(first, **{name: part for name, part in parts.items() if part is not None})


def _joined(tables: list[CheckedTable], name: str) -> Any:
    return None if getattr(tables[0], name) is None else np.concatenate([getattr(table, name) for table in tables])


def _turn(site: Site, walk: Iterator[CheckedTable]) -> None:
    turn_to(site, next(walk))


def _keep(context: Context, scores: Scores, evaluator: str, piles: dict[str, _Pile]) -> list[PYUObject]:
    def keep(site: Site, values: Any) -> None:
        piles[site.party].add_scores(values)

    rows = context.everywhere(lambda site: piles[site.party].add_rows(site.table))
    return [*rows.values(), context.at(evaluator, keep, scores_at(context, scores, evaluator))]
