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
    with tempfile.TemporaryDirectory(prefix="sgb-") as folder:
        log = Path(folder) / "offline.log"
        template = Template(kind, log, preload)
        try:
            return ask_forked(template, orders, limits, log)
        finally:
            template.close()


def ask_forked(
    template: Template, orders: Mapping[str, Mapping[str, Any]], limits: Cluster, log: Path
) -> dict[str, Message]:
    """As :func:`ask_parties`, with processes of a template that stays.

    Args:
        log: the file for what the processes print.
    """
    answers: dict[str, Message] = {}
    crew = template.fork(orders, log)
    try:
        watch = Watch(crew, limits, stage="offline", last_words=("answered",), beats=False)
        for party, channel in crew.channels.items():
            channel.send(**orders[party])
        for party, message in watch.events():
            answers[party] = message
    finally:
        crew.end()
    return answers
