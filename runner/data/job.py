"""The job of a checking process: read a party's table, check it, and put it where its worker takes it from."""

from __future__ import annotations

import contextlib
import traceback
from pathlib import Path

from runner.data.narrow import import_pandera

import_pandera()

from runner.cluster.channel import Channel  # noqa: E402
from runner.cluster.limits import refused_memory  # noqa: E402
from runner.data.builtin import ensure_builtin  # noqa: E402
from runner.data.check import check_table  # noqa: E402
from runner.data.check_pieces import Size, check_in_pieces, is_read_in_pieces  # noqa: E402
from runner.data.identity import table_identity  # noqa: E402
from runner.data.table import write_table  # noqa: E402
from runner.errors import DataError, RunnerError  # noqa: E402
from runner.files import want_of_room  # noqa: E402
from runner.logs import How, RunLog, print_to, structured  # noqa: E402
from runner.policy.decide import decide  # noqa: E402
from runner.policy.grants import load_grants  # noqa: E402
from runner.spec.model import Spec  # noqa: E402
from runner.spec.parse import parse  # noqa: E402


def check_tables(channel: Channel) -> int:
    """Check the table of the party that the order names, and report to the driver.

    The order has anonymous memory for the checked table, and perhaps the identity of one that was checked before: where
    this one's is the same, nothing is read again.
    """
    order = channel.receive()
    if order is None:
        return 1
    channel.beat()
    spec, party = parse(order["spec"]), order["party"]
    memory, *file = order["descriptors"]
    print_to(Path(order["log"]))
    log = RunLog(structured(Path(order["log"])), How(*order["logs"]), process="check", party=party, run=order["run"])
    log.stage = "validate"
    log.write("begun", "the check of the table has begun")
    try:
        ensure_builtin(spec, party)
        shown = _may_show_size(spec, party)
        identity = table_identity(spec, party, shown)
        if identity is not None and identity == order["known"]:
            log.write("checked", "the table is the one that was checked before")
            channel.send(event="checked", party=party, identity=identity, unchanged=True)
            return 0
        folder, in_pieces = Path(order["folder"]) / "parties" / party, is_read_in_pieces(spec, party)
        if in_pieces:
            size = check_in_pieces(spec, party, folder, file[0])
        else:
            table = check_table(spec, party, folder)
            size = Size(len(table.ids), len(table.names))
            write_table(table, memory)
    except RunnerError as error:
        log.failed(error)
        channel.send(event="failed", party=party, stage="validate", error=error.to_dict())
        return error.code
    except MemoryError:
        refused = refused_memory(party, "validate")
        log.failed(refused)
        channel.send(event="failed", party=party, stage="validate", error=refused.to_dict())
        return refused.code
    except Exception as error:  # noqa: BLE001 - whatever a user's contract raises
        with contextlib.suppress(OSError):  # the log's disk may be full
            traceback.print_exc()
        log.failed(error)
        unforeseen = want_of_room(error, party) or DataError(
            f"{party}'s table could not be checked",
            where=f"data.tables.{party}",
            why=f"{type(error).__name__} was raised",
            fix=f"see parties/{party}/check.log in the run folder",
        )
        channel.send(event="failed", party=party, stage="validate", error=unforeseen.to_dict())
        return unforeseen.code
    log.write("checked", "the table keeps its contract")
    channel.send(
        event="checked",
        party=party,
        identity=identity,
        unchanged=False,
        in_pieces=in_pieces,
        rows=size.rows if shown else None,
        features=size.features if shown else None,
    )
    return 0


def _may_show_size(spec: Spec, party: str) -> bool:
    return any(
        decision.allowed
        for decision in decide(spec, load_grants(spec, [party]))
        if decision.flow.kind == "row_counts" and decision.flow.sender == party
    )
