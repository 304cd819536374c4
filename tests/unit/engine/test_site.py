"""What a party's process has of its own: its table, its seeds, its folder and its log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_tables import made_table

from runner.engine.site import Site, open_site
from runner.errors import BundleError
from runner.keys.keyring import Keyring
from runner.prepare.preparation import as_it_is
from runner.spec.parse import parse

TABLE = made_table(["a"], [[0.5]], ["x"], [False])


def site(secret: bytes, folder: Path) -> Site:
    nothing: Any = None
    return Site("alice", folder, Keyring("alice", secret), nothing, nothing, TABLE)


def test_shuffle_seed_is_stable_and_differs_by_party_and_by_seed(tmp_path: Path) -> None:
    alice, bob = site(b"a" * 32, tmp_path), site(b"b" * 32, tmp_path)
    assert alice.shuffle_seed(1212) == alice.shuffle_seed(1212)
    assert len({alice.shuffle_seed(1), alice.shuffle_seed(2), bob.shuffle_seed(1), bob.shuffle_seed(2)}) == 4
    assert alice.shuffle_seed(1)[:2] == (578153470, 4136956728)


def test_shuffle_seed_is_256_bits_that_numpy_takes(tmp_path: Path) -> None:
    words = site(b"a" * 32, tmp_path).shuffle_seed(2**32 - 1)
    assert len(words) == 8
    assert all(0 <= word < 2**32 for word in words)
    first, again = (np.random.RandomState(words).permutation(50).tolist() for _ in range(2))
    assert first == again


def test_seeds_do_not_show_the_secret(tmp_path: Path) -> None:
    words = site(b"a" * 32, tmp_path).shuffle_seed(1)
    shown = b"".join(word.to_bytes(4, "big") for word in words)
    assert shown != b"a" * 32
    assert shown not in (Keyring("alice", b"a" * 32).derive(purpose) for purpose in ("audit", "bundle", "table"))


def test_party_without_a_table_has_none_to_ask_for(tmp_path: Path, changed: Any) -> None:
    spec = parse(changed({"parties.alice.key_file": str(tmp_path / "keys" / "secret.key")}))
    opened = open_site(spec, "alice", tmp_path / "run", None, lambda **event: None)
    assert opened.checked is None
    with pytest.raises(AssertionError, match="alice brought no table"):
        _ = opened.table


def test_site_has_features_once_they_are_prepared_and_until_that_is_forgotten(tmp_path: Path) -> None:
    one = site(b"a" * 32, tmp_path)
    with pytest.raises(AssertionError, match="was not prepared"):
        _ = one.features
    one.prepare_with(as_it_is(TABLE.names, TABLE.dtypes))
    assert one.features.tolist() == [[0.5]]
    assert one.preparation.features == ("x",)
    one.forget_preparation()
    with pytest.raises(AssertionError, match="was not prepared"):
        _ = one.preparation


def test_rows_that_are_left_out_take_their_classes_along(tmp_path: Path) -> None:
    names = np.array(["common", "other"])
    whole = made_table(["a", "b"], [[0.5], [1.5]], ["x"], [False] * 2, label=np.array([1.0, 0.0]), classes=names)
    party = replace(site(b"a" * 32, tmp_path), checked=whole)
    party.keep_rows(np.array([1]))
    assert party.table.classes is not None
    assert party.table.classes.tolist() == ["common"]


def test_opened_site_has_a_private_folder_and_an_audit_log(tmp_path: Path, changed: Any) -> None:
    places = {"parties.alice.key_file": str(tmp_path / "keys" / "secret.key")}
    opened = open_site(parse(changed(places)), "alice", tmp_path / "run", TABLE, lambda **event: None)
    assert opened.folder == tmp_path / "run" / "parties" / "alice"
    assert opened.folder.stat().st_mode & 0o777 == 0o700
    opened.audit.record("sent", {}, b"payload")
    assert (opened.folder / "audit.jsonl").exists()
    assert opened.table is opened.checked is TABLE
    secret = bytes.fromhex((tmp_path / "keys" / "secret.key").read_text())
    assert opened.derive("bundle") == Keyring("alice", secret).derive("bundle")
    assert set(opened.facts["validate"]) == {"file", "contract", "table"}
    assert opened.facts["validate"]["table"] == TABLE.digest(opened.derive("table"))
    other = replace(TABLE, source=b"other")
    again = open_site(parse(changed(places)), "alice", tmp_path / "again", other, lambda **event: None)
    assert {what for what, digest in again.facts["validate"].items() if opened.facts["validate"][what] != digest} == {
        "file"
    }


def test_a_repeated_run_takes_over_the_seeds_of_the_first(tmp_path: Path, changed: Any) -> None:
    def opened(key: str, folder: str, original: Path | None = None) -> Site:
        spec = parse(changed({"parties.alice.key_file": str(tmp_path / key / "secret.key")}))
        return open_site(spec, "alice", tmp_path / folder, None, lambda **event: None, original)

    first, other = opened("here", "run"), opened("elsewhere", "other")
    repeated = opened("elsewhere", "repeated", tmp_path / "run")
    assert first.shuffle_seed(1) == repeated.shuffle_seed(1) != other.shuffle_seed(1)
    assert repeated.keys.public == other.keys.public != first.keys.public
    assert opened("elsewhere", "without", tmp_path / "nowhere").shuffle_seed(1) == other.shuffle_seed(1)
    (tmp_path / "run" / "parties" / "alice" / "private_snapshot.json").write_text("{}")
    with pytest.raises(BundleError, match="private snapshot cannot be read"):
        opened("elsewhere", "damaged", tmp_path / "run")


def test_jobs_of_two_sweeps_are_two_runs(tmp_path: Path) -> None:
    folders = [
        tmp_path / "sweeps" / "2026-01-02" / time / "0" / "parties" / "alice" for time in ("10-00-00", "11-00-00")
    ]
    first, other = (site(b"a" * 32, folder).run for folder in folders)
    assert (first, other) == ("2026-01-02/10-00-00/0", "2026-01-02/11-00-00/0")
    assert site(b"a" * 32, tmp_path / "2026-01-02" / "10-00-00-abc" / "parties" / "alice").run == "10-00-00-abc"
