"""Drafting contracts, as a party's process does it, and what the driver asks of it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from runner.data.check import check_table
from runner.drafting import spec_of_drafts
from runner.errors import DataError, SpecError
from runner.spec.identity import spec_values
from runner.spec.parse import parse
from runner.spec.request import Infer
from runner.worker.infer import infer_schema

Changed = Callable[..., dict[str, Any]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a table of alice's."""
    monkeypatch.chdir(tmp_path)
    rows = 30
    table = {"number": [f"N{row:02d}" for row in range(rows)], "width": [0.5 + row for row in range(rows)]}
    pl.DataFrame({**table, "target": [0, 1] * (rows // 2)}).write_parquet("alice.parquet")
    return tmp_path


@pytest.fixture
def settings(changed: Changed) -> dict[str, Any]:
    """Settings without a contract, and with a label holder that is no party here."""
    values = changed({"data.name": "mine", "data.id": "number", "data.builtin": None})
    values["parties"] = {"alice": {"key_file": "key"}, "bob": {"key_file": "key"}}
    values["data"]["tables"] = {"alice": {"path": "alice.parquet"}, "bob": {"path": "bob.parquet"}}
    return values


def order(settings: dict[str, Any], **changes: Any) -> dict[str, Any]:
    spec = spec_values(spec_of_drafts(copy.deepcopy(settings), Infer()))
    asked = {"order": "infer_schema", "party": "alice", "spec": spec, "path": "outputs/schemas/mine/alice.yaml"}
    return {**asked, "format": "yaml", "overwrite": False, "include_values": False, **changes}


def test_draft_is_taken_by_a_run(place: Path, settings: dict[str, Any]) -> None:
    assert infer_schema(order(settings)) == {}, "nothing of the table is told to the driver"
    tables = settings["data"]["tables"]
    for party, table in tables.items():
        table["contract"] = f"outputs/schemas/mine/{party}.yaml"
    settings["label"] |= {"holder": "alice", "column": "target"}
    settings["policy"] = {"predictions": {"recipients": ["alice"]}, "min_rows": 0, "min_batch": 0}
    prepared = check_table(parse(settings), "alice", place)
    assert prepared.names == ("width",)
    assert prepared.label is not None


def test_draft_is_the_partys_own(place: Path, settings: dict[str, Any]) -> None:
    infer_schema(order(settings))
    draft = place / "outputs/schemas/mine/alice.yaml"
    assert draft.stat().st_mode & 0o777 == 0o600
    assert draft.parent.stat().st_mode & 0o777 == 0o700


def test_draft_is_not_overwritten_unless_asked(place: Path, settings: dict[str, Any]) -> None:
    infer_schema(order(settings))
    draft = place / "outputs/schemas/mine/alice.yaml"
    draft.write_text("mine")
    with pytest.raises(DataError, match="already") as caught:
        infer_schema(order(settings))
    assert "infer.overwrite=true" in caught.value.fix
    assert draft.read_text() == "mine"
    infer_schema(order(settings, overwrite=True))
    assert "width" in draft.read_text()


def test_link_is_not_followed(place: Path, settings: dict[str, Any]) -> None:
    draft = place / "outputs/schemas/mine/alice.yaml"
    draft.parent.mkdir(parents=True)
    draft.symlink_to(place / "elsewhere")
    with pytest.raises(DataError, match="already"):
        infer_schema(order(settings, overwrite=True))


def test_table_without_the_id_is_told_without_its_columns(place: Path, settings: dict[str, Any]) -> None:
    settings["data"]["id"] = "nubmer"
    with pytest.raises(DataError, match="'nubmer'") as caught:
        infer_schema(order(settings))
    assert "width" not in str(caught.value)


def test_missing_table_is_told(place: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="not there"):
        infer_schema(order(settings, party="bob"))


def test_contract_that_is_named_already_stays(settings: dict[str, Any]) -> None:
    settings["data"]["tables"]["bob"]["contract"] = "mine.yaml"
    tables = spec_of_drafts(settings, Infer(format="python")).data.tables
    assert {party: table.contract for party, table in tables.items()} == {
        "alice": "outputs/schemas/mine/alice.py",
        "bob": "mine.yaml",
    }


def test_a_site_drafts_for_its_own_party(settings: dict[str, Any]) -> None:
    settings["cluster"]["mode"] = "remote"
    with pytest.raises(SpecError, match="self_party is not given"):
        spec_of_drafts(copy.deepcopy(settings), Infer())
    settings["self_party"] = "alice"
    settings["parties"]["bob"] = {}
    settings["data"]["tables"]["bob"] = {}
    assert list(spec_of_drafts(settings, Infer()).tables_here()) == ["alice"]


@pytest.mark.parametrize(
    ("section", "name", "value", "word"),
    [
        ("data", "name", "../else", "data.name"),
        ("data", "id", 3, "data.id"),
        ("data", "idd", "x", "did you mean 'id'?"),
        ("parties", "bob", None, "parties.bob"),
        ("parties", "bob", ..., "data.tables.bob"),
    ],
)
def test_settings_that_are_not_valid_are_told(
    settings: dict[str, Any], section: str, name: str, value: Any, word: str
) -> None:
    settings[section][name] = value
    if value is ...:
        del settings[section][name]
    with pytest.raises(SpecError) as caught:
        spec_of_drafts(settings, Infer())
    assert word in str(caught.value)
