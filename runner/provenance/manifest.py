"""The manifest of a run: what was run, on which data, by which software, and what came out.

``manifest.json`` has a part that is the same whenever the same run is repeated on the same machine (``hashed``, with
its SHA-256 in ``digest``), and parts that are not: how the command was typed, and what was observed (times, traffic,
the run's own files). Every party signs all of it, and with it the state of its own audit log and results.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import msgspec

from runner.bundle.layout import bundle_folder
from runner.bundle.manifest import read_manifest
from runner.cluster.run import Outcome
from runner.environment import code_identity, machine, shared_software, source_digest, versions
from runner.errors import BundleError
from runner.files import canonical_json, file_digest, write_json
from runner.policy.decide import Decision
from runner.policy.flows import TERMINAL
from runner.provenance.folder import CONFIG, OVERRIDES, SPEC
from runner.spec.identity import HOW_NOT_WHAT, spec_digest, spec_values
from runner.spec.model import Spec
from runner.spec.shared import shared_values

MANIFEST = "manifest.json"
SNAPSHOT = (SPEC, CONFIG, OVERRIDES)  # what a run is repeated from


def stated_values(spec: Spec) -> dict[str, Any]:
    """The settings that a manifest states: with a site for each party, those that all sites have in common."""
    values = shared_values(spec) if spec.is_remote() else spec_values(spec)
    for name in HOW_NOT_WHAT:
        values.pop(name, None)
    task = {"name": spec.task.to_run()} if spec.is_remote() else values["task"]
    return {**values, "task": task, "parties": sorted(values["parties"])}


def describe_run(spec: Spec, decisions: Sequence[Decision], outcome: Outcome, folder: Path) -> dict[str, Any]:
    """The part of the manifest that repeats. Digests of a party's things are under that party's key."""
    source = Path(folder if spec.model is None else spec.model)
    # What is shown at one site is no matter of the others.
    stated = [d for d in decisions if not (spec.is_remote() and d.flow.receiver == TERMINAL)]
    return {
        "spec": stated_values(spec),
        "spec_digest": spec_digest(spec),
        "party_order": list(spec.party_order()),
        "seeds": {"sgb.seed": spec.sgb.seed, "data.split.key": spec.data.split.key},
        "rows": {} if spec.is_remote() else outcome.rows,
        "align": {"method": spec.align.method, "protocol": spec.align.psi_protocol(len(spec.parties))},
        "plan": ["validate", *spec.stages()],
        "stages": {stage: outcome.facts.get(stage, {}) for stage in ("validate", *spec.stages())},
        "model": _bundle_id(source, spec) if {"save", "load"} & set(spec.stages()) else None,
        "policy": [{**d.flow._asdict(), "allowed": d.allowed, "line": d.line} for d in stated],
        "code": {"source": source_digest()} if spec.is_remote() else code_identity(),
        "versions": shared_software() if spec.is_remote() else versions(),
        "machine": outcome.machines or machine(),
    }


def build_manifest(
    spec: Spec, typed: Mapping[str, Any], hashed: dict[str, Any], outcome: Outcome, folder: Path
) -> dict[str, Any]:
    """The whole manifest but for the signatures. ``typed`` is how the command said it: the overrides in order."""
    return {
        "hashed": hashed,
        "digest": run_digest(hashed),
        "typed": dict(typed),
        "observed": {
            "run": outcome.run,
            "cluster": spec.cluster.mode,
            "encryption": _encryption(spec, outcome.sent),
            "sent": outcome.sent,
            "seconds": outcome.seconds,
            "reused": outcome.reused,
            "shown": outcome.shown,
            "files": snapshot_digests(folder),
        },
    }


def snapshot_digests(folder: Path) -> dict[str, str | None]:
    """SHA-256 of each file that a run is repeated from; None where it is not there."""
    files = {name: folder / name for name in SNAPSHOT}
    return {name: file_digest(path).hex() if path.is_file() else None for name, path in files.items()}


def run_digest(hashed: Mapping[str, Any]) -> str:
    """SHA-256 of the part of a manifest that repeats."""
    return hashlib.sha256(canonical_json(hashed)).hexdigest()


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write it; the run is then finished."""
    write_json(folder / MANIFEST, dict(manifest))


class _Signed(TypedDict):
    digest: str
    rest: str
    audit: dict[str, Any]
    files: dict[str, str]
    key: str
    signature: str


class _Hashed(TypedDict):
    spec: dict[str, Any]
    spec_digest: str
    party_order: list[str]
    seeds: dict[str, Any]
    rows: dict[str, int]
    plan: list[str]
    stages: dict[str, dict[str, dict[str, str]]]
    model: str | None
    policy: list[dict[str, Any]]
    code: dict[str, str | None]
    versions: dict[str, str]
    machine: dict[str, Any]


class _Observed(TypedDict):
    cluster: str
    encryption: dict[str, Any]
    sent: dict[str, dict[str, dict[str, int]]]
    seconds: dict[str, float]
    shown: dict[str, list[dict[str, Any]]]
    files: dict[str, str | None]


class _Typed(TypedDict):
    overrides: list[str]


class _Manifest(TypedDict):
    """What a manifest must look like to be worked with; whether it says the truth is for the signatures."""

    hashed: _Hashed
    digest: str
    signatures: dict[str, _Signed]
    typed: _Typed
    observed: _Observed


def read_run(folder: Path) -> dict[str, Any]:
    """The manifest of a finished run.

    Raises:
        BundleError: where there is none, or its digest is not that of its content.
    """
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        msgspec.convert(manifest, _Manifest)
        whole = run_digest(manifest["hashed"]) == manifest["digest"]
    except OSError as error:
        raise BundleError(
            "there is no finished run",
            where=str(path),
            why=error.strerror or type(error).__name__,
            fix="give the folder of a run that came to its end: run=outputs/<day>/<time>-<id>",
        ) from None
    except (ValueError, LookupError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise BundleError(
            "the manifest of the run was altered",
            where=str(path),
            why="its digest is not that of its content, or it is not written as the runner writes it",
            fix="restore it from a copy; every party has one in parties/<name>/manifest.json",
        )
    return manifest


def _encryption(spec: Spec, sent: Mapping[str, Mapping[str, Mapping[str, int]]]) -> dict[str, Any]:
    """Scheme and key size, and how many ciphertexts each party sent: the proof that encryption happened.

    In debug mode nothing is sent between processes, so there is nothing to count.
    """
    counted = {
        sender: sum(counts.get("ciphertexts", 0) for counts in receivers.values()) for sender, receivers in sent.items()
    }
    return {
        "scheme": spec.crypto.scheme,
        "key_bits": spec.crypto.key_bits,
        "ciphertexts_sent": counted if spec.cluster.mode != "debug" else None,
    }


def _bundle_id(source: Path, spec: Spec) -> str:
    here = spec.parties_here()[0]
    return read_manifest(bundle_folder(source, spec.trained_as(here)), here).bundle
