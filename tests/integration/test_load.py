"""A saved model is loaded whole, by those who trained it, on tables like those of the training; or not at all."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hydra import compose, initialize_config_dir
from integration.launch import PARTIES, Finished
from made_tables import matrix_of
from support import Command, assert_told, flip

from runner.bundle.layout import MANIFEST, PART, PART_KEY, SIGNATURES
from runner.data.check import check_table
from runner.data.table import CheckedTable
from runner.earlier import settle
from runner.errors import BundleError, DataError
from runner.keys.store import write_secret
from runner.prepare.rules import Rule
from runner.spec.compose import config_dir, to_spec
from runner.spec.model import Spec

pytestmark = pytest.mark.processes

FILES = (MANIFEST, SIGNATURES, PART, PART_KEY)
Tables = dict[str, CheckedTable]


@pytest.fixture(scope="module")
def secretflow() -> Iterator[None]:
    """SecretFlow in this process, with all parties in it."""
    from runner.engine.narrow import import_secretflow

    import_secretflow()
    from secretflow.device.driver import shutdown

    from runner.engine.start import start_debug

    start_debug(PARTIES)
    yield
    shutdown()


@cache
def spec_of_predicting(*others: str) -> Spec:
    """The spec of ``task=predict model=RUN`` in the working folder."""
    overrides = ["task=predict", "model=RUN", *others]
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return to_spec(settle(compose("config", overrides), overrides))


@pytest.fixture(scope="module")
def tables(main_run: Finished, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """Every party's checked table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(main_run.place)
        place = tmp_path_factory.mktemp("checked")
        shutil.copytree(main_run.folder, place / "RUN")
        shutil.copytree(main_run.place / "outputs/data", place / "outputs/data")
        patch.chdir(place)
        return {party: check_table(spec_of_predicting(), party, place) for party in PARTIES}


