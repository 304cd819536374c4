"""The job of a checking process: read the tables given to it, check them, hand them to their workers."""

from __future__ import annotations

import traceback
from pathlib import Path

from runner.data.narrow import import_pandera

import_pandera()

from runner.cluster.channel import Channel  # noqa: E402
from runner.data.builtin import write_builtin  # noqa: E402
from runner.data.check import check_table  # noqa: E402
from runner.data.table import write_table  # noqa: E402
from runner.errors import DataError, RunnerError  # noqa: E402
from runner.policy.decide import decide  # noqa: E402
from runner.policy.grants import load_grants  # noqa: E402
from runner.spec.model import Spec  # noqa: E402
from runner.spec.parse import parse  # noqa: E402


def check_tables(channel: Channel, tables: dict[str, int]) -> int:
    """Check every table in ``tables`` (party → anonymous memory for the result) and report each to the driver."""
    order = channel.receive()
    if order is None:
        return 1
    spec = parse(order["spec"])
    for party, memory in tables.items():
        folder = Path(order["folder"]) / "parties" / party
        try:
            path = Path(spec.data.tables[party].path)
            if spec.data.builtin is not None and not path.exists():
                write_builtin(spec.data.builtin, party, path, spec.data.id_columns()[0])
            table = check_table(spec, party, folder)
            write_table(table, memory)
        except RunnerError as error:
            channel.send(event="failed", party=party, stage="validate", error=error.to_dict())
            return error.code
        except Exception as error:  # noqa: BLE001 - whatever a user's contract raises
            traceback.print_exc()
            unforeseen = DataError(
                f"{party}'s table could not be checked",
                where=f"data.tables.{party}",
                why=f"{type(error).__name__} was raised",
                fix="see check.log in the run folder",
            )
            channel.send(event="failed", party=party, stage="validate", error=unforeseen.to_dict())
            return unforeseen.code
        shown = _may_show_size(spec, party)
        channel.send(
            event="checked",
            party=party,
            rows=len(table.ids) if shown else None,
            features=len(table.names) if shown else None,
        )
    return 0


def _may_show_size(spec: Spec, party: str) -> bool:
    return any(
        decision.allowed
        for decision in decide(spec, load_grants(spec, [party]))
        if decision.flow.kind == "row_counts" and decision.flow.sender == party
    )
