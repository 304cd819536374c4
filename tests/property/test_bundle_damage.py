"""However a saved model is damaged: it is refused in words, or reads as it was."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.bundle.layout import (
    FORMAT,
    MANIFEST,
    PART,
    Manifest,
    PartyEntry,
    read_manifest,
    read_part,
    write_manifest,
    write_part,
)
from runner.errors import BundleError

KEY = b"k" * 32
TREE: dict[str, Any] = {"party": "alice", "features": ["x"], "trees": [{"0": [1, -0.5]}], "leaf_weights": [0.25]}


class Saved(NamedTuple):
    folder: Path
    manifest: Manifest


@pytest.fixture(scope="module")
def saved() -> Iterator[Saved]:
    """alice's bundle."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "bundle"
        digest = write_part(folder, TREE, KEY)
        manifest = Manifest(
            format=FORMAT,
            bundle="",
            engine="sgb",
            spec="0" * 64,
            objective="logistic",
            base_score=0.0,
            trees=1,
            label_holder="alice",
            parties={"alice": PartyEntry(features=1, part=digest)},
            scheme="ou",
            key_bits=2048,
            versions={},
        ).identified()
        write_manifest(folder, manifest)
        yield Saved(folder, manifest)


def survives(saved: Saved, name: str, content: bytes) -> bool:
    """Read the bundle with other bytes in one file; False for a :class:`BundleError`, and no other error passes."""
    path = saved.folder / name
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        manifest = read_manifest(saved.folder, "alice")
        assert read_part(saved.folder, "alice", manifest, KEY) == TREE
        assert manifest == saved.manifest
    except BundleError:
        return False
    finally:
        path.write_bytes(before)
    return True


@given(mask=st.integers(1, 255))
@settings(max_examples=4, deadline=None)
def test_flipped_byte_of_the_manifest_is_found_wherever_it_is(saved: Saved, mask: int) -> None:
    content = (saved.folder / MANIFEST).read_bytes()
    for position in range(len(content)):
        flipped = bytes([content[position] ^ mask])
        kept = survives(saved, MANIFEST, content[:position] + flipped + content[position + 1 :])
        assert not kept or (content[position : position + 1].isspace() and flipped.isspace())


@given(mask=st.integers(1, 255))
@settings(max_examples=4, deadline=None)
def test_flipped_byte_of_a_part_is_found_wherever_it_is(saved: Saved, mask: int) -> None:
    content = (saved.folder / PART).read_bytes()
    for position in range(len(content)):
        assert not survives(
            saved, PART, content[:position] + bytes([content[position] ^ mask]) + content[position + 1 :]
        )


@given(content=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("name", [MANIFEST, PART])
def test_any_other_bytes_are_refused(saved: Saved, name: str, content: bytes) -> None:
    assert not survives(saved, name, content)


values = (
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats() | st.text(max_size=5) | st.just([]) | st.just({})
)


@given(field=st.sampled_from(Manifest.__struct_fields__), value=values)
@settings(max_examples=100, deadline=None)
def test_any_other_value_in_the_manifest_is_refused(saved: Saved, field: str, value: Any) -> None:
    content = json.loads((saved.folder / MANIFEST).read_bytes())
    same = content[field] == value
    assert survives(saved, MANIFEST, json.dumps({**content, field: value}).encode()) <= same


@given(name=st.text(max_size=8), value=values)
@settings(max_examples=50, deadline=None)
def test_any_further_field_in_the_manifest_is_refused(saved: Saved, name: str, value: Any) -> None:
    content = json.loads((saved.folder / MANIFEST).read_bytes())
    if name not in content:
        assert not survives(saved, MANIFEST, json.dumps({**content, name: value}).encode())
