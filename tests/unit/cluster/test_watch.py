"""Who is silent: a process that hangs, and not one that is too busy to send a heartbeat."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue
from typing import NamedTuple

import msgspec
import pytest
from support import make_spec

from runner.cluster.channel import Channel
from runner.cluster.peers import PeerChannel
from runner.cluster.processes import Crew
from runner.cluster.watch import SECONDARY_GRACE, Watch
from runner.errors import ClusterError, StageError

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


def test_failure_that_follows_from_another_sites_death_waits_for_it() -> None:
    limits = msgspec.structs.replace(LIMITS, grace=3.0)
    pairs = [socket.socketpair() for _ in range(3)]
    control, carol, bob = (Channel(pair[0]) for pair in pairs)
    crew = Crew(3, "work", control, {"carol": carol})
    crew.join({"bob": PeerChannel("bob", bob)}, SimpleQueue())
    watch = Watch(crew, limits, stage="train", last_words=("done",), beats=True)
    error = {"type": "StageError", "what": "carol failed", "where": "", "why": "", "fix": ""}
    Channel(pairs[1][1]).send(event="failed", party="carol", stage="train", error=error, secondary=True)
    threading.Timer(SECONDARY_GRACE + 0.5, pairs[2][1].shutdown, args=[socket.SHUT_RDWR]).start()
    try:
        with pytest.raises(ClusterError, match="the site of bob is gone"):
            list(watch.events())
    finally:
        for pair in pairs:
            for end in pair:
                end.close()
