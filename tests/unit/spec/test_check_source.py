"""Contradictions between the settings of tables' sources, and passwords in a spec."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from runner.errors import DataError, SpecError
from runner.spec.check_source import refuse_typed_credentials
from runner.spec.parse import parse

Changed = Callable[..., dict[str, Any]]
CONTRACT = "breast_cancer.py:Bob"
SECRET = "hunter2"
URI = f"postgresql://bob:{SECRET}@db.example:5432/people"
QUERY = {"sql": "select * from people"}


def bob(changed: Changed, path: str | None = None, **source: Any) -> dict[str, Any]:
    return changed({"data.tables.bob": {"path": path, "contract": CONTRACT, "source": source}})


def refusal(values: dict[str, Any]) -> SpecError:
    with pytest.raises(SpecError) as caught:
        parse(values)
    error = caught.value
    assert all((error.what, error.where, error.why, error.fix))
    assert SECRET not in str(error) + json.dumps(error.to_dict()) + repr(error.args)
    return error


@pytest.mark.parametrize(
    ("path", "source", "where", "fix"),
    [
        (None, {}, ".path", "set one of"),
        ("t.csv", QUERY, ".path", "set one of"),
        ("s3://bucket/t.parquet", {}, ".path", "bring the file here"),
        ("t.parquet", {"csv": {"separator": ";"}}, ".source.csv", "source.format=csv"),
        ("t.csv", {"format": "jsonl", "csv": {"header": False}}, ".source.csv", "source.format=csv"),
        (None, {**QUERY, "csv": {"header": False}}, ".source.csv", "remove"),
        ("t.csv", {"csv": {"encoding": "latin2one"}}, ".source.csv.encoding", "latin1"),
        ("t.csv", {"csv": {"encoding": "base64"}}, ".source.csv.encoding", "utf8"),
        ("t.csv", {"csv": {"separator": '"'}}, ".source.csv.separator", "another character"),
        ("t.csv", {"csv": {"decimal_comma": True}}, ".source.csv.separator", "';'"),
        ("t.csv", {"csv": {"separator": ";;"}}, ".source.csv.separator", "one character"),
        ("t.csv", {"uri": "sqlite:x.db"}, ".source.uri", "set data.tables.bob.source.sql"),
        ("t.csv", {"uri_env": "X"}, ".source.uri_env", "set data.tables.bob.source.sql"),
        ("t.csv", {"format": "sql"}, ".source.sql", "set data.tables.bob.source.sql"),
        ("t.csv", {"format": "excel"}, ".source.format", "one of csv, ipc, jsonl, parquet, sql"),
        (None, {**QUERY, "format": "csv"}, ".source.format", "remove"),
        (None, {**QUERY, "uri": "sqlite:x.db", "uri_env": "X"}, ".source.uri", "remove"),
        (None, {**QUERY, "uri": "oracle://x"}, ".source.uri", "sqlite://…"),
        (None, {"sql": "delete from people"}, ".source.sql", "begins with select"),
        ("t.csv", {"columns": ["a", "b", "a"]}, ".source.columns", "once"),
        ("t.csv", {"rename": {"a": "x", "b": "x"}}, ".source.rename", "once"),
        ("t.csv", {"rename": {"a": "x"}, "columns": ["b"]}, ".source.rename", "add it"),
        ("t.csv", {"seperator": ";"}, ".source.seperator", "csv"),
    ],
)
def test_contradiction_is_refused(
    changed: Changed, path: str | None, source: dict[str, Any], where: str, fix: str
) -> None:
    error = refusal(bob(changed, path, **source))
    assert error.where == f"data.tables.bob{where}"
    assert fix in error.fix


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("t.csv", {"csv": {"separator": ";", "decimal_comma": True, "quote": None, "encoding": "latin1"}}),
        ("t.dat", {"csv": {"separator": ";"}}),
        ("folder", {"format": "jsonl"}),
        (None, {"sql": "  WITH a AS (SELECT 1) SELECT * FROM a", "uri": "postgresql://bob@db.example/people"}),
        (None, {"sql": "select * from 'x.csv'"}),
        (None, {**QUERY, "uri": "sqlite:///data/people.db"}),
        (None, {**QUERY, "uri_env": "BOB_URI"}),
        ("t.csv", {"rename": {"a": "b", "b": "a"}, "columns": ["a", "b"]}),
    ],
)
def test_what_fits_is_taken(changed: Changed, path: str | None, source: dict[str, Any]) -> None:
    assert parse(bob(changed, path, **source)).data.tables["bob"].path == path


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (None, {**QUERY, "uri": URI}),
        (None, {**QUERY, "uri": f"postgresql://bob:{SECRET}@p@db/people"}),
        (None, {**QUERY, "uri": f"postgresql://bob@db/people?password={SECRET}"}),
        (None, {"sql": f"select * from postgres_scan('host=db password={SECRET}', 'people')"}),
        (None, {"sql": f"select * from read_csv('https://bob:{SECRET}@db/people.csv')"}),
        (f"https://bob:{SECRET}@db/people.csv", {}),
    ],
)
def test_password_in_the_spec_is_refused_without_being_shown(
    changed: Changed, path: str | None, source: dict[str, Any]
) -> None:
    error = refusal(bob(changed, path, **source))
    assert error.what == "a password stands in the spec"
    assert error.where.startswith("data.tables.bob.")
    assert "data.tables.bob.source.uri_env: NAME" in error.fix


@pytest.mark.parametrize(
    "source", [{**QUERY, "uri_env": URI}, {**QUERY, "format": URI}, {**QUERY, URI: "x"}, {**QUERY, "columns": URI}]
)
def test_password_in_a_wrong_place_is_not_shown_either(changed: Changed, source: dict[str, Any]) -> None:
    refusal(bob(changed, **source))


@pytest.mark.parametrize("argument", [f"+data.tables.bob.source.uri={URI}", f"label.column={URI}"])
def test_password_on_the_command_line_is_refused_before_anything_else(argument: str) -> None:
    with pytest.raises(SpecError) as caught:
        refuse_typed_credentials(["sgb=fast", argument])
    assert SECRET not in str(caught.value)
    assert caught.value.where == argument.lstrip("+").partition("=")[0]
    refuse_typed_credentials(["sgb=fast", "label=secret", "+data.tables.bob.source.uri_env=BOB_URI"])


def test_no_error_shows_a_password() -> None:
    error = DataError(f"no {URI}", where=f"at {URI}", why=f"password={SECRET}&x=1", fix=f"mend {URI}")
    assert SECRET not in str(error) + json.dumps(error.to_dict()) + str(error.args)
    assert "db.example" in error.what
    assert "x=1" in error.why


@pytest.mark.parametrize(
    ("changes", "where", "fix"),
    [
        ({"data.features": 30}, "data.features", "data=synthetic"),
        ({"data.classes": 3}, "data.classes", "data=synthetic"),
        ({"data.rows": 100}, "data.features", "to 3 or more"),
        ({"data.rows": 100, "data.features": 2}, "data.features", "to 3 or more"),
        ({"data.rows": 100, "data.features": 9}, "data.rows", "remove data.rows"),
        ({"data.rows": 100, "data.features": 9, "data.builtin": None}, "data.tables.alice.path", "remove"),
        ({"data.rows": 0}, "data.rows", ">= 1"),
        ({"data.max_memory": 0}, "data.max_memory", "> 0"),
        ({"data.informative": 0}, "data.informative", "> 0"),
    ],
)
def test_contradiction_of_made_up_tables_is_refused(
    changed: Changed, changes: dict[str, Any], where: str, fix: str
) -> None:
    error = refusal(changed(changes))
    assert error.where == where
    assert fix in error.fix


def test_classes_fit_the_objective(changed: Changed) -> None:
    tables = {party: {"contract": "synthetic.py:Table"} for party in ("alice", "bob", "carol")}
    data = {"name": "x", "id": "customer_id", "rows": 9, "features": 9, "classes": 3, "tables": tables}
    assert refusal(changed({"data": data})).where == "data.classes"
    parse(changed({"data": data, "sgb.objective": "linear", "sgb.eval_metric": "rmse"}))
