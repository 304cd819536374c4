"""The policy as it is typed: every kind of flow without its line, and every way round, end before anything starts."""

from __future__ import annotations

import datetime
import functools
import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from support import make_spec

from runner.__main__ import main
from runner.spec.identity import spec_values

PARTIES = ("alice", "bob", "carol")
CLINICS = ("data=clinics",)
SHARDED = (*CLINICS, "label=row_sharded")
JOINT = (*CLINICS, "label=joint")
OPEN = ("predict.mode=open_to_label_holder",)
NO_TRUTH = "label.predict=none"
TO_ALICE = ("policy.predictions.recipients=[alice,carol]", NO_TRUTH)
ALL_ALLOWED = "".join(
    f"{kind}: {{recipients: [all]{more}}}\n"
    for kind, more in {
        "predictions": "",
        "labels": ", presence: [all]",
        "metrics": "",
        "curves": "",
        "importance": ", form: by_name",
        "model_parts": "",
        "complete_model": "",
        "row_counts": "",
        "ids": "",
    }.items()
)


class Told(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    def line(self, name: str) -> str:
        """One of the lines of an error: where, why or fix."""
        return next(line.split(":", 1)[1].strip() for line in self.err.splitlines() if line.startswith(f"  {name}:"))


Refused = Callable[..., Told]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Refused]:
    """Types a command in an own folder, in this process: quick, and whatever it started would be this one's child."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)

    def type_it(*arguments: str) -> Told:
        monkeypatch.setattr(sys, "argv", ["runner", *arguments])
        code = main()
        return Told(code, *capsys.readouterr())

    yield type_it
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def refused(typed: Refused, tmp_path: Path) -> Refused:
    """Types a command that must end with an error in words, no process started and nothing written."""

    def type_it(*arguments: str, code: int = 3) -> Told:
        files, processes = sorted(tmp_path.rglob("*")), psutil.Process().children(recursive=True)
        told = typed(*arguments)
        assert told.code == code, told
        assert "Traceback" not in told.err
        assert all((told.line("where"), told.line("why"), told.line("fix")))
        assert sorted(tmp_path.rglob("*")) == files, "no run folder, no key, nothing"
        assert psutil.Process().children(recursive=True) == processes
        return told

    return type_it


@pytest.fixture
def grant(tmp_path: Path) -> Callable[[str, str], Path]:
    """Lays a grants file beside a party's key."""

    def write(party: str, text: str) -> Path:
        path = tmp_path / "outputs" / "keys" / party / "grants.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(text)
        return path

    return write


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """The folder of an earlier run, as far as the driver looks at it before it looks at the policy."""
    run = tmp_path / "outputs" / "2026-01-02" / "03-04-05-abcdef"
    for party in PARTIES:
        (run / "parties" / party / "bundle").mkdir(parents=True)
    (run / "spec.json").write_text(saved_spec())
    return run


@functools.cache
def saved_spec(*overrides: str) -> str:
    """What a run leaves of its settings."""
    return json.dumps(spec_values(make_spec(*overrides)))


