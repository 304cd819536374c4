"""The process of one party (or, in debug mode, of all of them): start secretflow, run the plan, report, leave.

Nothing here waits for ever: a thread watches the connection to the driver and ends the process when the driver says
so or is gone, whatever the main thread is waiting for.
"""

from __future__ import annotations

import functools
import logging
import os
import queue
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, NoReturn

from runner.engine.narrow import import_secretflow

import_secretflow()

from secretflow.device import SPU  # noqa: E402
from secretflow.distributed.fed.exception import FedLocalError, FedRemoteError  # noqa: E402

from runner.bundle.layout import bundle_folder, find_run  # noqa: E402
from runner.cluster.channel import Channel, Message  # noqa: E402
from runner.cluster.tls import Identity  # noqa: E402
from runner.data.table import COUNTS, read_table  # noqa: E402
from runner.engine.site import Site, open_site  # noqa: E402
from runner.engine.spu import TYPES as SPU_TYPES  # noqa: E402
from runner.engine.spu import make_spu  # noqa: E402
from runner.engine.start import first_failure, make_devices, start_debug, start_production  # noqa: E402
from runner.engine.transport import SecureProxy, secure_proxy  # noqa: E402
from runner.errors import ClusterError, RunnerError, StageError  # noqa: E402
from runner.files import make_private_dir, write_json  # noqa: E402
from runner.policy.decide import decide, floor, require  # noqa: E402
from runner.policy.gate import Gate  # noqa: E402
from runner.policy.grants import load_grants  # noqa: E402
from runner.spec.model import Spec  # noqa: E402
from runner.spec.parse import parse  # noqa: E402
from runner.stages.context import Context  # noqa: E402
from runner.stages.plan import run_plan  # noqa: E402
from runner.worker.attest import attest  # noqa: E402
from runner.worker.statement import state_privacy  # noqa: E402

HEARTBEAT_SECONDS = 1.0
ABORTED = 70


def run_party(channel: Channel, tables: dict[str, int]) -> int:
    """Wait for the job of the parties in ``tables``, and do it."""
    job = channel.receive()
    if job is None or job.get("order") != "run":
        return ABORTED
    return _Worker(channel, tables, job).run()


class _SendFailed(Exception):
    """SecretFlow could not send, or met an error in one of its threads; it says so with SIGINT."""


