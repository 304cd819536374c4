"""Rows of different tables find each other, whatever their order; on SecretFlow's devices in one process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_tables import made_table, matrix_of
from support import make_spec

from runner.data.table import CheckedTable
from runner.errors import DataError
from runner.keys.keyring import Keyring
from runner.policy.audit import AuditLog
from runner.policy.decide import decide

ORDER = ("carol", "alice", "bob")  # the label holder first
NONCE = "ab" * 32
BY_DIGEST = ("align=join_on_digest", "policy=lab", "cluster=debug")
Tables = dict[str, CheckedTable]


@pytest.fixture(scope="module")
def devices(secretflow: None) -> Iterator[dict[str, Any]]:
    """Each party's device; every function is called at once, in this process."""
    from secretflow.device import PYU
    from secretflow.device.driver import shutdown

    from runner.engine.start import start_debug

    start_debug(ORDER)
    yield {party: PYU(party) for party in ORDER}
    shutdown()


def table(ids: Any) -> CheckedTable:
    """A table in the order of its ids, with a feature and a label that tell the id."""
    ids = np.sort(np.array(ids))
    numbers = np.array([float(str(value).strip("P")) for value in ids.tolist()])
    return made_table(ids, numbers.reshape(-1, 1), ("x",), numbers % 4 == 3, label=numbers % 2)


Align = Callable[..., tuple[Tables, list[dict[str, Any]]]]


@pytest.fixture
def align(devices: dict[str, Any], tmp_path: Path) -> Align:
    """Aligns tables of these ids; gives what each party goes on with, and what the terminal is told."""
    from runner.engine.site import Site
    from runner.policy.gate import Gate
    from runner.stages.align import align as run
    from runner.stages.context import Context

    def aligned(own: dict[str, Any], *overrides: str, min_rows: int = 0) -> tuple[Tables, list[dict[str, Any]]]:
        spec, told = make_spec(*overrides), []  # type: ignore[var-annotated]

        def emit(**event: Any) -> None:
            told.append(event)

        sites = {}
        for party in ORDER:
            folder = tmp_path / party
            folder.mkdir(exist_ok=True)
            audit = AuditLog(folder / "audit.jsonl", party.encode())
            sites[party] = Site(party, folder, Keyring(party, party.encode()), audit, emit, table(own[party]))
        gate = Gate(
            decide(spec), devices, {party: site.audit for party, site in sites.items()}, dict.fromkeys(ORDER, emit)
        )
        run(Context(spec, devices, sites, gate, NONCE, {}, connect_spu=lambda: None, min_rows=min_rows))  # type: ignore[arg-type,return-value]
        assert all(site.facts["align"]["ids"] for site in sites.values())
        return {party: site.table for party, site in sites.items()}, told

    return aligned


def test_rows_that_all_parties_have_go_on(align: Align, tmp_path: Path) -> None:
    own = {"carol": range(0, 20), "alice": range(5, 30), "bob": [*range(0, 9), *range(11, 25)]}
    tables, told = align(own, *BY_DIGEST)
    common = [number for number in range(5, 20) if number not in (9, 10)]
    for party in ORDER:
        assert tables[party].ids.tolist() == common
        assert matrix_of(tables[party])[:, 0].tolist() == common
        assert tables[party].label is not None
        assert tables[party].label.tolist() == [number % 2 for number in common]
        facts = json.loads((tmp_path / party / "alignment.json").read_bytes())
        assert (facts["common"], facts["ids"], facts["type"]) == (len(common), len(own[party]), "whole numbers")
    assert told == [{"event": "shown", "stage": "align", "kind": "row_counts", "value": {"rows": len(common)}}]


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_order_of_rows_does_not_matter(align: Align, data: st.DataObject) -> None:
    own = {party: data.draw(st.sets(st.integers(0, 40), min_size=1)) | {100, 101, 103} for party in ORDER}
    first, _ = align({party: sorted(ids) for party, ids in own.items()}, *BY_DIGEST)
    again, _ = align({party: data.draw(st.permutations(sorted(ids))) for party, ids in own.items()}, *BY_DIGEST)
    for party in ORDER:
        assert first[party].ids.tolist() == sorted(set.intersection(*own.values()))
        assert first[party].digest(b"k") == again[party].digest(b"k")


@pytest.mark.parametrize("least", [{"overrides": ["align.min_rows=9"]}, {"min_rows": 9}])
def test_too_few_common_rows_are_refused(align: Align, least: dict[str, Any]) -> None:
    own = {"carol": range(20), "alice": range(12, 40), "bob": range(40)}
    overrides = [*BY_DIGEST, *least.pop("overrides", [])]
    with pytest.raises(DataError, match="fewer than 9 ids in common") as refused:
        align(own, *overrides, **least)
    assert "alignment.json" in refused.value.fix
    assert len(align({**own, "alice": range(11, 40)}, *overrides, **least)[0]["bob"].ids) == 9


def test_no_common_row_is_refused(align: Align) -> None:
    with pytest.raises(DataError, match="no id in common"):
        align({"carol": range(20), "alice": range(20, 40), "bob": range(40)}, *BY_DIGEST)


def test_ids_of_different_types_are_refused_before_anything_is_shown(align: Align, tmp_path: Path) -> None:
    texts = [f"P{number}" for number in range(20)]
    with pytest.raises(DataError) as refused:
        align({"carol": range(20), "alice": range(20), "bob": texts}, *BY_DIGEST)
    assert "bob's ids are text" in refused.value.why
    log = [json.loads(line) for line in (tmp_path / "bob" / "audit.jsonl").read_text().splitlines()]
    assert {entry["form"] for entry in log} == {"data type of its ids"}


def test_same_ids_need_no_exchange_of_digests(align: Align, tmp_path: Path) -> None:
    tables, told = align(dict.fromkeys(ORDER, range(20)))
    assert tables["bob"].ids.tolist() == list(range(20))
    assert told == []
    assert not (tmp_path / "bob" / "alignment.json").exists()


def test_other_ids_are_refused_where_the_same_are_assumed(align: Align) -> None:
    with pytest.raises(DataError, match="do not match") as refused:
        align({"carol": range(20), "alice": range(20), "bob": range(21)})
    assert "align=psi" in refused.value.fix
