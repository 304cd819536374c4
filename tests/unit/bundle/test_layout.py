"""A saved model is read whole and unchanged, or refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.bundle.layout import (
    FORMAT,
    MANIFEST,
    PART,
    Manifest,
    PartyEntry,
    bundle_folder,
    find_run,
    read_manifest,
    read_part,
    write_manifest,
    write_part,
)
from runner.errors import BundleError

KEYS = {"alice": b"a" * 32, "bob": b"b" * 32}
PARTS: dict[str, dict[str, Any]] = {
    "alice": {"party": "alice", "features": ["x", "ü"], "trees": [{"0": [1, -0.5, 1e-300]}], "leaf_weights": [0.1]},
    "bob": {"party": "bob", "features": ["y"], "trees": [{"0": [None, float("inf")]}]},
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with the bundles of alice and bob."""
    digests = {party: write_part(bundle_folder(tmp_path, party), part, KEYS[party]) for party, part in PARTS.items()}
    entries = {party: PartyEntry(features=len(PARTS[party]["features"]), part=digests[party]) for party in PARTS}
    manifest = Manifest(
        format=FORMAT,
        bundle="",
        engine="sgb",
        spec="0" * 64,
        objective="logistic",
        base_score=0.0,
        trees=1,
        label_holder="alice",
        parties=entries,
        scheme="ou",
        key_bits=2048,
        versions={"runner": "0.1.0"},
    ).identified()
    for party in PARTS:
        write_manifest(bundle_folder(tmp_path, party), manifest)
    return tmp_path


def refusal(folder: Path, party: str = "alice", key: bytes | None = None) -> BundleError:
    with pytest.raises(BundleError) as caught:
        read_part(folder, party, read_manifest(folder, party), key or KEYS[party])
    error = caught.value
    assert error.code == 8
    assert all((error.what, error.where, error.why, error.fix))
    return error


def rewrite(folder: Path, **changes: Any) -> None:
    """Change a manifest's fields, and its id with them, as somebody would who knows the format."""
    manifest = read_manifest(folder, "alice")
    write_manifest(folder, msgspec.structs.replace(manifest, **changes).identified())


@pytest.mark.parametrize("party", PARTS)
def test_what_was_written_is_read(run: Path, party: str) -> None:
    folder = bundle_folder(run, party)
    assert read_part(folder, party, read_manifest(folder, party), KEYS[party]) == PARTS[party]


def test_bundle_is_its_partys_alone(run: Path) -> None:
    folder = bundle_folder(run, "alice")
    assert folder == run / "parties" / "alice" / "bundle"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert {path.name for path in folder.iterdir()} == {MANIFEST, PART}


def test_manifest_is_the_same_at_every_party_and_names_no_feature(run: Path) -> None:
    contents = {(bundle_folder(run, party) / MANIFEST).read_bytes() for party in PARTS}
    assert len(contents) == 1
    assert not [name for part in PARTS.values() for name in part["features"] if f'"{name}"'.encode() in min(contents)]


def test_id_depends_on_every_field(run: Path) -> None:
    manifest = read_manifest(bundle_folder(run, "alice"), "alice")
    others: dict[str, Any] = {
        "format": 2,
        "engine": "other",
        "spec": "1" * 64,
        "objective": "linear",
        "base_score": 0.5,
        "trees": 2,
        "label_holder": "bob",
        "parties": {"alice": manifest.parties["alice"]},
        "scheme": "paillier",
        "key_bits": 3072,
        "versions": {},
    }
    assert set(others) == set(Manifest.__struct_fields__) - {"bundle"}
    ids = {msgspec.structs.replace(manifest, **{name: value}).identified().bundle for name, value in others.items()}
    assert len(ids | {manifest.bundle}) == len(others) + 1


def test_wrong_key_is_refused(run: Path) -> None:
    assert "digest" in refusal(bundle_folder(run, "alice"), key=b"x" * 32).why


def test_part_of_another_party_is_refused(run: Path) -> None:
    alice, bob = bundle_folder(run, "alice"), bundle_folder(run, "bob")
    (alice / PART).write_bytes((bob / PART).read_bytes())
    refusal(alice)


