"""Tables that are made up, of any size, for trials: each party's process draws its own columns.

Every column comes from a generator of its own, seeded with ``data.seed`` and the column's number. So the party with the
label draws, one after the other, the columns that the label depends on, whoever has them, and nothing needs to move.
Whoever knows the settings can draw all tables: there is nothing to protect in them.
"""

from __future__ import annotations

import numpy as np
import pandera.polars as pa
import polars as pl
from numpy.typing import NDArray

from runner.spec.columns import columns_of
from runner.spec.label import RowShardedLabel
from runner.spec.model import Spec

_WEIGHTS, _NOISE = 0, 1  # streams besides those of columns, which begin at _COLUMNS
_COLUMNS = 2
_DEFAULT_CLASSES = {"logistic": 2, "linear": 0, "tweedie": 0}  # 0: a number; of any other objective, 3
_STRENGTH = 2.5  # of the score in a class's log-odds

Numbers = NDArray[np.float64]


def feature_numbers(spec: Spec, party: str) -> range:
    """The numbers of the party's features: all are dealt to the parties by name, as evenly as can be."""
    parties = sorted(spec.data.tables)
    share, rest = divmod(spec.data.features or 0, len(parties))
    at = parties.index(party)
    first = at * share + min(at, rest)
    return range(first, first + share + (at < rest))


def synthetic_columns(spec: Spec, party: str) -> dict[str, pa.Column]:
    """The contract of a made-up table, besides the id: features, labels and the mark of own rows."""
    named = columns_of(spec, party)
    columns = {_name(number): pa.Column(pl.Float64, name=_name(number)) for number in feature_numbers(spec, party)}
    kind = pl.Int64 if _classes(spec) else pl.Float64
    columns |= {name: pa.Column(kind, name=name) for name in (named.label, named.truth) if name is not None}
    if named.owns is not None:
        columns[named.owns] = pa.Column(pl.Boolean, name=named.owns)
    return columns


def draw_table(spec: Spec, party: str) -> pl.DataFrame:
    """``party``'s table: its id column, features, and labels where the spec names some.

    Ids are the same at every party, S0…; the order of the rows is the party's own. Features are normal, uniform or
    exponential in turn, float64. The label of a class is int64, of a number float64; each informative feature of every
    party has a part in it, straight, bent or as a step. Which part does not depend on the seed, so that tables drawn
    with another seed are new rows of the same kind.
    """
    rows = spec.data.rows or 0
    named = columns_of(spec, party)
    digits = len(str(rows - 1))
    ids = pl.select(id=pl.lit("S") + pl.int_range(rows).cast(pl.String).str.zfill(digits))["id"]
    columns: dict[str, pl.Series] = dict.fromkeys(named.ids, ids)
    for number in feature_numbers(spec, party):
        columns[_name(number)] = pl.Series(_feature(spec, number))
    labels = {name for name in (named.label, named.truth) if name is not None}
    label = _label(spec) if labels else None
    turn = np.arange(rows) % len(spec.data.tables)
    mine = turn == sorted(spec.data.tables).index(party)
    for name in sorted(labels):
        columns[name] = _shard(spec, party, pl.Series(label)) if name == named.label else pl.Series(label)
    if named.owns is not None:
        columns[named.owns] = pl.Series(mine)
    order = np.random.default_rng([spec.data.seed, *party.encode()]).permutation(rows)
    return pl.DataFrame(columns)[order]


def _shard(spec: Spec, party: str, label: pl.Series) -> pl.Series:
    """With a label in shards, the owners have the rows in turn; else all of it."""
    if not isinstance(spec.label, RowShardedLabel):
        return label
    turn = pl.Series(np.arange(len(label)) % len(spec.label.owners) == spec.label.owners.index(party))
    return pl.select(pl.when(turn).then(label)).to_series()


def _feature(spec: Spec, number: int) -> Numbers:
    draw, rows = _generator(spec, _COLUMNS + number), spec.data.rows or 0
    if number % 3 == 0:
        return draw.standard_normal(rows)
    return draw.uniform(-2, 2, rows) if number % 3 == 1 else draw.standard_exponential(rows)


def _label(spec: Spec) -> NDArray[np.generic]:
    """The label of all rows: shape (rows,), int64 for a class and float64 for a number."""
    classes = _classes(spec)
    scores = _scores(spec, classes if classes > 2 else 1)
    score = scores[0]
    draw = _generator(spec, _NOISE)
    if classes > 2:
        return np.asarray(np.argmax(_STRENGTH * scores + draw.gumbel(size=scores.shape), axis=0))
    if classes == 2:
        return np.less(draw.uniform(size=len(score)), 1 / (1 + np.exp(-_STRENGTH * score))).astype(np.int64)
    if spec.sgb.objective == "tweedie":  # claims: a Poisson number of them, each of gamma size; many rows have none
        claims = draw.poisson(np.exp(0.7 * score - 0.5))
        return np.where(claims > 0, draw.gamma(2.0 * np.maximum(claims, 1), 500.0), 0.0)
    return np.asarray(100 + 20 * score + draw.normal(0, 8, len(score)))


def _scores(spec: Spec, outputs: int) -> Numbers:
    """What the label depends on: shape (outputs, rows), each of mean about 0 and deviation about 1."""
    informative = [number for party in sorted(spec.data.tables) for number in _informative(spec, party)]
    weights = np.random.default_rng(_WEIGHTS).normal(size=(len(informative), outputs))
    weights = np.sign(weights) * (0.5 + np.abs(weights))
    scores = np.zeros((outputs, spec.data.rows or 0))
    for number, weight in zip(informative, weights, strict=True):
        scores += weight[:, None] * _part(_feature(spec, number), number)
    return np.asarray(scores / np.sqrt((weights**2).sum(axis=0))[:, None])


def _part(values: Numbers, number: int) -> Numbers:
    """A feature's part in the label: straight, bent or a step, with mean about 0 and deviation about 1."""
    centre, spread = ((0.0, 1.0), (0.0, 2 / 3**0.5), (1.0, 1.0))[number % 3]
    standard = (values - centre) / spread
    if number // 3 % 3 == 0:
        return standard
    return np.asarray((np.abs(standard) - 0.8) / 0.6 if number // 3 % 3 == 1 else np.sign(standard))


def _informative(spec: Spec, party: str) -> range:
    numbers = feature_numbers(spec, party)
    return numbers[: max(1, round(spec.data.informative * len(numbers)))]


def _classes(spec: Spec) -> int:
    return spec.data.classes or _DEFAULT_CLASSES.get(spec.sgb.objective, 3)


def _generator(spec: Spec, stream: int) -> np.random.Generator:
    return np.random.default_rng([spec.data.seed, stream])


def _name(number: int) -> str:
    return f"x{number + 1:03d}"
