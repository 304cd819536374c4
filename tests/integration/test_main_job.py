"""The whole job as it is typed: what a finished run leaves, for whom, and what a saved model does afterwards."""

from __future__ import annotations

import json
import re
import sqlite3
import stat
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import sklearn.metrics
from integration.launch import PARTIES, SMALL, Finish, Finished, processes_in, table_path

from runner.data.check import check_table
from runner.keys.keyring import Keyring
from runner.policy.audit import first_broken_line
from runner.policy.flows import TERMINAL
from runner.spec.identity import spec_digest
from runner.spec.parse import parse

pytestmark = pytest.mark.processes

STAGES = [
    "check tables",
    "open cluster",
    "align ids",
    "prepare",
    "join labels",
    "train",
    "save bundle",
    "load bundle",
    "predict",
    "evaluate",
]
ROWS = 569


def tables(run: Finished) -> dict[str, pl.DataFrame]:
    return {party: pl.read_parquet(table_path(run.place, party)) for party in PARTIES}


def feature_names(run: Finished, party: str) -> set[str]:
    return set(tables(run)[party].columns) - {"patient_id", "target"}


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def audit(run: Finished, party: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.own(party, "audit.jsonl").read_text().splitlines()]


def test_stages_end_in_the_order_of_the_plan(main_run: Finished) -> None:
    done = re.findall(r"^(.+?) +done in \d+\.\d s$", main_run.ended.out, flags=re.MULTILINE)
    assert done == STAGES


def test_run_folder_has_what_repeats_and_explains_the_run(main_run: Finished) -> None:
    assert main_run.json("status.json") == {"state": "done"}
    assert main_run.json("spec.json")["crypto"] == {"scheme": "ou", "key_bits": 2048}
    assert "num_boost_round: 2" in main_run.folder.joinpath(".hydra", "config.yaml").read_text()
    assert main_run.folder.joinpath(".hydra", "overrides.yaml").read_text().splitlines() == [
        "- crypto=ou_2048",
        "- sgb.num_boost_round=2",
        "- sgb.max_depth=2",
        "- sgb.sketch_eps=0.25",
    ]
    assert main_run.folder.joinpath("manifest.json").is_file()


def test_summary_names_predictions_metrics_and_folder(main_run: Finished) -> None:
    out, metrics = main_run.ended.out, main_run.json("parties", "carol", "metrics.json")
    assert "Predictions  at carol and nobody else" in out
    assert f"AUC {metrics['auc']:.4f}" in out
    assert f"Run folder   {main_run.folder.relative_to(main_run.place)}" in out
    assert main_run.ended.err == ""


def test_predictions_are_whole(main_run: Finished) -> None:
    found = main_run.predictions()
    assert found.columns == ["patient_id", "score", "label"]
    assert found["score"].dtype == pl.Float32
    assert 0.2 * ROWS < len(found) < 0.3 * ROWS
    assert found["patient_id"].is_unique().all()
    assert ((found["score"] > 0) & (found["score"] < 1)).all()
    known = dict(tables(main_run)["carol"].select("patient_id", "target").iter_rows())
    assert found["label"].to_list() == [known[patient] for patient in found["patient_id"]]


def test_scores_are_nowhere_but_at_carol(main_run: Finished) -> None:
    scores = main_run.predictions()["score"].unique().to_numpy()
    needles = [score.tobytes() for score in scores] + [score.astype(np.float64).tobytes() for score in scores]
    needles += [repr(float(score)).encode() for score in scores] + [str(score).encode() for score in scores]
    needles += [f"{score:.6f}".encode() for score in scores]
    own = main_run.own("carol", "predictions.parquet")

    def holds_scores(path: Path) -> bool:
        content = path.read_bytes()
        return any(needle in content for needle in needles)

    assert holds_scores(own), "the search finds the scores where they are"
    tables = {main_run.own("carol", name) for name in ("evaluation.json", "report.html")}  # the mean of a group of ties
    elsewhere = [path for path in files(main_run.folder) if path not in (own, *tables)]
    assert [path for path in elsewhere if holds_scores(path)] == []
    assert [path for path in elsewhere if path.name == "predictions.parquet"] == []
    for path in main_run.place.rglob("*.parquet"):
        if path.name != "predictions.parquet":
            assert "score" not in pl.read_parquet_schema(path)


