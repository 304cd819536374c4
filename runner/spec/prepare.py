"""The section `prepare`: how a party's columns become the numeric, complete matrix that SGB takes.

It holds the defaults for all parties, by kind of column. What is meant for single columns stands in the contract of
their owner (``pa.Field(metadata={"prepare": {"missing": "median"}})``), since all parties read the spec.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from runner.spec.base import Section, Share

Missing = Literal["error", "sentinel", "median", "mean", "most_frequent", "constant"]


class Numbers(Section, frozen=True, kw_only=True):
    """Columns of numbers, and the numbers that booleans and dates become.

    ``missing`` says what a hole becomes: ``sentinel`` is a number below all of the training rows. With ``indicator`` a
    column of 0 and 1 says where holes were. ``clip`` cuts off what lies outside of two quantiles of the training rows.
    """

    missing: Missing = "error"
    constant: float = 0.0
    indicator: bool = False
    clip: tuple[Share, Share] | None = None


class Booleans(Section, frozen=True, kw_only=True):
    """Columns of true and false: 1 and 0."""

    encode: Literal["error", "number"] = "error"


class Categories(Section, frozen=True, kw_only=True):
    """Columns of text. A hole is a level of its own.

    Levels of fewer than ``min_frequency`` training rows, and the least frequent beyond ``max_levels``, are one level,
    "other". ``unseen`` says what a level is that no training row has: other, missing (a hole), or an error. ``target``
    is for the label holder: the mean label of a level, drawn to the mean of all as if by ``smoothing`` more rows.
    """

    encode: Literal["error", "onehot", "ordinal", "frequency", "target"] = "error"
    unseen: Literal["other", "missing", "error"] = "other"
    max_levels: Annotated[int, Meta(ge=2)] | None = None
    min_frequency: Annotated[int, Meta(ge=1)] = 1
    smoothing: Annotated[float, Meta(ge=0)] = 10.0


class Dates(Section, frozen=True, kw_only=True):
    """Columns of dates or times: days since 1970 (UTC), or year, month, day, weekday (1: Monday) and hour."""

    encode: Literal["error", "days", "parts"] = "error"


class Prepare(Section, frozen=True, kw_only=True):
    """What is fitted on the training rows, at each party, and kept in its part of the model.

    ``drop_constant`` leaves out what is the same in all training rows, ``drop_duplicates`` what repeats another column
    of the party there.
    """

    numbers: Numbers = field(default_factory=Numbers)
    booleans: Booleans = field(default_factory=Booleans)
    categories: Categories = field(default_factory=Categories)
    dates: Dates = field(default_factory=Dates)
    drop_constant: bool = False
    drop_duplicates: bool = False
