"""The levers of the runner's training, each to be taken away."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
from benchmarks.cases import ALL_LEVERS, LEVERS

from runner.engine import encryption, histogram, sealed
from runner.engine.packing import Plan


@contextlib.contextmanager
def without(lever: str) -> Iterator[None]:
    """Train without one lever, or without all of them."""

    def one_sum_each(room: int, bits: tuple[int, int]) -> Plan:
        return Plan(*bits, slots=1)

    def every_bucket(counts: Any, buckets: int) -> Any:
        own = np.arange(counts.size, dtype=np.int32).reshape(-1, buckets)
        own[:, -1] = histogram.ALL
        return own.ravel()

    def one_by_one(arithmetic: Any, array: Any) -> Any:
        return arithmetic.times(array, -1)

    changes: dict[str, list[Any]] = {
        "packed sums": [mock.patch.object(encryption, "make_plan", one_sum_each)],
        "pairs of features": [mock.patch.object(sealed, "MOST_BUCKETS", 0)],
        "equal sums once": [
            mock.patch.object(sealed, "representatives", every_bucket),
            mock.patch.object(histogram, "representatives", every_bucket),
        ],
        "one inversion a node": [mock.patch.object(sealed.Arithmetic, "negate", one_by_one)],
    }
    with contextlib.ExitStack() as stack:
        for name in LEVERS if lever == ALL_LEVERS else (lever,):
            for change in changes[name]:
                stack.enter_context(change)
        yield
