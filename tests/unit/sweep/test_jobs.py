"""Jobs of a sweep: who they are, when they are begun again, and who may carry them out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import make_spec

from runner.cluster.limits import threads_of, usable_cores
from runner.errors import ClusterError, PolicyError, SpecError, StageError
from runner.spec.identity import spec_digest
from runner.spec.sweep import Sweep as Settings
from runner.sweep.carry import carry_out_all
from runner.sweep.compose import Composer
from runner.sweep.jobs import Sweep, adapted
from runner.sweep.record import read_record
from runner.sweep.state import read_state
from runner.tracking import track as tracking

TOO_SOON = ("cluster.start_timeout=0.01", "cluster=debug")  # fails while the libraries are imported


def status(folder: Path) -> Any:
    return json.loads(folder.joinpath("status.json").read_bytes())


def attempts(folder: Path) -> list[int]:
    return [job.attempts for job in read_record(folder).jobs]


def test_one_spec_is_one_job_whatever_is_typed_and_however_it_is_run(tmp_path: Path, composer: Composer) -> None:
    with Sweep(tmp_path / "sweep", Settings(), composer) as sweep:
        first = sweep.add(["sgb.max_depth=3"])
        assert sweep.add(["sgb.max_depth=4"]).number == 1
        again = sweep.add(["cluster=debug", "sgb.max_depth=3", "report.html=false"])
        assert (again.number, again.spec_digest) == (first.number, first.spec_digest)
    with Sweep(tmp_path / "sweep", Settings(), composer) as sweep:
        assert [sweep.add([f"sgb.max_depth={depth}"]).number for depth in (5, 4, 3)] == [2, 1, 0]


@pytest.mark.parametrize(
    ("override", "kind"),
    [
        ("sgb.max_depth=17", SpecError),
        ("sgb.max_dept=3", SpecError),
        ("crypto=ouu", SpecError),
        ("policy.predictions.recipients=[]", (SpecError, PolicyError)),
    ],
)
def test_a_wrong_job_has_a_number_and_its_error_is_on_the_disk(
    tmp_path: Path, composer: Composer, override: str, kind: type[Exception]
) -> None:
    with Sweep(tmp_path, Settings(), composer) as sweep:
        assert sweep.add(["sgb.max_depth=3"]).number == 0
        job = sweep.add([override])
        assert isinstance(job.error, kind)
        result = sweep.carry_out(job)
        assert (job.number, result.state, result.error) == (1, "failed", job.error)
        assert status(tmp_path / "1") == {"state": "failed", "exit_code": job.error.code, "error": job.error.to_dict()}
        assert sweep.add([override]).number == 1
    assert not (tmp_path / "attempts").exists()


def test_one_driver_at_a_time(tmp_path: Path, composer: Composer) -> None:
    with Sweep(tmp_path, Settings(), composer):
        with (
            pytest.raises(ClusterError, match="another process carries out this sweep"),
            Sweep(tmp_path, Settings(), composer),
        ):
            pass
        with Sweep(tmp_path, Settings(), composer, leads=False) as other:
            assert other.add(["sgb.max_depth=3"]).number == 0
    with Sweep(tmp_path, Settings(), composer) as sweep:
        assert sweep.add(["sgb.max_depth=3"]).number == 0


def test_a_failure_that_may_pass_is_tried_again(tmp_path: Path, composer: Composer) -> None:
    with Sweep(tmp_path, Settings(retries=2), composer) as sweep:
        result = sweep.carry_out(sweep.add([*TOO_SOON, f"outputs={tmp_path}"]))
    assert (result.state, type(result.error)) == ("failed", StageError)
    assert attempts(tmp_path) == [3]
    folders = [tmp_path / "attempts" / "0-1", tmp_path / "attempts" / "0-2", tmp_path / "0"]
    assert [status(folder)["exit_code"] for folder in folders] == [6, 6, 6]


def test_a_failure_that_does_not_pass_is_not_tried_again(tmp_path: Path, composer: Composer) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (tmp_path / "sweep").mkdir()
    (outputs / "link").symlink_to(tmp_path / "sweep")
    with Sweep(outputs / "link", Settings(retries=2), composer) as sweep:
        result = sweep.carry_out(sweep.add([f"outputs={outputs}", "cluster=debug"]))
    assert result.error is not None
    assert "symbolic link" in result.error.what
    assert attempts(tmp_path / "sweep") == [1]


def test_a_job_that_a_budget_refuses_has_its_error_on_the_disk(tmp_path: Path, composer: Composer) -> None:
    typed = ["privacy=output_dp", "policy.privacy.budget={epsilon: 0.5}", f"outputs={tmp_path}"]
    with Sweep(tmp_path, Settings(retries=1), composer) as sweep:
        results = [sweep.carry_out(sweep.add(typed)) for _ in range(2)]
    assert [type(result.error) for result in results] == [PolicyError, PolicyError]
    assert status(tmp_path / "0")["exit_code"] == PolicyError.code
    assert attempts(tmp_path) == [2]
    assert status(tmp_path / "attempts" / "0-1")["state"] == "failed"


def test_tracking_that_is_not_installed_is_told_before_the_first_job(
    tmp_path: Path, composer: Composer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with Sweep(tmp_path, Settings(), composer) as sweep:
        assert sweep.add(["tracking=none"]).error is None
        error = sweep.add(["tracking=mlflow"]).error
    assert error is not None
    assert error.where == "tracking"


def test_without_keep_going_nothing_begins_after_a_failure(
    tmp_path: Path, composer: Composer, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [[*TOO_SOON, f"outputs={tmp_path}", f"sgb.max_depth={depth}"] for depth in (2, 3)]
    with Sweep(tmp_path, Settings(keep_going=False), composer) as sweep:
        assert [result.state for result in carry_out_all(sweep, jobs)] == ["failed"]
    assert attempts(tmp_path) == [1, 0]
    assert read_state(tmp_path / "1") == "missing"
    with Sweep(tmp_path, Settings(keep_going=True), composer) as sweep:
        assert [result.state for result in carry_out_all(sweep, jobs)] == ["failed", "failed"]
    assert attempts(tmp_path) == [2, 1]
    assert f"hydra.sweep.dir={tmp_path}" in capsys.readouterr().out


def test_without_keep_going_a_wrong_job_keeps_all_from_starting(tmp_path: Path, composer: Composer) -> None:
    with Sweep(tmp_path, Settings(keep_going=False), composer) as sweep:
        results = carry_out_all(sweep, [["sgb.max_depth=3"], ["sgb.max_depth=17"]])
    assert [(result.number, result.state) for result in results] == [(1, "failed")]
    assert attempts(tmp_path) == [0, 0]


def test_a_job_has_its_share_of_the_cores_and_a_report_where_all_get_one() -> None:
    spec = make_spec()
    assert adapted(spec, Settings(reports="all")).report == spec.report
    shared = adapted(spec, Settings(parallel=1000))
    assert (threads_of(shared), shared.report.html) == (1, False)
    assert spec_digest(shared) == spec_digest(spec)
    bounds = {"cluster.threads=3": 3, "cluster.limits.cores=3": min(3, usable_cores())}
    for bound, threads in bounds.items():
        assert threads_of(adapted(make_spec(bound), Settings(parallel=2))) == threads
    assert not adapted(make_spec("report.html=false"), Settings(reports="all")).report.html


def test_no_job_draws_noise_anew(tmp_path: Path, composer: Composer) -> None:
    with Sweep(tmp_path, Settings(), composer) as sweep:
        assert sweep.add(["privacy=label_dp"]).error is None
        refused = sweep.add(["privacy=label_dp", "privacy.redraw=true"]).error
    assert isinstance(refused, SpecError)
    assert refused.where == "privacy.redraw"
