"""The base of every section of the spec, and the types that its settings are made of."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the spec: immutable, strictly typed, no unknown key."""


PartyName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,30}\Z")]
Digits = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Share = Annotated[float, Meta(gt=0, lt=1)]
Seconds = Annotated[float, Meta(gt=0)]
