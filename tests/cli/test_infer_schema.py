"""Drafting contracts as it is typed: the drafts stay with their parties, and the printed command goes on with them."""

from __future__ import annotations

import shlex
from pathlib import Path

import polars as pl
import pytest
from support import Command

pytestmark = pytest.mark.processes


def test_drafts_are_written_and_taken(command: Command, tmp_path: Path) -> None:
    done = command("task=infer_schema", "data=lenders", "label.column=default")
    assert done.returncode == 0, done.stderr
    drafts = {party: tmp_path / "outputs/schemas/lenders" / f"{party}.yaml" for party in ("alice", "bob", "carol")}
    for party, path in drafts.items():
        columns = pl.read_parquet_schema(tmp_path / f"outputs/data/lenders/{party}/table.parquet")
        assert all(name in path.read_text() for name in columns)
        assert not [name for name in columns if name != "default" and name in done.stdout + done.stderr]
    assert sorted(path.name for path in (tmp_path / "outputs").iterdir()) == ["data", "schemas"], "no run, no key"
    following = shlex.split(done.stdout.splitlines()[-1])
    assert following[:4] == ["Next", "python", "-m", "runner"]
    checked = command(*following[4:])
    assert checked.returncode == 0, checked.stderr
    assert "This run may start" in checked.stdout
    again = command("task=infer_schema", "data=lenders")
    assert again.returncode == 4
    assert "infer.overwrite=true" in again.stderr
