"""Every label mode and prediction mode with three real processes: what must work, and what must not arrive anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from integration.launch import write_tables
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from support import run_program, type_command

from runner.policy.audit import first_broken_line

pytestmark = pytest.mark.processes

SMALL = ("crypto=ou_2048", "sgb.num_boost_round=2", "sgb.max_depth=2", "sgb.sketch_eps=0.25", "report.html=false")
KEEP = "cluster.keep_messages=true"
PARTIES = ("alice", "bob", "carol")
RULES: dict[str, Callable[[Any], Any]] = {
    "any": lambda votes: votes.max(axis=0),
    "all": lambda votes: votes.min(axis=0),
    "majority": lambda votes: (votes.sum(axis=0) >= 2).astype(float),
    "threshold": lambda votes: (votes.sum(axis=0) >= 2).astype(float),
}


class Run:
    """One finished run, with its tables and what reached each party."""

    def __init__(self, home: Path, *overrides: str) -> None:
        self.home = home
        before = set(home.glob("outputs/2*/*"))
        settings = (KEEP,) if "task=predict" in overrides else (*SMALL, KEEP)
        self.done = type_command(*settings, *overrides, cwd=home)
        assert self.done.returncode == 0, self.done.stdout + self.done.stderr
        (self.folder,) = set(home.glob("outputs/2*/*")) - before

    def of(self, party: str) -> Path:
        return self.folder / "parties" / party

    def table(self, data: str, party: str) -> pl.DataFrame:
        return pl.read_parquet(self.home / "outputs" / "data" / data / party / "table.parquet").sort("patient_id")

    def predictions(self, party: str) -> pl.DataFrame:
        return pl.read_parquet(self.of(party) / "predictions.parquet").sort("patient_id")

    def received(self, party: str) -> Iterator[NDArray[np.float64]]:
        """Every array of numbers in every message that reached ``party``."""
        for path in sorted((self.of(party) / "messages").iterdir()):
            yield from _arrays(_read(path.read_bytes()))

    def reached(self, party: str, secret: Any) -> bool:
        """Whether an array of these values (or of a run of them: the training or the test rows) reached ``party``."""
        wanted = np.asarray(secret, dtype=float).reshape(-1)
        return any(
            array.size == wanted.size and np.allclose(np.nan_to_num(array), np.nan_to_num(wanted), atol=1e-4)
            for array in self.received(party)
        )


def _read(content: bytes) -> Any:
    from runner.engine.narrow import import_secretflow

    import_secretflow()
    from runner.engine.spu import TYPES
    from runner.engine.unpickle import ALLOWED, loads

    return loads(content, "a peer", ALLOWED | TYPES)


def _arrays(value: Any) -> Iterator[NDArray[np.float64]]:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        yield value.astype(float).reshape(-1)
    elif isinstance(value, (list, tuple)):
        if value and all(isinstance(item, (bool, int, float)) for item in value):
            yield np.array(value, dtype=float)
        for item in value:
            yield from _arrays(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _arrays(item)


def _selections(values: NDArray[np.float64], test: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    return [values, values[test], values[~test]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("modes")
    for name in ("breast_cancer", "clinics"):
        write_tables(home, name)
    return home


@pytest.fixture(scope="module")
def sharded(home: Path) -> Run:
    """Labels of three clinics in training; at prediction carol alone has labels."""
    return Run(home, "data=clinics", "label=row_sharded", "label.predict=carol", "label.predict_column=confirmed")


@pytest.fixture(scope="module")
def joint(home: Path) -> Run:
    return Run(home, "data=clinics", "label=joint", "label.rule=majority", "explain.importance=true")


@pytest.fixture(scope="module")
def secret(home: Path) -> Run:
    return Run(home, "data=clinics", "label=secret", "label.predict=carol", "label.predict_column=confirmed")


@pytest.fixture(scope="module")
def sealed(home: Path) -> Run:
    return Run(home, "policy.predictions.recipients=[alice]", "label.predict=none")


@pytest.fixture(scope="module")
def opened(sealed: Run) -> Run:
    """The same model applied in the open way, to all rows."""
    open_way = ("label.predict=none", "policy.predictions.recipients=[carol]")
    return Run(sealed.home, "task=predict", f"model={sealed.folder}", *open_way)


def _test_rows(run: Run, data: str, party: str) -> NDArray[np.bool_]:
    predicted = run.predictions(party)["patient_id"]
    return run.table(data, "carol")["patient_id"].is_in(predicted.implode()).to_numpy()


def test_row_sharded_labels_train_a_model_that_carol_alone_evaluates(sharded: Run) -> None:
    predictions = sharded.predictions("carol")
    confirmed = sharded.table("clinics", "carol")["confirmed"].to_numpy()[_test_rows(sharded, "clinics", "carol")]
    metrics = json.loads((sharded.of("carol") / "metrics.json").read_text())
    assert metrics["auc"] == pytest.approx(roc_auc_score(confirmed, predictions["score"]), abs=1e-9)
    assert metrics["auc"] > 0.9
    assert not (sharded.of("alice") / "metrics.json").exists()


def test_a_shard_reaches_the_label_holder_and_nobody_else(sharded: Run) -> None:
    for owner, other in (("alice", "bob"), ("bob", "alice")):
        shard = sharded.table("clinics", owner)["diagnosis"].cast(pl.Float64).to_numpy()
        assert sharded.reached("carol", shard)
        assert not sharded.reached(other, shard)


def test_the_joint_label_is_the_rule_over_the_columns(joint: Run) -> None:
    votes = np.array([joint.table("clinics", party)["finding"].to_numpy() for party in PARTIES], dtype=float)
    test = _test_rows(joint, "clinics", "carol")
    metrics = json.loads((joint.of("carol") / "metrics.json").read_text())
    expected = roc_auc_score(RULES["majority"](votes)[test], joint.predictions("carol")["score"])
    assert metrics["auc"] == pytest.approx(expected, abs=1e-9)


def test_nobody_receives_a_column_of_a_joint_label_and_only_the_holder_the_result(joint: Run) -> None:
    votes = {party: joint.table("clinics", party)["finding"].to_numpy().astype(float) for party in PARTIES}
    combined = RULES["majority"](np.array(list(votes.values())))
    test = _test_rows(joint, "clinics", "carol")
    for receiver in PARTIES:
        for owner, column in votes.items():
            if owner != receiver:
                assert not any(joint.reached(receiver, part) for part in _selections(column, test))
    for other in ("alice", "bob"):
        assert not any(joint.reached(other, part) for part in _selections(combined, test))


def test_importance_goes_to_the_named_party_as_totals(joint: Run) -> None:
    totals = json.loads((joint.of("carol") / "importance.json").read_text())
    assert set(totals) == set(PARTIES)
    assert all(set(value) == {"total"} for value in totals.values())
    assert not (joint.of("alice") / "importance.json").exists()


def test_a_secret_label_trains_a_useful_model_and_reaches_nobody(secret: Run) -> None:
    votes = {party: secret.table("clinics", party)["finding"].to_numpy().astype(float) for party in PARTIES}
    combined = RULES["any"](np.array(list(votes.values())))
    test = _test_rows(secret, "clinics", "carol")
    assert roc_auc_score(combined[test], secret.predictions("carol")["score"]) > 0.85
    for receiver in PARTIES:
        assert not any(secret.reached(receiver, part) for part in _selections(combined, test))
        for owner, column in votes.items():
            if owner != receiver:
                assert not any(secret.reached(receiver, part) for part in _selections(column, test))


def test_a_secret_model_reloads_from_its_shares_with_the_same_scores(secret: Run) -> None:
    again = Run(secret.home, "data=clinics", "task=predict", f"model={secret.folder}", "label.predict=none")
    both = secret.predictions("carol").join(again.predictions("carol"), on="patient_id", suffix="_again")
    assert both.height == secret.predictions("carol").height
    assert float((both["score"] - both["score_again"]).abs().max()) < 1e-4


def test_sealed_scores_reach_alice_alone_and_equal_the_open_ones(sealed: Run, opened: Run) -> None:
    scores = sealed.predictions("alice")
    assert not (sealed.of("carol") / "predictions.parquet").exists()
    both = scores.join(opened.predictions("carol"), on="patient_id", suffix="_open")
    assert both.height == scores.height
    assert float((both["score"] - both["score_open"]).abs().max()) < 1e-5
    raw = np.log(scores["score"].to_numpy() / (1 - scores["score"].to_numpy()))
    for other in ("bob", "carol"):
        assert not sealed.reached(other, scores["score"].to_numpy())
        assert not sealed.reached(other, raw)


def test_complete_prediction_needs_every_grant_and_agrees_with_the_open_way(sealed: Run, opened: Run) -> None:
    home = sealed.home
    frames = [sealed.table("breast_cancer", party) for party in PARTIES]
    whole = frames[0].join(frames[1], on="patient_id").join(frames[2], on="patient_id").drop("target")
    whole.write_parquet(home / "whole.parquet")
    columns = "".join(f"    {name}: float\n" for name in whole.columns if name != "patient_id")
    (home / "whole.py").write_text(
        f"import pandera.polars as pa\n\n\nclass Whole(pa.DataFrameModel):\n    patient_id: str\n{columns}"
    )
    (home / "mine" / "data").mkdir(parents=True)
    (home / "mine" / "data" / "whole.yaml").write_text(
        "name: whole\nid: patient_id\ntables:\n  carol: {path: whole.parquet, contract: 'whole.py:Whole'}\n"
    )
    common = ("task=predict", f"model={sealed.folder}", "label.predict=none")
    complete = (*common, "--config-dir", "mine", "data=whole", "predict.mode=complete", "predict.at=carol")
    denied = type_command(*complete, cwd=home)
    assert denied.returncode == 3
    assert "complete_model" in denied.stderr
    run = Run(home, *complete, "policy.complete_model.recipients=[carol]")
    assert "the complete model goes to carol" in run.done.stderr
    both = run.predictions("carol").join(opened.predictions("carol"), on="patient_id", suffix="_open")
    assert both.height == whole.height
    assert float((both["score"] - both["score_open"]).abs().max()) < 1e-6


def test_sealed_prediction_in_pieces_gives_the_scores_of_all_rows(sealed: Run, opened: Run) -> None:
    common = ("task=predict", f"model={sealed.folder}", "predict.mode=sealed", "predict.chunk_rows=150")
    run = Run(sealed.home, *common, "policy.predictions.recipients=[carol]")
    both = run.predictions("carol").join(opened.predictions("carol"), on="patient_id", suffix="_open")
    assert both.height == opened.predictions("carol").height
    assert float((both["score"] - both["score_open"]).abs().max()) < 1e-6


def _names(run: Run, data: str, party: str) -> set[bytes]:
    """What only ``party`` calls its columns, and the settings, which all parties know, do not."""
    names = {other: set(run.table(data, other).columns) for other in PARTIES}
    theirs = names[party] - set().union(*(names[p] for p in PARTIES if p != party))
    settings = (run.folder / "spec.json").read_text()
    return {name.encode() for name in theirs if f'"{name}"' not in settings}


def _cells(run: Run, data: str, owner: str, party: str) -> set[bytes]:
    """Some cells of each of the owner's features, as doubles and as text, that ``party``'s own table does not hold."""
    own = {float(value) for column in run.table(data, party).select(pl.col(pl.Float64)) for value in column}
    theirs = run.table(data, owner).select(pl.col(pl.Float64))[::40]
    values = {float(value) for column in theirs for value in column} - own
    return {np.float64(value).tobytes() for value in values} | {
        repr(value).encode() for value in values if len(repr(value)) > 7
    }


def _columns(*columns: NDArray[np.float64]) -> set[bytes]:
    """Whole columns of whole numbers, in each way in which they may have been written down."""
    found = set()
    for column in columns:
        whole = column.astype(np.int64)
        found |= {column.astype(kind).tobytes() for kind in (np.float64, np.float32, np.int64, np.int32, np.int8)}
        found |= {", ".join(map(str, values)).encode() for values in (whole.tolist(), whole.astype(float).tolist())}
        found |= {",".join(map(str, values)).encode() for values in (whole.tolist(), whole.astype(float).tolist())}
    return found


def _numbers(scores: NDArray[np.float32]) -> set[bytes]:
    """Scores: each as a double and as text, and some as the floats that they are, in runs that no chance makes."""
    runs = {scores[start : start + 6].tobytes() for start in range(0, len(scores) - 6, 6)}
    alone = {np.float64(score).tobytes() for score in scores}
    return runs | alone | {repr(float(score)).encode() for score in scores} | {str(score).encode() for score in scores}


def _on_disk(folder: Path, secrets: set[bytes]) -> list[Path]:
    """The files of a party's folder that hold one of the secrets; Parquet, which is compressed, is read."""
    found = []
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
            numbers = [column.to_numpy() for column in frame if column.dtype.is_numeric()]
            content = b"".join([frame.write_csv().encode(), *(number.tobytes() for number in numbers)])
        if any(secret in content for secret in secrets):
            found.append(path)
    return found


