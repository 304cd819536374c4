"""Rows of an alignment are given back to whom they belong, and for the same ids only."""

from __future__ import annotations

import numpy as np
import pytest

from runner.engine.alignment import Alignments
from runner.errors import ClusterError

PLACES = np.array([0, 2, 5])


def test_rows_are_kept_for_the_next_job() -> None:
    alignments = Alignments()
    alignments.of_job("tables", reuses=False).keep("bob", "ids", PLACES)
    later = alignments.of_job("tables", reuses=True)
    assert later.reuses
    assert later.rows("bob", "ids").tolist() == PLACES.tolist()


@pytest.mark.parametrize(
    ("key", "party", "ids"), [("others", "bob", "ids"), ("tables", "alice", "ids"), ("tables", "bob", "more")]
)
def test_rows_of_something_else_are_refused(key: str, party: str, ids: str) -> None:
    alignments = Alignments()
    alignments.of_job("tables", reuses=False).keep("bob", "ids", PLACES)
    with pytest.raises(ClusterError, match=f"{party} has no such alignment"):
        alignments.of_job(key, reuses=True).rows(party, ids)


def test_what_cannot_be_named_is_not_kept() -> None:
    alignments = Alignments()
    alignments.of_job(None, reuses=False).keep("bob", "ids", PLACES)
    with pytest.raises(ClusterError):
        alignments.of_job(None, reuses=True).rows("bob", "ids")
