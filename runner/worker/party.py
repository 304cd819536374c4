"""The process of one party (or, in debug mode, of all of them): it carries out one job after another.

Nothing here waits for ever: a thread watches the connection to the driver and ends the process when the driver says
so or is gone, whatever the main thread is waiting for. A job that fails ends the process, too.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import resource
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, NoReturn

from runner.engine.narrow import import_secretflow

import_secretflow()

from secretflow.distributed.fed.exception import FedLocalError, FedRemoteError  # noqa: E402

from runner.cluster.channel import Channel, Message  # noqa: E402
from runner.cluster.limits import refused_memory  # noqa: E402
from runner.cluster.tls import Identity  # noqa: E402
from runner.engine.alignment import Alignments  # noqa: E402
from runner.engine.lasting import Lasting  # noqa: E402
from runner.engine.start import first_failure  # noqa: E402
from runner.errors import ClusterError, RunnerError, StageError, Stopped  # noqa: E402
from runner.files import want_of_room  # noqa: E402
from runner.logs import How, RunLog, print_to, run_id, set_aside, structured  # noqa: E402
from runner.worker.job import Job  # noqa: E402

ABORTED = 70


def run_party(channel: Channel) -> int:
    """Wait for the first job, and carry out one after another until the driver says that there are no more."""
    order = channel.receive()
    if order is None or order.get("order") != "run":
        return ABORTED
    return _Worker(channel, order).run()


class _SendFailed(Exception):
    """SecretFlow could not send, or met an error in one of its threads; it says so with SIGINT."""


class _Worker:
    def __init__(self, channel: Channel, first: Message) -> None:
        self._channel = channel
        self._parties: tuple[str, ...] = tuple(first["parties"])
        self._orders: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._orders.put(first)
        self._stage = "start"
        self._log = str(first["log"])
        self._readable, self._how = Path(first["folder"]) / self._log, How(*first["logs"])
        self._events = RunLog(None, self._how, process="worker")
        identity = Identity(**first["identity"]) if first["identity"] else None
        listen = tuple(first["listen"]) if first["listen"] else None
        self._lasting = Lasting(first["crew"], identity, self._meet, _on_interrupt, listen)
        self._alignments = Alignments()

    def run(self) -> int:
        first = self._orders.get()
        self._begin_logs(first)
        threading.Thread(target=self._watch, daemon=True).start()
        self._channel.beat(self._rotate)
        order = first
        while order["order"] == "run":
            try:
                self._work(order)
            except BaseException as error:  # noqa: BLE001 - told to the driver, whatever it is
                try:
                    return self._fail(error)
                except _SendFailed:  # SecretFlow's signal for the same failure came just now
                    return self._fail(error)
            order = self._await("run", "leave")
        return 0

    def _work(self, order: Message) -> None:
        """Carry out one job; nothing of it is left in this process, but for what later ones may use."""
        self._begin_logs(order)
        self._stage = "start"
        self._events.stage = "open"
        self._events.write("begun", "the job has begun", parties=self._parties)
        alignment = self._alignments.of_job(order["alignment"], order["aligned"])
        job = Job(order, self._lasting, self._emit, self._pause if order["paced"] else None, alignment)
        try:
            told = job.carry_out()
        except Stopped as stopped:
            traceback.clear_frames(stopped.__traceback__)
            self._lasting.settle()
            self._events.write("stopped", "the training is stopped, as the driver said")
        else:
            self._events.write("done", "the plan is carried out", sent=told["sent"], peak_bytes=_peak_bytes())
            self._channel.send(event="done", **told)
            self._stage = "attest"
            self._channel.send(event="attested", signatures=job.attest(self._await("attest")["manifest"]))
        del job
        self._lasting.forget()

    def _fail(self, error: BaseException) -> int:
        """Tell the driver, and the party's own log; return the exit code."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        cause = _cause_of(error)
        with contextlib.suppress(OSError):  # the log's disk may be full
            traceback.print_exception(cause)
        self._events.failed(cause)
        failure, secondary = self._explain(cause)
        self._channel.send(
            event="failed", party=self._parties[0], stage=self._stage, error=failure.to_dict(), secondary=secondary
        )
        return failure.code

    def _meet(self, port: int, sequence: int) -> tuple[dict[str, str], int]:
        """Tell the driver which port was bound; go on when all parties are listening, and have let go of other jobs."""
        self._events.write("listening", "this party listens for the others", port=port)
        self._channel.send(event="listening", port=port, sequence=sequence)
        order = self._await("connect")
        self._events.write("connect", "all parties listen", peers=order["peers"])
        return order["peers"], order["sequence"]

    def _pause(self, trees: int) -> None:
        """Ask the driver whether to go on; all workers hear the same."""
        self._channel.send(event="paused", trees=trees)
        if not self._await("go")["on"]:
            self._channel.send(event="stopped", trees=trees)
            raise Stopped(
                f"stopped after {trees} trees", where="stage train", why="the driver said so", fix="nothing is wrong"
            )

    def _emit(self, **event: Any) -> None:
        if event.get("event") == "stage" and event.get("state") == "started":
            self._stage = self._events.stage = event["stage"]
        self._note(**event)
        self._channel.send(**event)

    def _note(self, event: str, **more: Any) -> None:
        match event:
            case "stage":
                has = "has begun" if more["state"] == "started" else "is done"
                self._events.write("stage", f"{more['stage']} {has}", state=more["state"])
            case "notice":
                self._events.write("notice", more["text"])
            case "tree" | "fold" | "continues":
                self._events.write(event, "the training goes on", **more)

    def _await(self, *expected: str) -> Message:
        message = self._orders.get()
        if message.get("order") not in expected:
            raise ClusterError(
                f"the driver said {message.get('order')!r} out of turn",
                where="control channel",
                why=f"{' or '.join(map(repr, expected))} was expected",
                fix="report this; the driver and the worker must be of one version",
            )
        return message

    def _watch(self) -> None:
        while (message := self._channel.receive()) is not None:
            if message.get("order") == "abort":
                break
            self._orders.put(message)
        _leave_now()

    def _rotate(self) -> None:
        with contextlib.suppress(OSError):  # whatever becomes of the log, the signs of life go on
            if set_aside(self._readable, self._how):
                print_to(self._readable)

    def _begin_logs(self, order: Message) -> None:
        """Write to the logs of this job from now on."""
        self._events.close()
        self._readable, self._how = Path(order["folder"]) / order["log"], How(*order["logs"])
        print_to(self._readable)
        logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True)
        party = self._parties[0] if len(self._parties) == 1 else None
        name = run_id(order["nonce"])
        self._events = RunLog(structured(self._readable), self._how, process="worker", party=party, run=name)

    def _explain(self, cause: BaseException) -> tuple[RunnerError, bool]:
        """The error in words that may leave the party, and whether it only follows from a peer's."""
        who = " and ".join(self._parties)
        if isinstance(cause, RunnerError):
            return cause, cause.secondary
        if isinstance(cause, MemoryError):
            return refused_memory(who, self._stage), False
        if (known := want_of_room(cause, who)) is not None:
            return known, False
        secondary = isinstance(cause, (FedRemoteError, ConnectionError, _SendFailed)) or _is_rpc_error(cause)
        return (
            StageError(
                f"{who} failed in stage {self._stage!r}",
                where=f"party {who}, stage {self._stage}",
                why=f"{type(cause).__name__} was raised (its text stays at the party: it may hold data)",
                fix=f"see {self._log} in the run folder",
            ),
            secondary,
        )


def _cause_of(error: BaseException) -> BaseException:
    """What really happened, out of SecretFlow's wrappings."""
    cause = error
    if isinstance(error, _SendFailed):
        cause = first_failure() or error
    while isinstance(cause, FedLocalError):
        cause = cause.cause()
    return cause


def _is_rpc_error(error: BaseException) -> bool:
    import grpc

    return isinstance(error, grpc.RpcError)


def _on_interrupt(signum: int, frame: Any) -> None:
    raise _SendFailed


def _leave_now() -> NoReturn:
    os._exit(ABORTED)


def _peak_bytes() -> int:
    """The most memory that this process has taken."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
