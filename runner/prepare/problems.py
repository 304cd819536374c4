"""What keeps columns from being prepared."""

from __future__ import annotations

from collections.abc import Mapping


class Unfit(Exception):
    """One column cannot be prepared.

    Args:
        reason: why, without the column's name and without a value of it.
        rows: in how many rows.
    """

    def __init__(self, reason: str, rows: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.rows = rows


class UnfitColumns(Exception):
    """Some columns cannot be prepared.

    Args:
        columns: column → the reason and the number of rows.
    """

    def __init__(self, columns: Mapping[str, Unfit]) -> None:
        super().__init__(f"{len(columns)} columns cannot be prepared")
        self.reasons: dict[str, dict[str, int]] = {}
        for name, unfit in columns.items():
            self.reasons.setdefault(unfit.reason, {})[name] = unfit.rows

    def counted(self) -> str:
        """The reasons with numbers of columns, and no name."""
        return "; ".join(f"{len(columns)} of its columns {reason}" for reason, columns in self.reasons.items())
