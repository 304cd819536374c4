"""`task=check` as it is typed."""

from __future__ import annotations

from pathlib import Path

from support import Command


def test_default_settings_may_start(command: Command, tmp_path: Path) -> None:
    done = command("task=check", warm=False)
    assert done.returncode == 0, done.stderr
    assert "This run may start" in done.stdout
    assert list(tmp_path.iterdir()) == [], "a dry run writes nothing"


def test_denied_flow_ends_with_3(command: Command) -> None:
    done = command("task=check", "policy=strict")
    assert done.returncode == 3
    assert "policy.predictions.recipients" in done.stderr
