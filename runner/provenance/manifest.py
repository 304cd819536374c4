"""The manifest of a run: what was run, on which data, by which software, and what came out.

``manifest.json`` has a part that is the same whenever the same run is repeated on the same machine (``hashed``, with
its SHA-256 in ``digest``), and parts that are not: how the command was typed, and what was observed (times, traffic,
places). Every party signs the digest, and with it the state of its own audit log.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.bundle.layout import bundle_folder
from runner.bundle.manifest import read_manifest
from runner.cluster.run import Outcome
from runner.errors import BundleError
from runner.files import canonical_json, write_json
from runner.policy.decide import Decision
from runner.provenance.environment import code_identity, machine, versions
from runner.spec.identity import HOW_NOT_WHAT, spec_digest, spec_values
from runner.spec.model import Spec

MANIFEST = "manifest.json"


def describe_run(spec: Spec, decisions: Sequence[Decision], outcome: Outcome, folder: Path) -> dict[str, Any]:
    """The part of the manifest that repeats. Digests of a party's things are under that party's key."""
    source = Path(folder if spec.model is None else spec.model)
    values = spec_values(spec)
    for name in HOW_NOT_WHAT:
        del values[name]
    values["parties"] = sorted(values["parties"])
    return {
        "spec": values,
        "spec_digest": spec_digest(spec),
        "party_order": list(spec.party_order()),
        "seeds": {"sgb.seed": spec.sgb.seed, "data.split.key": spec.data.split.key},
        "rows": outcome.rows,
        "plan": ["validate", *spec.stages()],
        "stages": {stage: outcome.facts.get(stage, {}) for stage in ("validate", *spec.stages())},
        "model": _bundle_id(source, spec),
        "policy": [{**d.flow._asdict(), "allowed": d.allowed, "line": d.line} for d in decisions],
        "code": code_identity(),
        "versions": versions(),
        "machine": machine(),
    }


def build_manifest(spec: Spec, typed: Mapping[str, Any], hashed: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
    """The whole manifest. ``typed`` is how the command said it: the overrides in order, and the choices of groups."""
    return {
        "hashed": hashed,
        "digest": run_digest(hashed),
        "signatures": outcome.signatures,
        "typed": dict(typed),
        "observed": {
            "cluster": spec.cluster.mode,
            "encryption": _encryption(spec, outcome.sent),
            "sent": outcome.sent,
            "seconds": outcome.seconds,
            "shown": outcome.shown,
        },
    }


def run_digest(hashed: Mapping[str, Any]) -> str:
    """SHA-256 of the part of a manifest that repeats."""
    return hashlib.sha256(canonical_json(hashed)).hexdigest()


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write it; the run is then finished."""
    write_json(folder / MANIFEST, dict(manifest))


def read_run(folder: Path) -> dict[str, Any]:
    """The manifest of a finished run.

    Raises:
        BundleError: where there is none, or its digest is not that of its content.
    """
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        whole = run_digest(manifest["hashed"]) == manifest["digest"]
    except OSError as error:
        raise BundleError(
            "there is no finished run",
            where=str(path),
            why=error.strerror or type(error).__name__,
            fix="give the folder of a run that came to its end: run=outputs/<day>/<time>-<id>",
        ) from None
    except (ValueError, LookupError, TypeError):
        whole = False
    if not whole:
        raise BundleError(
            "the manifest of the run was altered",
            where=str(path),
            why="its digest is not that of its content",
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
        "ciphertexts_sent": counted if spec.cluster.mode == "local" else None,
    }


def _bundle_id(source: Path, spec: Spec) -> str:
    holder = spec.label.holder
    return read_manifest(bundle_folder(source, spec.trained_as(holder)), holder).bundle
