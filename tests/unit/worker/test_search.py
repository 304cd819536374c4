"""The process that leads a search: what it reads, and what it tells the driver."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support import make_spec

from runner.cluster.channel import Channel, Message
from runner.errors import PolicyError, RunnerError, StageError
from runner.files import write_json
from runner.spec.identity import spec_values
from runner.spec.model import Spec
from runner.worker.search import BEST_FILE, Leader, answer

METRICS = {"auc": 0.9421, "log_loss": 0.3178}


def searching(*overrides: str, **tune: Any) -> Spec:
    spec = make_spec("+data.split.hold_out=validation", *overrides)
    return msgspec.structs.replace(spec, tune=msgspec.structs.replace(make_spec("tune=optuna").tune, **tune))


def job(sweep: Path, number: int, metrics: dict[str, Any], party: str = "carol", name: str = "metrics.json") -> str:
    folder = sweep / str(number)
    (folder / "parties" / party).mkdir(parents=True)
    write_json(folder / "parties" / party / name, metrics)
    return str(folder)


def tell(leader: Leader, trial: int, folder: str, state: str = "done") -> Message:
    costs = {"train_seconds": 1.5, "bytes_sent": 1000.0}
    return leader.obey(
        {"order": "tell", "trial": trial, "state": state, "job": 7, "job_folder": folder, "costs": costs}
    )


def test_metrics_stay_where_the_terminal_may_not_see_them(tmp_path: Path) -> None:
    """The viewer is alice, who gets no metrics."""
    leader = Leader(searching("cluster.viewer=alice"), "carol", tmp_path)
    told = [leader.obey({"order": "lead"}), leader.obey({"order": "ask"})]
    told.append(tell(leader, 0, job(tmp_path, 0, METRICS)))
    told.append(leader.obey({"order": "end", "command": "python -m runner"}))
    assert "0.9" not in json.dumps(told[2:])
    assert "auc" not in json.dumps(told)
    own = tmp_path / "parties" / "carol"
    assert own.stat().st_mode & 0o077 == 0
    (best,) = json.loads((own / BEST_FILE).read_bytes())["best"]
    assert best["values"] == {"auc": 0.9421}
    assert best["command"].startswith("python -m runner sgb.learning_rate=")


def test_metrics_are_shown_where_the_terminal_may_see_them(tmp_path: Path) -> None:
    leader = Leader(searching(objectives=("log_loss", "bytes_sent")), "carol", tmp_path)
    leader.obey({"order": "ask"})
    reply = tell(leader, 0, job(tmp_path, 0, METRICS))
    assert reply["values"] == {"log_loss": 0.3178, "bytes_sent": 1000.0}
    assert reply["best"][0]["job"] == 7


def test_only_the_leaders_own_file_is_read(tmp_path: Path) -> None:
    leader = Leader(searching("policy.metrics.recipients=[carol,bob]"), "bob", tmp_path)
    leader.obey({"order": "ask"})
    with pytest.raises(StageError, match="no metrics"):
        tell(leader, 0, job(tmp_path, 0, METRICS, party="carol"))


def test_folds_lead_by_their_mean(tmp_path: Path) -> None:
    leader = Leader(searching("task=cv", by="cv"), "carol", tmp_path)
    leader.obey({"order": "ask"})
    folds = {"mean": METRICS, "sd": {"auc": 0.5}, "folds": []}
    assert tell(leader, 0, job(tmp_path, 0, folds, name="cv.json"))["values"] == {"auc": 0.9421}


def test_curve_stops_a_training(tmp_path: Path) -> None:
    spec = searching("train.validation_curve=true", pruner="median", pruner_startup=1)
    leader = Leader(spec, "carol", tmp_path)
    for trial, auc in enumerate((0.9, 0.6)):
        leader.obey({"order": "ask"})
        folder = job(
            tmp_path, trial, [{"trees": 1, "auc": auc}, {"trees": 2, "auc": auc}], name="validation_curve.json"
        )  # type: ignore[arg-type]
        judged = {"order": "judge", "trial": trial, "job_folder": folder, "trees": 2}
        assert leader.obey(judged) == {"goes_on": trial == 0}
        assert leader.obey({**judged, "trees": 3}) == {"goes_on": True}, "no point says nothing"
        if trial == 0:
            write_json(Path(folder) / "parties" / "carol" / "metrics.json", METRICS)
            tell(leader, 0, folder)
    assert tell(leader, 1, folder, "stopped")["values"] == {}
    assert leader.obey({"order": "end", "command": ""})["ended"] == {"done": 1, "stopped": 1, "failed": 0}


@pytest.mark.parametrize(("party", "overrides"), [("bob", ()), ("carol", ("policy.metrics.recipients=[bob]",))])
def test_party_without_metrics_does_not_lead(tmp_path: Path, party: str, overrides: tuple[str, ...]) -> None:
    with pytest.raises(PolicyError) as caught:
        Leader(searching(*overrides), party, tmp_path)
    assert "metrics.recipients" in caught.value.where


def test_own_grants_hold_the_leader_back(tmp_path: Path) -> None:
    """What the run's policy allows, carol's own grants do not: her process leads nothing."""
    key = tmp_path / "keys" / "secret.key"
    key.parent.mkdir()
    (key.parent / "grants.yaml").write_text("name: none\n")
    with pytest.raises(PolicyError, match="metrics"):
        Leader(searching(f"parties.carol.key_file={key}"), "carol", tmp_path)


@contextmanager
def answering() -> Iterator[Channel]:
    here, there = socket.socketpair()
    channel, other = Channel(here), Channel(there)
    thread = threading.Thread(target=lambda: (answer(other), other.close()), daemon=True)
    thread.start()
    try:
        yield channel
    finally:
        channel.close()
        thread.join(10)


def test_process_answers_until_it_is_let_go(tmp_path: Path) -> None:
    with answering() as channel:
        channel.send(order="lead", spec=spec_values(searching()), party="carol", folder=str(tmp_path))
        assert channel.receive() == {
            "event": "answered",
            "ended": {"done": 0, "stopped": 0, "failed": 0},
            "interrupted": 0,
        }
        channel.send(order="tell", trial=5, state="done", job=0, job_folder=str(tmp_path / "0"), costs={})
        reply = channel.receive()
        assert reply is not None
        assert RunnerError.from_dict(reply["error"]).code == StageError.code
        assert channel.receive() is None
