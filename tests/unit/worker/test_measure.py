"""Whether a table is there and fits, found out without a row of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support import make_spec

from runner.spec.identity import spec_values
from runner.worker.measure import measure

CONTRACT = """
import pandera.polars as pa
class Alice(pa.DataFrameModel):
    number: str
    width: float
"""


def measured(*overrides: str) -> dict[str, Any] | None:
    order = {"order": "measure", "party": "alice", "spec": spec_values(make_spec(*overrides))}
    answer = measure(order)
    assert list(answer) == ["error"], "nothing else leaves the party"
    error: dict[str, Any] | None = answer["error"]
    return error


@pytest.fixture
def own(tmp_path: Path) -> tuple[str, ...]:
    """The settings of a table of alice's, which is not written yet."""
    (tmp_path / "mine.py").write_text(CONTRACT)
    return (
        "data.id=number",
        "data.builtin=null",
        f"data.tables.alice.path={tmp_path}/alice.parquet",
        f"data.tables.alice.contract={tmp_path}/mine.py:Alice",
    )


def test_table_that_is_there_and_fits_is_fine(own: tuple[str, ...], tmp_path: Path) -> None:
    pl.DataFrame({"number": ["1", "2"], "width": [0.5, 1.5]}).write_parquet(tmp_path / "alice.parquet")
    assert measured(*own) is None


def test_missing_table_is_told(own: tuple[str, ...]) -> None:
    error = measured(*own)
    assert error is not None
    assert error["type"] == "DataError"
    assert "not there" in error["what"]


def test_too_large_a_table_is_told_before_it_is_read(
    own: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = 10_000
    frame = pl.DataFrame({"number": [str(row) for row in range(rows)], "width": [0.5] * rows})
    frame.write_parquet(tmp_path / "alice.parquet")
    monkeypatch.setattr(pl.LazyFrame, "collect", _only_counts(pl.LazyFrame.collect))
    assert measured(*own) is None
    error = measured(*own, "data.max_memory=0.0001")
    assert error is not None
    assert "too large" in error["what"]


def _only_counts(collect: Any) -> Any:
    def collect_one_row(self: pl.LazyFrame, *arguments: Any, **options: Any) -> pl.DataFrame:
        frame: pl.DataFrame = collect(self, *arguments, **options)
        assert frame.height <= 1, "rows were read"
        return frame

    return collect_one_row


def test_made_up_table_is_measured_by_its_settings() -> None:
    drawn = ("data=synthetic", "label.column=y", "data.rows=1000000")
    assert measured(*drawn, "data.max_memory=4") is None
    error = measured(*drawn, "data.max_memory=0.01")
    assert error is not None
    assert "too large" in error["what"]
