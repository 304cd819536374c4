"""Watching the parties' processes: a death, a silence, a failure or a missed deadline becomes one clear error."""

from __future__ import annotations

import selectors
import signal
import time
from collections.abc import Collection, Iterable, Iterator

from runner.cluster.channel import Channel, Message
from runner.cluster.limits import gib, held_by, too_much
from runner.cluster.processes import START_LOG, Crew, vital_signs
from runner.errors import ClusterError, RunnerError, StageError
from runner.spec.model import Cluster

SECONDARY_GRACE = 2.0  # seconds that a failure which follows from another's waits to be explained by that other
EXIT_GRACE = 1.0  # seconds for the template to tell how a child ended
TICK = 0.5
BUSY = 0.01  # seconds of CPU time in a second of silence: more than what a process has that hangs or is stopped
AT_WORK = "RD"  # states of a process that computes, or waits for a disk
_TEMPLATE = ""


class Watch:
    """Listens to a crew and its template until each of the crew has said its last word.

    Args:
        crew: whom to watch.
        limits: how long things may take.
        stage: the stage that the children are in, for messages.
        last_words: the events with which a child's work is finished.
        beats: whether the children send heartbeats once they run.
        phase: what the drivers of other sites may say meanwhile.
        idle: another crew, which waits for its job.
    """

    def __init__(
        self,
        crew: Crew,
        limits: Cluster,
        *,
        stage: str,
        last_words: Collection[str],
        beats: bool,
        phase: Collection[str] = (),
        idle: Crew | None = None,
    ) -> None:
        self._crew = crew
        self._limits = limits
        self._last_words = last_words
        self._beats = beats
        self._deadline = time.monotonic() + limits.start_timeout
        self._stage = stage
        self._stages = dict.fromkeys(crew.channels, stage)
        self._unfinished = set(crew.channels)
        self._ready: set[str] = set()
        self._heard: dict[str, float] = {}
        self._used: dict[str, float] = {}
        self._exit_codes = crew.exit_codes
        self._held: dict[str, int] = {}
        self._secondary: tuple[float, RunnerError] | None = None
        self._phase = phase
        self._idle = idle
        self._selector = selectors.DefaultSelector()
        for name, channel in {**crew.channels, _TEMPLATE: crew.control}.items():
            self._selector.register(channel, selectors.EVENT_READ, (name, channel))
        for name in (_TEMPLATE, *crew.pids):  # who was forked for an earlier job, and never says a word, is silent, too
            self._hear(name)

    def events(self) -> Iterator[tuple[str, Message]]:
        """Each event of a child as ``(child, message)``, until all children are finished.

        Raises:
            RunnerError: as soon as something is wrong; the caller then ends the processes.
        """
        for name, peer in self._crew.peers.items():
            yield from self._take(name, peer.kept(self._phase))
        while self._unfinished:
            began = time.monotonic()
            ready = self._selector.select(timeout=TICK)
            self._forgive(max(0.0, time.monotonic() - began - TICK))  # this process was stopped, and so heard nobody
            began = time.monotonic()
            for key, _ in ready:
                yield from self._read(*key.data)
            self._forgive(time.monotonic() - began)
            self._check_memory()
            self._check_clock()

    def enter(self, child: str, stage: str) -> None:
        """``child`` began a stage; the stage's deadline starts to run."""
        self._stages[child] = stage
        self._ready.discard(child)
        self._deadline = time.monotonic() + self._limits.stage_timeout

    def leave(self, child: str) -> None:
        """``child`` is done with its stage; if the stage's deadline passes, it was not the one who held it up."""
        self._ready.add(child)

    def _forgive(self, seconds: float) -> None:
        """For so long this process did something else, or nothing at all, and nobody was heard meanwhile."""
        self._deadline += seconds
        self._heard = {name: heard + seconds for name, heard in self._heard.items()}

    def _read(self, name: str, channel: Channel) -> Iterator[tuple[str, Message]]:
        peer = self._crew.peers.get(name)
        messages, standing = channel.receive_ready() if peer is None else peer.read(self._phase)
        if name != _TEMPLATE:
            self._hear(name)
        yield from self._take(name, messages)
        if not standing:
            self._selector.unregister(channel)
            self._gone(name)

    def _take(self, name: str, messages: Iterable[Message]) -> Iterator[tuple[str, Message]]:
        for message in messages:
            if name == _TEMPLATE and message["crew"] != self._crew.number:
                continue  # of one that was sent away
            match message["event"]:
                case "failed":
                    self._failed(name, message)
                case "exited":
                    self._exit_codes[message["child"]] = message["code"]
                case "forked":  # it has something to say from now on
                    self._crew.pids[message["child"]] = message["pid"]
                    self._hear(message["child"])
                case event:
                    if event in self._last_words:
                        self._unfinished.discard(name)
                    yield name, message

    def _hear(self, name: str) -> None:
        self._heard[name] = time.monotonic()
        self._used[name] = self._crew.cpu_seconds(name)

    def _is_busy(self, name: str, silence: float) -> bool:
        """Whether a child computes; making a key, it holds Python's lock and sends no heartbeat meanwhile."""
        return self._crew.cpu_seconds(name) - self._used.get(name, 0.0) > BUSY * silence

    def _failed(self, name: str, message: Message) -> None:
        error = RunnerError.from_dict(message["error"])
        if not message.get("secondary"):
            raise error
        # It may only have noticed that a peer is gone: let that peer's own error, or its death, come first.
        error.secondary = True
        # That another site is gone is known when its connection has been cut for as long as it may be. A peer's driver
        # has waited for that already.
        grace = SECONDARY_GRACE + (self._limits.grace if self._crew.peers and name not in self._crew.peers else 0.0)
        self._secondary = self._secondary or (time.monotonic() + grace, error)
        self._unfinished.discard(name)

    def _gone(self, name: str) -> None:
        if name == _TEMPLATE:
            if own := sorted(self._unfinished.intersection(self._crew.own())):
                raise self._death_of(own[0])
            return
        if name in self._unfinished:
            if name not in self._crew.peers:
                self._hear_exit_of(name)
            elif not self._crew.faults.empty():  # which is why
                raise self._crew.faults.get()
            raise self._death_of(name)

    def _hear_exit_of(self, name: str) -> None:
        """Give the template a moment to tell how the child ended."""
        until = time.monotonic() + EXIT_GRACE
        while name not in self._exit_codes and time.monotonic() < until:
            for key, _ in self._selector.select(timeout=0.1):
                if key.data[0] == _TEMPLATE:
                    messages, standing = self._crew.control.receive_ready()
                    ours = [message for message in messages if message["crew"] == self._crew.number]
                    self._exit_codes |= {m["child"]: m["code"] for m in ours if m["event"] == "exited"}
                    if not standing:
                        return

    def _death_of(self, name: str) -> ClusterError:
        if name in self._crew.peers:
            return ClusterError(
                f"the site of {name} is gone",
                where=f"party {name}, stage {self._stages[name]}",
                why="its connection broke, and did not come back in time",
                fix=f"ask {name}'s operator; raise cluster.grace where the network is cut for longer",
            )
        code = self._exit_codes.get(name)
        if code is not None and (ended := self._out_of_memory(name, code)) is not None:
            return ended
        return self._death(self._crew, name, code)

    def _death(self, crew: Crew, name: str, code: int | None) -> ClusterError:
        if code is None:
            why = "its connection broke"
        else:
            why = f"it was ended by signal {-code}" if code < 0 else f"it left with code {code}"
        return ClusterError(
            f"the process of {name} is gone",
            where=f"party {name}, stage {self._stages.get(name, self._stage)}",
            why=why,
            fix=f"see {crew.log_of(name)} and {START_LOG} in the run folder; signal 9 often means: no memory",
        )

    def _check_memory(self) -> None:
        for name, allowed in self._crew.memory.items():
            if name in self._unfinished and name in self._crew.pids:
                self._held[name] = max(self._held.get(name, 0), held := held_by(self._crew.pids[name]))
                if held > allowed:
                    raise too_much(name, self._stages[name], allowed, f"it holds {gib(held)} GiB")

    def _out_of_memory(self, name: str, code: int) -> ClusterError | None:
        """The end of a process that was refused memory, as libraries of C++ end theirs; None where it was not that."""
        allowed = self._crew.memory.get(name)
        if allowed is None or code != -signal.SIGABRT:
            return None
        held = f"it held {gib(self._held.get(name, 0))} GiB when it was last looked at, and was ended by signal 6"
        return too_much(name, self._stages[name], allowed, f"{held}, which is how it fails where it gets no more")

    def _late(self) -> StageError:
        """Names those that are not done with their stage; the others wait for them."""
        missing = sorted(self._unfinished - self._ready) or sorted(self._unfinished)
        stages = ", ".join(dict.fromkeys(self._stages[name] for name in missing))
        who = " and ".join(missing)
        return StageError(
            f"stage {stages!r} takes too long: {who} {'has' if len(missing) == 1 else 'have'} not ended it",
            where=f"party {', '.join(missing)}, stage {stages}",
            why="its deadline has passed",
            fix="raise cluster.stage_timeout or cluster.start_timeout, or see what holds the party up",
        )

    def _check_clock(self) -> None:
        now = time.monotonic()
        if not self._crew.faults.empty():
            raise self._crew.faults.get()
        if self._idle is not None and (lost := self._idle.lost()) is not None:
            raise self._death(self._idle, lost, None)
        if self._secondary is not None and (now > self._secondary[0] or not self._unfinished):
            raise self._secondary[1]
        if self._unfinished and now > self._deadline:
            raise self._late()
        self._check_template(now)
        for name in sorted(self._unfinished):
            silence = now - self._heard.get(name, now)
            if self._beats and name not in self._crew.peers and silence > self._limits.silence_timeout:
                if self._is_busy(name, silence):
                    self._hear(name)
                    continue
                raise ClusterError(
                    f"{name} has gone silent",
                    where=f"party {name}, stage {self._stages[name]}",
                    why=f"its process has not been heard for {silence:.0f} s",
                    fix="see whether the process is stopped or the machine is out of memory, then run again",
                )

    def _check_template(self, now: float) -> None:
        """A template that has children to fork imports until it does so: it computes, or waits for a disk."""
        waiting = [name for name in self._crew.own() if name in self._unfinished and name not in self._crew.pids]
        if not waiting or self._crew.template is None:
            return
        state, used = vital_signs(self._crew.template)
        if state in AT_WORK or used > self._used.get(_TEMPLATE, 0.0):
            self._heard[_TEMPLATE], self._used[_TEMPLATE] = now, used
        elif (silence := now - self._heard[_TEMPLATE]) > self._limits.silence_timeout:
            who = " and ".join(waiting)
            raise ClusterError(
                f"{who} {'has' if len(waiting) == 1 else 'have'} gone silent",
                where=f"party {', '.join(waiting)}, stage {self._stages[waiting[0]]}",
                why=f"the template process, which starts all others, has done nothing for {silence:.0f} s",
                fix="see whether the process is stopped or the machine is out of memory, then run again",
            )
