"""Listing runs in MLflow: what is told and what is not; a real store of files; a store that is not there."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from made_sweeps import FAILURE, MadeJob, make_sweep, spec_of
from support import make_spec

from runner.errors import SpecError
from runner.spec.model import Spec
from runner.spec.sweep import Tracking
from runner.tracking import track as tracking
from runner.tracking.content import describe, params
from runner.tracking.job import PARENTS
from runner.tracking.track import require_tracking, store_of, track

METRICS = {"auc": 0.75, "ks": None, "f1 [yes]": 0.5}


def tracked(overrides: tuple[str, ...], **settings: Any) -> Spec:
    return msgspec.structs.replace(spec_of(overrides), tracking=Tracking(name="mlflow", **settings))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of which one job is finished, one failed, and one was interrupted."""
    jobs = [
        MadeJob(("sgb.max_depth=2",), metrics=METRICS),
        MadeJob(("sgb.max_depth=3",), state="failed", error=FAILURE),
        MadeJob(("sgb.max_depth=4",), state="interrupted"),
    ]
    return make_sweep(tmp_path_factory.mktemp("made") / "sweep", jobs)


@pytest.fixture(scope="module")
def store(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A store of files in which the jobs were listed, as MLflow's client reads it."""
    folder = tmp_path_factory.mktemp("store")
    told: list[str] = []
    for number, depth in enumerate((2, 3, 4)):
        spec = tracked((f"sgb.max_depth={depth}",), uri=str(folder / "runs"), experiment="depths")
        track(made / str(number), spec, told.append, in_sweep=True)
    assert told == []
    tracking._PROCESS.end()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in tracking.ENVIRONMENT.items():
            patch.setenv(name, value)
        from mlflow.tracking import MlflowClient

        yield MlflowClient((folder / "runs").as_uri())


def listed(store: Any) -> dict[str, Any]:
    experiment = store.get_experiment_by_name("depths")
    return {run.info.run_name: run for run in store.search_runs([experiment.experiment_id])}


def test_finished_run_is_listed_with_settings_metrics_and_digests(store: Any, made: Path) -> None:
    run = listed(store)["job 0"]
    manifest = json.loads((made / "0" / "manifest.json").read_bytes())
    assert run.info.status == "FINISHED"
    assert run.data.params["sgb.max_depth"] == "2"
    assert run.data.params["policy.metrics.recipients"] == '["carol"]'
    assert run.data.metrics == {
        **{"auc": 0.75, "seconds.train": 2.0, "seconds.evaluate": 0.1},
        **{"bytes_sent": 1e6, "bytes_sent.alice": 1e6},
    }
    assert run.data.tags["sgb.run_digest"] == manifest["digest"]
    assert run.data.tags["sgb.run_folder"] == (made / "0").as_uri()


def test_runs_that_came_to_nothing_are_listed_with_their_state(store: Any) -> None:
    runs = listed(store)
    assert (runs["job 1"].info.status, runs["job 2"].info.status) == ("FAILED", "KILLED")
    assert runs["job 1"].data.tags["sgb.error"] == "training failed (a worker ended)"
    assert runs["job 1"].data.metrics == runs["job 2"].data.metrics == {}


def test_jobs_are_the_children_of_one_sweep(store: Any, made: Path) -> None:
    runs = listed(store)
    assert set(runs) == {"job 0", "job 1", "job 2", f"sweep {made.parent.name}/sweep"}
    parents = {run.data.tags.get("mlflow.parentRunId") for name, run in runs.items() if name.startswith("job")}
    assert parents == {runs[f"sweep {made.parent.name}/sweep"].info.run_id}
    assert len(json.loads((made / PARENTS).read_bytes())) == 1


def test_neither_keys_nor_places_nor_tables_are_told() -> None:
    overrides = ("+parties.alice.key_env=ALICE_KEY", "+parties.alice.passphrase_env=ALICE_PASSPHRASE")
    query = ("+data.tables.bob.source={sql: select 1, uri_env: BOB_URI}", "data.tables.bob.path=null")
    spec = make_spec(*overrides, *query, "data.builtin=null", "outputs=/secret")
    told = json.dumps(params(spec))
    for word in ("secret", "ALICE", "BOB_URI", "select", "parquet", "breast_cancer.py", "key_file"):
        assert word not in told
    assert params(spec)["parties"] == "carol, alice, bob"


def test_metrics_that_the_terminal_was_not_shown_are_not_told(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", [MadeJob(metrics=None)]) / "0"
    names = {name for name, _, _ in describe(folder, make_spec(), in_sweep=False)["metrics"]}
    assert names == {"seconds.train", "seconds.evaluate", "bytes_sent", "bytes_sent.alice"}


def test_store_that_is_not_there_does_not_lose_the_run(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", [MadeJob(metrics=METRICS)]) / "0"
    with socket.socket() as closed:  # bound, and never listening
        closed.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{closed.getsockname()[1]}"
        told: list[str] = []
        track(folder, tracked((), uri=uri), told.append)
    (note,) = told
    assert note.startswith(f"the run was not listed in MLflow at {uri}")
    assert str(folder) in note


def test_without_tracking_nothing_is_told_or_started(tmp_path: Path) -> None:
    tracking._PROCESS.end()
    track(tmp_path / "nowhere", make_spec(), lambda text: pytest.fail(text))
    assert tracking._PROCESS._running is None


def test_missing_extra_is_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    require_tracking(make_spec())
    with pytest.raises(SpecError) as caught:
        require_tracking(make_spec("tracking=mlflow"))
    assert "uv sync --extra tracking" in caught.value.fix


def test_store_is_a_folder_in_outputs_unless_set() -> None:
    assert store_of(msgspec.structs.replace(tracked(()), outputs="/elsewhere")) == "file:///elsewhere/mlruns"
    assert store_of(tracked((), uri="https://example.org")) == "https://example.org"


@pytest.mark.parametrize(
    ("overrides", "where"),
    [
        (("+tracking.uri=mlruns",), "tracking.uri"),
        (("+tracking.experiment=mine",), "tracking.experiment"),
        (("tracking=mlflow", "tracking.uri='https://me:secret@example.org'"), "tracking.uri"),
        (("tracking=mlflow", "tracking.experiment=''"), "tracking.experiment"),
    ],
)
def test_settings_that_are_of_no_use_are_refused(overrides: tuple[str, ...], where: str) -> None:
    with pytest.raises(SpecError) as caught:
        make_spec(*overrides)
    assert caught.value.where == where
    assert "secret" not in str(caught.value)
