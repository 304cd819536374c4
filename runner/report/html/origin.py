"""Where a result comes from: settings, digests, versions; and what only this one run says: its name, time, traffic."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

SECTIONS = (
    "align",
    "prepare",
    "sgb",
    "label",
    "crypto",
    "cv",
    "predict",
    "evaluate",
    "explain",
    "export",
    "drift",
    "privacy",
)
OF_PLAN = {"cv": "cv", "drift": "predict", "export": "export"}  # sections that count with one task only
MAIN_PACKAGES = ("runner", "python", "secretflow", "spu", "sf-heu", "jax", "numpy", "polars", "pandera", "cryptography")


def settings(hashed: Mapping[str, Any], party: str) -> dict[str, list[tuple[str, str]]]:
    """Section → its settings as ``(name, value)``. Of the tables, the party's own only."""
    spec = hashed["spec"]
    data = {name: spec["data"][name] for name in ("name", "id", "split", "builtin")}
    tables = spec["data"]["tables"]  # where each party has a site of its own, their names alone
    data["own table"] = tables.get(party) if isinstance(tables, Mapping) else None
    policy = {name: spec["policy"][name] for name in ("name", "min_rows", "min_batch")}
    plan = spec["task"]["name"]
    sections = [name for name in SECTIONS if name in spec and OF_PLAN.get(name, plan) == plan]
    chosen = {"data": data, "policy": policy, **{name: spec[name] for name in sections}}
    return {section: [(name, _text(value)) for name, value in _flat(values)] for section, values in chosen.items()}


def own_overrides(overrides: Sequence[str], party: str) -> list[str]:
    """What was typed, but for the settings of other parties' tables."""
    return [
        override
        for override in overrides
        if not (setting := override.lstrip("+~")).startswith("data.tables")
        or setting.startswith((f"data.tables.{party}.", f"data.tables.{party}="))
    ]


def _flat(values: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(values, Mapping) and values:
        for name, value in values.items():
            yield from _flat(value, f"{path}.{name}".lstrip("."))
    else:
        yield path, values


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return {None: "not set", True: "true", False: "false"}.get(value, str(value)) if _is_plain(value) else "none"


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def provenance(hashed: Mapping[str, Any], party: str, digest: str) -> dict[str, Any]:
    """What a repetition of the run has in common with it."""
    code, versions = hashed["code"], hashed["versions"]
    facts = [
        (stage, what, value)
        for stage in hashed["plan"]
        for what, value in _facts(hashed["stages"].get(stage, {}), party)
    ]
    return {
        "digests": [
            ("digest of the run", digest),
            ("digest of the settings", hashed["spec_digest"]),
            ("model", hashed["model"]),
            *((f"code: {name}", str(value)) for name, value in sorted(code.items()) if value),
        ],
        "own": facts,
        "main_versions": [(name, versions[name]) for name in MAIN_PACKAGES if name in versions],
        "versions": sorted(versions.items()),
        "machine": [(name, _text(value)) for name, value in _flat(hashed["machine"]) if not name.endswith("cpu_flags")],
        "order": hashed["party_order"],
        "seeds": sorted(hashed["seeds"].items()),
        "rows": hashed["rows"].get(party),
    }


def _facts(stage: Mapping[str, Mapping[str, str]], party: str) -> list[tuple[str, str]]:
    return sorted(stage.get(party, {}).items())


def this_run(run: Path, manifest: Mapping[str, Any], party: str, times: Sequence[float]) -> dict[str, Any]:
    """What differs from one repetition to the next; the page shows it in one place."""
    observed = manifest["observed"]
    sent = observed["sent"].get(party, {})
    folder, seconds = run.resolve(), observed["seconds"]
    ordered = sorted(seconds, key=("agree", "validate", "open", *manifest["hashed"]["plan"]).index)
    return {
        "id": f"{folder.parent.name}/{folder.name}",
        "folder": "/".join(folder.parts[-3:]),
        "began": _moment(min(times)) if times else None,
        "ended": _moment(max(times)) if times else None,
        "seconds": [(stage, round(seconds[stage], 1)) for stage in ordered],
        "total": round(sum(observed["seconds"].values()), 1),
        "cluster": observed["cluster"],
        "encryption": observed["encryption"],
        "ciphertexts": (observed["encryption"].get("ciphertexts_sent") or {}).get(party),
        "sent": [(peer, counts) for peer, counts in sorted(sent.items())],
        "signed": [(name, signed["key"], name == party) for name, signed in sorted(manifest["signatures"].items())],
    }


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
