"""The policy's floors: no metric or curve of too few rows, no prediction of too small a batch."""

from __future__ import annotations

from runner.errors import PolicyError


def require_rows(what: str, rows: int, floor: int, setting: str = "min_rows") -> None:
    """Refuse to compute ``what`` from fewer rows than a policy allows; runs at the party that would compute it.

    Raises:
        PolicyError: where there are too few.
    """
    if rows < floor:
        raise PolicyError(
            f"{what} of fewer than {floor} rows is denied",
            where=f"policy.{setting} (the run's, or a party's grants)",
            why="results of few rows tell about single people",
            fix="bring more rows, or let the party that set the floor lower it",
        )
