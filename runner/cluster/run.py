"""Carrying out one run: check the tables while secretflow loads, open the parties' processes, follow them."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from runner.cluster.channel import Message
from runner.cluster.processes import ALL_PARTIES, CHECK_LOG, START_LOG, Template, conditions, table_memory
from runner.cluster.tls import make_identities
from runner.cluster.watch import Watch
from runner.files import make_private_dir
from runner.spec.identity import spec_values
from runner.spec.model import Spec


class Listener(Protocol):
    """Told of everything that happens in a run; the terminal is one."""

    def stage(self, name: str, state: str) -> None:
        """A stage ``started``, or is ``done`` at every party."""

    def checked(self, party: str, rows: int | None, features: int | None) -> None:
        """A party's table keeps its contract; its size, where the policy lets the terminal show it."""

    def continues(self, trees: int) -> None:
        """The training goes on from a checkpoint after this number of trees."""

    def fold(self, fold: int) -> None:
        """The label holder begins a fold of a cross-validation, counted from 0."""

    def tree(self, trees: int, of: int | None = None) -> None:
        """The label holder finished a tree; ``of`` how many, where these are not the rounds alone."""

    def shown(self, stage: str, value: dict[str, Any]) -> None:
        """A value that the policy lets the terminal show."""

    def notice(self, text: str) -> None:
        """Something that went on as it should, and that the user should know of."""


@dataclass
class Outcome:
    """What a finished run reports.

    Attributes:
        seconds: stage → wall seconds from the first party that began it to the last that ended it.
        sent: sender → receiver → messages, bytes and ciphertexts.
        facts: stage → party → what → digest, under the party's key, of what the stage worked with and made there.
        rows: party → rows of its table, where the policy lets the terminal show them.
        signatures: party → its signature under the run's manifest, and the state of its audit log.
        shown: stage → values that the policy let the terminal see.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    sent: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    facts: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    signatures: dict[str, dict[str, Any]] = field(default_factory=dict)
    shown: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def run(
    spec: Spec,
    folder: Path,
    listener: Listener,
    describe: Callable[[Outcome], dict[str, Any]],
    original: Path | None = None,
) -> Outcome:
    """Run ``spec`` in ``folder``. Whatever happens, no process is left behind.

    Args:
        describe: makes of the outcome what every party signs: the run's manifest.
        original: the folder of the run that this one repeats.

    Raises:
        DataError: where a table breaks its contract, or the parties' ids differ.
        ClusterError: where a process could not start, died, or went silent.
        StageError, BundleError: where a stage failed at a party.
    """
    for party in spec.parties:
        make_private_dir(folder / "parties" / party)
    journal = _Journal(listener)
    # A Unix socket's path must be short, and a run folder's may be long.
    with (
        tempfile.TemporaryDirectory(prefix="sgb-", dir=memory_folder()) as sockets,
        _processes(spec, folder) as (checks, workers),
    ):
        if checks is not None:
            _check_tables(spec, folder, checks, journal)
        _follow(spec, folder, workers, journal, sockets, original)
        _attest(spec, workers, journal, describe(journal.outcome))
    return journal.outcome


@contextmanager
def _processes(spec: Spec, folder: Path) -> Iterator[tuple[Template | None, Template]]:
    """The checking processes (none where no table is read) and the workers; both templates start to import at once."""
    hosts: dict[str, tuple[str, ...]] = {party: (party,) for party in spec.parties}
    if spec.cluster.mode == "debug":
        hosts = {ALL_PARTIES: tuple(spec.parties)}
    checked = {party: (party,) for party in spec.tables()}
    memory = table_memory(spec.parties)
    environment = conditions(spec.cluster)
    with ExitStack() as templates:
        checks = None
        if checked:
            check = Template("check", checked, memory, folder / CHECK_LOG, _check_imports(spec), environment)
            checks = templates.enter_context(check)
        workers = templates.enter_context(Template("work", hosts, memory, folder / START_LOG, environment=environment))
        for descriptor in memory.values():
            os.close(descriptor)
        yield checks, workers


MEMORY, ENOUGH = Path("/dev/shm"), 1 << 30


def memory_folder() -> Path | None:
    """Where files stay in memory, if there is such a place with room for those of psi; None: the usual place."""
    there = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ENOUGH
    return MEMORY if there else None


# Written from scikit-learn's files.
SKLEARN_DATA = (
    *("breast_cancer", "clinics", "clinics_raw", "clinics_raw_later", "diabetes", "pen_strokes"),
    *("unaligned_clinics", "unaligned_clinics_raw", "wine"),
)


def _check_imports(spec: Spec) -> list[str]:
    missing = any(not Path(table.path or "").exists() for table in spec.data.tables.values())
    return ["runner.data.job"] + (["sklearn.datasets"] if spec.data.builtin in SKLEARN_DATA and missing else [])


def _check_tables(spec: Spec, folder: Path, checks: Template, journal: _Journal) -> None:
    """Let every party check its own table."""
    watch = Watch(checks, spec.cluster, stage="validate", last_word="checked", beats=False)
    journal.begin("validate")
    for channel in checks.channels.values():
        channel.send(order="check", spec=spec_values(spec), folder=str(folder))
    for _, message in watch.events():
        if message["event"] == "checked":
            journal.checked(message)
    journal.end("validate")


def _follow(
    spec: Spec, folder: Path, workers: Template, journal: _Journal, sockets: str, original: Path | None
) -> None:
    """Give every worker its job, connect them, and note what they tell until all are done."""
    watch = Watch(workers, spec.cluster, stage="open", last_word="done", beats=True)
    journal.begin("open")
    _send_jobs(spec, folder, workers, sockets, original)
    peers: dict[str, str] = {}
    states: dict[tuple[str, str], int] = {}
    for name, message in watch.events():
        match message["event"]:
            case "listening":
                peers[name] = f"127.0.0.1:{message['port']}"
                if len(peers) == len(workers.channels):
                    for channel in workers.channels.values():
                        channel.send(order="connect", peers=peers)
            case "stage":
                stage, state = message["stage"], message["state"]
                states[stage, state] = states.get((stage, state), 0) + 1
                if state == "started":
                    watch.enter(name, stage)
                if state == "started" and states[stage, state] == 1:
                    journal.begin(stage)
                if state == "done" and states[stage, state] == len(workers.channels):
                    journal.end(stage)
            case "tree" if name in (spec.label.holder, ALL_PARTIES):
                journal.listener.tree(message["trees"], message.get("of"))
            case "fold" if name in (spec.label.holder, ALL_PARTIES):
                watch.enter(name, "folds")
                journal.listener.fold(message["fold"])
            case "continues" if name in (spec.label.holder, ALL_PARTIES):
                journal.listener.continues(message["trees"])
            case _:
                journal.note(name, message)


def _attest(spec: Spec, workers: Template, journal: _Journal, manifest: dict[str, Any]) -> None:
    """Let every party sign the run's manifest, and go."""
    watch = Watch(workers, spec.cluster, stage="attest", last_word="attested", beats=True)
    for channel in workers.channels.values():
        channel.send(order="attest", manifest=manifest)
    for name, message in watch.events():
        journal.note(name, message)
    for channel in workers.channels.values():
        channel.send(order="leave")


