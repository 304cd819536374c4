"""A saved model is read whole and unchanged, or refused in words."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.bundle.layout import MANIFEST, PART, PART_KEY, SIGNATURES, bundle_folder, find_run
from runner.bundle.manifest import (
    FORMAT,
    Manifest,
    PartyEntry,
    Signature,
    read_manifest,
    read_signatures,
    sign,
    write_manifest,
)
from runner.bundle.part import columns_digest, content_digest, part_bytes, read_part, rekey_part, write_part
from runner.errors import BundleError
from runner.keys.keyring import Keyring

KEYS = {party: Keyring(party, party[:1].encode() * 32) for party in ("alice", "bob")}
FILES = (MANIFEST, SIGNATURES, PART, PART_KEY)
PARTS: dict[str, dict[str, Any]] = {
    "alice": {
        "party": "alice",
        "features": ["radius", "ümfang"],
        "trees": [{"0": [1, -0.515625, 1e-300]}],
        "leaf_weights": [0.1171875],
    },
    "bob": {"party": "bob", "features": ["income"], "trees": [{"0": [None, float("inf")]}]},
}


def write_bundles(run: Path, **changes: Any) -> Manifest:
    """The bundles of alice and bob in a run folder."""
    contents = {party: part_bytes(part) for party, part in PARTS.items()}
    entries = {
        party: PartyEntry(
            features=len(part["features"]),
            columns=columns_digest(part["features"], ["Float64"] * len(part["features"]), KEYS[party]),
            content=content_digest(contents[party], KEYS[party]),
        )
        for party, part in PARTS.items()
    }
    fields: dict[str, Any] = {
        "format": FORMAT,
        "bundle": "",
        "engine": "sgb",
        "spec": "0" * 64,
        "objective": "logistic",
        "base_score": 0.0,
        "trees": 1,
        "label_holder": "alice",
        "recipients": ("alice",),
        "parties": entries,
        "scheme": "ou",
        "key_bits": 2048,
        "versions": {"runner": "0.1.0"},
        **changes,
    }
    manifest = Manifest(**fields).identified()
    manifest = manifest.sealed({p: write_part(bundle_folder(run, p), p, manifest, KEYS[p], contents[p]) for p in PARTS})
    signatures = {party: sign(manifest, KEYS[party]) for party in PARTS}
    for party in PARTS:
        write_manifest(bundle_folder(run, party), manifest, signatures)
    return manifest


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with the bundles of alice and bob."""
    write_bundles(tmp_path)
    return tmp_path


def read(folder: Path, party: str, keys: Keyring | None = None) -> dict[str, Any]:
    manifest = read_manifest(folder, party)
    read_signatures(folder, party, manifest)
    return read_part(folder, party, manifest, keys or KEYS[party])


def refusal(folder: Path, party: str = "alice", keys: Keyring | None = None) -> BundleError:
    with pytest.raises(BundleError) as caught:
        read(folder, party, keys)
    error = caught.value
    assert error.code == 8
    assert all((error.what, error.where, error.why, error.fix))
    return error


def rewrite(folder: Path, **changes: Any) -> None:
    """Change a manifest's fields, and its id and signatures with them, as somebody would who knows the format."""
    manifest = msgspec.structs.replace(read_manifest(folder, "alice"), **changes).identified()
    forger = Keyring("forger", b"f" * 32)
    write_manifest(folder, manifest, {party: sign(manifest, forger) for party in manifest.parties})


@pytest.mark.parametrize("party", PARTS)
def test_what_was_written_is_read(run: Path, party: str) -> None:
    assert read(bundle_folder(run, party), party) == PARTS[party]


def test_bundle_is_its_partys_alone(run: Path) -> None:
    folder = bundle_folder(run, "alice")
    assert folder == run / "parties" / "alice" / "bundle"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert {path.name for path in folder.iterdir()} == set(FILES)


def test_manifest_is_the_same_at_every_party(run: Path) -> None:
    assert len({(bundle_folder(run, party) / MANIFEST).read_bytes() for party in PARTS}) == 1
    assert len({(bundle_folder(run, party) / SIGNATURES).read_bytes() for party in PARTS}) == 1


def test_nothing_of_a_part_can_be_read_in_any_file(run: Path) -> None:
    """Names, split values and leaf weights, as text and as the bytes of numbers."""
    content = b"".join(path.read_bytes() for path in run.rglob("*") if path.is_file())
    names = [name.encode() for part in PARTS.values() for name in part["features"]]
    numbers = [0.515625, 0.1171875, 1e-300]
    forms = [repr(number).encode() for number in numbers]
    forms += [struct.pack(form, number) for form in ("<d", ">d", "<f", ">f") for number in numbers[:2]]
    for secret in names + forms:
        assert secret not in content


def test_the_same_model_has_the_same_id_and_other_ciphertexts(run: Path, tmp_path: Path) -> None:
    again = write_bundles(tmp_path / "again")
    first = read_manifest(bundle_folder(run, "alice"), "alice")
    assert again.bundle == first.bundle
    assert again.parties["alice"].sealed != first.parties["alice"].sealed


def test_id_depends_on_every_field(run: Path) -> None:
    manifest = read_manifest(bundle_folder(run, "alice"), "alice")
    others: dict[str, Any] = {
        "format": FORMAT + 1,
        "engine": "other",
        "spec": "1" * 64,
        "objective": "linear",
        "base_score": 0.5,
        "trees": 2,
        "label_holder": "bob",
        "recipients": ("bob",),
        "parties": {"alice": manifest.parties["alice"]},
        "scheme": "paillier",
        "key_bits": 3072,
        "versions": {},
        "classes": (1, 2),
    }
    assert set(others) == set(Manifest.__struct_fields__) - {"bundle"}
    ids = {msgspec.structs.replace(manifest, **{name: value}).identified().bundle for name, value in others.items()}
    assert len(ids | {manifest.bundle}) == len(others) + 1


