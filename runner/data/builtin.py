"""Real data sets that come with scikit-learn, written once as party tables so that they are read like any user's."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from runner.errors import DataError
from runner.files import make_private_dir, write_atomically
from runner.spec.suggest import advise

LABEL = "target"


class _Dataset(NamedTuple):
    loader: str
    features: dict[str, tuple[int, int]]  # party → its columns, from and to
    label_owner: str
    label_type: pl.DataType


_DATASETS = {
    "breast_cancer": _Dataset(
        "load_breast_cancer", {"alice": (0, 10), "bob": (10, 20), "carol": (20, 30)}, "carol", pl.Int64()
    ),
    "diabetes": _Dataset("load_diabetes", {"alice": (0, 4), "bob": (4, 7), "carol": (7, 10)}, "carol", pl.Float64()),
}


def write_builtin(name: str, party: str, path: Path, id_column: str) -> None:
    """Write one party's columns of a bundled data set to ``path``, with the rows in an order of that party's own.

    Raises:
        DataError: for a data set or a party that is not bundled.
    """
    import sklearn.datasets  # late: it takes seconds, and only the first run of a data set needs it

    if name not in _DATASETS or party not in _DATASETS[name].features:
        raise DataError(
            f"there is no bundled table of {name!r} for {party}",
            where="data.builtin",
            why="bundled data sets have fixed parties",
            fix=advise(name, _DATASETS) + "; parties alice, bob and carol",
        )
    dataset = _DATASETS[name]
    bunch = getattr(sklearn.datasets, dataset.loader)()
    first, last = dataset.features[party]
    order = np.random.default_rng(list(party.encode())).permutation(len(bunch.target))
    ids = [f"P{row:04d}" for row in range(len(bunch.target))]
    columns = {id_column: pl.Series([ids[row] for row in order], dtype=pl.String)}
    for index in range(first, last):
        columns[str(bunch.feature_names[index]).replace(" ", "_")] = pl.Series(bunch.data[order, index])
    if party == dataset.label_owner:
        columns[LABEL] = pl.Series(bunch.target[order]).cast(dataset.label_type)
    make_private_dir(path.parent)
    write_atomically(path, lambda temporary: pl.DataFrame(columns).write_parquet(temporary))
