"""The summary of a sweep, from made folders: states, comparisons, ranks, tables; what may not be seen is not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from filelock import FileLock
from made_sweeps import FAILURE, MadeJob, break_status, damage, make_sweep

from runner.errors import BundleError, RunnerError, SpecError, Stopped
from runner.sweep.record import RECORD
from runner.sweep.summary import summarise_sweep
from runner.sweep.summary_compare import front, groups
from runner.sweep.summary_importance import LEAST_JOBS, importances
from runner.sweep.summary_jobs import JobRecord, read_sweep


def job(depth: int, auc: float | None, **others: Any) -> MadeJob:
    """A job of a sweep over the depth."""
    return MadeJob((f"sgb.max_depth={depth}", "sgb.num_boost_round=2"), metrics={"auc": auc, "ks": 0.5}, **others)


def read(folder: Path) -> list[JobRecord]:
    return read_sweep(folder)[1]


def refusal(folder: Path) -> RunnerError:
    with pytest.raises(RunnerError) as caught:
        summarise_sweep(folder)
    return caught.value


def test_best_comes_first_and_ties_by_number(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", [job(2, 0.8), job(3, 0.9), job(4, None), job(5, 0.9)])
    (group,) = groups(read(folder))
    assert [one.number for one in group.jobs] == [1, 3, 0, 2]
    assert [one.number for one in group.ranked()] == [1, 3, 0]
    assert group.columns == ("sgb.max_depth",)


@pytest.mark.parametrize(
    ("objective", "metric", "first"),
    [("linear", "rmse", 0), ("tweedie", "deviance", 0), ("multiclass", "macro_auc", 1)],
)
def test_each_objective_has_its_own_headline(tmp_path: Path, objective: str, metric: str, first: int) -> None:
    jobs = [
        MadeJob((f"sgb.objective={objective}", f"sgb.seed={value}"), metrics={metric: value, "mae": 1 - value})
        for value in (1, 2)
    ]
    (group,) = groups(read(make_sweep(tmp_path / "s", jobs)))
    assert (group.by, group.jobs[0].number) == (metric, first)


def test_mean_over_folds_is_the_result_of_a_cross_validation(tmp_path: Path) -> None:
    metrics = {"folds": [], "mean": {"auc": 0.75, "ks": None}, "sd": {"auc": 0.1, "ks": None}}
    (one,) = read(make_sweep(tmp_path / "s", [MadeJob(("task=cv",), metrics=metrics)]))
    assert one.metrics() == {"auc": 0.75}


@pytest.mark.parametrize(
    "other",
    [
        MadeJob(("task=cv",), metrics={"mean": {"auc": 0.99}}),
        MadeJob(("data.split.key=other",), metrics={"auc": 0.99}),
        MadeJob(("sgb.objective=linear",), metrics={"rmse": 0.99}),
        MadeJob(metrics={"auc": 0.99}, files={"carol": "another file"}),
    ],
    ids=["task", "rows", "objective", "table"],
)
def test_only_like_is_compared_with_like(tmp_path: Path, other: MadeJob) -> None:
    folder = make_sweep(tmp_path / "s", [job(2, 0.8), job(3, 0.9), other])
    found = groups(read(folder))
    assert [[one.number for one in group.jobs] for group in found] == [[1, 0], [2]]
    assert len({group.name for group in found}) == 2
    assert "the finished jobs answer 2 questions" in summarise_sweep(folder)


def test_features_and_weights_may_differ_between_jobs_that_are_compared(tmp_path: Path) -> None:
    jobs = [
        MadeJob(("data.tables.alice.ignore=[mean_radius]",), metrics={"auc": 0.8}),
        MadeJob(("label.class_weight=balanced",), metrics={"auc": 0.9}, files={"carol": "0", "alice": "1"}),
    ]
    assert len(groups(read(make_sweep(tmp_path / "s", jobs)))) == 1


def test_every_state_is_told(tmp_path: Path) -> None:
    states = ["done", "running", "failed", "interrupted", "stopped", None, "done", "done", "done"]
    jobs = [job(2 + at, 0.8, state=state) for at, state in enumerate(states)]
    jobs[2] = jobs[2]._replace(error=FAILURE, earlier=(FAILURE,))
    jobs[4] = jobs[4]._replace(error=Stopped("the training was stopped", where="here", why="no use", fix="none"))
    folder = make_sweep(tmp_path / "s", jobs)
    damage(folder, 6)
    break_status(folder, 7)
    (folder / "8" / "manifest.json").unlink()
    with FileLock(folder / ".lock"):
        assert [one.state for one in read(folder)] == [
            *("done", "running", "failed", "interrupted", "stopped", "waiting"),
            *("damaged", "damaged", "damaged"),
        ]
        told = summarise_sweep(folder)
    assert "9 jobs: 1 done, 1 running, 1 waiting, 1 stopped, 1 interrupted, 1 failed, 3 damaged" in told
    assert "job 2: stage error: training failed (carol: a worker ended)" in told
    assert "job 4: " not in told, "a training that its search stopped is no failure"
    assert "attempts/2-1" in (folder / "summary.html").read_text()
    assert read(folder)[1].state == "interrupted", "nobody runs it any more"


def test_job_of_other_settings_than_recorded_is_damaged(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", [job(2, 0.8), job(3, 0.9)])
    record = json.loads((folder / RECORD).read_bytes())
    record["jobs"][1]["spec_digest"] = "0" * 64
    (folder / RECORD).write_text(json.dumps(record))
    assert [one.state for one in read(folder)] == ["done", "damaged"]


def test_what_is_no_sweep_is_told(tmp_path: Path) -> None:
    assert isinstance(refusal(tmp_path / "nowhere"), BundleError)
    assert "there is no sweep" in refusal(tmp_path).what
    assert "there is no sweep" in refusal(tmp_path / "a\x00b").what
    (tmp_path / RECORD).write_text("{")
    assert "cannot be read" in refusal(tmp_path).what
    error = refusal(make_sweep(tmp_path / "empty", []))
    assert isinstance(error, SpecError)
    assert "no job yet" in error.what


def test_folder_that_takes_no_summary_is_told(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", [job(2, 0.8)])
    (folder / "summary.html" / "in the way").mkdir(parents=True)
    error = refusal(folder)
    assert "cannot be written" in error.what
    assert isinstance(error, BundleError)


def test_metrics_that_this_site_may_not_see_are_not_there_and_who_has_them_is(tmp_path: Path) -> None:
    jobs = [MadeJob((f"sgb.max_depth={depth}",), metrics=None) for depth in (2, 3)]
    folder = make_sweep(tmp_path / "s", jobs)
    told, page = summarise_sweep(folder), (folder / "summary.html").read_text()
    assert "not ranked: the policy shows this terminal no metrics; carol may see them" in told
    assert "carol may see them" in page
    assert not {"AUC", "What mattered", "Best"} & set(page.split()) | {word for word in ("AUC", "Best") if word in told}
    assert not [name for name in pl.read_csv(folder / "summary.csv").columns if name.startswith("metrics.")]


AT_ALICE = ("cluster=remote", "parties=sites", "self_party=alice", "site=alice", "policy=lab")


def test_metrics_that_are_shown_at_another_site_are_in_the_own_partys_folder(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", [MadeJob((*AT_ALICE, f"sgb.max_depth={depth}")) for depth in (2, 3)])
    (folder / "0" / "parties" / "alice" / "report.html").write_text("a report")
    told, page = summarise_sweep(folder), (folder / "summary.html").read_text()
    assert "not ranked: this terminal is shown no metrics; they are in every job's parties/alice" in told
    assert "0/parties/alice/report.html" in page


def test_tables_hold_every_job_and_every_setting_that_differs(tmp_path: Path) -> None:
    choices = [MadeJob((f"sgb={choice}",), metrics={"auc": 0.9}) for choice in ("fast", "accurate")]
    jobs = [*choices, MadeJob(("sgb=fast", "sgb.max_depth=9"), state=None)]
    folder = make_sweep(tmp_path / "s", jobs)
    summarise_sweep(folder)
    csv, parquet = pl.read_csv(folder / "summary.csv"), pl.read_parquet(folder / "summary.parquet")
    assert csv.columns == parquet.columns
    assert parquet["job"].to_list() == csv["job"].to_list() == [0, 1, 2]
    assert parquet["rank"].to_list() == [1, 2, None]
    assert parquet["sgb"].to_list() == ["fast", "accurate", "fast"]
    assert parquet["sgb.sketch_eps"].dtype == pl.Float64
    assert parquet["metrics.auc"].to_list() == [0.9, 0.9, None]
    assert parquet["bytes_sent"].to_list() == [1_000_000, 1_000_000, None]
    assert {"data.name", "outputs"} & set(parquet.columns) == set()


def test_job_that_has_no_spec_shows_what_was_typed(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", [job(2, 0.8), MadeJob(("sgb.max_depth=4", "sgb=fast"), state=None)])
    record = json.loads((folder / RECORD).read_bytes())
    record["jobs"][1] |= {"overrides": ["sgb.max_depth=17", "+sgb.learning_rate=0.5", "]=["], "spec_digest": None}
    (folder / RECORD).write_text(json.dumps(record))
    summarise_sweep(folder)
    frame = pl.read_parquet(folder / "summary.parquet")
    assert frame["sgb.max_depth"].to_list() == [2, 17]
    assert frame["sgb.learning_rate"].to_list() == [0.3, 0.5]


def test_settings_of_several_types_become_text(tmp_path: Path) -> None:
    jobs = [MadeJob((f"label.class_weight={value}",), metrics={"auc": 0.9}) for value in ("balanced", "{0: 1, 1: 5}")]
    folder = make_sweep(tmp_path / "s", jobs)
    assert "balanced" in summarise_sweep(folder)
    assert "label.class_weight" in pl.read_parquet(folder / "summary.parquet").columns


def test_best_run_has_the_commands_that_repeat_it(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", [job(2, 0.8), job(3, 0.9)], ["-m", "--config-dir", "mine", "sgb.max_depth=2,3"])
    told = summarise_sweep(folder)
    assert f"python -m runner task=reproduce run={folder}/1" in told
    assert "python -m runner --config-dir mine sgb.max_depth=3 sgb.num_boost_round=2\n" in told


@pytest.mark.parametrize(
    ("objectives", "by"),
    [
        ({"bytes_sent": "minimize", "ks": "maximize"}, "by KS, the highest first"),
        ({"bytes_sent": "minimize"}, "by bytes sent, the lowest first"),
    ],
)
def test_search_is_ranked_by_what_it_was_for(tmp_path: Path, objectives: dict[str, str], by: str) -> None:
    tune = {"objectives": objectives, "command": "python -m runner sgb=fast", "space": {"sgb.max_depth": {}}}
    folder = make_sweep(tmp_path / "s", [job(2, 0.9, sent=2000), job(3, 0.8, sent=1000)], tune=tune)
    told = summarise_sweep(folder)
    assert by in told
    assert f"python -m runner sgb=fast sgb.max_depth={2 if 'ks' in objectives else 3}\n" in told


def test_front_has_the_jobs_that_none_beats_in_both(tmp_path: Path) -> None:
    results = [(0.9, 3.0), (0.8, 1.0), (0.7, 2.0), (0.9, 4.0), (0.8, 1.0)]
    jobs = [job(2 + at, auc, seconds=seconds) for at, (auc, seconds) in enumerate(results)]
    (group,) = groups(read(make_sweep(tmp_path / "s", jobs)))
    assert sorted(one.number for one in front(group, "auc", "train_seconds")) == [0, 1, 4]


def grid(count: int, of: Any) -> list[MadeJob]:
    """Jobs with all pairs of a depth and a learning rate, and a result of them."""
    pairs = [(depth, rate) for depth in (2, 3, 4) for rate in (0.1, 0.2, 0.3, 0.4)][:count]
    return [
        MadeJob((f"sgb.max_depth={depth}", f"sgb.learning_rate={rate}"), metrics={"auc": of(depth, rate)})
        for depth, rate in pairs
    ]


def test_setting_that_decides_has_the_largest_importance(tmp_path: Path) -> None:
    jobs = grid(12, lambda depth, rate: 0.5 + 0.1 * depth + 0.01 * rate)
    (group,) = groups(read(make_sweep(tmp_path / "s", jobs)))
    found = importances(group)
    assert found is not None
    assert list(found) == ["sgb.max_depth", "sgb.learning_rate"]
    assert found["sgb.max_depth"] > 0.8
    assert sum(found.values()) == pytest.approx(1)
    assert importances(group) == found, "the same jobs give the same numbers"


@pytest.mark.parametrize(("count", "of"), [(LEAST_JOBS - 1, lambda depth, rate: depth), (12, lambda depth, rate: 0.5)])
def test_no_importances_without_enough_to_go_by(tmp_path: Path, count: int, of: Any) -> None:
    (group,) = groups(read(make_sweep(tmp_path / "s", grid(count, of))))
    assert importances(group) is None


def test_what_was_reused_is_told_of_each_job(tmp_path: Path) -> None:
    reused = {"processes": True, "keys": False, "tables": ["alice", "bob"], "alignment": True}
    first, second = read(make_sweep(tmp_path / "s", [job(2, 0.8), job(3, 0.9, reused=reused)]))
    assert first.reused() == ""
    assert second.reused() == "alignment; processes; tables of alice, bob"
