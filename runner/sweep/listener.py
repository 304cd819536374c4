"""What a sweep hears of its jobs' runs: nothing, or the words that a user should read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Silence:
    """Listens to a run and shows nothing of it.

    Args:
        notice: called with what the user should know of.
        tree: called with the number of trees, and how many there will be where that is known.
    """

    def __init__(
        self, notice: Callable[[str], None] | None = None, tree: Callable[[int, int | None], None] | None = None
    ) -> None:
        self._notice = notice
        self._tree = tree

    def stage(self, name: str, state: str) -> None:
        """Not shown."""

    def checked(self, party: str, rows: int | None, features: int | None) -> None:
        """Not shown."""

    def continues(self, trees: int) -> None:
        """Not shown."""

    def fold(self, fold: int) -> None:
        """Not shown."""

    def tree(self, trees: int, of: int | None = None) -> None:
        if self._tree is not None:
            self._tree(trees, of)

    def shown(self, stage: str, value: dict[str, Any]) -> None:
        """Not shown: it is in the manifest."""

    def notice(self, text: str) -> None:
        if self._notice is not None:
            self._notice(text)
