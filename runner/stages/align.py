"""Stage `align`: all parties have the same ids, hence, each in the order of its ids, the same rows."""

from __future__ import annotations

from runner.engine.site import Site
from runner.errors import DataError
from runner.policy.flows import IDS
from runner.stages.context import Context


def align(context: Context) -> None:
    """Compare the parties' id sets by count and keyed digest; no id leaves its party.

    Raises:
        DataError: at every party, where two of them have different ids.
    """
    key = context.nonce.encode()

    def describe(site: Site) -> str:
        site.note("align", "ids", site.table.id_digest(site.derive("ids")).encode())
        return f"{len(site.table.ids)} {site.table.id_digest(key)}"

    found = context.gate.exchange(context.everywhere(describe), stage="align", kind="ids", form=IDS)
    if len(set(found.values())) > 1:
        counts = ", ".join(f"{party} has {text.split()[0]}" for party, text in found.items())
        raise DataError(
            "the parties' ids do not match",
            where=f"column {context.spec.data.id} of data.tables",
            why=f"{counts}, and the sets differ",
            fix="bring tables of the same ids, of one type and written alike, for instance joined beforehand",
        )
