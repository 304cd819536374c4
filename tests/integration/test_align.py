"""Three parties with other customers each: psi comes to the same model as tables that were joined beforehand."""

from __future__ import annotations

import json
import time
from pathlib import Path

import polars as pl
import pytest
from integration.launch import AT_MOST, PARTIES, SMALL, Finish, Finished, Launch, seconds_until_nothing_runs, table_path

from runner.data.builtin import write_builtin

pytestmark = pytest.mark.processes

COLUMNS = {
    "alice": ("mean_radius", "mean_texture"),
    "bob": ("radius_error", "area_error"),
    "carol": ("worst_area", "worst_concavity", "target"),
}
ID = ("ward", "bed")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of patients whom two columns identify: as they are, joined beforehand, and without any in common."""
    place = tmp_path_factory.mktemp("unaligned")
    tables = {}
    contracts = ["import pandera.polars as pa\n"]
    for party in PARTIES:
        path = table_path(place, party, "unaligned_clinics")
        write_builtin("unaligned_clinics", party, path, "patient_id")
        number = pl.col("patient_id").str.slice(1).cast(pl.Int64)
        ids = {"ward": pl.format("W{}", number % 3), "bed": number // 3}
        tables[party] = pl.read_parquet(path).select(**ids, **{name: pl.col(name) for name in COLUMNS[party]})
        features = "".join(f"    {name}: {'int' if name == 'target' else 'float'}\n" for name in COLUMNS[party])
        contracts.append(f"class {party.title()}(pa.DataFrameModel):\n    ward: str\n    bed: int\n{features}")
    common = tables["alice"].join(tables["bob"], on=ID, how="semi").join(tables["carol"], on=ID, how="semi").select(ID)
    for index, (party, table) in enumerate(tables.items()):
        table.write_parquet(place / f"{party}.parquet")
        table.join(common, on=ID, how="semi").reverse().write_parquet(place / f"{party}_joined.parquet")
        table.with_columns(pl.col("bed") + 1000 * index).write_parquet(place / f"{party}_apart.parquet")
    (place / "contracts.py").write_text("\n\n".join(contracts))
    return place


def settings(kind: str) -> tuple[str, ...]:
    """What a command needs to read the tables of this kind."""
    tables = [f"data.tables.{party}.path={party}{kind}.parquet" for party in PARTIES]
    contracts = [f"data.tables.{party}.contract=contracts.py:{party.title()}" for party in PARTIES]
    return (*SMALL, "data.builtin=null", "data.id=[ward,bed]", *tables, *contracts)


@pytest.fixture(scope="module")
def by_psi(place: Path, finish: Finish) -> Finished:
    return finish(place, *settings(""), "align=psi")


@pytest.fixture(scope="module")
def joined(place: Path, finish: Finish, by_psi: Finished) -> Finished:
    """The same on tables joined beforehand, in one process; the keys are those of the first run."""
    return finish(by_psi.place, *settings("_joined"), "cluster=debug")


def test_model_and_predictions_are_those_of_tables_joined_beforehand(by_psi: Finished, joined: Finished) -> None:
    for party in PARTIES:
        assert by_psi.part(party) == joined.part(party)
    assert by_psi.predictions().equals(joined.predictions())
    for stage, facts in joined.json("manifest.json")["hashed"]["stages"].items():
        if stage in ("train", "predict", "evaluate"):
            assert by_psi.json("manifest.json")["hashed"]["stages"][stage] == facts


def test_predictions_have_the_columns_of_the_id(by_psi: Finished, place: Path) -> None:
    predictions = by_psi.predictions()
    assert predictions.columns == [*ID, "score", "label"]
    assert dict(predictions.schema)["bed"] == pl.Int64
    whole = pl.read_parquet(place / "carol_joined.parquet")
    both = predictions.join(whole, on=ID)
    assert both.height == predictions.height
    assert both["label"].to_list() == both["target"].to_list()


def test_run_says_how_rows_were_found_and_how_many(by_psi: Finished, joined: Finished, place: Path) -> None:
    rows = pl.read_parquet(place / "carol_joined.parquet").height
    assert f"Aligned      {rows} rows that all parties have, by psi (protocol ecdh_3pc)" in by_psi.ended.out
    assert by_psi.json("manifest.json")["hashed"]["align"] == {"method": "psi", "protocol": "ecdh_3pc"}
    assert joined.json("manifest.json")["hashed"]["align"] == {"method": "assume_sorted", "protocol": None}
    facts = json.loads(by_psi.own("bob", "alignment.json").read_bytes())
    assert facts["common"] == rows
    assert facts["ids"] == pl.read_parquet(place / "bob.parquet").height


def test_no_file_of_the_intersection_is_left(by_psi: Finished) -> None:
    left = [path for path in by_psi.folder.rglob("*") if path.suffix in (".csv", ".meta") or path.name == "in.csv"]
    assert left == []
    text = (by_psi.folder / "parties" / "alice" / "worker.log").read_text()
    folder = next(line for line in text.splitlines() if "in.csv" in line).partition('"path":"')[2].partition('"')[0]
    assert not Path(folder).parent.parent.exists()


def test_no_common_patient_ends_the_run_at_all_parties(place: Path, by_psi: Finished) -> None:
    with Launch(*settings("_apart"), "align=psi", place=place) as launch:
        ended = launch.end()
    assert ended.code == 4
    assert "no id in common" in ended.err
    assert "alignment.json" in ended.err
    assert "Traceback" not in ended.err
    assert seconds_until_nothing_runs(place, {}) < AT_MOST
    assert time.monotonic() - ended.at < AT_MOST
    status = json.loads((launch.folder / "status.json").read_bytes())
    assert status["state"] == "failed"
    for party in PARTIES:
        assert json.loads((launch.folder / "parties" / party / "alignment.json").read_bytes())["common"] == 0
