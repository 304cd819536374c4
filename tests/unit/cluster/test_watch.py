"""Who is silent: a process that hangs, and not one that is too busy to send a heartbeat."""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any, NamedTuple

import msgspec
import pytest
from support import make_spec

from runner.cluster.channel import Channel
from runner.cluster.peers import PeerChannel
from runner.cluster.processes import Crew
from runner.cluster.watch import SECONDARY_GRACE, Watch
from runner.errors import ClusterError, StageError
from runner.spec.model import Cluster

LIMITS = msgspec.structs.replace(make_spec().cluster, silence_timeout=1.0)


class Ends(NamedTuple):
    """A watch over one process, and the ends at which the template and that process speak."""

    watch: Watch
    control: Channel
    child: Channel


@contextlib.contextmanager
def watching(program: str) -> Iterator[Ends]:
    """A watch over a program that says nothing itself; it prints a line when it begins."""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    pairs = [socket.socketpair() for _ in range(2)]
    crew = Crew(3, "work", Channel(pairs[0][0]), {"bob": Channel(pairs[1][0])})
    watch = Watch(crew, LIMITS, stage="train", last_words=("done",), beats=True)
    ends = Ends(watch, *(Channel(pair[1]) for pair in pairs))
    try:
        process.stdout.readline()
        ends.control.send(event="forked", crew=3, child="bob", pid=process.pid)
        yield ends
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        for pair in pairs:
            for end in pair:
                end.close()


def test_process_that_does_nothing_is_silent() -> None:
    program = "import time; print(flush=True); time.sleep(60)"
    with watching(program) as ends, pytest.raises(ClusterError, match="bob has gone silent"):
        list(ends.watch.events())


def test_process_that_computes_is_not() -> None:
    """It is given three times as long as it may be silent, and then says its last word."""
    with watching("print(flush=True)\nwhile True: pass") as ends:
        threading.Timer(3 * LIMITS.silence_timeout, ends.child.send, kwargs={"event": "done"}).start()
        assert [message["event"] for _, message in ends.watch.events()] == ["done"]


def test_process_that_waits_for_the_driver_is_not() -> None:
    """The driver thinks for longer than a process may be silent."""
    with watching("import time; print(flush=True); time.sleep(60)") as ends:
        ends.child.send(event="paused")
        told = []
        for _, message in ends.watch.events():
            told.append(message["event"])
            if message["event"] == "paused":
                time.sleep(2 * LIMITS.silence_timeout)
                threading.Timer(LIMITS.silence_timeout / 2, ends.child.send, kwargs={"event": "done"}).start()
        assert told == ["paused", "done"]


def test_deadline_names_those_who_are_not_done() -> None:
    limits = msgspec.structs.replace(LIMITS, stage_timeout=0.5)
    names = ("alice", "bob", "carol")
    pairs = {name: socket.socketpair() for name in ("", *names)}
    crew = Crew(3, "work", Channel(pairs[""][0]), {"carol": Channel(pairs["carol"][0])})
    crew.join({name: PeerChannel(name, Channel(pairs[name][0])) for name in ("alice", "bob")}, SimpleQueue())
    watch = Watch(crew, limits, stage="open", last_words=("done",), beats=True)
    for name in names:
        watch.enter(name, "train")
    watch.leave("bob")
    began = time.monotonic()
    try:
        with pytest.raises(StageError, match="'train' takes too long: alice and carol have not ended it"):
            list(watch.events())
        assert time.monotonic() - began < 5
    finally:
        for pair in pairs.values():
            for end in pair:
                end.close()


@contextlib.contextmanager
def two_sites(limits: Cluster, template: int | None = None) -> Iterator[tuple[Watch, dict[str, socket.socket]]]:
    """Carol's watch over her worker and bob's site, and the ends at which these two and the template (\"\") speak."""
    pairs = {name: socket.socketpair() for name in ("", "carol", "bob")}
    ours = {name: Channel(pair[0]) for name, pair in pairs.items()}
    crew = Crew(3, "work", ours[""], {"carol": ours["carol"]}, template=template)
    crew.join({"bob": PeerChannel("bob", ours["bob"])}, SimpleQueue())
    try:
        watch = Watch(crew, limits, stage="train", last_words=("done",), beats=True)
        yield watch, {name: pair[1] for name, pair in pairs.items()}
    finally:
        for pair in pairs.values():
            for end in pair:
                end.close()


