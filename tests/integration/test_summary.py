"""A sweep of real runs: its summary is there when it ends, again when it is asked for, and MLflow has its runs."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import NamedTuple

import polars as pl
import pytest
from html_page import Page
from integration.launch import write_tables
from support import type_command

pytestmark = pytest.mark.processes

SMALL = ("crypto=ou_2048", "sgb.num_boost_round=1", "sgb.sketch_eps=0.25", "report.html=false", "cluster=debug")
FOLDER = "outputs/sweep"


class Swept(NamedTuple):
    """A sweep of two jobs that are done, and one that is wrong."""

    place: Path
    ended: CompletedProcess[str]

    @property
    def folder(self) -> Path:
        return self.place / FOLDER


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    place = tmp_path_factory.mktemp("sweep")
    write_tables(place)
    typed = ("sgb.max_depth=2,3,17", "tracking=mlflow", f"hydra.sweep.dir={FOLDER}")
    return Swept(place, type_command("-m", *SMALL, *typed, cwd=place))


def test_sweep_ends_with_its_summary(swept: Swept) -> None:
    assert swept.ended.returncode == 2, swept.ended.stderr  # the wrong job's
    told = swept.ended.stdout
    assert f"Sweep        {FOLDER}: 3 jobs: 2 done, 1 failed" in told
    assert "logistic on breast_cancer, task train_predict, by AUC, the highest first" in told
    assert "Failed       job 2: spec error: sgb.max_depth = 17" in told
    frame = pl.read_parquet(swept.folder / "summary.parquet")
    for number in (0, 1):
        manifest = json.loads((swept.folder / str(number) / "manifest.json").read_bytes())
        row = frame.row(number, named=True)
        assert row["metrics.auc"] == manifest["observed"]["shown"]["evaluate"][0]["auc"]
        assert row["train_seconds"] == manifest["observed"]["seconds"]["train"]
        assert row["run_digest"] == manifest["digest"]
        assert row["sgb.max_depth"] == number + 2
    assert "17" in Page((swept.folder / "summary.html").read_bytes()).text


def test_summary_is_made_again_at_any_time(swept: Swept) -> None:
    page = (swept.folder / "summary.html").read_bytes()
    (swept.folder / "summary.html").unlink()
    done = type_command("task=summary", f"sweep={FOLDER}", cwd=swept.place)
    assert done.returncode == 0, done.stderr
    assert "3 jobs: 2 done, 1 failed" in done.stdout
    assert (swept.folder / "summary.html").read_bytes() == page
    wrong = type_command("task=summary", "sweep=outputs", cwd=swept.place)
    assert wrong.returncode == 8
    assert "there is no sweep" in wrong.stderr


def test_each_run_is_listed_with_what_its_terminal_was_shown(swept: Swept) -> None:
    assert "not listed" not in swept.ended.stdout
    listed = {}
    for run in (swept.place / "outputs" / "mlruns").glob("*/*/tags/mlflow.runName"):
        metrics = run.parent.parent / "metrics" / "auc"
        listed[run.read_text()] = float(metrics.read_text().split()[1]) if metrics.exists() else None
    shown = {
        f"job {number}": json.loads((swept.folder / str(number) / "manifest.json").read_bytes())["observed"]["shown"]
        for number in (0, 1)
    }
    expected = {name: values["evaluate"][0]["auc"] for name, values in shown.items()}
    assert listed == {**expected, "sweep outputs/sweep": None}
