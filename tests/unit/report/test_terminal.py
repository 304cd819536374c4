"""What is said while a run goes on."""

from __future__ import annotations

import io

from rich.console import Console
from support import make_spec

from runner.report.terminal import Terminal


def test_notice_that_each_fold_repeats_is_told_once() -> None:
    said = io.StringIO()
    with Terminal(make_spec("task=cv"), Console(file=said)) as terminal:
        for text in ("alice: one", "bob: two", "alice: one"):
            terminal.notice(text)
    assert said.getvalue().splitlines() == ["note: alice: one", "note: bob: two"]
