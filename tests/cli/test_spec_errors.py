"""Wrong commands as they are typed: exit code 2, four lines, no traceback, and nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import Command


def told(command: Command, folder: Path, *arguments: str) -> dict[str, str]:
    """The four lines of the refusal of ``arguments``."""
    done = command(*arguments)
    assert done.returncode == 2, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert [line[:9].strip() for line in lines[1:]] == ["where:", "why:", "fix:"], done.stderr
    assert lines[0].startswith("spec error: ")
    parts = dict(zip(("what", "where", "why", "fix"), [lines[0][12:], *(line[9:] for line in lines[1:])], strict=True))
    assert all(parts.values())
    assert list(folder.iterdir()) == [], "a wrong command writes nothing"
    return parts


@pytest.mark.parametrize(
    ("override", "where", "fix"),
    [
        pytest.param("+foo=1", "foo", "policy", id="unknown key"),
        pytest.param("+sgb.bar=2", "sgb.bar", "max_depth", id="unknown key in a section"),
        pytest.param("sgb.max_dept=3", "sgb.max_dept", "did you mean 'max_depth'?", id="typo"),
        pytest.param("sgb.max_depth=deep", "sgb.max_depth", "a whole number >= 1 and <= 16", id="wrong type"),
        pytest.param("sgb.learning_rate=nan", "sgb.learning_rate", "a number > 0 and <= 1", id="NaN"),
        pytest.param("sgb.max_depth=17", "sgb.max_depth", "a whole number >= 1 and <= 16", id="out of range"),
        pytest.param("label.holder=dave", "label.holder", "alice, bob, carol", id="label holder is no party"),
        pytest.param("crypto.scheme=mock", "crypto.scheme", "crypto=ou", id="scheme that encrypts nothing"),
        pytest.param("crypto=ouu", "crypto", "did you mean 'ou'?", id="wrong choice of a group"),
        pytest.param("sgb.max_depth=[3", "command line", "group.key=value", id="cannot be read"),
    ],
)
def test_wrong_override(command: Command, tmp_path: Path, override: str, where: str, fix: str) -> None:
    parts = told(command, tmp_path, override)
    assert parts["where"] == where
    assert fix in parts["fix"]


def test_metric_that_does_not_fit(command: Command, tmp_path: Path) -> None:
    parts = told(
        command, tmp_path, "experiment=diabetes_regression", "sgb.enable_monitor=true", "sgb.eval_metric=roc_auc"
    )
    assert parts["where"] == "sgb.eval_metric"
    assert "mse, rmse" in parts["fix"]


def test_one_party_alone(command: Command, tmp_path: Path) -> None:
    without = [f"~{section}.{party}" for section in ("parties", "data.tables") for party in ("alice", "bob")]
    assert told(command, tmp_path, *without)["where"] == "data.tables"


def test_prediction_without_a_model(command: Command, tmp_path: Path) -> None:
    assert "model=<run folder" in told(command, tmp_path, "task=predict")["fix"]


def test_dry_run_refuses_as_well(command: Command, tmp_path: Path) -> None:
    assert told(command, tmp_path, "task=check", "sgb.gamma=-1")["where"] == "sgb.gamma"


@pytest.mark.parametrize("override", ["experiment=null", "sgb=[1]", "=3"])
def test_choice_that_is_no_name_is_refused_in_words(command: Command, tmp_path: Path, override: str) -> None:
    """Hydra raises a bare ValueError or TypeError for these."""
    assert override.partition("=")[0] in told(command, tmp_path, override)["where"]


def test_section_that_is_taken_away(command: Command, tmp_path: Path) -> None:
    assert told(command, tmp_path, "~task")["where"] == "task"


def test_wrong_job_of_a_sweep_is_told_and_the_others_go_on(command: Command) -> None:
    done = command("-m", "task=check", "sgb.max_depth=17,3", warm=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "where: sgb.max_depth" in done.stderr
    assert done.stdout.count("This run may start") == 1
    assert "Job 1        task=check sgb.max_depth=3\n" in done.stdout
