"""Contracts: the user's pandera model, found and read, and what the runner adds to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import PROJECT

from runner.data.contract import Contract, build_contract, bundled_contracts
from runner.errors import DataError

GOOD = """
import pandera.polars as pa

class Alice(pa.DataFrameModel):
    number: int
    second: float
    target: int
    first: float
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one good contract."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.py").write_text(GOOD)
    return tmp_path


def build(reference: str, **changes: Any) -> Contract:
    settings = {"id_column": "number", "label": "target", "needs_label": True, "objective": "logistic", **changes}
    return build_contract("alice", reference, **settings)


def refusal(reference: str, **changes: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        build(reference, **changes)
    error = caught.value
    assert error.code == 4
    assert reference in error.where
    assert "alice" in error.what
    assert error.why
    assert error.fix
    return error


def test_features_are_the_other_columns_in_the_order_of_the_class(folder: Path) -> None:
    assert build("good.py:Alice").features == ("second", "first")
    assert build("good.py:Alice").label == "target"


def test_without_the_label_it_is_an_ordinary_column(folder: Path) -> None:
    contract = build("good.py:Alice", label=None)
    assert contract.features == ("second", "target", "first")
    assert contract.label is None


def test_label_that_is_not_needed_is_neither_read_nor_a_feature(folder: Path) -> None:
    contract = build("good.py:Alice", needs_label=False)
    assert contract.label is None
    assert contract.features == ("second", "first")
    assert "target" not in contract.schema.columns


def test_path_may_be_absolute(folder: Path, tmp_path: Path) -> None:
    assert build(f"{tmp_path}/good.py:Alice").features == ("second", "first")


def test_own_file_goes_before_a_bundled_one(folder: Path) -> None:
    (folder / "diabetes.py").write_text(GOOD)
    assert build("diabetes.py:Alice").features == ("second", "first")


@pytest.mark.parametrize("party", ["Alice", "Bob", "Carol"])
@pytest.mark.parametrize("data", ["breast_cancer", "diabetes"])
def test_bundled_contract_is_found_from_anywhere(folder: Path, data: str, party: str) -> None:
    label = "target" if party == "Carol" else None
    assert len(build(f"{data}.py:{party}", id_column="patient_id", label=label).features) >= 3
    assert bundled_contracts() == PROJECT / "schemas"


@pytest.mark.parametrize("reference", ["nowhere.py:Alice", "nowhere.py", "", ":Alice", "/:x", "..:x"])
def test_missing_file_is_told(folder: Path, reference: str) -> None:
    assert "file.py:Class" in refusal(reference).fix


@pytest.mark.parametrize("reference", ["good.py:Alize", "good.py:", "good.py", "good.py:pa", "good.py:DataFrameModel"])
def test_missing_class_is_told(folder: Path, reference: str) -> None:
    assert "Alice" in refusal(reference).fix


def test_missing_id_column_is_told(folder: Path) -> None:
    error = refusal("good.py:Alice", id_column="nubmer")
    assert "'nubmer'" in error.what
    assert "did you mean 'number'?" in error.fix


def test_missing_label_column_is_told(folder: Path) -> None:
    assert "did you mean 'target'?" in refusal("good.py:Alice", label="tagret").fix


def test_contract_without_a_feature_is_told(folder: Path) -> None:
    (folder / "bare.py").write_text(GOOD.replace("    second: float\n", "").replace("    first: float\n", ""))
    assert "no feature" in refusal("bare.py:Alice").what


@pytest.mark.parametrize(
    "content",
    ["1 / 0", "import nothing_of_that_name", "def broken(:", "raise Exception('x')", "import sys; sys.exit(3)"],
)
def test_file_that_cannot_be_imported_is_told(folder: Path, content: str) -> None:
    (folder / "bad.py").write_text(content)
    assert "python" in refusal("bad.py:Alice").fix


def test_file_that_is_no_python_is_told(folder: Path) -> None:
    (folder / "contract.txt").write_text(GOOD)
    assert ".py" in refusal("contract.txt:Alice").fix


def test_contract_may_use_the_modern_way_of_annotations(folder: Path) -> None:
    """`from __future__ import annotations` looks types up in the module, which must be known to Python then."""
    modern = "from __future__ import annotations\nimport polars as pl\n" + GOOD
    (folder / "modern.py").write_text(modern.replace("second: float", "second: pl.Float64"))
    assert build("modern.py:Alice").features == ("second", "first")


def test_class_may_inherit_from_one_in_the_same_file(folder: Path) -> None:
    (folder / "child.py").write_text(GOOD + "\nclass Child(Alice):\n    third: float\n")
    assert build("child.py:Child").features == ("second", "first", "third")


def test_contracts_of_two_parties_do_not_meet(folder: Path) -> None:
    (folder / "other.py").write_text(GOOD.replace("first", "other"))
    first, other = build("good.py:Alice"), build("other.py:Alice")
    assert first.features != other.features
