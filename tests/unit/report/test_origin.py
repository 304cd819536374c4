"""What a party's report says of the settings: all that count for its task, and of the tables its own alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import make_spec

from runner.provenance.manifest import stated_values
from runner.report.html.origin import own_overrides, provenance, settings, this_run
from runner.spec.identity import spec_values

TYPED = [
    "sgb.max_depth=3",
    "data=clinics",
    "data.tables.alice.path=here.parquet",
    "+data.tables.alice.owns=own",
    "data.tables.bob.source.sql=select secret from table",
    "++data.tables.bob.source.uri=duckdb:///theirs",
    "~data.tables.bob.owns",
]


def test_overrides_of_other_parties_tables_are_not_shown() -> None:
    assert own_overrides(TYPED, "alice") == TYPED[:4]
    assert own_overrides(TYPED, "bob") == TYPED[:2] + TYPED[4:6] + ["~data.tables.bob.owns"]
    assert own_overrides(["data.tables={bob: {path: x}}"], "alice") == []


def shown(*overrides: str) -> dict[str, Any]:
    hashed = {"spec": spec_values(make_spec(*overrides))}
    return {section: dict(rows) for section, rows in settings(hashed, "alice").items()}


@pytest.mark.parametrize(
    ("overrides", "section", "name", "value"),
    [
        (("align=psi",), "align", "method", "psi"),
        (("prepare=auto",), "prepare", "categories.encode", "onehot"),
        (("task=cv", "cv.folds=3"), "cv", "folds", "3"),
        (("task=predict", "model=x", "drift.psi_warn=0.5"), "drift", "psi_warn", "0.5"),
    ],
)
def test_settings_are_shown_where_they_count(overrides: tuple[str, ...], section: str, name: str, value: str) -> None:
    assert shown(*overrides)[section][name] == value


def test_settings_of_other_tasks_are_not() -> None:
    assert not {"cv", "drift", "export"} & set(shown())


def test_a_run_over_several_sites_has_a_report() -> None:
    spec = make_spec("cluster=remote", "parties=sites", "self_party=alice", "site=alice", "task=train")
    hashed: dict[str, Any] = {
        "spec": json.loads(json.dumps(stated_values(spec))),
        **{"code": {}, "versions": {}, "stages": {}, "seeds": {}, "rows": {}, "policy": []},
        **{"spec_digest": "0", "model": "0", "plan": ["validate", "train"], "party_order": ["carol", "alice", "bob"]},
        "machine": {"alice": {"cores": 4, "cpu_flags": ["aes"]}},
    }
    assert dict(settings(hashed, "alice")["sgb"])["max_depth"] == str(spec.sgb.max_depth)
    assert provenance(hashed, "alice", "0")["machine"] == [("alice.cores", "4")]
    seconds = {"train": 3.0, "open": 2.0, "agree": 1.0}
    observed = {"seconds": seconds, "sent": {}, "cluster": "remote", "encryption": {}}
    told = this_run(Path(), {"hashed": hashed, "observed": observed, "signatures": {}}, "alice", [])
    assert [stage for stage, _ in told["seconds"]] == ["agree", "open", "train"]