ERROR = {"type": "StageError", "what": "it failed", "where": "", "why": "", "fix": ""}


def test_failure_that_follows_from_another_sites_death_waits_for_it() -> None:
    with two_sites(msgspec.structs.replace(LIMITS, grace=3.0)) as (watch, ends):
        Channel(ends["carol"]).send(event="failed", party="carol", stage="train", error=ERROR, secondary=True)
        threading.Timer(SECONDARY_GRACE + 0.5, ends["bob"].shutdown, args=[socket.SHUT_RDWR]).start()
        with pytest.raises(ClusterError, match="the site of bob is gone"):
            list(watch.events())


def test_what_another_site_waited_for_is_not_waited_for_again() -> None:
    with two_sites(msgspec.structs.replace(LIMITS, grace=30.0)) as (watch, ends):
        Channel(ends["bob"]).send(event="failed", party="bob", stage="train", error=ERROR, secondary=True)
        began = time.monotonic()
        with pytest.raises(StageError, match="it failed"):
            list(watch.events())
        assert SECONDARY_GRACE - 0.5 < time.monotonic() - began < SECONDARY_GRACE + 3


def test_end_of_the_template_is_blamed_on_nobody_else() -> None:
    with two_sites(LIMITS) as (watch, ends):
        ends[""].shutdown(socket.SHUT_RDWR)
        with pytest.raises(ClusterError, match="the process of carol is gone"):
            list(watch.events())


def test_template_that_is_stopped_before_it_forks_is_silent() -> None:
    template = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        with two_sites(LIMITS, template.pid) as (watch, _):
            stopping = threading.Timer(2 * LIMITS.silence_timeout, template.send_signal, args=[signal.SIGSTOP])
            stopping.start()
            with pytest.raises(ClusterError, match="carol has gone silent") as raised:
                list(watch.events())
            assert not stopping.is_alive(), "while it imports it is not silent"
            assert "template" in raised.value.why
    finally:
        template.kill()
        template.wait()


def test_who_was_forked_for_an_earlier_job_may_not_be_silent_either() -> None:
    idle = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    pairs = [socket.socketpair() for _ in range(2)]
    crew = Crew(3, "work", Channel(pairs[0][0]), {"bob": Channel(pairs[1][0])})
    crew.pids["bob"] = idle.pid
    try:
        watch = Watch(crew, LIMITS, stage="open", last_words=("done",), beats=True)
        with pytest.raises(ClusterError, match="bob has gone silent"):
            list(watch.events())
    finally:
        idle.kill()
        idle.wait()
        for pair in pairs:
            for end in pair:
                end.close()


class Stopped:
    """A selector in a process that is stopped for some seconds, in which nobody is heard."""

    def __init__(self, selector: selectors.BaseSelector, seconds: float) -> None:
        self._selector, self._seconds = selector, seconds

    def select(self, timeout: float) -> list[Any]:
        seconds, self._seconds = self._seconds, 0.0
        time.sleep(seconds)
        return [] if seconds else self._selector.select(timeout)


def test_who_was_stopped_itself_blames_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with watching("import time; print(flush=True); time.sleep(60)") as ends:
        ends.child.send(event="tree")
        found = ends.watch.events()
        assert next(found)[1]["event"] == "tree"
        monkeypatch.setattr(ends.watch, "_selector", Stopped(ends.watch._selector, 2 * LIMITS.silence_timeout))
        ends.child.send(event="done")
        assert [message["event"] for _, message in found] == ["done"]


def test_end_of_a_peers_channel_may_be_this_sites_own_fault() -> None:
    with two_sites(LIMITS) as (watch, ends):
        watch._crew.faults.put(ClusterError("carol stood still", where="", why="", fix=""))
        ends["bob"].shutdown(socket.SHUT_RDWR)
        with pytest.raises(ClusterError, match="carol stood still"):
            list(watch.events())
