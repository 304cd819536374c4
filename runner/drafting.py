"""First drafts of contracts: each party's from its own table, in its own process; the driver reads no table."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from runner.cluster.offline import ask_parties
from runner.data.place import SUFFIX, class_name
from runner.errors import SpecError
from runner.spec.check_site import check_self
from runner.spec.compose import to_values
from runner.spec.identity import spec_values
from runner.spec.model import Cluster, Spec
from runner.spec.parse import convert
from runner.spec.request import Infer, Request, split_request
from runner.spec.suggest import require_known

NEEDED = ("runner.data.job", "runner.data.draft")  # in this order: the first imports pandera as it should be


def draft_contracts(config: DictConfig, request: Request) -> None:
    """Let each party of ``data.tables``, or in remote mode this site's, draft the contract of its table.

    Raises:
        SpecError: for settings that are not valid; those of label and policy need not fit the parties yet.
        DataError: where a table cannot be read, or a draft is there already.
    """
    spec = spec_of_drafts(split_request(to_values(config))[0], request.infer)
    orders = {
        party: {
            "order": "infer_schema",
            "party": party,
            "spec": spec_values(spec),
            "path": str(_path(spec.outputs, spec.data.name, party, request.infer)),
            "format": request.infer.format,
            "overwrite": request.infer.overwrite,
            "include_values": request.include_values,
        }
        for party in spec.tables_here()
    }
    ask_parties(orders, Cluster(), preload=NEEDED)
    print(f"Drafts       of the contracts of data={spec.data.name}, each by its party, from its table:")
    print("\n".join(f"             {order['path']}" for order in orders.values()))
    print(f"Next         {_next(spec, request.infer, sys.argv[1:])}")


def spec_of_drafts(values: Mapping[str, Any], infer: Infer) -> Spec:
    """The settings, typed; a table without a contract has the draft that is to be written.

    Raises:
        SpecError: for what is not valid in itself, or tables of parties that are none.
    """
    values = {**values, "task": {"name": "check"}}
    data = values.get("data")
    tables = data.get("tables") if isinstance(data, Mapping) else None
    for party, table in tables.items() if isinstance(tables, Mapping) else ():
        if isinstance(table, dict):
            path = _path(str(values.get("outputs")), str(data["name"]), str(party), infer)  # type: ignore[index]
            table["contract"] = table.get("contract") or str(path)
    spec = convert(values)
    if spec.is_remote():
        check_self(spec)
    if re.fullmatch(r"[\w][\w.+-]*", spec.data.name) is None:
        raise SpecError(
            f"data.name = {spec.data.name!r} is no name of a folder",
            where="data.name",
            why="drafts of contracts go to outputs/schemas/<data.name>",
            fix="use letters, digits, and - _ . + between them",
        )
    for party in spec.data.tables:
        require_known(party, spec.parties, f"data.tables.{party}")
    return spec


def _path(outputs: str, data: str, party: str, infer: Infer) -> Path:
    return Path(outputs) / "schemas" / data / f"{party}{SUFFIX[infer.format]}"


def _next(spec: Spec, infer: Infer, arguments: list[str]) -> str:
    """The command that looks at a run with the drafts as contracts."""
    kept = [argument for argument in arguments if not argument.lstrip("+").startswith(("task=", "infer", "include_"))]
    drafts = []
    for party in spec.tables_here():
        named = f":{class_name(party)}" if infer.format == "python" else ""
        drafts.append(f"++data.tables.{party}.contract={_path(spec.outputs, spec.data.name, party, infer)}{named}")
    return shlex.join(["python", "-m", "runner", *kept, *drafts, "task=check"])
