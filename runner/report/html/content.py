"""What a party's report says, as plain values for the page: from its own folder and the run's common manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.errors import BundleError
from runner.policy.audit import read_log
from runner.report.html.flows import flow_table, own_flows, who_sees_what
from runner.report.html.origin import own_overrides, provenance, settings, this_run
from runner.report.names import NAMES
from runner.report.privacy import spent_words

# Every file of a party's own that a report is made from; secrets, predictions and the model are not among them.
FILES = (
    "metrics.json",
    "cv.json",
    "metrics_by_group.json",
    "evaluation.json",
    "curve.json",
    "importance.json",
    "data.json",
    "privacy.json",
)
HEADLINE = ("auc", "ks", "average_precision", "brier", "rmse", "mae", "r2", "deviance", "macro_auc", "macro_f1")
LOWER_IS_BETTER = {"log_loss", "brier", "calibration_error", "rmse", "mae", "deviance"}


def gather(run: Path, party: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the page of ``party`` shows but for its figures.

    Raises:
        BundleError: where a file of the party's folder is not as the run wrote it.
    """
    folder, hashed = run / "parties" / party, manifest["hashed"]
    files = {name.removesuffix(".json"): _read(folder / name) for name in FILES}
    entries, broken = _log(folder / "audit.jsonl")
    return {
        "party": party,
        "files": files,
        "title": _title(hashed),
        "outcome": _outcome(hashed, files["data"]),
        "metrics": _metrics((files["cv"] or {}).get("mean") or files["metrics"]),
        "privacy": _privacy(files["privacy"]),
        "why_no_metrics": _why_no_metrics(hashed, party),
        "parties": hashed["party_order"],
        "has_model": "save" in hashed["plan"],
        "seen": who_sees_what(hashed, party),
        "flows": flow_table(hashed, party),
        "own_flows": own_flows(entries),
        "log": {"lines": len(entries), "whole": broken is None},
        "settings": settings(hashed, party),
        "typed": own_overrides(manifest["typed"]["overrides"], party),
        "provenance": provenance(hashed, party, manifest["digest"]),
        "run": this_run(run, manifest, party, [entry["time"] for entry in entries]),
        "names": NAMES,
    }


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, type(error).__name__) from None


def _log(path: Path) -> tuple[list[dict[str, Any]], int | None]:
    try:
        return read_log(path)
    except OSError as error:
        raise _damaged(path, type(error).__name__) from None


def _damaged(path: Path, why: str) -> BundleError:
    return BundleError(
        "a file that the report is made from cannot be read",
        where=str(path),
        why=why,
        fix="look with task=verify, and restore the file from a copy",
    )


PLANS = {
    "train_predict": "Trained a {what}, saved it, and scored the test rows",
    "train": "Trained a {what}, and saved it",
    "cv": "Cross-validated a {what}: the numbers are means over the folds",
    "predict": "Applied a saved {what} to new rows",
    "export": "Wrote a saved {what} for another program",
    "import": "Took in a {what} that SecretFlow had saved",
}


def _title(hashed: Mapping[str, Any]) -> str:
    return f"{hashed['spec']['data']['name']}: {hashed['spec']['sgb']['objective']} model"


def _outcome(hashed: Mapping[str, Any], data: Mapping[str, Any] | None) -> str:
    spec = hashed["spec"]
    engine = "SS-XGB" if spec["label"]["mode"] == "secret" else "SGB"
    plan = spec["task"]["plan"] if spec["task"]["name"] == "check" else spec["task"]["name"]
    what = f"{spec['sgb']['objective']} {engine} model of the columns of {len(hashed['party_order'])} parties"
    sentence = PLANS.get(plan, "Ran {what}").format(what=what)
    rows = ""
    if data and plan == "cv":
        rows = f" Rows: {data['rows']:,}, dealt into {spec['cv']['folds']} folds."
    elif data:
        rows = f" Rows: {data['training_rows']:,} for training, {data['test_rows']:,} scored."
    return f"{sentence}.{rows}"


def _metrics(values: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Each metric with its interval, the headline ones first."""
    bounds = (values or {}).get("intervals", {})
    numbers = {name: value for name, value in (values or {}).items() if isinstance(value, (int, float))}
    ordered = [name for name in HEADLINE if name in numbers] + sorted(set(numbers) - set(HEADLINE))
    return [
        {
            "name": NAMES.get(name, name),
            "value": numbers[name],
            "interval": bounds.get(name),
            "headline": name in HEADLINE,
            "better": "lower" if name in LOWER_IS_BETTER else "higher",
        }
        for name in ordered
    ]


def _privacy(statement: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The guarantee in words, and what the party has spent, which is more with every run."""
    if statement is None:
        return None
    spent = statement["spent"]
    return {"guarantee": statement["guarantee"], "spent": spent_words(spent) if spent else None}


def _why_no_metrics(hashed: Mapping[str, Any], party: str) -> str:
    if "evaluate" not in hashed["plan"]:
        return "This plan has no evaluation."
    if hashed["spec"]["label"]["predict"] == "none":
        return "There were no labels to compare with (label.predict=none)."
    return f"The policy of this run shows {party} no metrics. {_recipients(hashed)}"


def _recipients(hashed: Mapping[str, Any]) -> str:
    named: Sequence[str] = hashed["spec"]["policy"]["metrics"]["recipients"]
    return f"Those who may see them: {', '.join(named)}." if named else "Nobody may see them."
