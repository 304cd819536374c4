"""One party's side of a private set intersection, in a process of its own: ``python -m runner.engine.psi_process``.

SPU's library keeps two copies of its runtime, and an exception that passes from one to the other ends the process. So
it gets one of its own, which imports the library alone and gives its memory back.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.machinery
import json
import os
import resource
import signal
import sys
import time
import types
from pathlib import Path
from typing import Any, NoReturn

from runner.logs import How, RunLog

REPORT = "report.json"
RETRY = 250  # milliseconds between attempts to connect
_PR_SET_PDEATHSIG = 1


def main(arguments: dict[str, Any]) -> NoReturn:
    """Intersect the column ``id`` of ``input`` with the other parties', write ``output`` and ``report``, and leave.

    Args:
        arguments: ``rank`` (this party's place among ``addresses``), ``protocol``, ``seconds`` to wait for a message,
            and the paths.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # leave with the party's worker, however that ends
    log = _log(arguments)
    log.write("begun", "the private set intersection has begun", protocol=arguments["protocol"])
    try:
        _intersect(arguments, log)
    except BaseException as error:
        log.failed(error)
        raise
    os._exit(0)  # with the link still up


def _log(arguments: dict[str, Any]) -> RunLog:
    if arguments.get("log") is None:
        return RunLog(None, How(), process="psi")
    path, how, run = arguments["log"]
    log = RunLog(Path(path), How(*how), process="psi", party=arguments["party"], run=run)
    log.stage = "align"
    return log


def _intersect(arguments: dict[str, Any], log: RunLog) -> None:
    psi, libspu = _import("spu.libpsi"), _import("spu.libspu")
    _keep_to(Path(arguments["input"]).parent)
    link = _connect(libspu, arguments)
    log.write("connect", "the processes of all parties are connected")
    config = psi.PsiExecuteConfig(
        protocol_conf=psi.PsiProtocolConfig(
            protocol=getattr(psi.PsiProtocol, f"PROTOCOL_{arguments['protocol'].upper()}"),
            receiver_rank=0,
            broadcast_result=True,
            ecdh_params=psi.EcdhParams(curve=psi.EllipticCurveType.CURVE_25519),
        ),
        input_params=psi.InputParams(path=arguments["input"], selected_keys=["id"], keys_unique=True),
        output_params=psi.OutputParams(path=arguments["output"], disable_alignment=True),
    )
    result = psi.psi_execute(config, link)
    report = {
        "common": result.intersection_count,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    Path(arguments["report"]).write_text(json.dumps(report))
    log.write("done", "the result is there", peak_bytes=report["peak_bytes"])
    _wait_for_all(arguments)


def _keep_to(folder: Path) -> None:
    """Have the library's files, which hold digests of ids, in ``folder`` alone.

    It, and the ``sort`` that it starts, write to where they work and to ``TMPDIR``, for all to read, and leave much.
    """
    os.umask(0o077)
    os.chdir(folder)
    os.environ["TMPDIR"] = str(folder)


def _connect(libspu: Any, arguments: dict[str, Any]) -> Any:
    """The link to the other parties' processes.

    psi_execute greets the peers once more. A greeting that comes while its receiver still waits for another's first is
    dropped, and awaited for ever: so nobody goes on before all are connected.
    """
    description = libspu.link.Desc()
    for place, address in enumerate(arguments["addresses"]):
        description.add_party(str(place), address)
    patience = int(arguments["seconds"] * 1000)
    description.recv_timeout_ms = description.http_timeout_ms = patience
    # The parties do not arrive at the same moment: one may have many more ids to write down.
    description.connect_retry_times, description.connect_retry_interval_ms = max(1, patience // RETRY), RETRY
    link = libspu.link.create_brpc(description, arguments["rank"])
    link.barrier()
    return link


def _wait_for_all(arguments: dict[str, Any]) -> None:
    """Go on when every party has its result; who waits for ever is ended by who started it.

    A link that is taken down, or whose peers have left, ends the process with an error if anything is still to be sent,
    and takes the result from who was to get it. So each says that it is done with a file beside its socket, and none
    takes its link down.
    """
    places = [Path(f"{address.removeprefix('unix:')}.done") for address in arguments["addresses"]]
    places[arguments["rank"]].touch()
    while not all(place.exists() for place in places):
        time.sleep(0.01)


def _import(name: str) -> Any:
    """A compiled module of spu, without running the package's ``__init__``, which imports all of JAX."""
    if "spu" not in sys.modules:
        found = importlib.machinery.PathFinder.find_spec("spu")
        if found is None:
            raise ImportError("spu was not found", name="spu")
        package = types.ModuleType("spu")
        package.__path__ = list(found.submodule_search_locations or ())
        sys.modules["spu"] = package
    return importlib.import_module(name)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
