"""Several classes from end to end: trained by real party processes, loaded, and applied to the next batch."""

from __future__ import annotations

import json
import re

import numpy as np
import polars as pl
import pytest
from integration.launch import PARTIES, SMALL, Finish, Finished, table_path, write_tables
from sklearn import metrics as sklearn_metrics

from runner.provenance.manifest import read_run
from runner.report.html.job import page_of

pytestmark = pytest.mark.processes

CULTIVARS = ["class_0", "class_1", "class_2"]
SCORES = [f"score_{name}" for name in CULTIVARS]


@pytest.fixture(scope="module")
def trained(finish: Finish, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """bob gets classes alone; carol, the label holder, all scores. Importance, balanced classes, a made base score."""
    place = tmp_path_factory.mktemp("wine")
    write_tables(place, "wine", "wine")
    return finish(
        place,
        "experiment=wine_multiclass",
        *SMALL,
        "sgb.base_score=auto",
        "label.class_weight=balanced",
        "explain.importance=true",
        "policy.predictions.recipients=[carol,bob]",
        "+policy.predictions.forms={bob: class}",
        "policy.metrics.recipients=[carol,alice]",
        "policy.min_rows=5",  # each class has some fifteen rows
    )


def test_each_recipient_has_what_its_form_allows(trained: Finished) -> None:
    carol, bob = trained.predictions(), trained.predictions("bob")
    assert carol.columns == ["wine", "class", *SCORES, "label"]
    assert bob.columns == ["wine", "class"]
    assert not trained.own("alice", "predictions.parquet").exists()
    assert bob.equals(carol.select("wine", "class"))
    scores = carol.select(SCORES).to_numpy()
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-6)
    assert [CULTIVARS[at] for at in scores.argmax(axis=1)] == carol["class"].to_list()
    table = pl.read_parquet(table_path(trained.place, "carol", "wine"))
    both = carol.join(table, on="wine")
    assert both["cultivar"].to_list() == both["label"].to_list()


def test_metrics_are_those_of_the_file_by_name_at_the_evaluator_alone(trained: Finished) -> None:
    found, predictions = trained.json("parties", "carol", "metrics.json"), trained.predictions()
    label, chosen = predictions["label"].to_list(), predictions["class"].to_list()
    assert found["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(label, chosen))
    assert found["accuracy"] > 0.8
    assert found["macro_f1"] == pytest.approx(sklearn_metrics.f1_score(label, chosen, average="macro"))
    scores = predictions.select(SCORES).to_numpy().astype(float)
    loss = sklearn_metrics.log_loss(label, scores / scores.sum(axis=1, keepdims=True), labels=CULTIVARS)
    assert found["log_loss"] == pytest.approx(loss, rel=1e-4)
    others = trained.json("parties", "alice", "metrics.json")
    assert set(found) - set(others) == {f"{m} [{c}]" for m in ("precision", "recall", "f1", "auc") for c in CULTIVARS}
    assert found["f1 [class_1]"] == others["f1 [1]"]
    low, high = found["intervals"]["recall [class_1]"]
    assert low <= found["recall [class_1]"] <= high
    confusion = trained.json("parties", "carol", "evaluation.json")["confusion_of_classes"]
    matrix = sklearn_metrics.confusion_matrix(label, chosen, labels=CULTIVARS).tolist()
    assert confusion == {"classes": CULTIVARS, "counts": matrix}


def test_report_has_the_metrics_of_the_classes(trained: Finished) -> None:
    found, others = (page_of(trained.folder, party, read_run(trained.folder)).decode() for party in ("carol", "alice"))
    assert f"{trained.json('parties', 'carol', 'metrics.json')['macro_auc']:.3f}" in found
    assert re.search(r"f1 \[class_1\]</th>.*<td>higher</td></tr>", found)
    assert "f1 [1]" in others
    assert "class_1" not in others


def test_names_of_classes_reach_recipients_alone(trained: Finished) -> None:
    assert trained.part("carol")["classes"] == CULTIVARS
    assert "classes" not in trained.part("alice")
    for party in PARTIES:
        lines = [json.loads(line) for line in trained.own(party, "audit.jsonl").read_text().splitlines()]
        named = [(entry["direction"], entry["to"]) for entry in lines if entry["form"] == "names of the classes"]
        assert named == {"carol": [("sent", "bob")], "bob": [("received", "bob")], "alice": []}[party]
        counted = [entry["direction"] for entry in lines if entry["form"] == "number of classes"]
        assert counted == (["sent", "sent"] if party == "carol" else ["received"])
    for path in trained.own("alice").rglob("*"):
        assert not path.is_file() or b"class_1" not in path.read_bytes(), path
    manifest = trained.json("parties", "alice", "bundle", "manifest.json")
    assert manifest["classes"] == [2, 2, 2]
    assert manifest["base_score"] == 0.0, "the shares of the classes are in the label holder's part"


def test_next_batch_without_some_classes_is_predicted_and_compared_by_name(trained: Finished, finish: Finish) -> None:
    """The table's own classes are then others than the model's."""
    paths = {party: table_path(trained.place, party, "wine") for party in PARTIES}
    kept = [f"W{row:04d}" for row in range(100, 178)]  # the second half: no class_0
    for party, path in paths.items():
        table = pl.read_parquet(path).filter(pl.col("wine").is_in(kept)).reverse()
        table.write_parquet(trained.place / f"{party}.parquet")
    batch = finish(
        trained.place,
        "task=predict",
        f"model={trained.folder}",
        "data=wine",
        "cluster=debug",
        *(f"data.tables.{party}.path={party}.parquet" for party in PARTIES),
    )
    before = pl.read_parquet(paths["carol"]).filter(pl.col("wine").is_in(kept)).sort("wine")
    assert batch.predictions()["label"].to_list() == before["cultivar"].to_list()
    both = trained.predictions().join(batch.predictions(), on="wine", suffix="_again")
    assert both.height > 10
    assert both.select(SCORES).equals(both.select(pl.col(f"{name}_again").alias(name) for name in SCORES))
    metrics = batch.json("parties", "carol", "metrics.json")
    assert metrics["recall [class_0]"] == 0.0
    assert metrics["recall [class_2]"] > 0.5
