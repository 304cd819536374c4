"""What the check of a party's table depends on, in one digest: where it is the same, so is the checked table."""

from __future__ import annotations

import hashlib

from runner.data.digest import files_digest
from runner.data.files import find_files
from runner.data.place import contract_path
from runner.errors import DataError
from runner.files import canonical_json, file_digest
from runner.spec.identity import spec_values
from runner.spec.model import Spec

# What no check heeds. All else of the spec counts, so that a new setting does until it is known not to matter.
NOT_HEEDED = (
    *("crypto", "policy", "align", "train", "report", "log", "export", "drift", "cluster", "sweep"),
    *("tune", "tracking", "model", "roles", "resume", "import_from", "outputs", "parties"),
)


def table_identity(spec: Spec, party: str, shown: bool) -> str | None:
    """SHA-256 of the settings that the check of ``party``'s table heeds, its contract's file and its own files.

    Args:
        shown: whether the terminal may see the table's size.

    Returns:
        the digest, in hexadecimal; None where the table has to be read to know whether it is the same: the result of a
        query, rows in a random order, or a file that is not there.
    """
    table = spec.data.tables[party]
    if table.source.sql is not None or spec.cluster.shuffle_rows:
        return None
    values = spec_values(spec)
    for name in NOT_HEEDED:
        del values[name]
    values |= {"sgb": spec.sgb.objective, "task": spec.task.to_run(), "party": party, "parties": sorted(spec.parties)}
    values["data"]["tables"] = values["data"]["tables"][party]
    try:
        files = b"" if spec.data.is_drawn() else files_digest(find_files(table.path or "", party))
        contract = file_digest(contract_path(spec.data.contract_of(party)))
    except (DataError, OSError):
        return None
    return hashlib.sha256(canonical_json([values, files.hex(), contract.hex(), shown])).hexdigest()
