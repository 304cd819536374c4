"""The driver's line to the process that leads: a real one, with metrics made up."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from support import make_spec

from runner.errors import ClusterError, StageError
from runner.files import write_json
from runner.tuning.leader import Leader
from runner.tuning.plan import plan_search


def test_process_leads_and_what_is_told_of_it_has_no_metric(tmp_path: Path) -> None:
    overrides = ("tune=optuna", "cluster.viewer=alice")
    plan = plan_search(make_spec(*overrides), overrides)
    folder = tmp_path / "0"
    (folder / "parties" / "carol").mkdir(parents=True)
    write_json(folder / "parties" / "carol" / "metrics.json", {"auc": 0.4321})
    with Leader(plan, tmp_path) as leader:
        number, settings = leader.next_trial() or (-1, {})
        assert (number, set(settings)) == (0, set(plan.space))
        assert leader.goes_on(0, folder, 1)
        assert leader.tell(0, "done", 0, folder, {}) == {"event": "answered", "values": None, "best": None}
        assert leader.end()["best"] is None
    assert "0.4321" in (tmp_path / "parties" / "carol" / "best.json").read_text()

    with Leader(plan, tmp_path) as leader:
        assert leader.ended["done"] == 1
        assert (leader.next_trial() or (-1, {}))[0] == 1
        with pytest.raises(StageError, match="no metrics"):
            leader.tell(1, "done", 1, tmp_path / "1", {})

    before = set(psutil.Process().children(recursive=True))
    with Leader(plan, tmp_path) as leader:
        for child in set(psutil.Process().children(recursive=True)) - before:
            child.kill()
        with pytest.raises(ClusterError, match="gone"):
            leader.next_trial()
