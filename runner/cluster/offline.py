"""Asking each party about its own files, in a process of its own, without secretflow and without a run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from runner.cluster.channel import Message
from runner.cluster.processes import Template
from runner.cluster.watch import Watch
from runner.spec.model import Cluster


def ask_parties(
    orders: Mapping[str, Mapping[str, Any]], limits: Cluster, kind: str = "offline", preload: Iterable[str] = ()
) -> dict[str, Message]:
    """Give each party's process an order; return the parties' answers.

    Args:
        orders: party → what :mod:`runner.worker.offline` does for it.
        kind: of the template; preload: what it imports before it forks (see :mod:`runner.worker.template`).

    Raises:
        RunnerError: what a party's process raised, or ClusterError where it died.
    """
    answers: dict[str, Message] = {}
    with (
        tempfile.TemporaryDirectory(prefix="sgb-") as folder,
        Template(kind, dict.fromkeys(orders, ()), {}, Path(folder) / "offline.log", preload) as parties,
    ):
        watch = Watch(parties, limits, stage="offline", last_word="answered", beats=False)
        for party, channel in parties.channels.items():
            channel.send(**orders[party])
        for party, message in watch.events():
            answers[party] = message
    return answers
