"""Having the parties' reports made, each in a process of its own party, when a run is over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.cluster.offline import ask_parties
from runner.cluster.warm import Cluster as Warm
from runner.spec.model import Cluster

JOB = "runner.report.html.job"


def get_ready(cluster: Warm) -> None:
    """Let the libraries be imported while a run goes on whose reports are made afterwards."""
    cluster.get_ready("report", (JOB,))


def make_reports(folder: Path, manifest: Mapping[str, Any], cluster: Warm | None = None) -> list[Path]:
    """Let every party whose folder is here write its ``report.html``; return where they are.

    Args:
        cluster: keeps what imported the libraries for the next reports.

    Raises:
        RunnerError: where a party's process could not.
    """
    observed = {name: value for name, value in manifest["observed"].items() if name != "shown"}  # it is the viewer's
    common = json.loads(json.dumps({**manifest, "observed": observed}, sort_keys=True))  # as if read from the disk
    orders = {
        party: {"order": "report", "party": party, "run": str(folder), "manifest": common}
        for party in manifest["hashed"]["party_order"]
        if (folder / "parties" / party).is_dir()
    }
    if cluster is not None:
        answers = cluster.ask("report", (JOB,), orders)
    else:
        answers = ask_parties(orders, Cluster(), "report", [JOB])
    return [Path(answers[party]["path"]) for party in orders]
