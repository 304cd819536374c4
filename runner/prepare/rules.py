"""What is meant for one column: the spec's defaults for its kind, and what its owner's contract says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from runner.spec.base import Section
from runner.spec.prepare import Booleans, Categories, Dates, Numbers, Prepare

Kind = Literal["number", "boolean", "category", "date"]
SETTINGS: dict[Kind, tuple[str, ...]] = {
    "number": ("numbers",),
    "boolean": ("booleans", "numbers"),
    "category": ("categories",),
    "date": ("dates", "numbers"),
}


class Rule(Section, frozen=True, kw_only=True):
    """How one column is prepared. Only the sections for its kind count: see ``SETTINGS``."""

    kind: Kind
    numbers: Numbers = Numbers()
    booleans: Booleans = Booleans()
    categories: Categories = Categories()
    dates: Dates = Dates()

    def refused(self) -> str | None:
        """The setting that lets no column of this kind in, or None."""
        section = SETTINGS[self.kind][0]
        return f"{section}.encode" if getattr(getattr(self, section), "encode", None) == "error" else None

    def takes_holes(self) -> bool:
        """Whether the column may have holes."""
        return self.kind == "category" or self.numbers.missing != "error"


def rule_for(kind: Kind, prepare: Prepare, own: Mapping[str, Any]) -> Rule:
    """The rule of a column.

    Args:
        kind: the column's kind.
        prepare: the defaults of the spec.
        own: what the owner's contract says of this column: settings of the sections for its kind, by name.

    Raises:
        ValueError: for a setting that a column of this kind does not have, or a value that it cannot take.
    """
    sections = {name: msgspec.to_builtins(getattr(prepare, name)) for name in SETTINGS[kind]}
    for name, value in own.items():
        section = next((settings for settings in sections.values() if name in settings), None)
        if section is None:
            known = ", ".join(key for settings in sections.values() for key in settings)
            raise ValueError(f"a {kind} column has no setting {name!r}, but {known}")
        section[name] = list(value) if isinstance(value, tuple) else value
    rule = msgspec.convert({"kind": kind, **sections}, Rule)
    require_quantiles(rule.numbers)
    return rule


def require_quantiles(numbers: Numbers) -> None:
    """Refuse to clip between two quantiles of which the first is not the lower.

    Raises:
        ValueError: where it is not.
    """
    if numbers.clip is not None and numbers.clip[0] >= numbers.clip[1]:
        raise ValueError(f"clip = {list(numbers.clip)} does not name a lower quantile and then a higher one")
