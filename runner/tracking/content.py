"""What is told of a run to a tracking store: nothing that not all parties know, or that the policy does not show.

Settings go by sections that are named here, so that a new one stays out until it is added: keys, passphrases, paths
and queries of tables are in none of them. Metrics are those that the run's terminal was shown.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.errors import RunnerError
from runner.provenance.folder import SPEC, STATUS
from runner.provenance.manifest import MANIFEST
from runner.report.names import NAMES
from runner.spec.identity import spec_digest, spec_values
from runner.spec.model import Spec

SECTIONS = (
    *("task", "align", "prepare", "label", "sgb", "crypto", "privacy", "policy", "train", "predict", "explain"),
    *("cv", "evaluate", "drift"),
)
OF_DATA = ("name", "id", "split", "builtin", "rows", "features", "seed", "informative", "classes")
PLACES = ("path", "paths", "file", "files", "uri", "env", "folder")  # what ends so says where something lies


def describe(folder: Path, spec: Spec, in_sweep: bool) -> dict[str, Any]:
    """A run folder in the words of a tracking store, as plain values: ``name``, ``state``, ``began`` and ``ended``
    (seconds since 1970), ``params``, ``metrics`` as ``[name, value, step]``, ``tags``, and the ``sweep`` of a job.
    """
    status, manifest = _read(folder / STATUS), _read(folder / MANIFEST)
    place = folder.resolve()
    return {
        "name": f"job {place.name}" if in_sweep else f"{place.parent.name}/{place.name}",
        "state": status.get("state", "failed"),
        "began": (folder / SPEC).stat().st_mtime,
        "ended": (folder / STATUS).stat().st_mtime,
        "params": params(spec),
        "metrics": [list(metric) for metric in _metrics(manifest)],
        "tags": dict(_tags(place, spec, status, manifest)),
        "sweep": str(place.parent) if in_sweep else None,
    }


def params(spec: Spec) -> dict[str, str]:
    """Dotted path → value of the settings that are told, as text."""
    values = spec_values(spec)
    chosen = {name: values[name] for name in SECTIONS if name in values}
    chosen["data"] = {name: values["data"][name] for name in OF_DATA}
    chosen["cluster"] = {"mode": spec.cluster.mode}
    chosen["parties"] = ", ".join(spec.party_order())
    return {path: _text(value) for path, value in _flat(chosen)}


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        path = f"{before}{name}"
        if name.endswith(PLACES):
            continue
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{path}.")
        else:
            yield path, value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _metrics(manifest: Mapping[str, Any]) -> Iterator[tuple[str, float, int]]:
    observed = manifest.get("observed", {})
    evaluated = observed.get("shown", {}).get("evaluate") or [{}]
    values = evaluated[0].get("mean", evaluated[0])
    yield from ((name, values[name], 0) for name in NAMES if _is_number(values.get(name)))
    for point in observed.get("shown", {}).get("train") or []:
        if _is_number(point.get("metric")) and isinstance(point.get("trees"), int):
            yield "training_metric", point["metric"], point["trees"]
    yield from ((f"seconds.{stage}", value, 0) for stage, value in observed.get("seconds", {}).items())
    if observed.get("cluster") == "local":
        sent = {
            party: sum(int(counts.get("bytes", 0)) for counts in receivers.values())
            for party, receivers in observed["sent"].items()
        }
        yield from ((f"bytes_sent.{party}", count, 0) for party, count in sent.items())
        yield "bytes_sent", sum(sent.values()), 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _tags(place: Path, spec: Spec, status: Mapping[str, Any], manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "sgb.state", str(status.get("state", "failed"))
    yield "sgb.run_folder", place.as_uri()
    yield "sgb.spec_digest", spec_digest(spec)
    if (report := place / "parties" / spec.viewer() / "report.html").is_file():
        yield "sgb.report", report.as_uri()
    if manifest:
        yield "sgb.run_digest", str(manifest["digest"])
        yield "sgb.model", str(manifest["hashed"]["model"])
        again = shlex.join(["python", "-m", "runner", "task=reproduce", f"run={place}"])
        yield "mlflow.note.content", f"Run again, bit for bit: `{again}`"
    if isinstance(status.get("error"), dict):
        error = RunnerError.from_dict(status["error"])
        yield "sgb.error", f"{error.what} ({error.why})"


def _read(path: Path) -> dict[str, Any]:
    """A JSON file of the run; empty where the run did not come to write it."""
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return found
