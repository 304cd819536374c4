"""A program: every rule of a joint label, computed by real party processes in one SPU, and what each party then has.

Usage: ``python rules.py FOLDER PROTOCOL PARTY PARTY [PARTY]``, with ``FOLDER/<party>.npz`` (a column for each rule).
The label holder, carol, writes ``FOLDER/<rule>.npy``. It runs the project's own stage and gate; the parties' processes
are forked from this one, so that secretflow is imported once.
"""

from __future__ import annotations

import functools
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from runner.engine.narrow import import_secretflow

import_secretflow()

import numpy as np  # noqa: E402
from secretflow.device import PYUObject  # noqa: E402
from support import make_spec  # noqa: E402

from runner.cluster.tls import Identity, make_identities  # noqa: E402
from runner.data.table import PreparedTable  # noqa: E402
from runner.engine.site import Site, open_site  # noqa: E402
from runner.engine.spu import TYPES, make_spu  # noqa: E402
from runner.engine.start import make_devices, start_production  # noqa: E402
from runner.engine.transport import secure_proxy  # noqa: E402
from runner.policy.decide import decide  # noqa: E402
from runner.policy.gate import Gate  # noqa: E402
from runner.spec.model import Spec  # noqa: E402
from runner.stages.context import Context  # noqa: E402
from runner.stages.labels import join_labels  # noqa: E402

RULES = ("any", "all", "majority", "sum", "mean", "threshold")
THRESHOLD = 100.5
HOLDER = "carol"


def spec_of(rule: str, protocol: str, parties: tuple[str, ...], folder: Path) -> Spec:
    absent = sorted({"alice", "bob", "carol"} - set(parties))
    overrides = [f"~{section}.{party}" for section in ("parties", "data.tables", "label.inputs") for party in absent]
    if rule == "threshold":
        overrides.append(f"label.threshold={THRESHOLD}")
    if rule in ("sum", "mean"):
        overrides += ["sgb.objective=linear"]
    return make_spec(
        "data=clinics",
        "label=joint",
        f"label.rule={rule}",
        f"label.protocol={protocol}",
        f"outputs={folder}",
        *overrides,
    )


def table_of(column: Any) -> PreparedTable:
    rows = len(column)
    return PreparedTable(
        ids=np.arange(rows),
        features=np.zeros((rows, 1)),
        names=("x",),
        test=np.arange(rows) % 4 == 0,
        label=column.astype(np.float64),
    )


def work(folder: Path, protocol: str, parties: tuple[str, ...], party: str, identity: Identity, meet: Any) -> None:
    columns = np.load(folder / f"{party}.npz")
    specs = {rule: spec_of(rule, protocol, parties, folder) for rule in RULES}
    first = specs[RULES[0]]
    proxy = secure_proxy(identity, ("127.0.0.1", 0), meet, TYPES)
    start_production(first, party, "rules", proxy)
    spu = functools.cache(lambda: make_spu(first, folder / "sockets", folder / f"{party}.spu.log"))
    for rule, spec in specs.items():
        site = open_site(spec, party, folder, table_of(columns[rule]), lambda **event: None)
        gate = Gate(decide(spec), make_devices(spec), {party: site.audit}, {party: site.emit})
        context = Context(spec, make_devices(spec), {party: site}, gate, "nonce", {}, connect_spu=spu)
        value = join_labels(context).value
        assert isinstance(value, PYUObject)
        gate.finish(context.at(HOLDER, functools.partial(_save, folder / f"{rule}.npy"), value))


def _save(path: Path, site: Site, value: Any) -> None:
    np.save(path, value)


def main(folder: Path, protocol: str, parties: tuple[str, ...]) -> int:
    identities = make_identities(parties)
    pairs = {party: socket.socketpair() for party in parties}
    (folder / "sockets").mkdir(mode=0o700)
    children = {}
    for party in parties:
        children[party] = os.fork()
        if children[party] == 0:
            line = pairs[party][1].makefile("rw")

            def meet(port: int, line: Any = line) -> dict[str, str]:
                print(port, file=line, flush=True)
                return dict(zip(parties, line.readline().split(), strict=True))

            code = 1
            try:
                work(folder, protocol, parties, party, identities[party], meet)
                print("done", file=line, flush=True)
                line.readline()  # a party that left at once would take its last messages with it
                code = 0
            except BaseException:  # noqa: BLE001 - the last frame of a forked child
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
    lines = {party: pair[0].makefile("rw") for party, pair in pairs.items()}
    ports = [lines[party].readline().strip() for party in parties]
    for line in lines.values():
        print(*(f"127.0.0.1:{port}" for port in ports), file=line, flush=True)
    if all(line.readline() for line in lines.values()):
        for line in lines.values():
            print("leave", file=line, flush=True)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children.values()]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], tuple(sys.argv[3:])))
