"""Where a party's part of one model differs from its part of another; for the party's own eyes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from runner.bundle.layout import bundle_folder
from runner.bundle.manifest import read_manifest
from runner.bundle.part import read_part
from runner.errors import BundleError
from runner.files import write_json
from runner.keys.keyring import Keyring
from runner.keys.store import open_keyring
from runner.spec.model import Party

DIFFERENCES = "differences.json"
MOST = 100


def compare_parts(order: dict[str, Any]) -> dict[str, Any]:
    """Write ``differences.json`` in the party's folder of the second run.

    Args:
        order: ``party``, ``settings`` (where its key is, as plain values), ``original`` and ``repeated`` (run folders).

    Returns:
        ``compared``: whether the party could read both parts; ``different``: in how many places they differ.
    """
    party = order["party"]
    keys = open_keyring(party, msgspec.convert(order["settings"], Party), make=False)
    try:
        first, second = (_read(Path(order[name]), party, keys) for name in ("original", "repeated"))
    except BundleError:
        return {"compared": False, "different": 0}
    found = differences(first, second)
    write_json(Path(order["repeated"]) / "parties" / party / DIFFERENCES, found[:MOST])
    return {"compared": True, "different": len(found)}


def _read(run: Path, party: str, keys: Keyring) -> dict[str, Any]:
    folder = bundle_folder(run, party)
    return read_part(folder, party, read_manifest(folder, party), keys)


def differences(first: Any, second: Any, where: str = "") -> list[dict[str, Any]]:
    """Every place in which two nested values differ, in order, such as ``tree 2, split_values, node 5``."""
    if isinstance(first, dict) and isinstance(second, dict):
        names = sorted({*first, *second})
        return [
            found
            for name in names
            for found in differences(first.get(name), second.get(name), f"{where}, {name}".lstrip(", "))
        ]
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return [
            found
            for index, (one, other) in enumerate(zip(first, second, strict=True))
            for found in differences(one, other, _place(where, index))
        ]
    return [] if first == second else [{"where": where, "original": first, "repeated": second}]


def _place(where: str, index: int) -> str:
    if where in ("trees", "leaf_weights"):
        return f"tree {index}" if where == "trees" else f"tree {index}, leaf weights"
    return f"{where}, node {index}"
