"""The command that a summary proposes."""

from __future__ import annotations

from pathlib import Path

from support import make_spec

from runner.report.summary import _next, arguments_of_job


def test_job_of_a_sweep_proposes_its_own_values() -> None:
    typed = ["-m", "--config-dir", "mine", "data=loans", "align=psi,join_on_digest"]
    own = ["data=loans", "align=psi"]
    assert arguments_of_job(typed, own) == ["--config-dir", "mine", "data=loans", "align=psi"]


def test_with_a_budget_the_model_is_applied_without_comparing_labels() -> None:
    """A comparison without noise would be refused."""
    typed = ["privacy=label_dp", "policy.privacy.budget={epsilon: 3}"]
    assert _next(make_spec(*typed), Path("run"), typed) == (
        "python -m runner 'policy.privacy.budget={epsilon: 3}' task=predict model=run label.predict=none"
    )
    assert _next(make_spec(*typed[:1]), Path("run"), typed[:1]) == "python -m runner task=predict model=run"