def _mays(mode: str, run: Run) -> Iterator[tuple[str, set[bytes], set[str]]]:
    """What there is to hide in a run of a mode: what, how it may be written, and the parties that may have it."""
    data = "breast_cancer" if mode == "sealed" else "clinics"
    recipient = "alice" if mode == "sealed" else "carol"
    test = _test_rows(run, data, recipient)
    scores = run.predictions(recipient)["score"].to_numpy()
    yield "scores", _numbers(scores), {recipient}
    raw = np.log(scores / (1 - scores))
    if mode == "secret":  # SS-XGB's stand-in for the sigmoid, undone
        raw = (2 * scores - 1) / np.sqrt(1 - (2 * scores - 1) ** 2)
    yield "raw scores", _numbers(raw.astype(np.float32)), {recipient}
    for owner in PARTIES:
        yield f"column names of {owner}", _names(run, data, owner), {owner}
        for party in PARTIES:
            if party != owner:
                yield f"cells of {owner}", _cells(run, data, owner, party), set(PARTIES) - {party}
    if mode == "sealed":
        target = run.table(data, "carol")["target"].to_numpy().astype(float)
        yield "the label", _columns(*_selections(target, test)), {"carol"}
        return
    if mode == "sharded":
        for owner in PARTIES:
            mine = run.table(data, owner).with_columns(pl.col("diagnosis").cast(pl.Float64)).filter("own_patient")
            yield f"labels of {owner}", _columns(mine["diagnosis"].to_numpy()), {owner, "carol"}
        whole = run.table(data, "carol")["confirmed"].to_numpy().astype(float)
        yield "the label", _columns(*_selections(whole, test)), {"carol"}
        return
    votes = {owner: run.table(data, owner)["finding"].to_numpy().astype(float) for owner in PARTIES}
    for owner, column in votes.items():
        yield f"column of {owner}", _columns(*_selections(column, test)), {owner}
    combined = RULES["majority" if mode == "joint" else "any"](np.array(list(votes.values())))
    yield "the label", _columns(*_selections(combined, test)), {"carol"} if mode == "joint" else set()


