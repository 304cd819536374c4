"""Carrying out one run: check the tables while secretflow loads, open the parties' processes, watch them to the end."""

from __future__ import annotations

import os
import secrets
import selectors
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.cluster.channel import Channel, Message
from runner.cluster.events import Listener
from runner.cluster.processes import Template, table_memory
from runner.cluster.tls import make_identities
from runner.errors import ClusterError, RunnerError, StageError
from runner.files import make_private_dir
from runner.spec.identity import spec_values
from runner.spec.model import Spec

SECONDARY_GRACE = 2.0  # seconds that an error which follows from another's waits for that other
ALL_PARTIES = "all"
CHECK_LOG = "check.log"
START_LOG = "start.log"


@dataclass
class Outcome:
    """What a finished run reports.

    Attributes:
        seconds: wall time by stage, as the slowest party saw it.
        sent: sender → receiver → messages, bytes and ciphertexts.
        tables: party → its table's digest under its own key.
        shown: stage → values that the policy let the terminal see.
        rows: rows per party's table; features: likewise.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    sent: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    shown: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    features: dict[str, int] = field(default_factory=dict)


def run(spec: Spec, folder: Path, listener: Listener) -> Outcome:
    """Run ``spec`` in ``folder``. Whatever happens, no process is left behind.

    Raises:
        DataError: where a table breaks its contract.
        ClusterError: where a process could not start, died, or went silent.
        StageError, BundleError: where a stage failed at a party.
    """
    for party in spec.parties:
        make_private_dir(folder / "parties" / party)
    watch = _Watch(spec, listener)
    memory = table_memory(spec.parties)
    with _processes(spec, folder, memory) as (checks, workers):
        for descriptor in memory.values():
            os.close(descriptor)
        _check(spec, folder, checks, watch)
        _work(spec, folder, workers, watch)
    return watch.outcome


@contextmanager
def _processes(spec: Spec, folder: Path, memory: Mapping[str, int]) -> Iterator[tuple[Template, Template]]:
    hosts = {ALL_PARTIES: tuple(spec.parties)} if spec.cluster.mode == "debug" else {p: (p,) for p in spec.parties}
    missing = spec.data.builtin and not all(Path(table.path).exists() for table in spec.data.tables.values())
    preload = ["runner.data.job", *(["sklearn.datasets"] if missing else [])]
    checks = Template("check", {p: (p,) for p in spec.parties}, memory, folder / CHECK_LOG, preload)
    try:
        workers = Template("work", hosts, memory, folder / START_LOG)
        try:
            yield checks, workers
        finally:
            workers.kill()
    finally:
        checks.kill()


def _check(spec: Spec, folder: Path, checks: Template, watch: _Watch) -> None:
    """Let every party check its table; go on when all have."""
    watch.begin("validate", checks, time.monotonic() + spec.cluster.start_timeout, beats=False)
    for channel in checks.channels.values():
        channel.send(order="check", spec=spec_values(spec), folder=str(folder))
    waiting = set(spec.parties)
    while waiting:
        name, message = watch.next()
        if message["event"] == "checked":
            waiting.discard(name)
            watch.checked(message)
    watch.end("validate")


def _work(spec: Spec, folder: Path, workers: Template, watch: _Watch) -> None:
    watch.begin("open", workers, time.monotonic() + spec.cluster.start_timeout, beats=True)
    _order_run(spec, folder, workers)
    if spec.cluster.mode == "local":
        ports: dict[str, int] = {}
        while len(ports) < len(workers.channels):
            name, message = watch.next()
            if message["event"] == "listening":
                ports[name] = message["port"]
        for channel in workers.channels.values():
            channel.send(order="connect", peers={party: f"127.0.0.1:{port}" for party, port in ports.items()})
    working = set(workers.channels)
    while working:
        name, message = watch.next()
        if message["event"] == "done":
            working.discard(name)
            watch.outcome.sent[name] = message["sent"]
    for channel in workers.channels.values():
        channel.send(order="leave")


def _order_run(spec: Spec, folder: Path, workers: Template) -> None:
    nonce = secrets.token_hex(32)
    identities = make_identities(spec.parties) if spec.cluster.mode == "local" else {}
    for name, channel in workers.channels.items():
        log = "debug.log" if name == ALL_PARTIES else f"parties/{name}/worker.log"
        identity = identities[name]._asdict() if name in identities else None
        channel.send(order="run", spec=spec_values(spec), folder=str(folder), nonce=nonce, identity=identity, log=log)


class _Watch:
    """Reads the parties' events, and turns a death, a silence, a failure or a missed deadline into an error."""

    def __init__(self, spec: Spec, listener: Listener) -> None:
        self.outcome = Outcome()
        self._spec = spec
        self._listener = listener
        self._stages: dict[str, str] = {}
        self._done: dict[str, int] = {}
        self._began: dict[str, float] = {}

    def begin(self, stage: str, template: Template, deadline: float, *, beats: bool) -> None:
        """Watch ``template``'s children, in ``stage``, until ``deadline`` (monotonic seconds)."""
        self._template = template
        self._deadline = deadline
        self._beats = beats
        self._heard = dict.fromkeys(template.channels, time.monotonic())
        self._alive: set[str] = set()
        self._pending: list[tuple[str, Message]] = []
        self._codes: dict[str, int] = {}
        self._finished: set[str] = set()
        self._secondary: tuple[float, RunnerError] | None = None
        self._stages = dict.fromkeys(template.channels, stage)
        self._selector = selectors.DefaultSelector()
        for name, channel in template.channels.items():
            self._selector.register(channel, selectors.EVENT_READ, (name, channel))
        self._selector.register(template.control, selectors.EVENT_READ, ("", template.control))
        self._start(stage)

    def end(self, stage: str) -> None:
        self.outcome.seconds[stage] = time.monotonic() - self._began[stage]
        self._listener.stage(stage, "done")

    def checked(self, message: Message) -> None:
        party = message["party"]
        self.outcome.rows[party], self.outcome.features[party] = message["rows"], message["features"]
        self._listener.checked(party, message["rows"], message["features"])

    def next(self) -> tuple[str, Message]:
        """The next event that somebody waits for; heartbeats, stages and trees are dealt with on the way."""
        while True:
            if self._pending:
                name, message = self._pending.pop(0)
                if self._handle(name, message):
                    return name, message
                continue
            for key, _ in self._selector.select(timeout=0.5):
                self._read(*key.data)
            self._check_time()

    def _read(self, name: str, channel: Channel) -> None:
        messages, standing = channel.receive_ready()
        self._pending.extend((name, message) for message in messages)
        if name in self._heard:
            self._heard[name] = time.monotonic()
        if not standing:
            self._selector.unregister(channel)
            self._pending.append((name, {"event": "gone"}))

    def _handle(self, name: str, message: Message) -> bool:
        match message["event"]:
            case "alive":
                self._alive.add(name)
            case "failed":
                self._fail(name, message)
            case "gone":
                self._gone(name)
            case "exited":
                self._codes[message["child"]] = message["code"]
            case "stage":
                self._stage(name, message["stage"], message["state"])
            case "tree":
                if name in (self._spec.label.holder, ALL_PARTIES):
                    self._listener.tree(message["trees"])
            case "shown":
                self.outcome.shown.setdefault(message["stage"], []).append(message["value"])
                self._listener.shown(message["stage"], message["value"])
            case "opened":
                self.outcome.tables |= message["digests"]
            case "done" | "checked":
                self._finished.add(name)
                return True
            case "ready" if len(self._stages) and name:
                self._ready(name)
            case "listening":
                return True
        return False

    def _ready(self, name: str) -> None:
        self._done["open"] = self._done.get("open", 0) + 1
        if self._done["open"] == len(self._template.channels):
            self.end("open")

    def _stage(self, name: str, stage: str, state: str) -> None:
        if state == "started":
            self._stages[name] = stage
            if stage not in self._began:
                self._start(stage)
                self._deadline = time.monotonic() + self._spec.cluster.stage_timeout
            return
        self._done[stage] = self._done.get(stage, 0) + 1
        if self._done[stage] == len(self._template.channels):
            self.end(stage)

    def _start(self, stage: str) -> None:
        self._began[stage] = time.monotonic()
        self._listener.stage(stage, "started")

    def _fail(self, name: str, message: Message) -> None:
        error = RunnerError.from_dict(message["error"])
        if message.get("secondary"):
            self._secondary = self._secondary or (time.monotonic() + SECONDARY_GRACE, error)
            self._finished.add(name)
        else:
            raise error

    def _gone(self, name: str) -> None:
        if name in self._finished:
            return
        if name == "":
            unfinished = set(self._template.channels) - self._finished
            if unfinished:
                raise self._died(sorted(unfinished)[0])
            return
        # The template tells how the process ended; give it a moment.
        self._finished.add(name)
        limit = time.monotonic() + 1.0
        while name not in self._codes and time.monotonic() < limit:
            for message in self._template.control.receive_ready()[0] if self._control_ready() else []:
                if message["event"] == "exited":
                    self._codes[message["child"]] = message["code"]
        raise self._died(name)

    def _control_ready(self) -> bool:
        return any(key.data[0] == "" for key, _ in self._selector.select(timeout=0.1))

    def _died(self, name: str) -> RunnerError:
        stage = self._stages.get(name, "start")
        code = self._codes.get(name)
        how = f"it was ended by signal {-code}" if code is not None and code < 0 else f"it left with code {code}"
        return ClusterError(
            f"the process of {name} is gone",
            where=f"party {name}, stage {stage}",
            why=how if code is not None else "its connection broke",
            fix=f"see parties/{name}/worker.log and {START_LOG} in the run folder; a kill -9 is often a lack of memory",
        )

    def _check_time(self) -> None:
        now = time.monotonic()
        if self._secondary is not None and now > self._secondary[0]:
            raise self._secondary[1]
        if now > self._deadline:
            name, stage = next(
                ((n, s) for n, s in self._stages.items() if n not in self._finished), (ALL_PARTIES, "start")
            )
            raise StageError(
                f"stage {stage!r} takes too long",
                where=f"party {name}, stage {stage}",
                why="its deadline has passed",
                fix="raise cluster.stage_timeout or cluster.start_timeout, or look for what holds the party up",
            )
        if not self._beats:
            return
        for name in self._alive - self._finished:
            silence = now - self._heard[name]
            if silence > self._spec.cluster.silence_timeout:
                raise ClusterError(
                    f"{name} has gone silent",
                    where=f"party {name}, stage {self._stages[name]}",
                    why=f"its process has not been heard for {silence:.0f} s",
                    fix="see whether the process is stopped or the machine is out of memory, then run again",
                )
