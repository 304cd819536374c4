"""What is asked about runs that are over: typed, complete, and of the task that heeds it."""

from __future__ import annotations

from typing import Any

import pytest

from runner.errors import SpecError
from runner.spec.request import Reproduce, refuse_unheeded, split_request

NOTHING: dict[str, Any] = {
    "run": None,
    "other": None,
    "allow_overrides": False,
    "reproduce": {"vary": []},
    "rekey": {"party": None, "models": [], "passphrase_env": None},
    "infer": {"format": "yaml", "overwrite": False},
    "include_values": False,
    "keygen": {"party": None, "hosts": []},
    "pki": {"folder": None, "sign": [], "days": 365},
    "doctor": {"peers": True, "wait": 60.0},
}


def values(task: str, **changes: Any) -> dict[str, Any]:
    return {"task": {"name": task}, "sgb": {"max_depth": 3}, **NOTHING, **changes}


def refusal(task: str, **changes: Any) -> SpecError:
    with pytest.raises(SpecError) as caught:
        split_request(values(task, **changes))
    error = caught.value
    assert all((error.what, error.where, error.why, error.fix))
    return error


@pytest.mark.parametrize("task", ["train", "predict", "check", "train_predict"])
def test_a_run_asks_for_nothing(task: str) -> None:
    rest, request = split_request(values(task))
    assert rest == {"task": {"name": task}, "sgb": {"max_depth": 3}}
    assert request.run is None


def test_every_request_is_taken_by_its_task() -> None:
    assert split_request(values("verify", run="RUN"))[1].run == "RUN"
    assert split_request(values("diff", run="A", other="B"))[1].other == "B"
    conditions = {"vary": ["ports", "hashseed", "threads", "row_order", "cluster"]}
    request = split_request(values("reproduce", run="RUN", allow_overrides=True, reproduce=conditions))[1]
    assert request.reproduce == Reproduce(vary=tuple(conditions["vary"]))  # type: ignore[arg-type]
    locked = {"party": "alice", "models": ["RUN"], "passphrase_env": "PASS"}
    assert split_request(values("rekey", rekey=locked))[1].rekey.models == ("RUN",)
    keys = split_request(values("keygen", keygen={"party": "alice", "hosts": ["10.0.0.7"]}))[1].keygen
    assert (keys.party, keys.hosts) == ("alice", ("10.0.0.7",))
    assert split_request(values("pki", pki={"folder": "ca", "sign": ["a.csr"], "days": 30}))[1].pki.days == 30
    assert split_request(values("doctor", doctor={"peers": False, "wait": 5}))[1].doctor.peers is False
    drafts = split_request(values("infer_schema", infer={"format": "python", "overwrite": True}, include_values=True))
    assert (drafts[1].infer.format, drafts[1].infer.overwrite, drafts[1].include_values) == ("python", True, True)


@pytest.mark.parametrize(
    ("task", "changes", "where"),
    [
        ("train", {"run": "RUN"}, "run"),
        ("train", {"doctor": {"wait": 5}}, "doctor"),
        ("check", {"pki": {"folder": "ca"}}, "pki"),
        ("predict", {"other": "RUN"}, "other"),
        ("check", {"allow_overrides": True}, "allow_overrides"),
        ("verify", {"run": "RUN", "other": "RUN"}, "other"),
        ("verify", {"run": "RUN", "reproduce": {"vary": ["ports"]}}, "reproduce"),
        ("diff", {"run": "RUN", "other": "RUN", "rekey": {"party": "alice"}}, "rekey"),
        ("rekey", {"run": "RUN", "rekey": {"party": "alice"}}, "run"),
        ("train", {"infer": {"format": "python"}}, "infer"),
        ("train", {"include_values": True}, "include_values"),
        ("infer_schema", {"run": "RUN"}, "run"),
    ],
)
def test_what_a_task_does_not_heed_is_refused(task: str, changes: dict[str, Any], where: str) -> None:
    error = refusal(task, **changes)
    assert (error.where, error.what) == (where, f"{where} has no effect")


@pytest.mark.parametrize(
    ("task", "where"),
    [("verify", "run"), ("report", "run"), ("reproduce", "run"), ("diff", "run"), ("rekey", "rekey")],
)
def test_what_a_task_is_about_must_be_given(task: str, where: str) -> None:
    assert refusal(task).where == where


def test_the_second_run_of_a_diff_must_be_given() -> None:
    assert refusal("diff", run="RUN").where == "other"


@pytest.mark.parametrize("rekey", [{"models": ["RUN"]}, {"passphrase_env": "PASS"}])
def test_a_change_of_keys_names_its_party(rekey: dict[str, Any]) -> None:
    assert "rekey.party" in refusal("rekey", rekey=rekey).fix


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"run": 5}, "run"),
        ({"run": "RUN", "reproduce": {"vary": ["foo"]}}, "reproduce.vary"),
        ({"run": "RUN", "reproduce": {"vari": []}}, "reproduce"),
        ({"run": "RUN", "allow_overrides": "yes"}, "allow_overrides"),
        ({"run": "RUN", "reproduce": None}, "reproduce"),
    ],
)
def test_another_kind_of_value_is_refused(changes: dict[str, Any], where: str) -> None:
    assert refusal("reproduce", **changes).where.startswith(where)


def test_an_unknown_format_of_drafts_is_told_with_the_known_ones() -> None:
    error = refusal("infer_schema", infer={"format": "pyhton"})
    assert error.where == "infer.format"
    assert "did you mean 'python'?" in error.fix


def test_an_unknown_condition_is_told_with_the_known_ones() -> None:
    error = refusal("reproduce", run="RUN", reproduce={"vary": ["hash_seed"]})
    assert "did you mean 'hashseed'" in error.fix
    for condition in ("ports", "hashseed", "threads", "row_order", "cluster"):
        assert condition in error.fix


@pytest.mark.parametrize("task", ["verify", "diff", "rekey"])
def test_settings_of_a_run_are_refused_where_nothing_is_run(task: str) -> None:
    with pytest.raises(SpecError, match=r"\+sgb\.max_depth=4"):
        refuse_unheeded(task, [f"task={task}", "+sgb.max_depth=4"])
    refuse_unheeded(task, [f"task={task}", "run=RUN", "other=RUN", "rekey.party=alice", "hydra.verbose=true"])
    refuse_unheeded("reproduce", ["sgb.max_depth=4"])


def test_where_keys_are_is_heeded_by_those_who_use_them() -> None:
    where = ["parties=ours", "++parties.alice.key_env=KEY", "outputs=elsewhere", "experiment=ours"]
    refuse_unheeded("verify", where)
    refuse_unheeded("rekey", where)
    with pytest.raises(SpecError, match="parties=ours"):
        refuse_unheeded("diff", where)


@pytest.mark.parametrize(
    ("task", "changes", "where"),
    [
        ("keygen", {"keygen": {"party": "alice", "hosts": ["not a host"]}}, "keygen.hosts[0]"),
        ("pki", {"pki": {"sign": ["a.csr"]}}, "pki"),
        ("pki", {"pki": {"folder": "ca", "days": 0}}, "pki.days"),
        ("doctor", {"doctor": {"wait": 0}}, "doctor.wait"),
    ],
)
def test_settings_of_sites_tasks_are_given_and_valid(task: str, changes: dict[str, Any], where: str) -> None:
    assert refusal(task, **changes).where == where


def test_a_value_out_of_range_is_told_with_the_range() -> None:
    assert refusal("doctor", doctor={"wait": 0}).fix == "set doctor.wait to a number > 0"
