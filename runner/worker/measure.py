"""Whether a party's table is there and fits into memory; its rows stay unread."""

from __future__ import annotations

from typing import Any

from runner.errors import RunnerError
from runner.spec.parse import parse


def measure(order: dict[str, Any]) -> dict[str, Any]:
    """Look at the party's table as a run would, before it reads it.

    Args:
        order: ``party``, ``spec`` (plain values).

    Returns:
        ``error``: that with which a run would refuse the table, as plain values, or None. Sizes stay at the party.
    """
    try:
        _measure(order)
    except RunnerError as error:
        return {"error": error.to_dict()}
    return {"error": None}


def _measure(order: dict[str, Any]) -> None:
    from runner.data.narrow import import_pandera  # late, all of them: other orders need none

    import_pandera()
    from runner.data.builtin import ensure_builtin
    from runner.data.contract import build_contract
    from runner.data.source import measure_table

    party, spec = order["party"], parse(order["spec"])
    ensure_builtin(spec, party)
    contract = build_contract(spec, party)
    needed = None if contract.schema.strict else contract.schema.columns
    measure_table(spec, party, needed, contract.types(), contract.rename())
