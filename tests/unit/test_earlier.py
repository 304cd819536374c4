"""Which run is meant where the newest interrupted one is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.bundle.checkpoint import checkpoint_folder, write_checkpoint
from runner.earlier import _newest_unfinished
from runner.errors import SpecError
from runner.files import write_json


def made_run(outputs: Path, name: str, state: str | None, checkpoint: bool, resume: str | None = None) -> Path:
    run = outputs / name
    run.mkdir(parents=True)
    write_json(run / "spec.json", {"resume": resume})
    if state is not None:
        write_json(run / "status.json", {"state": state})
    if checkpoint:
        write_checkpoint(checkpoint_folder(run, "bob"), 2, b"sealed")
    return run


def test_newest_run_with_a_checkpoint_that_is_not_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path, "2026-01-31/23-00-00-aaaaaa", "failed", checkpoint=True)
    meant = made_run(tmp_path, "2026-02-01/09-00-00-bbbbbb", "running", checkpoint=True)
    made_run(tmp_path, "2026-02-01/10-00-00-cccccc", "failed", checkpoint=False)
    made_run(tmp_path, "2026-02-01/11-00-00-dddddd", "done", checkpoint=True)
    assert _newest_unfinished(tmp_path) == meant
    assert str(meant) in capsys.readouterr().out


@pytest.mark.parametrize("state", [None, "interrupted"])
def test_state_that_nobody_wrote_is_no_finished_run(tmp_path: Path, state: str | None) -> None:
    meant = made_run(tmp_path, "2026-02-01/09-00-00-bbbbbb", state, checkpoint=True)
    assert _newest_unfinished(tmp_path) == meant


def test_run_that_a_later_one_finished_is_not_gone_on_with_again(tmp_path: Path) -> None:
    """The first left a checkpoint, the second went on and left another, and the third is the one that is finished."""
    first = made_run(tmp_path, "2026-02-01/09-00-00-bbbbbb", "failed", checkpoint=True)
    second = made_run(tmp_path, "2026-02-01/10-00-00-cccccc", "failed", True, "outputs/2026-02-01/09-00-00-bbbbbb")
    made_run(tmp_path, "2026-02-01/11-00-00-dddddd", "done", checkpoint=False, resume=str(second))
    with pytest.raises(SpecError, match="there is nothing to resume"):
        _newest_unfinished(tmp_path)
    (second / "spec.json").write_text("[")
    assert _newest_unfinished(tmp_path) == first


def test_nothing_to_go_on_with_is_said(tmp_path: Path) -> None:
    made_run(tmp_path, "2026-02-01/11-00-00-dddddd", "done", checkpoint=True)
    with pytest.raises(SpecError, match="there is nothing to resume") as error:
        _newest_unfinished(tmp_path)
    assert str(tmp_path) in error.value.why