def _send_jobs(spec: Spec, folder: Path, workers: Template, sockets: str, original: Path | None) -> None:
    nonce = secrets.token_hex(32)
    identities = make_identities(spec.parties) if spec.cluster.mode == "local" else {}
    for name, channel in workers.channels.items():
        channel.send(
            order="run",
            spec=spec_values(spec),
            folder=str(folder),
            nonce=nonce,
            identity=identities[name]._asdict() if identities else None,
            log=workers.log_of(name),
            sockets=sockets,
            original=str(original) if original is not None else None,
        )


class _Journal:
    """Puts events into the outcome, and passes them on to the listener."""

    def __init__(self, listener: Listener) -> None:
        self.outcome = Outcome()
        self.listener = listener
        self._began: dict[str, float] = {}

    def begin(self, stage: str) -> None:
        self._began[stage] = time.monotonic()
        self.listener.stage(stage, "started")

    def end(self, stage: str) -> None:
        self.outcome.seconds[stage] = time.monotonic() - self._began[stage]
        self.listener.stage(stage, "done")

    def checked(self, message: Message) -> None:
        if message["rows"] is not None:
            self.outcome.rows[message["party"]] = message["rows"]
        self.listener.checked(message["party"], message["rows"], message["features"])

    def note(self, name: str, message: Message) -> None:
        match message["event"]:
            case "shown":
                self.outcome.shown.setdefault(message["stage"], []).append(message["value"])
                self.listener.shown(message["stage"], message["value"])
            case "notice":
                self.listener.notice(message["text"])
            case "done":
                self.outcome.sent[name] = message["sent"]
                for party, facts in message["facts"].items():
                    for stage, digests in facts.items():
                        self.outcome.facts.setdefault(stage, {})[party] = digests
            case "attested":
                self.outcome.signatures |= message["signatures"]