# What a plan needs, the setting that takes it away, and the line that is named. One entry at least for each kind.
LACKS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "predictions for anybody": ((), "policy.predictions.recipients=[]", "predictions.recipients"),
    "predictions for the label holder": (
        (*OPEN, NO_TRUTH),
        "policy.predictions.recipients=[alice]",
        "predictions.recipients",
    ),
    "predictions for another evaluator": (
        (*CLINICS, "label=row_sharded", "label.predict=alice", "label.predict_column=finding"),
        "policy.metrics.recipients=[alice]",
        "predictions.recipients",
    ),
    "sealed predictions for the evaluator": (
        ("predict.mode=sealed",),
        "policy.predictions.recipients=[alice]",
        "predictions.recipients",
    ),
    "scores, with rounded ones allowed": (OPEN, "policy.predictions.form=rounded", "predictions.form"),
    "scores, with classes allowed": (OPEN, "policy.predictions.form=class", "predictions.form"),
    "scores, with the top k allowed": (OPEN, "policy.predictions.form=top_k", "predictions.form"),
    "scores, with classes allowed to the holder": ((), "+policy.predictions.forms.carol=class", "forms.carol"),
    "scores, with classes allowed to all": ((), "+policy.predictions.forms.all=class", "predictions.form"),
    "scores of all rows, with own ones allowed": (
        (*SHARDED, "predict.mode=sealed"),
        "policy.predictions.own_rows=true",
        "predictions.own_rows",
    ),
    "labels in shards": (SHARDED, "policy.labels.recipients=[alice,bob]", "labels.recipients"),
    "the joint label": (JOINT, "policy.labels.recipients=[]", "labels.recipients"),
    "label presence": ((*SHARDED, "label.on_missing=drop"), "policy.labels.presence=[alice]", "labels.presence"),
    "metrics for the evaluator": ((), "policy.metrics.recipients=[alice,bob]", "metrics.recipients"),
    "metrics of monitoring for all": (
        ("sgb.enable_monitor=true",),
        "policy.metrics.recipients=[carol]",
        "metrics.recipients",
    ),
    "metrics of early stopping for all": (
        ("sgb.enable_early_stop=true",),
        "policy.metrics.recipients=[carol,bob]",
        "metrics.recipients",
    ),
    "importance": (("explain.importance=true",), "policy.importance.recipients=[]", "importance.recipients"),
    "model parts": ((), "policy.model_parts.recipients=[carol]", "model_parts.recipients"),
    "ids": ((), "policy.ids.recipients=[carol,bob]", "ids.recipients"),
    "ids without their section": ((), "~policy.ids", "ids.recipients"),
}


@pytest.mark.parametrize("case", LACKS)
def test_flow_that_no_line_allows_ends_before_any_process(refused: Refused, case: str) -> None:
    needs, lack, line = LACKS[case]
    told = refused(*needs, lack)
    assert line in told.line("where")
    assert line in told.line("fix")


@pytest.mark.parametrize("policy", ["label_owner", "strict"])
def test_complete_model_ends_before_any_process(refused: Refused, earlier: Path, policy: str) -> None:
    alone = ("predict.mode=complete", "predict.at=carol", NO_TRUTH, "~data.tables.alice", "~data.tables.bob")
    told = refused("task=predict", f"model={earlier}", *alone, f"policy={policy}")
    assert told.line("where") == "policy.complete_model.recipients"


def test_labels_for_evaluation_at_prediction_end_before_any_process(refused: Refused, earlier: Path) -> None:
    (earlier / "spec.json").write_text(saved_spec(*JOINT))
    told = refused("task=predict", f"model={earlier}", *CLINICS, "policy.labels.recipients=[]")
    assert told.line("where") == "policy.labels.recipients"
    assert "evaluate" in told.line("why")


@pytest.mark.parametrize("kind", ["curves", "row_counts"])
def test_flow_that_nothing_needs_is_left_out(typed: Refused, kind: str) -> None:
    told = typed("task=check", f"policy.{kind}.recipients=[alice]")
    assert told.code == 0
    (shown,) = (line for line in told.out.splitlines() if f" {kind} " in line and "terminal" in line)
    assert "not shown" in shown


