"""The manifest of a run is read whole, in the form in which the runner writes it, or refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import BundleError
from runner.provenance.manifest import MANIFEST, read_run, run_digest

HASHED: dict[str, Any] = {
    "spec": {},
    "spec_digest": "0",
    "party_order": ["alice"],
    "seeds": {},
    "rows": {},
    "plan": ["validate"],
    "stages": {"validate": {"alice": {"table": "0"}}},
    "model": "0",
    "policy": [],
    "code": {"source": "0", "commit": None},
    "versions": {"numpy": "1"},
    "machine": {},
}
SIGNED = {"digest": "0", "rest": "0", "audit": {}, "files": {}, "key": "0", "signature": "0"}
OBSERVED = {
    "cluster": "local",
    "encryption": {},
    "sent": {"alice": {"bob": {"messages": 1}}},
    "seconds": {"train": 1.5, "open": 1},
    "shown": {"evaluate": [{"auc": float("nan")}]},
    "files": {"spec.json": "0", ".hydra/config.yaml": None},
}


def manifest(**changes: Any) -> dict[str, Any]:
    hashed = {**HASHED, **changes}
    return {
        "hashed": hashed,
        "digest": run_digest(hashed),
        "signatures": {"alice": SIGNED},
        "typed": {"overrides": []},
        "observed": OBSERVED,
    }


def refusal(folder: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        read_run(folder)
    error = caught.value
    assert all((error.what, error.where, error.why, error.fix))
    return error


def test_what_was_written_is_read(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps(manifest()))
    assert read_run(tmp_path)["hashed"] == HASHED


@pytest.mark.parametrize("place", ["nowhere", "a\x00b", "file", "file/below"])
def test_what_is_no_run_is_told(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    refusal(tmp_path / place)


@pytest.mark.parametrize("name", HASHED)
def test_a_part_that_is_missing_or_of_another_kind_is_refused_even_with_its_digest(tmp_path: Path, name: str) -> None:
    whole = manifest()
    for hashed in ({key: value for key, value in HASHED.items() if key != name}, {**HASHED, name: 5}):
        (tmp_path / MANIFEST).write_text(json.dumps({**whole, "hashed": hashed, "digest": run_digest(hashed)}))
        assert "altered" in refusal(tmp_path).what


@pytest.mark.parametrize("name", ["hashed", "digest", "signatures", "typed", "observed"])
@pytest.mark.parametrize("value", [None, [], {"alice": []}, "text", {"alice": {}}])
def test_another_kind_of_section_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps({**manifest(), name: value}))
    refusal(tmp_path)


def test_digest_of_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps({**manifest(model="1"), "hashed": HASHED}))
    assert "digest" in refusal(tmp_path).why


@given(content=st.binary(max_size=100) | st.sampled_from([b"[" * 5000, b"null", b'{"hashed": NaN}', b"{}"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_other_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    refusal(tmp_path)