def test_metrics_are_those_of_the_predictions_and_at_carol_only(main_run: Finished) -> None:
    found, metrics = main_run.predictions(), main_run.json("parties", "carol", "metrics.json")
    label, score = found["label"].to_numpy(), found["score"].to_numpy().astype(np.float64)
    false_alarms, hits, _ = sklearn.metrics.roc_curve(label, score)
    chosen = score >= 0.5
    assert {name: metrics[name] for name in ("auc", "ks", "accuracy", "log_loss", "f1")} == pytest.approx(
        {
            "auc": sklearn.metrics.roc_auc_score(label, score),
            "ks": np.max(hits - false_alarms),
            "accuracy": sklearn.metrics.accuracy_score(label, chosen),
            "log_loss": sklearn.metrics.log_loss(label, score),
            "f1": sklearn.metrics.f1_score(label, chosen),
        },
        rel=1e-12,
    )
    assert metrics["auc"] > 0.9, "the model has learnt something"
    assert [path for path in files(main_run.folder) if path.name == "metrics.json"] == [
        main_run.own("carol", "metrics.json")
    ]


def test_party_folders_are_private(main_run: Finished) -> None:
    for party in PARTIES:
        for path in [main_run.own(party), *main_run.own(party).rglob("*")]:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
        key = main_run.place / "outputs" / "keys" / party / "secret.key"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700


def test_audit_chains_are_whole_and_flows_have_both_ends(main_run: Finished) -> None:
    logs = {party: audit(main_run, party) for party in PARTIES}
    for party in PARTIES:
        assert first_broken_line(main_run.own(party, "audit.jsonl")) is None
        assert logs[party], f"{party} logged nothing"
        assert all(party in (entry["from"], entry["to"]) for entry in logs[party])
    ends = {
        direction: sorted(
            (entry["stage"], entry["kind"], entry["form"], entry["from"], entry["to"], entry["shape"])
            for log in logs.values()
            for entry in log
            if entry["direction"] == direction and entry["to"] != TERMINAL
        )
        for direction in ("sent", "received")
    }
    assert ends["sent"] == ends["received"]
    (kept,) = [entry for log in logs.values() for entry in log if entry["kind"] == "predictions"]
    assert (kept["from"], kept["to"], kept["direction"]) == ("carol", "carol", "kept")
    assert kept["shape"] == [len(main_run.predictions())]
    assert kept["allowed_by"] == "policy.predictions.recipients"


def test_manifest_says_what_ran_on_what(main_run: Finished) -> None:
    manifest, spec = main_run.json("manifest.json"), parse(main_run.json("spec.json"))
    hashed = manifest["hashed"]
    assert hashed["spec_digest"] == spec_digest(spec)
    for name in ("secretflow", "spu", "sf-heu", "numpy", "polars", "grpcio"):
        assert hashed["versions"][name] == version(name)
    assert hashed["party_order"] == ["carol", "alice", "bob"]
    assert hashed["model"] == main_run.json("parties", "alice", "bundle", "manifest.json")["bundle"]
    assert hashed["model"] in {
        main_run.json("parties", party, "bundle", "manifest.json")["bundle"] for party in PARTIES
    }


def test_manifest_digests_tables_under_each_partys_key(main_run: Finished, tmp_path: Path) -> None:
    spec = parse({**main_run.json("spec.json"), **absolute(main_run)})
    for party in PARTIES:
        secret = bytes.fromhex((main_run.place / "outputs" / "keys" / party / "secret.key").read_text())
        table = check_table(spec, party, tmp_path)
        stated = main_run.json("manifest.json")["hashed"]["stages"]["validate"][party]["table"]
        assert stated == table.digest(Keyring(party, secret).derive("table"))
        assert stated != table.digest(Keyring(party, bytes(32)).derive("table"))


def absolute(run: Finished) -> dict[str, Any]:
    """The data section of the run's spec, with paths that hold wherever the reader works."""
    data = run.json("spec.json")["data"]
    for table in data["tables"].values():
        table["path"] = str(run.place / table["path"])
    return {"data": data}


def test_every_party_sent_ciphertexts(main_run: Finished) -> None:
    observed = main_run.json("manifest.json")["observed"]
    sent = observed["encryption"]["ciphertexts_sent"]
    assert set(sent) == set(PARTIES)
    assert all(count > 0 for count in sent.values()), sent
    for evaluator in ("alice", "bob"):
        training_rows = ROWS - len(main_run.predictions())
        assert observed["sent"]["carol"][evaluator]["ciphertexts"] >= training_rows, "gradients went out encrypted"
    assert observed["sent"]["alice"]["bob"]["ciphertexts"] == 0


def test_label_is_in_carols_table_alone(main_run: Finished) -> None:
    owners = [party for party, table in tables(main_run).items() if "target" in table.columns]
    assert owners == ["carol"]


def test_builtin_tables_have_rows_in_different_orders(main_run: Finished) -> None:
    orders = [tuple(table["patient_id"]) for table in tables(main_run).values()]
    assert len({frozenset(order) for order in orders}) == 1
    assert len(set(orders)) == len(PARTIES)


