"""Contracts: the user's pandera model, found and read, and what the runner adds to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import PROJECT

from runner.data.contract import Contract, build_contract
from runner.data.place import bundled_contracts
from runner.errors import DataError
from runner.spec.model import Spec
from runner.spec.parse import parse

Changed = Callable[..., dict[str, Any]]
Build = Callable[..., Contract]
Refusal = Callable[..., DataError]

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


def spec_of(changed: Changed, reference: str, holder: str | None = "alice", **changes: Any) -> Spec:
    """A spec in which alice's contract is ``reference``; with another ``holder`` she has no label."""
    changes = {name.replace("__", "."): value for name, value in changes.items()}
    return parse(
        changed(
            {"data.id": "number", "data.tables.alice.contract": reference, "label.holder": holder or "carol", **changes}
        )
    )


@pytest.fixture
def build(changed: Changed) -> Build:
    """Builds alice's contract."""
    return lambda reference, **changes: build_contract(spec_of(changed, reference, **changes), "alice")


@pytest.fixture
def refusal(build: Build) -> Refusal:
    """Builds alice's contract, which must fail."""

    def refused(reference: str, **changes: Any) -> DataError:
        with pytest.raises(DataError) as caught:
            build(reference, **changes)
        error = caught.value
        assert error.code == 4
        assert reference in error.where
        assert "alice" in error.what
        assert error.why
        assert error.fix
        return error

    return refused


def test_features_are_the_other_columns_in_the_order_of_the_class(folder: Path, build: Build) -> None:
    contract = build("good.py:Alice")
    assert contract.features == ("second", "first")
    assert contract.schema.columns["target"].required


def test_without_the_label_it_is_an_ordinary_column(folder: Path, build: Build) -> None:
    assert build("good.py:Alice", holder=None).features == ("second", "target", "first")


def test_label_that_is_not_needed_is_neither_read_nor_a_feature(folder: Path, build: Build) -> None:
    contract = build("good.py:Alice", task__name="predict", model="somewhere", label__predict="none")
    assert contract.features == ("second", "first")
    assert not contract.schema.columns["target"].required


def test_ignored_column_is_no_feature_and_may_be_missing(folder: Path, build: Build) -> None:
    contract = build("good.py:Alice", holder=None, data__tables__alice__ignore=["target", "second"])
    assert contract.features == ("first",)
    assert not contract.schema.columns["target"].required
    assert not contract.schema.columns["second"].required


def test_mark_of_own_rows_is_no_feature_and_must_be_there(folder: Path, build: Build) -> None:
    (folder / "marked.py").write_text(GOOD + "    mine: bool\n")
    contract = build("marked.py:Alice", data__tables__alice__owns="mine")
    assert contract.features == ("second", "first")
    assert contract.schema.columns["mine"].required


def test_path_may_be_absolute(folder: Path, tmp_path: Path, build: Build) -> None:
    assert build(f"{tmp_path}/good.py:Alice").features == ("second", "first")


def test_own_file_goes_before_a_bundled_one(folder: Path, build: Build) -> None:
    (folder / "diabetes.py").write_text(GOOD)
    assert build("diabetes.py:Alice").features == ("second", "first")


@pytest.mark.parametrize("party", ["Alice", "Bob", "Carol"])
@pytest.mark.parametrize("data", ["breast_cancer", "diabetes"])
def test_bundled_contract_is_found_from_anywhere(folder: Path, data: str, party: str, build: Build) -> None:
    holder = "alice" if party == "Carol" else None
    assert len(build(f"{data}.py:{party}", data__id="patient_id", holder=holder).features) >= 3
    assert bundled_contracts() == PROJECT / "schemas"


@pytest.mark.parametrize("reference", ["nowhere.py:Alice", "nowhere.py", "", ":Alice", "/:x", "..:x"])
def test_missing_file_is_told(folder: Path, reference: str, refusal: Refusal) -> None:
    assert "file.py:Class" in refusal(reference).fix


@pytest.mark.parametrize("reference", ["good.py:Alize", "good.py:", "good.py", "good.py:pa", "good.py:DataFrameModel"])
def test_missing_class_is_told(folder: Path, reference: str, refusal: Refusal) -> None:
    assert "Alice" in refusal(reference).fix


def test_missing_id_column_is_told(folder: Path, refusal: Refusal) -> None:
    error = refusal("good.py:Alice", data__id="nubmer")
    assert "'nubmer'" in error.what
    assert "did you mean 'number'?" in error.fix


def test_missing_label_column_is_told(folder: Path, refusal: Refusal) -> None:
    assert "did you mean 'target'?" in refusal("good.py:Alice", label__column="tagret").fix


def test_contract_without_a_feature_is_told(folder: Path, refusal: Refusal) -> None:
    (folder / "bare.py").write_text(GOOD.replace("    second: float\n", "").replace("    first: float\n", ""))
    assert "no feature" in refusal("bare.py:Alice").what


@pytest.mark.parametrize(
    "content",
    ["1 / 0", "import nothing_of_that_name", "def broken(:", "raise Exception('x')", "import sys; sys.exit(3)"],
)
def test_file_that_cannot_be_imported_is_told(folder: Path, content: str, refusal: Refusal) -> None:
    (folder / "bad.py").write_text(content)
    assert "python" in refusal("bad.py:Alice").fix


def test_file_that_is_no_python_is_told(folder: Path, refusal: Refusal) -> None:
    (folder / "contract.txt").write_text(GOOD)
    assert ".py" in refusal("contract.txt:Alice").fix


def test_contract_may_use_the_modern_way_of_annotations(folder: Path, build: Build) -> None:
    """`from __future__ import annotations` looks types up in the module, which must be known to Python then."""
    modern = "from __future__ import annotations\nimport polars as pl\n" + GOOD
    (folder / "modern.py").write_text(modern.replace("second: float", "second: pl.Float64"))
    assert build("modern.py:Alice").features == ("second", "first")


def test_class_may_inherit_from_one_in_the_same_file(folder: Path, build: Build) -> None:
    (folder / "child.py").write_text(GOOD + "\nclass Child(Alice):\n    third: float\n")
    assert build("child.py:Child").features == ("second", "first", "third")


def test_contracts_of_two_parties_do_not_meet(folder: Path, build: Build) -> None:
    (folder / "other.py").write_text(GOOD.replace("first", "other"))
    first, other = build("good.py:Alice"), build("other.py:Alice")
    assert first.features != other.features