# (the line that bob's grants have instead, what is asked, the line that is named)
NARROW: dict[str, tuple[str, tuple[str, ...], str]] = {
    "predictions": ("predictions: {recipients: [bob]}", (), "predictions.recipients"),
    "score, rounded granted": (
        "predictions: {recipients: [all], form: rounded, forms: {carol: score}}",
        TO_ALICE,
        "predictions.form",
    ),
    "rounded, fewer decimals granted": (
        "predictions: {recipients: [all], decimals: 1, form: rounded, forms: {carol: score}}",
        (*TO_ALICE, "+policy.predictions.forms.alice=rounded"),
        "predictions.decimals",
    ),
    "score, class granted": (
        "predictions: {recipients: [all], form: class, forms: {carol: score}}",
        TO_ALICE,
        "predictions.form",
    ),
    "rounded, class granted to this one": (
        "predictions: {recipients: [all], forms: {alice: class}}",
        (*TO_ALICE, "+policy.predictions.forms.alice=rounded"),
        "predictions.forms.alice",
    ),
    "score, class granted to all": ("predictions: {recipients: [all], forms: {all: class}}", (), "predictions.form"),
    "class, top_k granted": (
        "predictions: {recipients: [all], form: top_k, forms: {carol: score}}",
        (*TO_ALICE, "+policy.predictions.forms.alice=class"),
        "predictions.form",
    ),
    "top_k, rounded granted": (
        "predictions: {recipients: [all], form: rounded, forms: {carol: score}}",
        (*TO_ALICE, "+policy.predictions.forms.alice=top_k"),
        "predictions.form",
    ),
    "top_k, smaller k granted": (
        "predictions: {recipients: [all], k: 5, form: top_k, forms: {carol: score}}",
        (*TO_ALICE, "+policy.predictions.forms.alice=top_k"),
        "predictions.k",
    ),
    "all rows, own rows granted": ("predictions: {recipients: [all], own_rows: true}", TO_ALICE, "own_rows"),
    "labels": ("labels: {recipients: [bob]}", SHARDED, "labels.recipients"),
    "label presence": (
        "labels: {recipients: [all]}",
        (*SHARDED, "label.on_missing=drop", "policy.labels.presence=[all]"),
        "labels.presence",
    ),
    "metrics": ("metrics: {recipients: [bob]}", (), "metrics.recipients"),
    "importance": ("importance: {recipients: []}", ("explain.importance=true",), "importance.recipients"),
    "importance by name": (
        "importance: {recipients: [all]}",
        ("explain.importance=true", "policy.importance.form=by_name"),
        "importance.form",
    ),
    "model parts": ("model_parts: {recipients: [carol]}", (), "model_parts.recipients"),
    "ids": ("ids: {}", (), "ids.recipients"),
}


@pytest.mark.parametrize("case", NARROW)
def test_spec_that_claims_more_than_a_party_grants_ends_before_any_process(
    refused: Refused, grant: Callable[[str, str], Path], case: str
) -> None:
    line, asked, named = NARROW[case]
    kind = line.partition(":")[0]
    others = "".join(f"{other}\n" for other in ALL_ALLOWED.splitlines() if not other.startswith(f"{kind}:"))
    grant("bob", f"{others}{line}\n")
    told = refused(*asked)
    assert told.line("where").startswith("outputs/keys/bob/grants.yaml: ")
    assert told.line("where").endswith(named)
    assert "bob's own grants" in told.line("fix")


@pytest.mark.parametrize("case", NARROW)
def test_the_same_may_start_where_the_party_grants_everything(
    typed: Refused, grant: Callable[[str, str], Path], case: str
) -> None:
    grant("bob", ALL_ALLOWED)
    assert typed("task=check", *NARROW[case][1]).code == 0


@pytest.mark.parametrize("kind", ["curves", "row_counts"])
def test_grants_without_a_line_hide_what_nothing_needs(
    typed: Refused, grant: Callable[[str, str], Path], kind: str
) -> None:
    grant("bob", "".join(f"{line}\n" for line in ALL_ALLOWED.splitlines() if not line.startswith(f"{kind}:")))
    told = typed("task=check")
    assert told.code == 0
    (shown,) = (line for line in told.out.splitlines() if f" {kind} " in line and "terminal" in line)
    assert "not shown" in shown
    assert "bob/grants.yaml" in shown


# grants that are none


@pytest.mark.parametrize(
    "text",
    [
        "- predictions",
        "recipient: [all]",
        "ids: {recipients: [all], x: 1}",
        "ids: {recipients: all}",
        "ids: {recipients: [Carol]}",
        "min_rows: -1",
        "hello",
        "5",
        "[",
        "ids: ${nothing}",
        "a: &a [*a]",
        "ids: {}\nids: {}",
    ],
)
def test_grants_that_are_no_policy_deny_the_run(refused: Refused, grant: Callable[[str, str], Path], text: str) -> None:
    path = grant("bob", text)
    told = refused()
    assert "bob's grants cannot be read" in told.err
    assert told.line("where") == str(path.relative_to(path.parents[3]))


@pytest.mark.parametrize("text", ["", "{}", "# nothing yet", "min_rows: 5"])
def test_grants_that_name_nothing_deny_everything(
    refused: Refused, grant: Callable[[str, str], Path], text: str
) -> None:
    grant("bob", text)
    assert "bob's own grants" in refused().line("why")


def test_grants_of_other_bytes_are_refused(refused: Refused, grant: Callable[[str, str], Path]) -> None:
    grant("bob", "").write_bytes(b"\xff\xfe\x00ids")
    assert "cannot be read" in refused().err


