"""What a process has of SecretFlow for all its jobs: its connection to the others, homomorphic keys, and devices.

SecretFlow numbers every object that it makes, alike in all parties' processes, and files messages under these numbers.
It is started once in a process. Between two jobs all that the first began comes to its end, nothing of it is kept, and
the parties agree on the number to go on from.
"""

from __future__ import annotations

import ctypes
import gc
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from secretflow.device import SPU
from secretflow.distributed.fed.global_context import get_global_context

from runner.cluster.tls import Identity
from runner.engine.spu import TYPES as SPU_TYPES
from runner.engine.spu import make_spu, protocol_of
from runner.engine.start import make_heu, start_debug, start_production
from runner.engine.transport import Peers, SecureProxy, secure_proxy
from runner.spec.model import Spec

Meet = Callable[[int, int], tuple[Peers, int]]


class Lasting:
    """SecretFlow in one process, for one job after another.

    Args:
        name: a text that all processes of the crew know, and nobody else.
        identity: the party's certificate, key and authority; None where all parties are in this process.
        meet: called with the port that was bound and the number of SecretFlow's next object; returns, once all parties
            are ready, their addresses and the number that all go on from.
        listen: host and port for the connection to the others; None: the loopback, and what ``cluster.ports`` says.
        on_interrupt: takes SIGINT in place of SecretFlow, which says with it that something failed in a thread.
    """

    def __init__(
        self,
        name: str,
        identity: Identity | None,
        meet: Meet,
        on_interrupt: Callable[[int, Any], Any],
        listen: tuple[str, int] | None = None,
    ) -> None:
        self._name = name
        self._identity = identity
        self._listen = listen
        self._meet = meet
        self._on_interrupt = on_interrupt
        self._started = False
        self._proxy: SecureProxy | None = None
        self._heus: dict[Any, Any] = {}
        self._spus: dict[Any, SPU] = {}
        self.kept_keys = False

    def begin(self, spec: Spec, party: str, keep: Path | None) -> None:
        """Be ready for a job, and wait until all parties are.

        Args:
            party: whose process this is; of no meaning where all parties are in it.
            keep: a folder for a copy of every message that arrives, or None.
        """
        self.kept_keys = False
        if self._identity is None:
            if not self._started:
                start_debug(spec.party_order())
        elif self._proxy is None:
            address = self._listen or ("127.0.0.1", spec.cluster.ports.get(party, 0))
            more = SPU_TYPES if spec.needs_spu() else frozenset()
            pins = {name: known.tls_pin for name, known in spec.parties.items() if known.tls_pin is not None}
            proxy = secure_proxy(self._identity, address, lambda port: self._meet(port, 0)[0], more, keep, pins)
            self._proxy = start_production(spec, party, self._name, proxy)
        else:
            self._proxy.begin_job(SPU_TYPES if spec.needs_spu() else frozenset(), keep)
            context = get_global_context()
            _, context._seq_count = self._meet(self._proxy.port, context._seq_count)
        self._started = True
        signal.signal(signal.SIGINT, self._on_interrupt)  # SecretFlow's own would leave without a word

    def heu(self, spec: Spec) -> Any:
        """The homomorphic encryption: with the keys of an earlier job, if they were made for the same roles."""
        key = (spec.party_order(), spec.crypto.scheme, spec.crypto.key_bits)
        self.kept_keys = key in self._heus
        if not self.kept_keys:
            self._heus[key] = make_heu(spec)
        return self._heus[key]

    def spu(self, spec: Spec, sockets: Path, log: Path) -> SPU:
        """The device for secret shares; a link that is taken down may end the process, so it stays up.

        Args:
            sockets: the crew's folder for sockets.
            log: where it prints to, if it is new.
        """
        key = (spec.party_order(), protocol_of(spec), spec.engine())
        if key not in self._spus:
            own = sockets / f"spu-{len(self._spus)}"
            own.mkdir(mode=0o700, exist_ok=True)  # the first party that comes here makes it
            self._spus[key] = make_spu(spec, own, log)
        return self._spus[key]

    def sent(self) -> dict[str, dict[str, int]]:
        """What this party sent to each peer in this job: messages, bytes, ciphertexts."""
        counts: Mapping[str, Any] = {} if self._proxy is None else self._proxy.counts
        return {peer: dict(counted) for peer, counted in counts.items() if counted}

    def settle(self) -> bool:
        """Wait until everything is done and sent; whether nothing failed that nobody waited for."""
        context = get_global_context(assert_none=False)
        if context is None:
            return True
        for name in ("_task_executor", "_recv_executor", "_send_executor"):
            executor = getattr(context, name)
            executor.shutdown(wait=True)
            setattr(context, name, ThreadPoolExecutor(max_workers=executor._max_workers))
        checked: SimpleQueue[None] = SimpleQueue()

        def check() -> bool:  # SecretFlow's thread, which looks at what became of each message, has come here
            checked.put(None)
            return True

        context._clean_queue.put(check)
        checked.get()
        return context.get_last_exception() is None

    def forget(self) -> None:
        """Keep nothing of a job that is over, here or in the inbox; the caller has let go of it already."""
        for heu in self._heus.values():
            heu.forget()
        gc.collect()
        self.settle()  # SPU's shares are removed when the last reference to them goes
        if self._proxy is not None:
            self._proxy.forget()
        ctypes.CDLL(None).malloc_trim(0)
