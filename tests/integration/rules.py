"""A program: every rule of a joint label, computed by real party processes in one SPU; and a party that asks for more.

Usage: ``python rules.py FOLDER [PROTOCOL:PARTY,PARTY…]…``, with ``FOLDER/<protocol>/<party>.npz`` (a column for each
rule). The label holder, carol, writes ``<rule>.npy`` beside them. It runs the project's own stage and gate; the
parties' processes are forked from this one, so that secretflow is imported once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

from runner.engine.narrow import import_secretflow

import_secretflow()

import numpy as np  # noqa: E402
from made_tables import made_table  # noqa: E402
from msgspec.structs import replace  # noqa: E402
from secretflow.device import PYUObject  # noqa: E402
from support import make_spec  # noqa: E402

from runner.cluster.tls import Identity, make_identities  # noqa: E402
from runner.data.table import CheckedTable  # noqa: E402
from runner.engine.site import Site, open_site  # noqa: E402
from runner.engine.spu import TYPES, make_spu, protocol_of  # noqa: E402
from runner.engine.start import make_devices, start_production  # noqa: E402
from runner.engine.transport import secure_proxy  # noqa: E402
from runner.errors import PolicyError  # noqa: E402
from runner.policy.decide import Decision, decide  # noqa: E402
from runner.policy.flows import Flow  # noqa: E402
from runner.policy.gate import Gate  # noqa: E402
from runner.spec.model import Spec  # noqa: E402
from runner.stages.context import Context  # noqa: E402
from runner.stages.labels import join_labels  # noqa: E402

RULES = ("any", "all", "majority", "sum", "mean", "threshold")
THRESHOLD = 100.5
PARTIES = ("alice", "bob", "carol")
HOLDER = "carol"
MORE = Flow("label", "labels", "labels of its own rows", "bob", "alice")


def specs_of(protocol: str, parties: tuple[str, ...], folder: Path) -> dict[str, Spec]:
    absent = [party for party in PARTIES if party not in parties]
    without = [f"~{section}.{party}" for section in ("parties", "data.tables", "label.inputs") for party in absent]
    chosen = ["label.protocol=semi2k"] if protocol == "semi2k" else []
    spec = make_spec(
        "data=clinics",
        "label=joint",
        "sgb.objective=linear",
        f"outputs={folder}",
        *without,
        *chosen,
    )
    assert protocol_of(spec) == protocol, "what such a run takes by itself"
    thresholds = {rule: THRESHOLD if rule == "threshold" else None for rule in RULES}
    return {
        rule: replace(spec, label=replace(spec.label, rule=rule, threshold=threshold))  # type: ignore[call-arg]
        for rule, threshold in thresholds.items()
    }


def table_of(column: Any) -> CheckedTable:
    rows = np.arange(len(column))
    return made_table(rows, np.zeros((len(rows), 1)), ["x"], rows % 4 == 0, label=column)


class House:
    """One party's process."""

    def __init__(self, folder: Path, specs: dict[str, Spec], party: str) -> None:
        self.folder, self.specs, self.party = folder, specs, party
        self.columns = np.load(folder / f"{party}.npz")
        first = specs[RULES[0]]
        self.spu = functools.cache(lambda: make_spu(first, folder / "sockets", folder / f"{party}.log"))

    def start(self, identity: Identity, meet: Any) -> None:
        start_production(
            self.specs[RULES[0]], self.party, "rules", secure_proxy(identity, ("127.0.0.1", 0), meet, TYPES)
        )

    def context(self, rule: str, *more: Decision) -> Context:
        spec = self.specs[rule]
        opened = open_site(spec, self.party, self.folder, None, lambda **event: None)
        site = dataclasses.replace(opened, checked=table_of(self.columns[rule]))
        devices = make_devices(spec)
        gate = Gate((*decide(spec), *more), devices, {self.party: site.audit}, {self.party: site.emit})
        return Context(spec, devices, {self.party: site}, gate, "nonce", {}, connect_spu=self.spu)

    def compute(self) -> None:
        """Every rule, by the project's own stage."""
        for rule in RULES:
            context = self.context(rule)
            value = join_labels(context).value
            assert isinstance(value, PYUObject)
            context.gate.finish(context.at(HOLDER, _save(self.folder / f"{rule}.npy"), value))

    def ask_for_more(self, name: str, allow: tuple[str, ...]) -> None:
        """alice asks bob for his column. ``allow`` are the parties whose own gates would let it go."""
        mine = [Decision(MORE, True, "forged")] if self.party in allow else []
        context = self.context("sum", *mine)
        column = context.at("bob", lambda site: site.table.label)
        try:
            taken = context.gate.deliver(column, "alice", stage="label", kind="labels", form=MORE.form)
        except PolicyError as error:
            (self.folder / f"{name}-denied-by-{self.party}").write_text(str(error))
            return
        effect = context.at("alice", _save(self.folder / f"{name}.npy"), taken)
        if "bob" in allow:
            context.gate.finish(effect)
        else:  # what is denied never comes: bob has refused, a second is given to it, and nobody waits for it
            self._wait_for(self.folder / f"{name}-denied-by-bob")
            time.sleep(1)

    def _wait_for(self, file: Path) -> None:
        limit = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < limit, f"{file.name} was never written"
            time.sleep(0.05)


def _save(path: Path) -> Any:
    def save(site: Site, value: Any) -> None:
        np.save(path, value)

    return save


def become(house: House, identity: Identity, line: Any, parties: tuple[str, ...]) -> NoReturn:
    """Be one party, until the parent says that all are done: who left earlier would take its last messages with it."""

    def meet(port: int) -> dict[str, str]:
        print(port, file=line, flush=True)
        return dict(zip(parties, line.readline().split(), strict=True))

    code = 1
    try:
        house.start(identity, meet)
        house.compute()
        if set(parties) == set(PARTIES):
            house.ask_for_more("complicit", ("alice", "bob", "carol"))
            house.ask_for_more("stolen", ("alice",))
        print("done", file=line, flush=True)
        line.readline()
        code = 0
    except BaseException:  # noqa: BLE001 - the last frame of a forked child
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def run(folder: Path, protocol: str, parties: tuple[str, ...]) -> int:
    identities, specs = make_identities(parties), specs_of(protocol, parties, folder)
    (folder / "sockets").mkdir(mode=0o700)
    children, lines = [], []
    for party in parties:
        mine, its = socket.socketpair()
        child = os.fork()
        if child == 0:
            become(House(folder, specs, party), identities[party], its.makefile("rw"), parties)
        its.close()
        children.append(child)
        lines.append(mine.makefile("rw"))
    addresses = [f"127.0.0.1:{line.readline().strip()}" for line in lines]
    for line in lines:
        print(*addresses, file=line, flush=True)
    if all([line.readline() for line in lines]):
        for line in lines:
            print("leave", file=line, flush=True)
    else:  # a party failed, and the others may wait for it for ever
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
    return max(abs(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) for child in children)


def main(folder: Path, *sets: str) -> int:
    codes = []
    for which in sets:
        protocol, _, parties = which.partition(":")
        codes.append(run(folder / protocol, protocol, tuple(parties.split(","))))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