@pytest.fixture
def place(main_run: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the main run (in ``RUN``) and the keys; what works in this process works there."""
    shutil.copytree(main_run.folder, tmp_path / "RUN")
    shutil.copytree(main_run.place / "outputs" / "keys", tmp_path / "outputs" / "keys")
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Loading:
    """Loads ``RUN`` in the working folder, with the stage that every run uses."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.events: list[dict[str, Any]] = []
        self.sites: dict[str, Any] = {}

    def __call__(self, spec: Spec, **changed: CheckedTable) -> Any:
        from runner.stages.load import load

        return load(self.context(spec, **changed))

    def context(self, spec: Spec, **changed: CheckedTable) -> Any:
        """What the stage works with: these tables, the bundles in ``RUN``."""
        from runner.bundle.layout import bundle_folder
        from runner.engine.site import open_site
        from runner.engine.start import make_devices
        from runner.policy.decide import decide
        from runner.policy.gate import Gate
        from runner.stages.context import Context

        decisions = decide(spec, {})
        now = Path("now")
        tables = {**self.tables, **changed}
        sites = {party: open_site(spec, party, now, tables[party], self._emit) for party in spec.parties}
        self.sites = sites
        devices = make_devices(spec)
        gate = Gate(
            decisions,
            devices,
            {party: site.audit for party, site in sites.items()},
            dict.fromkeys(sites, self._emit),
        )
        bundles = {party: bundle_folder(Path("RUN"), spec.trained_as(party)) for party in spec.parties}
        return Context(spec, devices, sites, gate, secrets.token_hex(8), bundles, lambda: None)  # type: ignore[arg-type]

    def _emit(self, **event: Any) -> None:
        self.events.append(event)


@pytest.fixture
def loading(place: Path, main_run: Finished, tables: Tables, secretflow: None) -> Loading:
    """Loads the copy of the main run; the tables' files are where the spec says."""
    shutil.copytree(main_run.place / "outputs" / "data", place / "outputs" / "data")
    return Loading(tables)


def refused(loading: Loading, spec: Spec | None = None, **changed: CheckedTable) -> BundleError:
    with pytest.raises(BundleError) as caught:
        loading(spec or spec_of_predicting(), **changed)
    error = caught.value
    assert error.code == 8
    assert all((error.what, error.where, error.why, error.fix))
    return error


def with_columns(table: CheckedTable, names: tuple[str, ...]) -> CheckedTable:
    """The same rows with these columns only, in this order."""
    places = [table.names.index(name) for name in names]
    return replace(
        table,
        columns=table.columns.select(list(names)),
        dtypes=tuple(table.dtypes[place] for place in places),
        rules=tuple(table.rules[place] for place in places),
    )


def own(party: str) -> Path:
    """A party's bundle in the copy."""
    return Path("RUN/parties", party, "bundle")


def swap(*names: str) -> None:
    """Exchange files of alice's and bob's bundles."""
    for name in names:
        one, other = own("alice") / name, own("bob") / name
        first = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(first)


def test_what_was_saved_is_loaded(loading: Loading, main_run: Finished) -> None:
    model = loading(spec_of_predicting())
    assert len(model.trees) == main_run.json("parties", "alice", "bundle", "manifest.json")["trees"]
    assert loading.events == []


@pytest.mark.parametrize("names", [FILES, (PART,), (PART_KEY,), (PART, PART_KEY)])
def test_swapped_parts_are_found(loading: Loading, names: tuple[str, ...]) -> None:
    swap(*names)
    refused(loading)


@pytest.mark.parametrize("names", [FILES, (PART,), (PART, PART_KEY)])
def test_another_partys_part_is_found(loading: Loading, names: tuple[str, ...]) -> None:
    for name in names:
        shutil.copyfile(own("alice") / name, own("bob") / name)
    assert "bob" in refused(loading).what


@pytest.mark.parametrize("names", [FILES, (PART,), (PART, PART_KEY), (MANIFEST, SIGNATURES)])
@pytest.mark.parametrize("party", ["alice", "carol"])
def test_a_part_of_another_model_is_found(
    loading: Loading, paillier_run: Finished, party: str, names: tuple[str, ...]
) -> None:
    for name in names:
        shutil.copyfile(paillier_run.own(party, "bundle", name), own(party) / name)
    refused(loading)


def test_a_part_of_the_same_training_done_again_is_found(loading: Loading, twins: tuple[Finished, Finished]) -> None:
    """The two models are equal, and yet nobody mixes their parts unseen."""
    for name in FILES:
        shutil.copyfile(twins[1].own("bob", "bundle", name), own("bob") / name)
    assert refused(loading).what == "the parties hold parts of different models"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("party", PARTIES)
def test_a_missing_file_is_found(loading: Loading, name: str, party: str) -> None:
    (own(party) / name).unlink()
    assert str(own(party) / name) in refused(loading).where


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_and_a_cut_file_are_found(loading: Loading, name: str) -> None:
    path = own("bob") / name
    content = path.read_bytes()
    for position in (0, len(content) // 3, len(content) - 1):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        assert "bob" in refused(loading).what
    for length in (0, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        assert "bob" in refused(loading).what


def test_another_key_is_found(loading: Loading) -> None:
    path = Path("outputs/keys/alice/secret.key")
    path.write_text(secrets.token_hex(32))
    assert "not signed with the key of alice" in refused(loading).why


def test_no_key_is_made_to_load(loading: Loading) -> None:
    path = Path("outputs/keys/alice/secret.key")
    path.unlink()
    assert "no key of alice" in refused(loading).what
    assert not path.exists()


def test_a_party_that_is_known_by_another_key_is_found(loading: Loading) -> None:
    path = Path("outputs/keys/bob/known_parties.json")
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "alice": "0" * 64}))
    assert refused(loading).what == "bob knows another key of alice"


def test_columns_in_another_order_are_put_in_order(loading: Loading, tables: Tables) -> None:
    table = tables["alice"]
    loading(spec_of_predicting(), alice=with_columns(table, tuple(reversed(table.names))))
    used = loading.sites["alice"]
    assert used.preparation.features == table.names
    assert used.features.tobytes() == matrix_of(table).tobytes()
    assert loading.events == []


def test_extra_columns_are_left_out_and_told_without_names(loading: Loading, tables: Tables) -> None:
    table = tables["bob"]
    extra = replace(
        table,
        columns=table.columns.add_column(0, "secret_column", pa.array(np.ones(len(table.ids)))),
        dtypes=("Int64", *table.dtypes),
        rules=(Rule(kind="number"), *table.rules),
    )
    loading(spec_of_predicting(), bob=extra)
    (notice,) = loading.events
    assert notice["event"] == "notice"
    assert "bob: 1 of its columns" in notice["text"]
    assert "secret_column" not in notice["text"]


@pytest.mark.parametrize(
    ("change", "missing", "retyped"),
    [
        (lambda table: replace(table, columns=table.columns.rename_columns(["other", *table.names[1:]])), 1, 0),
        (lambda table: replace(table, dtypes=("Int64", *table.dtypes[1:])), 0, 1),
        (lambda table: with_columns(table, table.names[2:]), 2, 0),
    ],
)
def test_renamed_retyped_and_missing_columns_are_counted_for_all_and_named_at_their_owner(
    loading: Loading, tables: Tables, change: Callable[[CheckedTable], CheckedTable], missing: int, retyped: int
) -> None:
    error = refused(loading, alice=change(tables["alice"]))
    assert f"{missing} of the model's features are missing" in error.why
    assert f"{retyped} have another type" in error.why
    told = json.loads(Path("now/parties/alice/feature_mismatch.json").read_bytes())
    assert (len(told["missing"]), len(told["retyped"])) == (missing, retyped)
    assert not any(name in str(error) for name in tables["alice"].names)
    assert [path for path in Path("now").rglob("feature_mismatch.json") if "alice" not in path.parts] == []


