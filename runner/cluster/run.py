"""Following one run: the check of the tables, the plan at the parties' processes, and their signatures."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from runner.cluster.channel import Message
from runner.cluster.processes import ALL_PARTIES, Crew
from runner.cluster.site import as_reached
from runner.cluster.watch import Watch
from runner.errors import SecurityError, Stopped
from runner.policy.decide import Decision
from runner.spec.model import Spec

Pace = Callable[[int], bool]


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
        reused: what the run took over from the one before on the same cluster: whether its ``processes``, ``keys`` of
            the homomorphic encryption and ``alignment``, and whose ``tables``; ``restarted`` says why processes were
            started anew.
        decisions: with sites of other organisations, what may flow, their parties' grants counted in; else None.
        machines: with such sites, party → what its machine is.
        run: the run's name in the logs, which is the same at all sites.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    sent: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    facts: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    signatures: dict[str, dict[str, Any]] = field(default_factory=dict)
    shown: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    reused: dict[str, Any] = field(default_factory=dict)
    decisions: tuple[Decision, ...] | None = None
    machines: dict[str, dict[str, Any]] = field(default_factory=dict)
    run: str | None = None


class Journal:
    """Puts events into the outcome, and passes them on to the listener.

    Attributes:
        clean: whether nothing failed at a party that nobody waited for.
        stage: the one that began last.
    """

    def __init__(self, listener: Listener) -> None:
        self.outcome = Outcome()
        self.clean = True
        self.listener = listener
        self.stage = "start"
        self._began: dict[str, float] = {}

    def begin(self, stage: str) -> None:
        self.stage = stage
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
                self.outcome.reused["keys"] = message["kept_keys"]
                self.clean = self.clean and message["clean"]
                for party, facts in message["facts"].items():
                    for stage, digests in facts.items():
                        self.outcome.facts.setdefault(stage, {})[party] = digests
            case "attested":
                self.outcome.signatures |= message["signatures"]


def follow(spec: Spec, workers: Crew, journal: Journal, pace: Pace | None) -> None:
    """Connect the workers, which have their jobs, and note what they tell until all are done.

    Args:
        pace: is asked, with the number of trees, whether to go on; None: nobody asks.

    Raises:
        Stopped: where ``pace`` said no; the workers are then ready for another job.
        RunnerError: as soon as anything is wrong.
    """
    last_words = ("done", "stopped")
    watch = Watch(workers, spec.cluster, stage="open", last_words=last_words, beats=True, phase=_OF_PLAN)
    hosts = {party: str(spec.parties[party].address).rpartition(":")[0] for party in workers.peers}
    meeting, waiting, stopped, fold = _Meeting(workers, hosts), _Pause(workers, pace), 0, -1
    stages = _Stages(spec, workers, watch, journal)

    def tells(name: str) -> bool:
        """Whether this child tells how the training goes on, which has begun."""
        return name in (spec.label.holder, ALL_PARTIES) and stages.trains()

    for name, message in watch.events():
        workers.pass_on(name, as_reached(spec, message))
        match message["event"]:
            case "listening":
                meeting.arrive(name, message)
            case "stage":
                stages.note(name, message["stage"], message["state"])
            case "tree" if tells(name):
                journal.listener.tree(message["trees"], message.get("of"))
            case "fold" if tells(name) and message["fold"] > fold:
                fold = message["fold"]
                watch.enter(name, "folds")
                journal.listener.fold(message["fold"])
            case "continues" if tells(name):
                journal.listener.continues(message["trees"])
            case "paused":
                waiting.arrive(message["trees"])
            case "stopped":
                stopped = message["trees"]
            case _:
                journal.note(name, message)
    if stopped:
        raise Stopped(
            f"the training was stopped after {stopped} trees",
            where="stage train",
            why="whoever leads the search saw no use in going on",
            fix="nothing is wrong; to have the whole model, run the job by itself",
        )


_OF_PLAN = ("listening", "stage", "tree", "fold", "continues", "done")


class _Stages:
    """Which stages have begun, and at whom they have ended."""

    def __init__(self, spec: Spec, workers: Crew, watch: Watch, journal: Journal) -> None:
        self._workers = workers
        self._watch = watch
        self._journal = journal
        self._plan = {"open", *spec.stages_at_once()}
        self._began: dict[str, set[str]] = {"open": set()}
        self._ended: dict[str, set[str]] = {}

    def note(self, name: str, stage: str, state: str) -> None:
        """A child says that it began a stage, or is done with it. What it says again changes nothing.

        Raises:
            SecurityError: where the plan has no such stage.
        """
        if stage not in self._plan:
            raise SecurityError(
                f"{name} speaks of a stage that the plan does not have",
                where=f"party {name}, control channel",
                why=f"the stages are {', '.join(sorted(self._plan))}",
                fix=f"let {name}'s site run the same version of the runner; if it does, do not trust it",
            )
        told = self._began if state == "started" else self._ended
        if name in told.setdefault(stage, set()):
            return
        told[stage].add(name)
        if state == "started":
            self._watch.enter(name, stage)
            if len(told[stage]) == 1:
                self._journal.begin(stage)
            return
        self._watch.leave(name)
        if len(told[stage]) == len(self._workers.channels):
            self._journal.end(stage)

    def trains(self) -> bool:
        """Whether a training has begun."""
        return not self._began.keys().isdisjoint(("train", "folds"))


class _Meeting:
    """The workers are connected when all are ready: a message that comes too early would be lost."""

    def __init__(self, workers: Crew, hosts: Mapping[str, str]) -> None:
        self._workers = workers
        self._hosts = hosts
        self._peers: dict[str, str] = {}
        self._sequence = 0

    def arrive(self, name: str, message: Message) -> None:
        if name in self._peers:  # what it says again changes nothing
            return
        self._peers[name] = f"{self._hosts.get(name, '127.0.0.1')}:{message['port']}"
        self._sequence = max(self._sequence, message["sequence"])
        if len(self._peers) == len(self._workers.channels):
            self._workers.say(order="connect", peers=self._peers, sequence=self._sequence)


class _Pause:
    """Before a tree all workers wait, and all hear the same word."""

    def __init__(self, workers: Crew, pace: Pace | None) -> None:
        self._workers = workers
        self._pace = pace
        self._arrived = 0

    def arrive(self, trees: int) -> None:
        self._arrived += 1
        if self._pace is not None and self._arrived == len(self._workers.channels):
            self._arrived = 0
            goes_on = self._pace(trees)
            self._workers.say(order="go", on=goes_on)


def attest(spec: Spec, workers: Crew, journal: Journal, manifest: dict[str, Any]) -> None:
    """Let every party sign the run's manifest."""
    journal.stage = "attest"
    words, limits = ("attested",), spec.cluster
    seconds = limits.stage_timeout
    watch = Watch(workers, limits, stage="attest", last_words=words, beats=True, phase=words, seconds=seconds)
    workers.say(order="attest", manifest=manifest)
    for name, message in watch.events():
        workers.pass_on(name, message)
        journal.note(name, message)