def test_no_feature_name_leaves_its_party(main_run: Finished) -> None:
    for party in PARTIES:
        names = [name.encode() for name in feature_names(main_run, party)]
        assert set(main_run.part(party)["features"]) == {name.decode() for name in names}
        assert [path for path in files(main_run.folder) if any(name in path.read_bytes() for name in names)] == []
        assert not any(name.decode() in main_run.ended.out + main_run.ended.err for name in names)


def test_no_value_leaves_its_party(main_run: Finished) -> None:
    values = {
        party: {
            repr(value)
            for column in feature_names(main_run, party)
            for value in table[column].to_list()
            if len(repr(value)) > 4
        }
        for party, table in tables(main_run).items()
    }
    for party in PARTIES:
        others = set().union(*(values[other] for other in PARTIES if other != party))
        own = values[party] - others
        assert len(own) > 1000
        # A report has its figures' coordinates; it is made from files that are searched here.
        for path in (path for path in files(main_run.folder) if path.name != "report.html"):
            if main_run.own(party) not in path.parents:
                text = re.sub(r'"(time|seconds)": [^,}]*', "", path.read_text(errors="replace"))
                numbers = set(re.findall(r"\d+\.\d+", text))
                assert not numbers & own, f"{path} holds values of {party}"


def test_nothing_is_left_running(twins: tuple[Finished, Finished]) -> None:
    assert processes_in(twins[0].place) == []


def test_two_runs_at_once_in_an_empty_folder_both_succeed(twins: tuple[Finished, Finished]) -> None:
    first, second = twins
    assert first.folder != second.folder
    assert first.json("status.json") == second.json("status.json") == {"state": "done"}
    assert first.predictions().equals(second.predictions())


def test_same_command_twice_has_the_same_manifest_digest(twins: tuple[Finished, Finished]) -> None:
    first, second = (run.json("manifest.json") for run in twins)
    assert first["hashed"] == second["hashed"]
    assert first["digest"] == second["digest"]


