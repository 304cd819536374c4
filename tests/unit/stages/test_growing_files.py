"""Files of predictions that grow piece by piece: whole at the end, or not there."""

from __future__ import annotations

import resource
import signal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from runner.data.ids import split_ids


@pytest.fixture
def files(secretflow: None) -> Any:
    from runner.stages.predict import GrowingFiles

    return GrowingFiles()


def rows(count: int) -> pa.Table:
    """Predictions of so many rows that two columns identify together."""
    ids = np.array([f'["P{row}",{row}]' for row in range(count)], dtype=np.str_)
    return pa.table({**split_ids(ids, ("patient", "visit")), "score": np.zeros(count, dtype=np.float32)})


@pytest.mark.parametrize("counts", [(3, 2), (0, 3, 0, 2), (0, 0)])
def test_pieces_are_one_file_whatever_they_hold(tmp_path: Path, files: Any, counts: tuple[int, ...]) -> None:
    for count in counts:
        files.add(tmp_path, rows(count))
        assert not tmp_path.joinpath("predictions.parquet").exists()
    files.finish(tmp_path)
    files.drop()
    found = pl.read_parquet(tmp_path / "predictions.parquet")
    assert found.columns == ["patient", "visit", "score"]
    assert found["visit"].to_list() == [row for count in counts for row in range(count)]
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.parquet"]


def test_nothing_is_left_of_a_file_for_which_a_disk_has_no_room(tmp_path: Path, files: Any) -> None:
    before, limit = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    files.add(tmp_path, rows(3))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
        with pytest.raises(OSError, match="File too large"):
            files.finish(tmp_path)
        files.drop()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert list(tmp_path.iterdir()) == []
