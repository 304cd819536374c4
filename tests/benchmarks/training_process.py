"""Trainings in real processes, one a party, forked from one that has imported everything; each is measured.

``python training_process.py stock|runner`` reads a case a line from its input (:mod:`benchmarks.cases`), and prints one
line with what it found. Way "stock" runs the hand-written program (tests/integration/handwritten.py): SecretFlow's own
SGB over plain gRPC. Way "runner" runs the runner's engine over mutual TLS, with the same shared shuffles. Making keys,
reading tables and predicting are not counted; what is counted ends when every party has all that it has of the model.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import multiprocessing
import os
import resource
import secrets
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from unittest import mock

PROJECT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

WAY = sys.argv[1]
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # SecretFlow prints
if WAY == "runner":
    from runner.engine.narrow import import_secretflow

    import_secretflow()

import numpy as np  # noqa: E402
from benchmarks.cases import PARTIES, Case  # noqa: E402
from integration import handwritten  # noqa: E402
from secretflow.device import wait  # noqa: E402
from secretflow.ml.boost.sgb_v import Sgb  # noqa: E402

MODEL_FILES = ("split_tree.json", "leaf_weight.json", "common.json")


class Order(NamedTuple):
    """One training: the case, each party's table, and a folder for what comes of it."""

    case: Case
    tables: dict[str, str]
    parameters: dict[str, Any]
    split: dict[str, Any]
    folder: Path


def main() -> None:
    """Carry out one case after another."""
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        given = json.loads(line)
        order = Order(**{**given, "case": Case(**given["case"]), "folder": Path(given["folder"])})
        print(json.dumps(carry_out(order)), file=ANSWERS, flush=True)


def carry_out(order: Order) -> dict[str, Any]:
    """Fork a process for each party and wait until all have ended; the first that fails ends all."""
    parties = PARTIES[: order.case.parties]
    together = multiprocessing.get_context("fork").Barrier(len(parties))
    settings = {
        "tables": order.tables,
        "id": "id",
        "label": "label",
        **order.split,
        "order": parties,
        "scheme": order.case.scheme,
        "key_bits": order.case.bits,
        "parameters": order.parameters,
        "folder": str(order.folder),
        "job": secrets.token_hex(16),
        "ports": free_ports(parties),
        "shuffle_seeds": None,
    }
    if WAY == "runner":
        from runner.cluster.tls import make_identities

        settings["identities"] = make_identities(parties)
    (order.folder / "shared").mkdir(parents=True)
    children = {}
    for party in parties:
        pid = os.fork()
        if pid == 0:
            _be(order, settings, party, together)
        children[pid] = party
    try:
        while children:
            pid, status = os.wait()
            party = children.pop(pid)
            if status:
                raise SystemExit(f"{party} failed: {order.folder / (party + '.log')}")
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
    return _collect(order, parties)


def free_ports(parties: tuple[str, ...]) -> dict[str, int]:
    """A free port for each party."""
    with contextlib.ExitStack() as stack:
        sockets = {party: stack.enter_context(socket.create_server(("127.0.0.1", 0))) for party in parties}
        return {party: int(bound.getsockname()[1]) for party, bound in sockets.items()}


def _be(order: Order, settings: dict[str, Any], me: str, together: Any) -> NoReturn:
    code = 1
    try:
        log = os.open(order.folder / f"{me}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        meter = Meter(together)
        Sgb.train = meter.measured(Sgb.train)
        with contextlib.ExitStack() as stack:
            if order.case.scheme == "mock" and WAY == "runner":
                stack.enter_context(_as_if_encrypted())
            if order.case.without:
                from benchmarks.levers import without

                stack.enter_context(without(order.case.without))
            if WAY == "runner":
                from benchmarks.by_runner import main as by_runner

                by_runner(settings, me, together, meter)
            else:
                with meter.counting_stock():
                    handwritten.main(settings, me)
        (order.folder / f"{me}.json").write_text(json.dumps(meter.found))
        code = 0
    except BaseException:  # noqa: BLE001 - SecretFlow's threads would keep a failed process alive
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@contextlib.contextmanager
def _as_if_encrypted() -> Iterator[None]:
    """HEU's scheme that encrypts nothing, which the runner refuses."""
    from runner.engine import faster

    with mock.patch.object(faster, "SCHEMES", {"mock"}):
        yield


class Meter:
    """What one party's process takes for a training.

    Attributes:
        found: "from" and "to" on the machine's clock, CPU seconds, MB of memory before and at most, bytes sent.
    """

    def __init__(self, together: Any) -> None:
        self.found: dict[str, Any] = {}
        self._together = together
        self.sent: Callable[[], int] = lambda: 0

    def measured(self, train: Callable[..., Any]) -> Callable[..., Any]:
        """``Sgb.train``, measured."""

        def measured_train(sgb: Any, settings: Any, features: Any, label: Any, *others: Any, **named: Any) -> Any:
            wait([*features.partitions.values(), *label.partitions.values()])
            self._together.wait(600)
            Path("/proc/self/clear_refs").write_text("5")  # what memory is at most, from now on
            before, sent, cpu, began = _memory("VmRSS"), self.sent(), _cpu_seconds(), time.monotonic()
            model = train(sgb, settings, features, label, *others, **named)
            for tree in model.trees:
                wait([*tree.split_tree_dict.values(), tree.leaf_weight])
            self.found = {
                "from": began,
                "to": time.monotonic(),
                "cpu": _cpu_seconds() - cpu,
                "memory": before,
                "most_memory": _memory("VmHWM"),
                "sent": self.sent() - sent,
            }
            return model

        return measured_train

    @contextlib.contextmanager
    def counting_stock(self) -> Iterator[None]:
        """Count what stock SecretFlow sends."""
        from secretflow.distributed.fed.proxy.grpc import grpc

        total, dumps = [0], grpc.secure_pickle.dumps

        def counted(data: Any) -> bytes:
            content: bytes = dumps(data)
            total[0] += len(content)
            return content

        self.sent = lambda: total[0]
        with mock.patch.object(grpc.secure_pickle, "dumps", counted):
            yield


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _memory(what: str) -> float:
    """MB of memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) * 1024 / 1e6


def _collect(order: Order, parties: tuple[str, ...]) -> dict[str, Any]:
    found = {party: json.loads((order.folder / f"{party}.json").read_text()) for party in parties}
    model = hashlib.sha256()
    for party in parties:
        for name in MODEL_FILES:
            path = order.folder / "shared" / party / name
            model.update(path.read_bytes() if path.exists() else b"")
    scores = np.load(order.folder / "shared" / "scores.npy").reshape(-1)
    return {
        "wall": max(one["to"] for one in found.values()) - min(one["from"] for one in found.values()),
        "cpu": sum(one["cpu"] for one in found.values()),
        "cpu_of_holder": found[parties[0]]["cpu"],
        "sent": sum(one["sent"] for one in found.values()),
        "most_memory": {party: one["most_memory"] for party, one in found.items()},
        "more_memory": {party: one["most_memory"] - one["memory"] for party, one in found.items()},
        "model": model.hexdigest(),
        "predictions": hashlib.sha256(scores.tobytes()).hexdigest(),
    }


if __name__ == "__main__":
    main()