@pytest.mark.parametrize("mode", ["sharded", "joint", "secret", "sealed"])
def test_what_a_party_must_not_have_is_not_on_its_disk(mode: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(mode)
    for what, secrets, owners in _mays(mode, run):
        assert secrets
        for party in set(PARTIES) - owners:
            assert _on_disk(run.of(party), secrets) == [], f"{what} at {party}"


def test_the_search_finds_what_is_there(sealed: Run, tmp_path: Path) -> None:
    """Scores where they belong; and, in each way of writing it, whatever is put into a folder."""
    scores = sealed.predictions("alice")["score"].to_numpy()
    assert _on_disk(sealed.of("alice"), _numbers(scores)) == [sealed.of("alice") / "predictions.parquet"]
    for what, secrets, _ in _mays("sealed", sealed):
        for number, secret in enumerate(sorted(secrets)[::50]):
            leak = tmp_path / f"{what} {number}"
            leak.write_bytes(b"before" + secret + b"after")
            assert _on_disk(tmp_path, {secret}) == [leak]
            leak.unlink()


@pytest.mark.parametrize("mode", ["sharded", "joint", "secret", "sealed"])
def test_both_ends_of_every_flow_are_in_the_audit_logs(mode: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(mode)
    ends: dict[str, set[tuple[Any, ...]]] = {"sent": set(), "received": set()}
    for party in PARTIES:
        log = run.of(party) / "audit.jsonl"
        assert first_broken_line(log) is None
        for line in log.read_text().splitlines():
            entry = json.loads(line)
            if entry["direction"] in ends and "SPU" not in entry["from"] and entry["to"] != "the terminal":
                ends[entry["direction"]].add((entry["stage"], entry["kind"], entry["form"], entry["from"], entry["to"]))
    assert ends["sent"] == ends["received"] != set()


def test_a_partys_worker_obeys_its_own_grants_even_if_the_driver_does_not(home: Path) -> None:
    """The driver is made to ignore all grants; bob's worker still refuses."""
    keys = home / "outputs" / "keys" / "bob"
    keys.mkdir(parents=True, exist_ok=True)
    grants = keys / "grants.yaml"
    grants.write_text("predictions: {recipients: [bob]}\nids: {recipients: [all]}\nmodel_parts: {recipients: [all]}\n")
    program = home / "reckless.py"
    program.write_text(
        "import sys, runner.tasks\n"
        "runner.tasks.load_grants = lambda spec, parties: {}\n"
        "from runner.__main__ import main\n"
        "sys.exit(main())\n"
    )
    try:
        honest = type_command(*SMALL, cwd=home)
        assert honest.returncode == 3
        assert "keys/bob/grants.yaml" in honest.stderr
        reckless = run_program(str(program), *SMALL, cwd=home)
        assert reckless.returncode == 3, reckless.stdout + reckless.stderr
        assert "bob's own grants" in reckless.stderr
    finally:
        grants.unlink()


@pytest.mark.parametrize(
    ("settings", "denied"),
    [
        ("policy.min_rows=1000", "fewer than 1000 rows is denied"),
        ("bob: min_rows", "a metric of fewer than 200 rows is denied"),
    ],
)
def test_a_floor_on_rows_stops_a_run_before_it_trains(home: Path, settings: str, denied: str) -> None:
    """Of the run's policy; or of bob's own grants, which carol's process, where metrics are made, has never read."""
    everything = ["predictions", "metrics", "curves", "ids", "model_parts", "row_counts"]
    grants = home / "outputs" / "keys" / "bob" / "grants.yaml"
    grants.parent.mkdir(parents=True, exist_ok=True)
    own = settings.startswith("bob")
    if own:
        grants.write_text("".join(f"{kind}: {{recipients: [all]}}\n" for kind in everything) + "min_rows: 200\n")
    try:
        done = type_command(*SMALL, *([] if own else [settings]), cwd=home)
    finally:
        grants.unlink(missing_ok=True)
    assert done.returncode == 3, done.stdout + done.stderr
    assert denied in done.stderr
    assert "tree 1/" not in done.stdout


def _assert_each_has_its_own_rows(home: Path, folder: Path) -> None:
    """The label holder, which computes all scores in the open way, keeps no others either."""
    predicted = set()
    for party in PARTIES:
        table = pl.read_parquet(home / "outputs" / "data" / "clinics" / party / "table.parquet")
        own = set(table.filter("own_patient")["patient_id"])
        found = pl.read_parquet(folder / "parties" / party / "predictions.parquet")
        assert 20 < found.height == len(set(found["patient_id"]) & own)
        assert found["label"].null_count() == 0
        assert float(roc_auc_score(found["label"], found["score"])) > 0.75
        predicted |= set(found["patient_id"])
    rows = json.loads((folder / "manifest.json").read_bytes())["hashed"]["policy"]
    assert {(flow["sender"], flow["receiver"]) for flow in rows if flow["kind"] == "own_rows"} == {
        ("alice", "carol"),
        ("bob", "carol"),
    }
    assert len(predicted) > 100


def test_labels_that_conflict_or_are_missing_are_told_by_count(home: Path, sharded: Run) -> None:
    table = home / "outputs" / "data" / "clinics" / "bob" / "table.parquet"
    whole = pl.read_parquet(table)
    changed = home / "bob.parquet"
    mine = pl.col("own_patient")
    flipped = pl.when(mine).then(pl.col("diagnosis")).when(pl.int_range(pl.len()) < 30).then(1)
    whole.with_columns(flipped.alias("diagnosis")).write_parquet(changed)
    common = (*SMALL, "data=clinics", "label=row_sharded", f"data.tables.bob.path={changed}")
    conflict = type_command(*common, "cluster=debug", cwd=home)
    assert conflict.returncode == 4
    assert "rows have labels that differ" in conflict.stderr
    before = set(home.glob("outputs/2*/*"))
    to_each = ("policy.predictions.recipients=[all]", "policy.predictions.own_rows=true")
    settled = type_command(*common, "label.on_conflict=any", *to_each, "cluster=debug", cwd=home)
    assert settled.returncode == 0, settled.stderr
    _assert_each_has_its_own_rows(home, *(set(home.glob("outputs/2*/*")) - before))
    whole.with_columns(
        pl.when(pl.int_range(pl.len()) < 500).then(pl.col("diagnosis")).alias("diagnosis")
    ).write_parquet(changed)
    missing = type_command(*common, "cluster=debug", cwd=home)
    assert missing.returncode == 4
    assert "rows have no label" in missing.stderr
    presence = "policy.labels.presence=[all]"
    dropped = type_command(*common, "label.on_missing=drop", presence, "cluster=debug", cwd=home)
    assert dropped.returncode == 0, dropped.stderr
