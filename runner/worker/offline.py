"""What a party does without a run, in a process of its own: no secretflow, no peer, its own files only."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

from runner.cluster.channel import Channel
from runner.errors import RunnerError, StageError
from runner.worker.afford import afford
from runner.worker.difference import compare_parts
from runner.worker.infer import infer_schema
from runner.worker.keygen import keygen
from runner.worker.ledger import show_ledger
from runner.worker.measure import measure
from runner.worker.rekey import rekey
from runner.worker.verify import verify

Order = dict[str, Any]
Orders = Mapping[str, Callable[[Order], dict[str, Any]]]
_ORDERS: Orders = {
    "verify": verify,
    "compare": compare_parts,
    "rekey": rekey,
    "keygen": keygen,
    "measure": measure,
    "infer_schema": infer_schema,
    "ledger": show_ledger,
    "afford": afford,
}


def answer(channel: Channel, orders: Orders = _ORDERS) -> int:
    """Wait for one of the orders, and answer it."""
    order = channel.receive()
    if order is None:
        return 1
    try:
        reply = orders[order["order"]](order)
    except RunnerError as error:
        channel.send(event="failed", party=order["party"], stage="offline", error=error.to_dict())
        return error.code
    except Exception as error:  # noqa: BLE001 - told to the driver, whatever it is
        unforeseen = StageError(
            f"{order['party']}'s files could not be looked at",
            where=f"party {order['party']}, {order['order']}",
            why=f"{type(error).__name__} was raised at {traceback.extract_tb(error.__traceback__)[-1].name}",
            fix="report this with the command that you typed",
        )
        channel.send(event="failed", party=order["party"], stage="offline", error=unforeseen.to_dict())
        return unforeseen.code
    channel.send(event="answered", **reply)
    return 0
