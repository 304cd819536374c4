"""What the logs of a run hold, and how large they may grow."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from runner.logs import How, Level
from runner.spec.base import Section


class Log(Section, frozen=True, kw_only=True):
    """What the logs of a run's processes hold, and how large they may grow.

    ``level`` is the least that the structured logs hold. A log of ``max_mb`` megabytes is set aside and another one
    begun; ``keep`` of those set aside are kept, the newest.
    """

    level: Level = "info"
    max_mb: Annotated[float, Meta(ge=0.01, le=10_000)] = 10.0
    keep: Annotated[int, Meta(ge=1, le=100)] = 3

    def how(self) -> How:
        """The same, for the processes."""
        return How(self.level, int(self.max_mb * 1e6), self.keep)
