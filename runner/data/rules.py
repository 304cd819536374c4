"""What a contract says of a column besides its checks: how ids are written, how it is prepared, if it is a feature.

In Python it is a field's metadata, ``pa.Field(metadata={"id": {"strip": True, "zero_pad": 8}})``; in YAML the same keys
stand beside the column's dtype.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
import polars as pl
from msgspec import Meta

from runner.errors import DataError
from runner.spec.base import Section
from runner.spec.suggest import advise


class IdRules(Section, frozen=True, kw_only=True):
    """How ids are written alike before parties compare them.

    ``strip`` takes white space off both ends, ``case`` sets all letters in one case, ``zero_pad`` puts zeros before ids
    shorter than this number of characters (whole numbers become text by it).
    """

    strip: bool = False
    case: Literal["lower", "upper"] | None = None
    zero_pad: Annotated[int, Meta(ge=1, le=64)] | None = None


class ColumnRules(Section, frozen=True, kw_only=True):
    """The rules of one column.

    ``feature=False``: the table has it, and training does not use it. ``source``: the name that the column has in the
    table; no other party then sees it.
    """

    id: IdRules | None = None
    source: str | None = None
    prepare: dict[str, Any] | None = None
    feature: bool = True


def parse_rules(metadata: Mapping[str, Any], party: str, where: str) -> ColumnRules:
    """The rules in a column's metadata.

    Raises:
        DataError: for a key that is no rule, or a value that is none.
    """
    try:
        return msgspec.convert(dict(metadata), ColumnRules)
    except msgspec.ValidationError as error:
        raise explain(error, party, where, {"": ColumnRules, "id": IdRules}) from None


def normalise_ids(ids: pl.Series, rules: IdRules) -> pl.Series:
    """Ids written as the rules say; null stays null.

    Args:
        ids: text; with ``zero_pad`` whole numbers too. Other types stay as they are, for the contract to refuse.
    """
    if ids.dtype.is_integer() and rules.zero_pad is not None:
        ids = ids.cast(pl.String)
    if ids.dtype != pl.String:
        return ids
    if rules.strip:
        ids = ids.str.strip_chars()
    if rules.case is not None:
        ids = ids.str.to_lowercase() if rules.case == "lower" else ids.str.to_uppercase()
    return ids.str.zfill(rules.zero_pad) if rules.zero_pad is not None else ids


def explain(error: Exception, party: str, where: str, sections: Mapping[str, type[msgspec.Struct]]) -> DataError:
    """What msgspec found wrong in a contract.

    Args:
        where: the place in the contract.
        sections: the path of a section within that place (empty: the place itself) → its type, for the allowed keys.
    """
    reason, _, location = str(error).partition(" - at `$")
    path = location.strip("`.")
    place = f"{where}.{path}" if path else where
    fix = "see 'Contracts' in the README"
    if unknown := re.search(r"unknown field `(.+?)`", reason):
        reason = f"{unknown[1]!r} is no key there"
        if path in sections:
            fix = advise(unknown[1], sections[path].__struct_fields__)
    return DataError(f"{party}'s contract is not valid", where=place, why=reason, fix=fix)
