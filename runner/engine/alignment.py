"""Which rows of a party's table all parties have: kept from one job to the next of the same processes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.errors import ClusterError


class _Rows(NamedTuple):
    ids: str
    places: NDArray[np.intp]


class Alignments:
    """Rows of earlier alignments, in this party's own process."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], _Rows] = {}

    def of_job(self, key: str | None, reuses: bool) -> Alignment:
        """What a job finds and leaves here.

        Args:
            key: names all parties' tables and how they are aligned; None where that is not known.
            reuses: whether all parties take the rows that they kept.
        """
        return Alignment(self._kept, key, reuses)


class Alignment:
    """One job's view of :class:`Alignments`.

    Attributes:
        reuses: whether rows are taken from an earlier job.
    """

    def __init__(self, kept: dict[tuple[str, str], _Rows], key: str | None, reuses: bool) -> None:
        self._kept = kept
        self._key = key
        self.reuses = reuses

    def keep(self, party: str, ids: str, places: NDArray[np.intp]) -> None:
        """Keep the places of a party's common rows, and the digest of all its ids."""
        if self._key is not None:
            self._kept[self._key, party] = _Rows(ids, places)

    def rows(self, party: str, ids: str) -> NDArray[np.intp]:
        """The rows that were kept.

        Raises:
            ClusterError: where there are none, or they are of other ids.
        """
        found = self._kept.get((str(self._key), party))
        if found is None or found.ids != ids:
            raise ClusterError(
                f"{party} has no such alignment",
                where=f"party {party}, stage align",
                why="its process kept none, or one of other ids than the table has now",
                fix="run again: the next run begins with processes of its own",
            )
        return found.places
