"""Stage `align`: every party goes on with the rows whose ids all parties have, each in the order of its ids.

So row by row all parties speak of the same id, whatever the order of their tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from secretflow.device import PYUObject

from runner.data.ids import DIGEST_BYTES, id_digests, spelling_of_ids, type_of_ids
from runner.data.usable import require_usable
from runner.engine.psi import LogOfParty, intersect
from runner.engine.site import Site
from runner.errors import DataError
from runner.files import write_json
from runner.logs import FOLDER, run_id
from runner.policy.flows import COMMON_ROWS, ID_DIGESTS, ID_TYPE, IDS, matching_flows
from runner.stages.context import Context

FACTS = "alignment.json"


def align(context: Context) -> None:
    """Leave out rows that another party does not have, if the spec says so; make sure that all have the same ids.

    The ids of the rows that are left are compared by count and keyed digest. What else the parties learn of each
    other's ids depends on ``align.method``: see the flows. ``alignment.json`` tells each party, of its own ids alone,
    how many are common and how they are written.

    Raises:
        DataError: at every party, where ids are of different types, too few are common, or two parties have different
            ones; at one, where the rows that are left are not fit for training.
    """
    if context.spec.align.selects_rows():
        _require_one_type(context)
        _keep(context, _common_rows(context))
    _require_same_ids(context)


def _require_one_type(context: Context) -> None:
    columns = context.spec.data.id_columns()
    types = context.everywhere(lambda site: type_of_ids(site.table.ids, columns))
    found = context.gate.exchange(types, stage="align", kind="ids", form=ID_TYPE)
    if len(set(found.values())) > 1:
        raise DataError(
            "the parties' ids have different data types",
            where=f"{_named(context)} of data.tables",
            why="; ".join(f"{party}'s ids are {kind}" for party, kind in found.items()) + ": they can never be equal",
            fix="let all parties bring them as one type; as text, if some have leading zeros or letters",
        )


def _common_rows(context: Context) -> dict[str, PYUObject]:
    """Party → the places of its rows that all parties have: found now, or taken from an earlier job."""
    kept = context.alignment
    if kept is not None and kept.reuses:

        def take(site: Site) -> NDArray[np.intp]:
            site.audit.record("reused", {"stage": "align", "kind": "ids", "form": "common rows of an earlier run"})
            return kept.rows(site.party, _own_ids(site))

        return context.everywhere(take)
    rows = _rows_by_psi(context) if context.spec.align.method == "psi" else _rows_by_digest(context)
    if kept is None:
        return rows

    def keep(site: Site, places: NDArray[np.intp]) -> NDArray[np.intp]:
        kept.keep(site.party, _own_ids(site), places)
        return places

    return {party: context.at(party, keep, places) for party, places in rows.items()}


def _own_ids(site: Site) -> str:
    return site.table.id_digest(site.derive("ids"))


def _rows_by_psi(context: Context) -> dict[str, PYUObject]:
    """Party → the places of its rows that all parties have, by private set intersection."""
    spec, key = context.spec, _key(context)
    protocol = spec.align.psi_protocol(len(spec.parties))
    sockets = context.sockets
    if protocol is None or sockets is None:
        raise AssertionError("the spec lets psi run between processes only")
    context.gate.note_protocol(matching_flows(spec))

    def find(site: Site) -> NDArray[np.intp]:
        digests = id_digests(site.table.ids, key)
        seconds = spec.cluster.stage_timeout
        path = site.folder.absolute() / FOLDER / "psi.jsonl"
        log = LogOfParty(str(path), spec.log.how(), run_id(context.nonce))
        return intersect(digests, site.party, spec.party_order(), protocol, sockets, seconds, log).rows

    return context.everywhere(find)


def _rows_by_digest(context: Context) -> dict[str, PYUObject]:
    """Party → the places of its rows that all parties have, by a keyed digest of each id, shown to all."""
    key = _key(context)

    def digests(site: Site) -> NDArray[np.uint8]:
        together = b"".join(sorted(id_digests(site.table.ids, key)))  # in an order that tells nothing
        return np.frombuffer(together, dtype=np.uint8).reshape(-1, DIGEST_BYTES)

    shown = context.gate.exchange(context.everywhere(digests), stage="align", kind="ids", form=ID_DIGESTS)
    common = set.intersection(*({row.tobytes() for row in rows} for rows in shown.values()))
    return context.everywhere(lambda site: _places(id_digests(site.table.ids, key), common))


def _places(digests: list[bytes], common: set[bytes]) -> NDArray[np.intp]:
    return np.flatnonzero(np.fromiter((digest in common for digest in digests), np.bool_, len(digests)))


def _keep(context: Context, rows: Mapping[str, PYUObject]) -> None:
    """Go on with these rows at every party, if they are enough."""
    spec, floor = context.spec, max(context.spec.align.min_rows, context.min_rows)
    where = _named(context)

    def describe(site: Site, places: NDArray[np.intp]) -> None:
        facts: dict[str, Any] = {"method": spec.align.method, "protocol": spec.align.psi_protocol(len(spec.parties))}
        facts |= {"common": len(places), "type": type_of_ids(site.table.ids, spec.data.id_columns())}
        write_json(site.folder / FACTS, {**facts, **spelling_of_ids(site.table.ids)})

    def keep(site: Site, places: NDArray[np.intp]) -> dict[str, int]:
        if len(places) < floor:
            raise _too_few(site, len(places), floor, where)
        site.keep_rows(places)
        require_usable(spec, site.table)
        return {"rows": len(places)}

    # Everybody's facts are written before anybody's failure ends the run.
    context.gate.finish([context.at(party, describe, places) for party, places in rows.items()])
    kept = {party: context.at(party, keep, places) for party, places in rows.items()}
    context.gate.finish(list(kept.values()))
    for party in spec.viewers():
        context.gate.finish([context.gate.show(kept[party], stage="align", kind="row_counts", form=COMMON_ROWS)])


def _too_few(site: Site, common: int, floor: int, where: str) -> DataError:
    return DataError(
        "the parties have no id in common" if not common else f"the parties have fewer than {floor} ids in common",
        where=f"{where} of data.tables; align.min_rows, policy.min_rows (the run's, or a party's grants)",
        why="the tables are of other people, or write the same ids in different ways: spaces, upper and lower case, "
        "leading zeros",
        fix=f"compare how each party's ids are written: {FACTS} in its own folder says so; have them written alike",
    )


def _require_same_ids(context: Context) -> None:
    """Compare the parties' id sets by count and keyed digest; no id leaves its party."""
    key = context.nonce.encode()

    def describe(site: Site) -> str:
        own, shared = site.id_digests(site.derive("ids"), key)
        site.note("align", "ids", own.encode())
        rows = len(site.table.ids) if site.pieces is None else site.pieces.rows
        return f"{rows} {shared}"

    found = context.gate.exchange(context.everywhere(describe), stage="align", kind="ids", form=IDS)
    if len(set(found.values())) > 1:
        counts = ", ".join(f"{party} has {text.split()[0]}" for party, text in found.items())
        raise DataError(
            "the parties' ids do not match",
            where=f"{_named(context)} of data.tables",
            why=f"{counts}, and the sets differ",
            fix="bring tables of the same ids, of one type and written alike; or set align=psi to go on with the ids "
            "that all parties have",
        )


def _key(context: Context) -> bytes:
    """The key of digests of ids: all parties of the run have it, and nobody else."""
    return bytes.fromhex(context.nonce)


def _named(context: Context) -> str:
    columns: tuple[Any, ...] = context.spec.data.id_columns()
    return f"column{'s' if len(columns) > 1 else ''} {', '.join(columns)}"
