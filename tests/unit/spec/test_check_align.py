"""Settings of the alignment: defaults, protocols by number of parties, and contradictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import make_spec

from runner.errors import SpecError
from runner.spec.align import Align
from runner.spec.parse import parse

Changed = Callable[..., dict[str, Any]]
PSI = {"align.method": "psi"}


def test_same_ids_everywhere_is_the_default() -> None:
    assert make_spec().align == Align(method="assume_sorted")
    assert make_spec().align.psi_protocol(3) is None


@pytest.mark.parametrize(("parties", "protocol"), [(2, "rr22"), (3, "ecdh_3pc"), (4, "kkrt_npc"), (9, "kkrt_npc")])
def test_protocol_by_number_of_parties(parties: int, protocol: str) -> None:
    assert Align(method="psi").psi_protocol(parties) == protocol


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({**PSI, "cluster.mode": "debug"}, "cluster.mode"),
        ({**PSI, "align.protocol": "rr22"}, "align.protocol"),
        ({"align.protocol": "ecdh_3pc"}, "align.protocol"),
        ({"align.method": "join_on_digest", "align.protocol": "ecdh_3pc"}, "align.protocol"),
        ({"align.method": "sort"}, "align.method"),
        ({"align.min_rows": 0}, "align.min_rows"),
        ({"data.id": []}, "data.id"),
        ({"data.id": ["patient_id", "patient_id"]}, "data.id"),
        ({"data.id": ["patient_id", "target"]}, "label.column"),
    ],
)
def test_contradiction_is_refused(changed: Changed, changes: dict[str, Any], where: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse(changed(changes))
    assert refused.value.where == where
    assert refused.value.fix


def test_psi_needs_a_process_for_each_party() -> None:
    assert make_spec("align=psi").needs_processes()
    assert not make_spec().needs_processes()
    assert not make_spec("task=export", "model=x", "align=psi", "cluster=debug").needs_processes()


@pytest.mark.parametrize("protocol", ["ecdh_3pc", "kkrt_npc", "ecdh_npc"])
def test_protocol_that_fits_is_taken(changed: Changed, protocol: str) -> None:
    assert parse(changed({**PSI, "align.protocol": protocol})).align.psi_protocol(3) == protocol


def test_id_is_one_column_or_several(changed: Changed) -> None:
    assert parse(changed({})).data.id_columns() == ("patient_id",)
    assert make_spec("data.id=[branch,number]").data.id_columns() == ("branch", "number")