class _Worker:
    def __init__(self, channel: Channel, tables: dict[str, int], job: Message) -> None:
        self._channel = channel
        self._tables = tables
        self._job = job
        self._folder = Path(job["folder"])
        self._parties = tuple(tables)
        self._orders: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._stage = "start"
        self._proxy: SecureProxy | None = None
        self._sites: dict[str, Site] = {}

    def run(self) -> int:
        _log_to(self._folder / self._job["log"])
        threading.Thread(target=self._watch, daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()
        try:
            self._work(parse(self._job["spec"]))
        except BaseException as error:  # noqa: BLE001 - told to the driver, whatever it is
            try:
                return self._fail(error)
            except _SendFailed:  # SecretFlow's signal for the same failure came just now
                return self._fail(error)
        sent = self._sent()
        self._channel.send(event="done", sent=sent, facts={party: site.facts for party, site in self._sites.items()})
        return self._attest(sent)

    def _attest(self, sent: dict[str, dict[str, int]]) -> int:
        """Sign the run's manifest, if it says of this party's side what this party knows; keep a copy."""
        manifest = self._await("attest")["manifest"]
        try:
            signed = {party: attest(site, manifest, sent) for party, site in self._sites.items()}
        except RunnerError as error:
            return self._fail(error)
        self._channel.send(event="attested", signatures=signed)
        self._await("leave")
        return 0

    def _fail(self, error: BaseException) -> int:
        """Tell the driver, and the party's own log; return the exit code."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        cause = _cause_of(error)
        traceback.print_exception(cause)
        failure, secondary = self._explain(cause)
        self._channel.send(
            event="failed", party=self._parties[0], stage=self._stage, error=failure.to_dict(), secondary=secondary
        )
        return failure.code

    def _work(self, spec: Spec) -> None:
        original = Path(self._job["original"]) if self._job["original"] else None
        sites = self._sites
        for party, memory in self._tables.items():
            table = read_table(memory) if party in spec.tables() else None
            sites[party] = open_site(spec, party, self._folder, table, self._emit, original)
        # This party's own word, read by this party's own process: no driver can make it do more than it grants.
        self._grants = load_grants(spec, self._parties)
        self._decisions = decide(spec, self._grants)
        require(self._decisions)
        if spec.cluster.mode == "debug":
            start_debug(spec.party_order())
        else:
            self._proxy = self._start(spec)
        signal.signal(signal.SIGINT, _on_interrupt)  # after secretflow's own handler, which would leave without a word
        self._emit(event="stage", stage="open", state="done")
        run_plan(self._context(spec, sites), self._emit)
        for site in sites.values():
            state_privacy(site, spec, self._grants.get(site.party))
            if site.checked is not None:
                write_json(site.folder / COUNTS, site.table.counts())

    def _start(self, spec: Spec) -> SecureProxy:
        (party,) = self._parties
        proxy = secure_proxy(
            Identity(**self._job["identity"]),
            ("127.0.0.1", spec.cluster.ports.get(party, 0)),
            self._meet,
            SPU_TYPES if spec.needs_spu() else frozenset(),
            make_private_dir(self._folder / "parties" / party / "messages") if spec.cluster.keep_messages else None,
        )
        return start_production(spec, party, self._job["nonce"], proxy)

    def _meet(self, port: int) -> dict[str, str]:
        """Tell the driver which port was bound; go on when all parties are listening."""
        self._channel.send(event="listening", port=port)
        peers: dict[str, str] = self._await("connect")["peers"]
        return peers

    def _context(self, spec: Spec, sites: dict[str, Site]) -> Context:
        devices = make_devices(spec)
        gate = Gate(
            self._decisions,
            devices,
            {party: site.audit for party, site in sites.items()},
            {party: site.emit for party, site in sites.items()},
        )
        source = find_run(spec.model) if spec.model is not None else self._folder
        bundles = {party: bundle_folder(source, spec.trained_as(party)) for party in spec.parties}
        return Context(
            spec,
            devices,
            sites,
            gate,
            self._job["nonce"],
            bundles,
            connect_spu=functools.cache(lambda: self._connect_spu(spec)),
            min_rows=floor(spec, self._grants, "min_rows"),
            min_batch=floor(spec, self._grants, "min_batch"),
            sockets=Path(self._job["sockets"]),
        )

    def _connect_spu(self, spec: Spec) -> SPU:
        return make_spu(spec, Path(self._job["sockets"]), self._folder / "parties" / self._parties[0] / "spu.log")

    def _emit(self, **event: Any) -> None:
        if event.get("event") == "stage" and event.get("state") == "started":
            self._stage = event["stage"]
        self._channel.send(**event)

    def _sent(self) -> dict[str, dict[str, int]]:
        """What this party sent to each peer: messages, bytes, ciphertexts."""
        if self._proxy is None:
            return {}
        return {peer: dict(counts) for peer, counts in self._proxy.counts.items() if counts}

    def _await(self, order: str) -> Message:
        message = self._orders.get()
        if message.get("order") != order:
            raise ClusterError(
                f"the driver said {message.get('order')!r} out of turn",
                where="control channel",
                why=f"{order!r} was expected",
                fix="report this; the driver and the worker must be of one version",
            )
        return message

    def _watch(self) -> None:
        while (message := self._channel.receive()) is not None:
            if message.get("order") == "abort":
                break
            self._orders.put(message)
        _leave_now()

    def _beat(self) -> None:
        while self._channel.send(event="alive"):
            threading.Event().wait(HEARTBEAT_SECONDS)

    def _explain(self, cause: BaseException) -> tuple[RunnerError, bool]:
        """The error in words that may leave the party, and whether it only follows from a peer's."""
        if isinstance(cause, RunnerError):
            return cause, False
        secondary = isinstance(cause, (FedRemoteError, ConnectionError, _SendFailed)) or _is_rpc_error(cause)
        who = " and ".join(self._parties)
        return (
            StageError(
                f"{who} failed in stage {self._stage!r}",
                where=f"party {who}, stage {self._stage}",
                why=f"{type(cause).__name__} was raised (its text stays at the party: it may hold data)",
                fix=f"see {self._job['log']} in the run folder",
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


def _log_to(path: Path) -> None:
    """Send everything that this process prints, C++ libraries included, to the party's own log."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(descriptor, sys.stdout.fileno())
    os.dup2(descriptor, sys.stderr.fileno())
    os.close(descriptor)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True)
