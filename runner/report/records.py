"""What people read about runs that are over: a verification, a comparison, the verdict on a repetition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.provenance.compare import Comparison, changes
from runner.report.check import table
from runner.report.names import NAMES


def describe_verification(folder: Path, digest: str, findings: Sequence[tuple[str, str, bool, str]]) -> str:
    """One line per check: whose, of what, and how it came out. ``digest`` is what the run's manifest states."""
    rows = [(party, what, "as signed" if good else "WRONG", detail) for party, what, good, detail in findings]
    wrong = sum(not good for _, _, good, _ in findings)
    verdict = f"{wrong} of {len(findings)} checks failed" if wrong else f"VERIFIED: {len(findings)} checks passed"
    return "\n".join((f"Run folder   {folder}", f"Digest       {digest}", *table(rows), verdict))


def describe_diff(folders: tuple[Path, Path], first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """Two runs side by side: what differs in settings, data, code and versions; metrics and times of both."""
    rows = [("", str(folders[0]), str(folders[1])), *_different(first["hashed"], second["hashed"])]
    if len(rows) == 1:
        rows.append(("settings, data, code, versions", "the same", "the same"))
    rows += _outcomes(first, second)
    return "\n".join(table(rows))


def _different(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for path, one, other in changes(first["spec"], second["spec"]):
        yield path, _plain(one), _plain(other)
    for party in sorted({*first["stages"]["validate"], *second["stages"]["validate"]}):
        before, after = (run["stages"]["validate"].get(party, {}) for run in (first, second))
        one, other = (facts.get("table", "") for facts in (before, after))
        if one != other:  # of the same file: in pieces, say, or with other rows held out
            same = {**before, "table": ""} == {**after, "table": ""} != {"table": ""}
            yield f"table of {party}{', as it was read' if same else ''} (keyed digest)", one[:12], other[:12]
    for section in ("code", "versions", "machine"):
        for path, one, other in changes(first[section], second[section]):
            short = ("other abilities", "other abilities") if path == "cpu_flags" else (_plain(one), _plain(other))
            yield (f"{section}: {path}", *short)


def _outcomes(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    models = [run["hashed"]["model"] or "none kept" for run in (first, second)]
    yield "model", models[0][:12], models[1][:12]
    shown = [(run["observed"]["shown"].get("evaluate") or [{}])[0] for run in (first, second)]
    metrics = [found.get("mean", found) for found in shown]
    for name in dict.fromkeys([*metrics[0], *metrics[1]]):
        values = [f"{found[name]:.4f}" if isinstance(found.get(name), float) else "not shown" for found in metrics]
        yield NAMES.get(name, name), values[0], values[1]
    for stage in dict.fromkeys([*first["observed"]["seconds"], *second["observed"]["seconds"]]):
        values = [f"{run['observed']['seconds'].get(stage, 0):.1f} s" for run in (first, second)]
        yield f"time of {stage}", values[0], values[1]


def _plain(value: Any) -> str:
    text = "not there" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def describe_verdict(comparison: Comparison, shared: str) -> str:
    """Whether a repetition came to the same bits; if not, where it first differs and what changed."""
    lines = [f"Shared       {shared}"]
    if comparison.first is None:
        lines.insert(0, "REPRODUCED (bit-identical): every stage made the same at every party")
        lines += [f"Although     {cause}" for cause in comparison.causes]
    else:
        stage, party, what = comparison.first
        lines.insert(0, f"NOT REPRODUCED: stage {stage} is the first that differs, in {what} at {party}")
        lines += [f"Changed      {cause}" for cause in comparison.causes]
    return "\n".join(lines)