def test_party_that_is_not_in_the_model_is_refused(run: Path) -> None:
    folder = bundle_folder(run, "alice")
    manifest = read_manifest(folder, "carol")
    with pytest.raises(BundleError):
        read_part(folder, "carol", manifest, KEYS["alice"])


@pytest.mark.parametrize("name", [MANIFEST, PART])
def test_missing_file_is_refused(run: Path, name: str) -> None:
    folder = bundle_folder(run, "alice")
    (folder / name).unlink()
    error = refusal(folder)
    assert str(folder / name) in error.where
    assert "No such file" in error.why


@pytest.mark.parametrize("name", [MANIFEST, PART])
def test_folder_in_place_of_a_file_is_refused(run: Path, name: str) -> None:
    folder = bundle_folder(run, "alice")
    (folder / name).unlink()
    (folder / name).mkdir()
    refusal(folder)


@pytest.mark.parametrize("name", [MANIFEST, PART])
def test_file_cut_anywhere_is_refused(run: Path, name: str) -> None:
    folder = bundle_folder(run, "alice")
    content = (folder / name).read_bytes()
    for length in range(len(content.rstrip())):
        (folder / name).write_bytes(content[:length])
        refusal(folder)


@pytest.mark.parametrize("known", [0, 2, "1", None, 1.5, [1]])
def test_unknown_format_is_told_as_such(run: Path, known: Any) -> None:
    folder = bundle_folder(run, "alice")
    values = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_text(json.dumps({**values, "format": known}))
    error = refusal(folder)
    assert repr(known) in error.what
    assert "version" in error.fix


@pytest.mark.parametrize("content", ["", "null", "5", "[]", '"text"', "{}", '{"format": 1}', "{" * 100, "\x00"])
def test_other_content_is_refused(run: Path, content: str) -> None:
    folder = bundle_folder(run, "alice")
    (folder / MANIFEST).write_text(content)
    refusal(folder)


@pytest.mark.parametrize(
    "change",
    [
        ('"base_score": 0.0', '"base_score": NaN'),
        ('"base_score": 0.0', '"base_score": 1e999'),
        ('"engine": "sgb"', '"engine": "\\ud800"'),
        ('"trees": 1', '"trees": 1' + "0" * 5000),
        ('"engine": "sgb"', '"engine": "sgb", "stray": 1'),
        ('"features": 2', '"features": 2, "stray": 1'),
        ('"trees": 1', '"trees": true'),
    ],
)
def test_value_that_the_runner_does_not_write_is_refused(run: Path, change: tuple[str, str]) -> None:
    folder = bundle_folder(run, "alice")
    content = (folder / MANIFEST).read_text()
    assert change[0] in content
    (folder / MANIFEST).write_text(content.replace(*change))
    refusal(folder)


def test_rewritten_manifest_does_not_cover_a_changed_part(run: Path) -> None:
    """Whoever forges a part can forge the manifest's id too, but not the party's keyed digest."""
    folder = bundle_folder(run, "alice")
    forged = write_part(folder, {**PARTS["alice"], "trees": []}, b"x" * 32)
    entries = read_manifest(folder, "alice").parties
    rewrite(folder, parties={**entries, "alice": PartyEntry(features=2, part=forged)})
    refusal(folder)


def test_digest_that_is_no_digest_is_refused(run: Path) -> None:
    folder = bundle_folder(run, "alice")
    rewrite(folder, parties={"alice": PartyEntry(features=2, part="é")})
    refusal(folder)


def test_run_is_found_by_its_folder_and_by_a_bundle_in_it(run: Path) -> None:
    assert find_run(str(run)) == run
    assert find_run(f"{run}/") == run
    assert find_run(str(bundle_folder(run, "bob"))) == run


@pytest.mark.parametrize("model", ["", "nothing/here", "a\x00b"])
def test_model_that_is_nowhere_is_refused(tmp_path: Path, model: str) -> None:
    with pytest.raises(BundleError) as caught:
        find_run(str(tmp_path / model))
    assert "model=outputs/" in caught.value.fix
