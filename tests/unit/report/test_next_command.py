"""The command that a summary proposes."""

from __future__ import annotations

from runner.report.summary import arguments_of_job


def test_job_of_a_sweep_proposes_its_own_values() -> None:
    typed = ["-m", "--config-dir", "mine", "data=loans", "align=psi,join_on_digest"]
    own = ["data=loans", "align=psi"]
    assert arguments_of_job(typed, own) == ["--config-dir", "mine", "data=loans", "align=psi"]