def test_folder_in_place_of_grants_is_refused(refused: Refused, grant: Callable[[str, str], Path]) -> None:
    path = grant("bob", "")
    path.unlink()
    path.mkdir()
    assert "cannot be read" in refused().err


@pytest.mark.parametrize("target", ["../alice/grants.yaml", "../nobody/grants.yaml", "grants.yaml"])
def test_grants_behind_a_link_are_refused(refused: Refused, grant: Callable[[str, str], Path], target: str) -> None:
    """Another party's; one that leads nowhere, which is not the same as having laid down none; and a ring."""
    grant("alice", ALL_ALLOWED)
    path = grant("bob", "")
    path.unlink()
    path.symlink_to(target)
    assert "bob's grants are a symbolic link" in refused().err


# words that are no policy


@pytest.mark.parametrize(
    ("override", "where"),
    [
        ("policy.predictions.recipients=[dave]", "policy.predictions.recipients"),
        ("policy.predictions.recipients=[Alice]", "policy.predictions.recipients"),
        ("policy.predictions.recipients=all", "policy.predictions.recipients"),
        ("policy.predictions.recipients=alice", "policy.predictions.recipients"),
        ("policy.predictions.recipients=null", "policy.predictions.recipients"),
        ("policy.predictions.recipients=[alice,alice]", "policy.predictions.recipients"),
        ("policy.predictions.recipients={alice:score}", "command line"),
        ("policy.predictions.recipients=[the terminal]", "policy.predictions.recipients"),
        ("policy.predictions.form=everything", "policy.predictions.form"),
        ("+policy.predictions.forms.dave=class", "policy.predictions.forms"),
        ("policy.labels.presence=[dave]", "policy.labels.presence"),
        ("+policy.x=1", "policy.x"),
        ("+policy.predictions.to=[alice]", "policy.predictions.to"),
        ("+policy.allow_all=true", "policy.allow_all"),
        ("~policy.min_rows", "policy.min_rows"),
        ("~policy.min_batch", "policy.min_batch"),
        ("~policy", "policy"),
        ("policy=null", "policy"),
        ("policy.min_rows=-1", "policy.min_rows"),
        ("policy.min_rows=null", "policy.min_rows"),
    ],
)
def test_words_that_are_no_policy_are_refused(refused: Refused, override: str, where: str) -> None:
    assert refused(override, code=2).line("where").startswith(where)


def test_own_rows_of_a_table_that_marks_none_are_refused(refused: Refused) -> None:
    told = refused("policy.predictions.own_rows=true", code=2)
    assert told.line("where") == "data.tables.carol.owns"


# links in place of run folders


@pytest.mark.parametrize(
    "linked", ["", "parties", "parties/carol", "parties/carol/bundle", "parties/carol/bundle/part.bin", "spec.json"]
)
def test_model_behind_a_link_is_refused(refused: Refused, earlier: Path, tmp_path: Path, linked: str) -> None:
    (earlier / "parties" / "carol" / "bundle" / "part.bin").write_text("{}")
    elsewhere = tmp_path / "elsewhere"
    (earlier / linked).rename(elsewhere)
    (earlier / linked).symlink_to(elsewhere)
    told = refused("task=predict", f"model={earlier}", NO_TRUTH, code=8)
    assert "behind a symbolic link" in told.err
    assert str(earlier / linked) == told.line("where")


@pytest.mark.parametrize("relative", [False, True])
def test_model_of_a_day_that_is_a_link_is_refused(
    refused: Refused, earlier: Path, tmp_path: Path, relative: bool
) -> None:
    earlier.parent.rename(tmp_path / "elsewhere")
    earlier.parent.symlink_to(tmp_path / "elsewhere")
    model = earlier.relative_to(tmp_path) if relative else earlier
    told = refused("task=predict", f"model={model}", NO_TRUTH, code=8)
    assert told.line("where") == str(earlier.parent)


def test_day_that_is_a_link_takes_no_run(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "elsewhere").mkdir()
    for days in (0, 1):  # midnight may come between
        day = datetime.date.today() + datetime.timedelta(days)
        (tmp_path / "outputs" / f"{day:%Y-%m-%d}").symlink_to(tmp_path / "elsewhere")
    assert "is a symbolic link" in refused(code=5).err