def test_wrong_key_is_refused(run: Path) -> None:
    assert "key of alice does not open it" in refusal(bundle_folder(run, "alice"), keys=Keyring("alice", b"x" * 32)).why


@pytest.mark.parametrize("names", [(PART,), (PART_KEY,), (PART, PART_KEY), FILES])
def test_files_of_another_party_are_refused(run: Path, names: tuple[str, ...]) -> None:
    alice, bob = bundle_folder(run, "alice"), bundle_folder(run, "bob")
    for name in names:
        (alice / name).write_bytes((bob / name).read_bytes())
    refusal(alice)


@pytest.mark.parametrize("names", [(PART,), (PART_KEY,), (PART, PART_KEY), (MANIFEST,), (SIGNATURES,)])
def test_files_of_an_older_model_are_refused(run: Path, tmp_path: Path, names: tuple[str, ...]) -> None:
    write_bundles(tmp_path / "older", trees=2)
    alice, older = bundle_folder(run, "alice"), bundle_folder(tmp_path / "older", "alice")
    for name in names:
        (alice / name).write_bytes((older / name).read_bytes())
    refusal(alice)


def test_own_part_of_another_model_does_not_open_even_with_a_fitting_manifest(run: Path, tmp_path: Path) -> None:
    """The id of the model is bound to the ciphertext: moving a part and its digest together is found too."""
    write_bundles(tmp_path / "older", trees=2)
    alice, older = bundle_folder(run, "alice"), bundle_folder(tmp_path / "older", "alice")
    entries = dict(read_manifest(alice, "alice").parties)
    for name in (PART, PART_KEY):
        (alice / name).write_bytes((older / name).read_bytes())
    sealed = read_manifest(older, "alice").parties["alice"].sealed
    rewrite(alice, parties={**entries, "alice": msgspec.structs.replace(entries["alice"], sealed=sealed)})
    refusal(alice)


def test_party_that_is_not_in_the_model_is_refused(run: Path) -> None:
    refusal(bundle_folder(run, "alice"), party="carol", keys=KEYS["alice"])


def test_a_signature_that_is_missing_or_too_many_is_refused(run: Path) -> None:
    folder = bundle_folder(run, "alice")
    manifest = read_manifest(folder, "alice")
    whole = read_signatures(folder, "alice", manifest)
    for signatures in ({"alice": whole["alice"]}, {**whole, "carol": whole["alice"]}, {}):
        write_manifest(folder, manifest, signatures)
        refusal(folder)
    write_manifest(folder, manifest, {**whole, "bob": Signature(key=whole["bob"].key, signature="00" * 64)})
    assert "bob's signature" in refusal(folder).why


def test_a_new_key_opens_the_part_and_the_old_one_no_longer(run: Path) -> None:
    folder = bundle_folder(run, "alice")
    manifest = read_manifest(folder, "alice")
    before = (folder / PART).read_bytes()
    new = Keyring("alice", b"n" * 32)
    rekey_part(folder, "alice", manifest, KEYS["alice"], new)
    assert read(folder, "alice", new) == PARTS["alice"]
    refusal(folder)
    assert (folder / PART).read_bytes() == before
    with pytest.raises(BundleError):
        rekey_part(folder, "alice", manifest, KEYS["alice"], new)


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_refused(run: Path, name: str) -> None:
    folder = bundle_folder(run, "alice")
    (folder / name).unlink()
    error = refusal(folder)
    assert str(folder / name) in error.where
    assert "No such file" in error.why


@pytest.mark.parametrize("name", FILES)
def test_folder_in_place_of_a_file_is_refused(run: Path, name: str) -> None:
    folder = bundle_folder(run, "alice")
    (folder / name).unlink()
    (folder / name).mkdir()
    refusal(folder)


@pytest.mark.parametrize("name", FILES)
def test_file_cut_anywhere_is_refused(run: Path, name: str) -> None:
    folder = bundle_folder(run, "alice")
    content = (folder / name).read_bytes()
    for length in range(len(content)):
        (folder / name).write_bytes(content[:length])
        refusal(folder)


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_anywhere_is_refused(run: Path, name: str) -> None:
    folder = bundle_folder(run, "alice")
    content = (folder / name).read_bytes()
    for position in range(len(content)):
        flipped = bytes([content[position] ^ (1 << position % 8)])
        (folder / name).write_bytes(content[:position] + flipped + content[position + 1 :])
        refusal(folder)


@pytest.mark.parametrize("known", [0, 2, 4, "3", None, 3.0, [3]])
def test_unknown_format_is_told_as_such(run: Path, known: Any) -> None:
    folder = bundle_folder(run, "alice")
    values = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_text(json.dumps({**values, "format": known}))
    error = refusal(folder)
    assert repr(known) in error.what
    assert "version" in error.fix


@pytest.mark.parametrize("content", ["", "null", "5", "[]", '"text"', "{}", '{"format": 2}', "{" * 100, "\x00"])
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
    """Whoever forges a part can forge digests and id too, but does not have the party's key."""
    folder = bundle_folder(run, "alice")
    manifest = read_manifest(folder, "alice")
    forged = write_part(folder, "alice", manifest, Keyring("alice", b"x" * 32), part_bytes({"trees": []}))
    entries = manifest.parties
    rewrite(folder, parties={**entries, "alice": msgspec.structs.replace(entries["alice"], sealed=forged)})
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
