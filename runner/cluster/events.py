"""What the driver hears from the parties, as the rest of the runner wants to see it."""

from __future__ import annotations

from typing import Any, Protocol


class Listener(Protocol):
    """Told of everything that happens in a run; the terminal is one."""

    def stage(self, name: str, state: str) -> None:
        """A stage ``started``, or is ``done`` at every party."""

    def checked(self, party: str, rows: int, features: int) -> None:
        """A party's table keeps its contract."""

    def tree(self, trees: int) -> None:
        """The label holder finished a tree."""

    def shown(self, stage: str, value: dict[str, Any]) -> None:
        """A value that the policy lets the terminal show."""