@pytest.fixture(scope="module")
def further(main_run: Finished, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A place of this file's own with tables, keys and the main run; and the run folder there."""
    place = tmp_path_factory.mktemp("further")
    return place, main_run.copy(place)


@pytest.fixture(scope="module")
def applied(finish: Finish, further: tuple[Path, Path]) -> Finished:
    """The model of the main run, applied to all rows."""
    place, folder = further
    return finish(place, "task=predict", f"model={folder.relative_to(place)}")


def test_saved_model_gives_the_same_scores(applied: Finished, main_run: Finished) -> None:
    before, after = main_run.predictions(), applied.predictions()
    assert len(after) == ROWS
    again = after.filter(pl.col("patient_id").is_in(before["patient_id"].to_list()))
    assert again["patient_id"].to_list() == before["patient_id"].to_list()
    assert again["score"].to_numpy().tobytes() == before["score"].to_numpy().tobytes()


@pytest.fixture(scope="module")
def in_pieces(finish: Finish, further: tuple[Path, Path]) -> Finished:
    """The same in pieces of 100 rows, by processes that may take little, to two recipients."""
    place, folder = further
    bounds = ("predict.chunk_rows=100", "cluster.limits.memory=2", "cluster.limits.cores=1")
    recipients = "policy.predictions.recipients=[carol,alice]"
    return finish(place, "task=predict", f"model={folder.relative_to(place)}", recipients, *bounds)


def test_pieces_give_what_all_rows_at_once_give(in_pieces: Finished, applied: Finished) -> None:
    whole = applied.predictions()
    assert in_pieces.predictions().equals(whole)
    assert in_pieces.predictions("alice").equals(whole.select("patient_id", "score"))
    for name in ("metrics.json", "evaluation.json", "drift.json", "data.json"):
        assert in_pieces.own("carol", name).read_bytes() == applied.own("carol", name).read_bytes()


def test_each_piece_is_in_both_audit_logs(in_pieces: Finished) -> None:
    received = [entry["shape"] for entry in audit(in_pieces, "alice") if entry["kind"] == "predictions"]
    assert received == [[100]] * 5 + [[ROWS - 500]]


def test_pieces_leave_no_file_behind(in_pieces: Finished) -> None:
    assert [path.name for path in files(in_pieces.folder) if path.suffix == ".tmp" or "sort" in path.name] == []


def test_applying_a_model_trains_nothing(applied: Finished, main_run: Finished) -> None:
    assert re.findall(r"^(.+?) +done in", applied.ended.out, flags=re.MULTILINE) == [
        stage for stage in STAGES if stage not in ("prepare", "join labels", "train", "save bundle")
    ]
    assert not applied.own("carol", "bundle").exists()
    assert applied.json("manifest.json")["hashed"]["model"] == main_run.json("manifest.json")["hashed"]["model"]


@pytest.fixture(scope="module")
def shared_scores(finish: Finish, further: tuple[Path, Path]) -> Finished:
    """The model applied where nobody has labels, with alice as a second recipient of the scores."""
    place, folder = further
    return finish(
        place,
        "task=predict",
        f"model={folder}",
        "label.predict=none",
        "policy.predictions.recipients=[carol,alice]",
    )


def test_without_labels_evaluation_is_skipped_and_said_to_be(shared_scores: Finished) -> None:
    assert "label.predict=none" in shared_scores.ended.out
    assert not any(name in shared_scores.ended.out for name in ("AUC", "log-loss"))
    assert [path for path in files(shared_scores.folder) if path.name == "metrics.json"] == []
    assert shared_scores.predictions().columns == ["patient_id", "score"]


def test_second_recipient_gets_the_same_scores_and_no_label(shared_scores: Finished, applied: Finished) -> None:
    assert not shared_scores.own("bob", "predictions.parquet").exists()
    assert shared_scores.predictions("alice").equals(applied.predictions().select("patient_id", "score"))
    sent = [entry for entry in audit(shared_scores, "carol") if entry["to"] == "alice" and entry["stage"] == "predict"]
    received = [entry for entry in audit(shared_scores, "alice") if entry["kind"] == "predictions"]
    assert [(entry["direction"], entry["shape"]) for entry in sent] == [("sent", [ROWS])]
    assert [(entry["direction"], entry["from"], entry["shape"]) for entry in received] == [
        ("received", "carol", [ROWS])
    ]
    assert not any(entry["kind"] == "predictions" for entry in audit(shared_scores, "bob"))


def test_terminal_of_a_party_that_may_not_see_metrics_shows_none(paillier_run: Finished) -> None:
    """Neither the test metrics nor the learning curve."""
    metrics = paillier_run.json("parties", "carol", "metrics.json")
    assert not paillier_run.own("alice", "metrics.json").exists()
    assert "this terminal is alice's" in paillier_run.ended.out
    assert not re.search(r"AUC|KS|log-loss|F1", paillier_run.ended.out)
    for value in (*metrics.pop("intervals")["auc"], *metrics.values()):
        assert f"{value:.4f}" not in paillier_run.ended.out
    assert "tree 2/2" in paillier_run.ended.out, "progress is no metric"


def test_tables_from_other_sources_give_the_same_run(
    main_run: Finished, finish: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CSV at alice, a query to SQLite at bob, a partitioned folder at carol: every bit as from the Parquet files."""
    place = main_run.place / "sources"
    place.mkdir()
    found = tables(main_run)
    renamed = {name: f"Spalte {at}" for at, name in enumerate(found["alice"].columns)}
    text = found["alice"].rename(renamed).write_csv(separator=";", decimal_comma=True)
    (place / "alice.csv").write_bytes(text.replace("Spalte", "Größe").encode("latin1"))
    with sqlite3.connect(place / "canary.db") as connection:
        columns = ", ".join(found["bob"].columns)
        connection.execute(f"create table cells ({columns})")
        places = ", ".join("?" * found["bob"].width)
        connection.executemany(f"insert into cells values ({places})", found["bob"].rows())
    connection.close()
    for (target,), rows in found["carol"].partition_by("target", as_dict=True, include_key=False).items():
        (place / "carol" / f"target={target}").mkdir(parents=True)
        for part in range(2):
            rows[part::2].write_parquet(place / "carol" / f"target={target}" / f"part-{part}.parquet")
    monkeypatch.setenv("BOBS_CELLS", f"sqlite://{place}/canary.db")
    names = ", ".join(f"{new}: 'Größe {old[7:]}'" for new, old in renamed.items())
    run = finish(
        main_run.place,
        *SMALL,
        "cluster=debug",
        "data.tables.alice.path=sources/alice.csv",
        "+data.tables.alice.source.csv={separator: ';', decimal_comma: true, encoding: latin1}",
        f"+data.tables.alice.source.rename={{{names}}}",
        "data.tables.bob.path=null",
        "+data.tables.bob.source={sql: 'select * from cells order by radius_error', uri_env: BOBS_CELLS}",
        "data.tables.carol.path=sources/carol",
    )
    assert run.predictions().equals(main_run.predictions())
    assert run.json("parties", "carol", "metrics.json") == main_run.json("parties", "carol", "metrics.json")
    before, after = (found.json("manifest.json")["hashed"]["stages"]["validate"] for found in (main_run, run))
    for party in PARTIES:
        assert {what for what in before[party] if before[party][what] != after[party][what]} == {"file"}
    written = b"".join(path.read_bytes() for path in files(run.folder))
    assert b"BOBS_CELLS" in written
    assert b"canary" not in written
    assert "canary" not in run.ended.out + run.ended.err