def test_drifted_table_warns_or_fails_and_its_features_are_named_at_their_owner(
    loading: Loading, tables: Tables
) -> None:
    table = tables["bob"]
    doubled = pa.array(table.columns[1].to_numpy() * 2)
    drifted = replace(table, columns=table.columns.set_column(1, table.names[1], doubled))
    loading(spec_of_predicting(), bob=drifted)
    (notice,) = loading.events
    assert "bob: its table has drifted since the training: 1 feature is beyond drift.psi_warn" in notice["text"]
    with pytest.raises(DataError) as caught:
        loading(spec_of_predicting("drift.psi_fail=0.25"), bob=drifted)
    assert "1 feature is beyond drift.psi_fail" in caught.value.why
    features = json.loads(Path("now/parties/bob/drift.json").read_bytes())["features"]
    assert [name for name, found in features.items() if found["beyond"]] == [table.names[1]]
    assert not any(name in notice["text"] + str(caught.value) for name in table.names)
    assert {path.parts[2] for path in Path("now").rglob("drift.json")} >= {"bob"}


def test_profile_of_the_training_rows_stays_in_its_owners_part(loading: Loading, main_run: Finished) -> None:
    """Its numbers are the party's own values; a whole model goes to another party without it."""
    from secretflow.device.driver import reveal

    from runner.stages.load import collect_parts

    training = main_run.part("bob")["profile"]
    assert set(training["columns"]) == set(main_run.part("bob")["features"])
    assert 0 < training["rows"] < len(loading.tables["bob"].ids)
    spec = spec_of_predicting("task=export", "export.format=onnx", "export.at=carol", "policy=lab")
    context = loading.context(spec)
    for site in context.sites.values():
        site.checked = None  # an export brings no table
    parts = reveal(collect_parts(context, "carol"))
    assert [part["party"] for part in parts] == ["carol", "alice", "bob"]
    assert not any("profile" in part for part in parts)


@pytest.mark.parametrize("passphrase", [None, "wrong"])
def test_a_key_that_stays_locked_opens_nothing(
    loading: Loading, monkeypatch: pytest.MonkeyPatch, passphrase: str | None
) -> None:
    path = Path("outputs/keys/alice/secret.key")
    secret = bytes.fromhex(path.read_text())
    path.unlink()
    write_secret(path, secret, "right")
    spec = spec_of_predicting()
    if passphrase is None:
        with pytest.raises(DataError, match="locked with a passphrase"):
            loading(spec)
        return
    alice = msgspec.structs.replace(spec.parties["alice"], passphrase_env="PASS")
    spec = msgspec.structs.replace(spec, parties={**spec.parties, "alice": alice})
    monkeypatch.setenv("PASS", passphrase)
    assert "passphrase of alice's key is wrong" in refused(loading, spec).what
    monkeypatch.setenv("PASS", "right")
    loading(spec)


def raise_format() -> None:
    path = own("carol") / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "format": 9}))


AT_ONCE: dict[str, tuple[Callable[[], Any], list[str], str]] = {
    "label holder removed": (lambda: None, ["~parties.carol", "~data.tables.carol"], "label holder was carol"),
    "party removed": (lambda: None, ["~parties.bob", "~data.tables.bob"], "in training: alice, bob, carol"),
    "party added": (
        lambda: None,
        ["+parties.dave.key_file=k", "+data.tables.dave.path=t", "+data.tables.dave.contract=c.py:C"],
        "now: alice, bob, carol, dave",
    ),
    "file missing": (lambda: (own("bob") / SIGNATURES).unlink(), [], "bob's part of the model is not there"),
    "newer format": (raise_format, [], "carol's bundle has format 9"),
    "signature changed": (lambda: flip(own("bob") / SIGNATURES), [], "bob's bundle is damaged"),
}


@pytest.mark.parametrize("case", AT_ONCE)
def test_what_needs_no_key_is_told_before_anything_starts(command: Command, place: Path, case: str) -> None:
    change, overrides, words = AT_ONCE[case]
    change()
    assert_told(command("task=predict", "model=RUN", *overrides), 8, words)
    assert list(place.glob("outputs/*-*-*")) == []
