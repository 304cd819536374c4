"""Tables with values that occur nowhere else, and a search for them in whatever a run has left."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import sqlite3
import stat
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import yaml

COMMON, ALONE = 240, 40  # ids that all parties have, and that one has alone
LARGEST = 64 << 20  # bytes of a file that is looked through

# A contract of alice's own that fails as libraries do: with values in the text of an exception.
RAISING = """
import pandera.polars as pa


class Alice(pa.DataFrameModel):
    customer: str
    {income}: float
    {sector}: str
    outcome: float

    @classmethod
    def to_schema(cls):
        schema = super().to_schema()
        schema.validate = cls.fail
        return schema

    @staticmethod
    def fail(frame, **options):
        raise ValueError(f"cannot handle {{frame.columns}}, {{frame.row(-1)}}")
"""


class Canaries(NamedTuple):
    """What alice has and nobody else may see.

    Attributes:
        mark: what her ids, levels and password begin with; no other test session has it.
        numbers: values of her feature and of her label.
        keys: kind → her secret bytes.
    """

    mark: str
    numbers: list[float]
    keys: dict[str, bytes]

    def secrets(self) -> dict[str, list[bytes]]:
        """Kind → what must not be found, in any of the ways to write it: her keys and her password."""
        written: dict[str, list[bytes]] = {"password": [f"{self.mark}PASSWORD".encode()]}
        for kind, content in self.keys.items():
            written[kind] = [content, content.hex().encode(), base64.b64encode(content)]
        return written

    def all(self) -> dict[str, list[bytes]]:
        """The same of her data, too."""
        texts = [repr(number)[:10].encode() for number in self.numbers]
        binary = [struct.pack(form, number) for number in self.numbers for form in ("<d", ">d")]
        return {
            **self.secrets(),
            "id": [f"{self.mark}ID".encode()],
            "level": [f"{self.mark}LEVEL".encode()],
            "column": [f"{self.mark.lower()}_".encode()],
            "number as text": texts,
            "number": binary,
        }

    def found_in(self, contents: Iterable[tuple[str, bytes]], secrets_only: bool = False) -> list[tuple[str, str]]:
        """Where and which of them are, as (place, kind)."""
        wanted = self.secrets() if secrets_only else self.all()
        return [
            (place, kind)
            for place, content in contents
            for kind, forms in wanted.items()
            if any(form in content for form in forms)
        ]

    def are_among(self, values: np.ndarray) -> bool:
        """Whether an array holds one of her numbers, in double or single precision."""
        numbers = np.array(self.numbers)
        return bool(np.isin(values, numbers).any() or np.isin(values, numbers.astype(np.float32)).any())


def make_canaries(place: Path, key: bytes) -> Canaries:
    """Write every party's table and contract below ``place``; alice's is in a database."""
    place.mkdir(parents=True)
    mark = f"CANARY{secrets.token_hex(5)}"
    income, sector = f"{mark.lower()}_income", f"{mark.lower()}_sector"
    rng = np.random.default_rng(secrets.randbits(64))
    numbers = rng.uniform(1e6, 1e7, (COMMON + ALONE, 2)).tolist()
    common = [f"customer{number:05d}" for number in range(COMMON)]
    ids = [*common, *(f"{mark}ID{number}" for number in range(ALONE))]
    # Levels of few rows, so that some occur in the test rows alone.
    levels = [f"{mark}LEVEL{number if number % 6 == 0 else number % 6}" for number in range(len(ids))]
    rows = [(one, *values, level) for one, values, level in zip(ids, numbers, levels, strict=True)]
    with contextlib.closing(sqlite3.connect(database(place, mark))) as connection, connection:
        connection.execute(f"create table t (customer text, {income} real, outcome real, {sector} text)")
        connection.executemany("insert into t values (?, ?, ?, ?)", rows)
    for party in ("bob", "carol"):
        columns = {name: rng.normal(size=COMMON) for name in (f"{party}_one", f"{party}_two")}
        pl.DataFrame({"customer": common, **columns}).write_parquet(place / f"{party}.parquet")
        _write_contract(place / f"{party}.yaml", {name: {"dtype": "float"} for name in columns})
    level = {"dtype": "category"}
    own = {income: {"dtype": "float"}, sector: level, "outcome": {"dtype": "float"}}
    _write_contract(place / "alice.yaml", own)
    _write_contract(place / "strict.yaml", {**own, sector: {**level, "prepare": {"unseen": "error"}}})
    (place / "raising.py").write_text(RAISING.format(income=income, sector=sector))
    return Canaries(mark, [number for pair in numbers for number in pair], {"key": key})


def database(place: Path, mark: str) -> Path:
    """Alice's; its URI has a password in it."""
    return place / f"{mark}PASSWORD.db"


def table_settings(place: Path, party: str, contract: str | None = None) -> list[str]:
    """What says where a party's table is."""
    table = f"data.tables.{party}"
    settings = [f"+{table}.contract={place}/{contract or f'{party}.yaml'}"]
    if party == "alice":
        return [*settings, f"+{table}.source.sql='select * from t'", f"+{table}.source.uri_env=CANARY_URI"]
    return [*settings, f"+{table}.path={place}/{party}.parquet"]


def write_data_settings(folder: Path) -> None:
    """The settings of the data that all parties have in common, as ``--config-dir`` takes them."""
    folder.joinpath("data").mkdir(parents=True)
    tables: dict[str, dict[str, str]] = {party: {} for party in ("alice", "bob", "carol")}
    content = {"name": "canaries", "id": "customer", "tables": tables}
    folder.joinpath("data", "canaries.yaml").write_text(yaml.safe_dump(content))


def contents(places: Iterable[Path], since: float = 0.0) -> Iterator[tuple[str, bytes]]:
    """Path and content of every file in these places that has changed since then, and is there to be read."""
    for place in places:
        for path in [place] if place.is_file() else files_under(place):
            with contextlib.suppress(OSError):
                told = path.stat(follow_symlinks=False)
                if stat.S_ISREG(told.st_mode) and told.st_ctime >= since and told.st_size <= LARGEST:
                    yield str(path), path.read_bytes()


def files_under(place: Path) -> Iterator[Path]:
    """Unlike ``Path.rglob``, goes on when another process removes a folder meanwhile."""
    return (Path(folder) / name for folder, _, names in os.walk(place) for name in names)


def changed_since(since: float, places: Iterable[Path]) -> Iterator[Path]:
    """Those of the places that have changed since then, and that no other process has removed meanwhile."""
    for place in places:
        with contextlib.suppress(FileNotFoundError):
            if place.stat(follow_symlinks=False).st_ctime >= since:
                yield place


def _write_contract(path: Path, columns: dict[str, dict[str, object]]) -> None:
    path.write_text(yaml.safe_dump({"columns": {"customer": {"dtype": "str"}, **columns}}))
