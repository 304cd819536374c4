"""The breast cancer measurements as a clinic's own table might have them: bands of text, yes and no, holes.

All values come from the real measurements, but for ``seen_on``, which is drawn; which of them are missing is drawn too,
with fixed seeds. ``clinics_raw_later`` is a second batch: 150 of the patients again, with other holes, a band of size
that the first batch does not have, and one more column at each party.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

LATER_ROWS = 150
HOLES = 0.08  # share of the values that are missing, where a column has holes
SIZES = ((12.0, "small"), (16.0, "medium"), (np.inf, "large"))
TEXTURES = ((15.0, "fine"), (19.0, "even"), (23.0, "coarse"), (np.inf, "very coarse"))
OUTLINES = ((0.07, "smooth"), (0.14, "dented"), (0.2, "ragged"), (np.inf, "torn"))
NEW_SIZE = "beyond the scale"
HOLED = {
    "alice": ("mean_radius", "mean_texture", "size", "indented"),
    "bob": ("radius_error", "area_error", "texture", "seen_on"),
    "carol": ("worst_texture", "worst_concavity", "outline"),
}
Columns = dict[str, pl.Series]


def clinics_raw(party: str) -> Columns:
    """All patients."""
    return _written(party, seed=5)


def clinics_raw_later(party: str) -> Columns:
    """The second batch."""
    columns = {name: values.head(LATER_ROWS) for name, values in _written(party, seed=6).items()}
    if party == "alice":
        new = np.arange(LATER_ROWS) % 30 == 7
        columns["size"] = pl.Series(
            [NEW_SIZE if is_new else old for is_new, old in zip(new, columns["size"], strict=True)]
        )
    return columns | {"scanner": pl.Series(["new"] * LATER_ROWS)}


def _written(party: str, seed: int) -> Columns:
    columns = _PARTIES[party]()
    draw = np.random.default_rng([seed, *party.encode()])
    rows = len(next(iter(columns.values())))
    for name in HOLED[party]:
        missing = pl.Series(draw.uniform(size=rows) < HOLES)
        columns[name] = pl.select(pl.when(~missing).then(columns[name])).to_series()
    if party == "bob":
        columns["radius_error_copy"] = columns["radius_error"]
    return columns


def _alice() -> Columns:
    measured, _ = _measured()
    return {
        **_numbers(measured, "mean_radius", "mean_texture", "mean_area", "mean_smoothness"),
        "size": _banded(measured["mean_radius"], SIZES),
        "indented": pl.Series(measured["mean_concave_points"] > 0.05),
    }


def _bob() -> Columns:
    measured, _ = _measured()
    days = np.random.default_rng(7).integers(0, 365, len(measured["mean_texture"]))
    return {
        **_numbers(measured, "radius_error", "perimeter_error", "area_error"),
        "texture": _banded(measured["mean_texture"], TEXTURES),
        "laboratory": pl.Series(["central"] * len(days)),
        "seen_on": pl.Series([date(1993, 1, 1) + timedelta(days=int(day)) for day in days]),
    }


def _carol() -> Columns:
    measured, target = _measured()
    return {
        **_numbers(measured, "worst_radius", "worst_texture", "worst_concavity"),
        "outline": _banded(measured["worst_concave_points"], OUTLINES),
        "target": pl.Series(target),
    }


def _measured() -> tuple[dict[str, NDArray[np.float64]], NDArray[np.int64]]:
    import sklearn.datasets  # late: it takes seconds, and only the first run of a data set needs it

    bunch = sklearn.datasets.load_breast_cancer()
    return {str(name).replace(" ", "_"): bunch.data[:, at] for at, name in enumerate(bunch.feature_names)}, bunch.target


def _numbers(measured: dict[str, NDArray[np.float64]], *names: str) -> Columns:
    return {name: pl.Series(measured[name]) for name in names}


def _banded(values: NDArray[np.float64], bands: tuple[tuple[float, str], ...]) -> pl.Series:
    """The name of each value's band: the first whose upper end it does not reach."""
    return pl.Series([next(name for end, name in bands if value < end) for value in values.tolist()])


_PARTIES = {"alice": _alice, "bob": _bob, "carol": _carol}
