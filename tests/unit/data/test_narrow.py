"""Pandera without pandas: a saving that must not be lost unseen."""

from __future__ import annotations

import subprocess
import sys

from support import PROJECT

PROGRAM = """
from runner.data.narrow import import_pandera

import_pandera()
import sys

before = set(sys.modules)
import pandera.polars as pa
import polars as pl


class Positive(pa.DataFrameModel):
    number: float = pa.Field(gt=0)


Positive.validate(pl.DataFrame({"number": [1.0]}))
try:
    Positive.validate(pl.DataFrame({"number": [-1.0]}))
except pa.errors.SchemaError:
    print("refused")
print("pandas" in sys.modules, sorted(module for module in set(sys.modules) - before if "pandera.backends" in module))
import pandas
"""


def test_a_check_imports_no_pandas_and_a_contract_may() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["refused", "False []"]
