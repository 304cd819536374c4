"""A job counts as finished only with all that a finished run leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.files import write_json
from runner.provenance.folder import write_status
from runner.provenance.manifest import MANIFEST, run_digest, snapshot_digests, write_manifest
from runner.sweep.state import is_finished, read_state, set_aside

HASHED = {
    "spec": {},
    "spec_digest": "this one",
    "party_order": ["alice"],
    "seeds": {},
    "rows": {},
    "plan": [],
    "stages": {},
    "model": None,
    "policy": [],
    "code": {},
    "versions": {},
    "machine": {},
}
SIGNED = {"digest": "0", "rest": "0", "audit": {}, "files": {"audit.jsonl": "0"}, "key": "0", "signature": "0"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a finished run."""
    return finished(tmp_path / "0", ["alice"], {})


def finished(folder: Path, parties: list[str], spec: dict[str, str]) -> Path:
    """Alice's files of a run, which these parties signed."""
    (folder / "parties" / "alice").mkdir(parents=True)
    (folder / "parties" / "alice" / "audit.jsonl").write_text("")
    write_json(folder / "spec.json", spec)
    hashed = {**HASHED, "party_order": parties}
    observed = {"cluster": "local", "encryption": {}, "sent": {}, "seconds": {}, "shown": {}}
    manifest = {
        "hashed": hashed,
        "digest": run_digest(hashed),
        "signatures": dict.fromkeys(parties, SIGNED),
        "typed": {"overrides": []},
        "observed": {**observed, "files": snapshot_digests(folder)},
    }
    write_manifest(folder, manifest)
    write_status(folder, "done")
    return folder


def change_digest(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_bytes())
    manifest["hashed"]["spec_digest"] = "another"
    write_json(folder / MANIFEST, manifest)


def test_a_finished_run_of_the_spec(run: Path) -> None:
    assert is_finished(run, "this one")
    assert not is_finished(run, "another one")
    assert not is_finished(run.with_name("1"), "this one")


def test_at_a_site_the_files_of_its_own_party_count(tmp_path: Path) -> None:
    both = ["alice", "bob"]
    assert is_finished(finished(tmp_path / "0", both, {"self_party": "alice"}), "this one")
    assert not is_finished(finished(tmp_path / "1", both, {"self_party": "bob"}), "this one")
    assert not is_finished(finished(tmp_path / "2", both, {}), "this one")


@pytest.mark.parametrize(
    "damage",
    [
        lambda run: write_status(run, "running"),
        lambda run: write_status(run, "interrupted"),
        lambda run: (run / "status.json").write_text("{"),
        lambda run: (run / "status.json").unlink(),
        lambda run: (run / MANIFEST).unlink(),
        lambda run: (run / MANIFEST).write_text("{"),
        change_digest,
        lambda run: write_json(run / "spec.json", {"changed": True}),
        lambda run: (run / "spec.json").unlink(),
        lambda run: (run / "parties" / "alice" / "audit.jsonl").unlink(),
    ],
)
def test_anything_less_is_not_finished(run: Path, damage: Callable[[Path], object]) -> None:
    damage(run)
    assert not is_finished(run, "this one")


def test_earlier_attempts_are_kept(tmp_path: Path) -> None:
    set_aside(tmp_path, 3)
    for attempt in (1, 2):
        (tmp_path / "3").mkdir()
        write_status(tmp_path / "3", f"attempt {attempt}")
        set_aside(tmp_path, 3)
    assert read_state(tmp_path / "3") == "missing"
    assert [read_state(tmp_path / "attempts" / f"3-{attempt}") for attempt in (1, 2)] == ["attempt 1", "attempt 2"]
