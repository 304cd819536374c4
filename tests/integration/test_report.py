"""The report of each party: what it may see, the same bytes each time, one page that asks the network for nothing."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import find_browser, load
from html_page import Page
from integration.launch import PARTIES, Finished

from runner.errors import BundleError
from runner.files import write_json
from runner.provenance.manifest import read_run
from runner.report.html.job import page_of, report
from runner.spec.evaluation import Evaluate
from runner.stages.assess import Task, scalar_metrics, tables
from runner.stages.class_metrics import named

pytestmark = pytest.mark.processes

FORBIDDEN = ("script", "iframe", "object", "embed", "form", "base", "img", "audio", "video")
HOSTILE = "<img src=x onerror=alert(1)>'\"&$x_{$ </style><script>alert(1)</script>"


def page(run: Finished, party: str) -> bytes:
    return run.own(party, "report.html").read_bytes()


@pytest.fixture
def copied(main_run: Finished, tmp_path: Path) -> Path:
    """A copy of the main run whose files may be changed."""
    return Path(shutil.copytree(main_run.folder, tmp_path / "RUN"))


def again(run: Path, party: str) -> bytes:
    return page_of(run, party, read_run(run))


@pytest.mark.parametrize("party", PARTIES)
def test_page_is_one_file_without_script_or_address(main_run: Finished, party: str) -> None:
    content = page(main_run, party)
    parsed = Page(content)
    assert [tag for tag in FORBIDDEN if parsed.tags[tag]] == []
    assert parsed.handlers == []
    assert parsed.addresses == ["data:,"]
    assert b"default-src &#39;none&#39;" in content or b"default-src 'none'" in content
    assert not re.search(rb"https?://|//[a-z]|@import", content.replace(b"http://www.w3.org/2000/svg", b""))
    assert [name for name, count in parsed.ids.items() if count > 1] == []
    assert parsed.references <= set(parsed.ids)
    assert parsed.tags["caption"] == parsed.tags["table"] > 0
    assert content.count(b'role="img" aria-label="') == parsed.tags["svg"]


@pytest.mark.parametrize("party", PARTIES)
def test_same_folder_gives_the_same_bytes(main_run: Finished, party: str) -> None:
    assert again(main_run.folder, party) == again(main_run.folder, party) == page(main_run, party)


def test_repeated_run_differs_in_one_place_only(twins: tuple[Finished, Finished]) -> None:
    for party in PARTIES:
        first, second = (page(run, party).decode() for run in twins)
        assert first != second
        apart = [re.split(r'<section id="run".*?</section>', text, flags=re.DOTALL) for text in (first, second)]
        assert [len(parts) for parts in apart] == [2, 2]
        assert apart[0] == apart[1]


def test_recipient_finds_its_metrics_curves_and_how_to_reproduce(main_run: Finished) -> None:
    parsed, metrics = Page(page(main_run, "carol")), main_run.json("parties", "carol", "metrics.json")
    low, high = metrics["intervals"]["auc"]
    assert f"{metrics['auc']:.3f}" in parsed.text
    assert f"{low:.3f} to {high:.3f} (95 %)" in parsed.text
    for figure in ("roc", "precision-recall", "calibration", "gain", "learning"):
        assert parsed.ids[f"figure-{figure}"] == 1
    for words in ("task=reproduce run=RUN", main_run.json("manifest.json")["digest"], "secretflow"):
        assert words in parsed.text


@pytest.mark.parametrize("party", ["alice", "bob"])
def test_other_parties_read_no_result_and_why(main_run: Finished, party: str) -> None:
    parsed, metrics = Page(page(main_run, party)), main_run.json("parties", "carol", "metrics.json")
    assert parsed.tags["svg"] == 0
    assert f"The policy of this run shows {party} no metrics" in parsed.text
    bounds = [bound for interval in metrics.pop("intervals").values() for bound in interval]
    for value in (*metrics.values(), *bounds):
        assert f"{value:.4f}" not in parsed.text
    assert "419" not in parsed.text or main_run.json("parties", party, "data.json")["training_rows"] == 419


def test_nothing_secret_and_no_other_partys_table_is_in_it(main_run: Finished) -> None:
    for party in PARTIES:
        content = page(main_run, party).decode()
        secret = main_run.json("parties", party, "private_snapshot.json")["run_secret"]
        assert secret not in content
        for other in set(PARTIES) - {party}:
            assert f"{other}/table.parquet" not in content
            digests = main_run.json("manifest.json")["hashed"]["stages"]["validate"][other].values()
            assert not any(digest in content for digest in digests)


def test_texts_of_the_data_are_texts_on_the_page(copied: Path) -> None:
    folder = copied / "parties" / "carol"
    write_json(folder / "importance.json", {"carol": {HOSTILE: 3.0, "$a_": 2.0}, "alice": {"total": 1.0}})
    metrics = {"auc": 0.5, "accuracy": None, "intervals": {"auc": [0.4, 0.6]}}
    groups = {"column": HOSTILE, "groups": [{"group": HOSTILE, "rows": 40, **metrics}]}
    write_json(folder / "metrics_by_group.json", {**groups, "not_shown": {"groups": 1, "rows": 30}})
    parsed = Page(again(copied, "carol"))
    assert [tag for tag in FORBIDDEN if parsed.tags[tag]] == []
    assert parsed.handlers == []
    assert HOSTILE in parsed.text
    assert "1 group of 30 rows together is not shown" in parsed.text


def test_regression_has_figures_of_its_own(copied: Path) -> None:
    folder = copied / "parties" / "carol"
    group = {"rows": 20, "mean_prediction": 1.0, "mean_label": 2.0, "rmse": 3.0, "deviance": 4.0}
    tables = {
        "objective": "linear",
        "rows": 40,
        "least_rows": 20,
        "residuals": {"mean": 0.25, "standard_deviation": 1.5},
        "residuals_by_rank": [{"rows": 20, "mean": -1.0}, {"rows": 20, "mean": 1.0}],
        "by_prediction": [group, {**group, "mean_prediction": 2.0}],
    }
    write_json(folder / "evaluation.json", tables)
    write_json(folder / "metrics.json", {"rmse": 1.0, "mae": 0.5, "r2": float("nan")})
    parsed = Page(again(copied, "carol"))
    assert parsed.ids["figure-residuals"] == parsed.ids["figure-predicted"] == 1
    assert parsed.ids["figure-roc"] == 0
    assert "Groups of rows from the lowest prediction up" in parsed.text


def test_several_classes_have_their_confusion(copied: Path) -> None:
    folder, draw = copied / "parties" / "carol", np.random.default_rng(5)
    label, score, task = draw.integers(0, 3, 150), draw.dirichlet([1, 1, 1], 150), Task("multiclass", Evaluate())
    metrics = named(scalar_metrics(task, label, score), ["barolo", HOSTILE, 7])
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "evaluation.json", tables(task, label, score, 20))
    parsed = Page(again(copied, "carol"))
    low, high = metrics["intervals"]["macro_f1"]
    assert f"{low:.3f} to {high:.3f} (95 %); higher is better" in parsed.text
    assert "Confusion: rows of each class" in parsed.text
    assert "On 150 test rows" in parsed.text
    assert f"recall [{HOSTILE}]" in parsed.text


@pytest.mark.parametrize("name", ["metrics.json", "evaluation.json", "curve.json", "data.json"])
def test_what_is_not_there_is_left_out(copied: Path, name: str) -> None:
    (copied / "parties" / "carol" / name).unlink()
    Page(again(copied, "carol"))


def test_damaged_file_is_named(copied: Path) -> None:
    (copied / "parties" / "carol" / "metrics.json").write_text("{")
    with pytest.raises(BundleError) as caught:
        report({"party": "carol", "run": str(copied), "manifest": read_run(copied)})
    assert "metrics.json" in caught.value.where


def test_broken_audit_log_is_seen_at_once(copied: Path) -> None:
    log = copied / "parties" / "alice" / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"sent"', b'"kept"', 1))
    assert "do not rely on this run" in Page(again(copied, "alice")).text


def test_terminals_metrics_do_not_reach_a_report(copied: Path) -> None:
    """The run's manifest has what its viewer saw; a party's page is made from the party's own files."""
    manifest = read_run(copied)
    shown = json.loads(json.dumps(manifest["observed"]["shown"]))
    assert shown["evaluate"][0]["auc"] > 0
    changed: dict[str, Any] = {**manifest, "observed": {**manifest["observed"], "shown": {}}}
    for party in PARTIES:
        assert page_of(copied, party, manifest) == page_of(copied, party, changed)


def browser() -> str:
    found = find_browser()
    if found is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on this machine: apt-get install chromium")
    return found


@pytest.mark.parametrize(("party", "width"), [("carol", 1200), ("carol", 360), ("alice", 360)])
def test_browser_asks_for_nothing_and_does_not_complain(
    main_run: Finished, tmp_path: Path, party: str, width: int
) -> None:
    path = main_run.own(party, "report.html")
    wide = "document.documentElement.scrollWidth"
    seen = load(browser(), path, tmp_path / "profile", f"[document.title, {wide}]", width)
    assert seen.requests == [path.as_uri()]
    assert seen.complaints == []
    title, scrolled = seen.value
    assert title.endswith(f"report for {party}")
    assert scrolled <= width, "no sideways scrolling"


def test_browser_would_have_told(tmp_path: Path) -> None:
    """A page with an image elsewhere and a broken script: without this, the test above could pass for nothing."""
    path = tmp_path / "page.html"
    path.write_text("<!doctype html><img src='http://127.0.0.1:9/image.png'><script>throw Error()</script>")
    seen = load(browser(), path, tmp_path / "profile")
    assert "http://127.0.0.1:9/image.png" in seen.requests
    assert any("exceptionDetails" in complaint for complaint in seen.complaints)
