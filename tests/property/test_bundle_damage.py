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

from runner.bundle.layout import MANIFEST, PART, PART_KEY, SIGNATURES
from runner.bundle.manifest import FORMAT, Manifest, PartyEntry, read_manifest, read_signatures, sign, write_manifest
from runner.bundle.part import content_digest, part_bytes, read_part, write_part
from runner.errors import BundleError
from runner.keys.keyring import Keyring

KEYS = Keyring("alice", b"k" * 32)
FILES = (MANIFEST, SIGNATURES, PART, PART_KEY)
TREE: dict[str, Any] = {"party": "alice", "features": ["x"], "trees": [{"0": [1, -0.5]}], "leaf_weights": [0.25]}


class Saved(NamedTuple):
    folder: Path
    manifest: Manifest


@pytest.fixture(scope="module")
def saved() -> Iterator[Saved]:
    """alice's bundle."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "bundle"
        content = part_bytes(TREE)
        manifest = Manifest(
            format=FORMAT,
            bundle="",
            engine="sgb",
            spec="0" * 64,
            objective="logistic",
            base_score=0.0,
            trees=1,
            label_holder="alice",
            recipients=(),
            parties={"alice": PartyEntry(features=1, columns="0" * 64, content=content_digest(content, KEYS))},
            scheme="ou",
            key_bits=2048,
            versions={},
        ).identified()
        manifest = manifest.sealed({"alice": write_part(folder, "alice", manifest, KEYS, content)})
        write_manifest(folder, manifest, {"alice": sign(manifest, KEYS)})
        yield Saved(folder, manifest)


def survives(saved: Saved, name: str, content: bytes) -> bool:
    """Read the bundle with other bytes in one file; False for a :class:`BundleError`, and no other error passes."""
    path = saved.folder / name
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        manifest = read_manifest(saved.folder, "alice")
        read_signatures(saved.folder, "alice", manifest)
        assert read_part(saved.folder, "alice", manifest, KEYS) == TREE
        assert manifest == saved.manifest
    except BundleError:
        return False
    finally:
        path.write_bytes(before)
    return True


@given(name=st.sampled_from(FILES), position=st.integers(0, 2000), mask=st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_changed_byte_is_found_wherever_it_is(saved: Saved, name: str, position: int, mask: int) -> None:
    content = (saved.folder / name).read_bytes()
    position %= len(content)
    changed = bytes([content[position] ^ mask])
    assert not survives(saved, name, content[:position] + changed + content[position + 1 :])


@given(name=st.sampled_from(FILES), cut=st.integers(0, 2000), more=st.binary(min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_cut_or_lengthened_file_is_found(saved: Saved, name: str, cut: int, more: bytes) -> None:
    content = (saved.folder / name).read_bytes()
    assert not survives(saved, name, content[: cut % len(content)])
    assert not survives(saved, name, content + more)


@given(content=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("name", FILES)
def test_any_other_bytes_are_refused(saved: Saved, name: str, content: bytes) -> None:
    assert not survives(saved, name, content)


values = (
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats() | st.text(max_size=5) | st.just([]) | st.just({})
)


FIELDS = sorted(set(Manifest.__struct_fields__) - {"classes"})  # which is written for several classes only


@given(field=st.sampled_from(FIELDS), value=values)
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
