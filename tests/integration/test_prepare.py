"""Tables with text, dates and holes, by real processes: trained on, and then a second batch that looks different."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from integration.launch import PARTIES, Finish, Finished, table_path, write_tables

from runner.data.clinics_raw import NEW_SIZE
from runner.prepare.preparation import restore

pytestmark = pytest.mark.processes

QUICK = ("sgb.num_boost_round=3", "sgb.max_depth=2", "sgb.sketch_eps=0.1")
LEVELS = {"ragged": "carol", "torn": "carol", "very coarse": "bob", "medium": "alice", NEW_SIZE: "alice"}


@pytest.fixture(scope="module")
def trained(finish: Finish, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The experiment, with small settings."""
    place = tmp_path_factory.mktemp("unprepared")
    for name in ("clinics_raw", "clinics_raw_later"):
        write_tables(place, name)
    return finish(place, "experiment=unprepared_clinics", *QUICK)


@pytest.fixture(scope="module")
def applied(finish: Finish, trained: Finished) -> Finished:
    """The model, applied to the second batch."""
    return finish(trained.place, "task=predict", f"model={trained.folder}", "data=clinics_raw_later", "cluster=debug")


def test_text_dates_and_holes_are_learned_from(trained: Finished) -> None:
    assert trained.json("parties", "carol", "metrics.json")["auc"] > 0.95
    features = {party: trained.part(party)["features"] for party in PARTIES}
    assert set(features["alice"]) >= {"size__1", "size__missing", "indented", "mean_texture"}
    assert {"laboratory__1", "radius_error_copy"} & set(features["bob"]) == set()
    assert "features left out: 1 constant in the training rows, 1 that repeats another" in trained.ended.out
    assert "not in the model" not in trained.ended.out
    assert "outline" in features["carol"]


def test_second_batch_with_a_new_level_more_columns_and_other_holes_is_scored(
    trained: Finished, applied: Finished
) -> None:
    later = pl.read_parquet(table_path(applied.place, "alice", "clinics_raw_later"))
    assert (later["size"] == NEW_SIZE).sum() == 5
    assert later["patient_id"].to_list() != sorted(later["patient_id"])
    predictions = applied.predictions()
    assert predictions["patient_id"].to_list() == sorted(later["patient_id"])
    assert np.isfinite(predictions["score"].to_numpy()).all()
    assert applied.json("parties", "carol", "metrics.json")["auc"] > 0.95
    model = trained.json("manifest.json")["hashed"]["model"]
    assert applied.json("manifest.json")["hashed"]["model"] == model


def test_what_was_fitted_stays_at_its_owner(trained: Finished, applied: Finished) -> None:
    preparation = restore(trained.part("alice")["prepare"])
    assert preparation.features == tuple(trained.part("alice")["features"])
    fitted = {column.name: column.fitted for column in preparation.columns}
    assert fitted["size"].levels == ("large", "medium", "small")  # type: ignore[union-attr]
    assert "the level 'medium'" in trained.json("parties", "alice", "features.json")["size__2"]
    for run in (trained, applied):
        for path in filter(Path.is_file, run.folder.rglob("*")):
            content = path.read_bytes()
            for level, owner in LEVELS.items():
                assert run.own(owner) in path.parents or level.encode() not in content, f"{level} is in {path}"
