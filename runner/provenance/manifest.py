"""The manifest of a run: what was run, on which data, by which software, and what was observed.

``manifest.json`` has a part that is the same whenever the same run is repeated (``hashed``, with its SHA-256 in
``digest``), and a part that is not (``observed``: times, traffic, places).
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from runner import __version__
from runner.bundle.layout import bundle_folder
from runner.bundle.manifest import read_manifest
from runner.cluster.run import Outcome
from runner.files import canonical_json, write_json
from runner.policy.decide import Decision
from runner.spec.identity import spec_digest, spec_values
from runner.spec.model import Spec

MANIFEST = "manifest.json"
PACKAGES = ("secretflow", "spu", "sf-heu", "numpy", "jax", "pandas", "polars", "pandera", "pyarrow", "grpcio")


def build_manifest(
    spec: Spec, overrides: Sequence[str], decisions: Sequence[Decision], outcome: Outcome, folder: Path
) -> dict[str, Any]:
    """Everything that the driver may know of a finished run. Digests of a party's things are under that party's key."""
    source = Path(folder if spec.model is None else spec.model)
    hashed = {
        "spec": {key: value for key, value in spec_values(spec).items() if key not in ("cluster", "outputs")},
        "spec_digest": spec_digest(spec),
        "overrides": list(overrides),
        "party_order": list(spec.party_order()),
        "tables": outcome.tables,
        "model": _bundle_id(source, spec),
        "policy": [{**d.flow._asdict(), "allowed": d.allowed, "line": d.line} for d in decisions],
        "versions": versions(),
    }
    return {
        "hashed": hashed,
        "digest": hashlib.sha256(canonical_json(hashed)).hexdigest(),
        "observed": {
            "cluster": spec.cluster.mode,
            "encryption": _encryption(spec, outcome.sent),
            "sent": outcome.sent,
            "seconds": outcome.seconds,
            "platform": platform.platform(),
        },
    }


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    write_json(folder / MANIFEST, dict(manifest))


def versions() -> dict[str, str]:
    """The runner's, Python's, and those of every package that computes or carries something."""
    return {"runner": __version__, "python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


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
