"""The identity of a run: the digest of its spec."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from runner.files import canonical_json
from runner.spec.model import Spec


def spec_values(spec: Spec) -> dict[str, Any]:
    """The spec as plain JSON values."""
    values: dict[str, Any] = msgspec.to_builtins(spec)
    return values


def spec_digest(spec: Spec) -> str:
    """SHA-256 of the canonical form of every setting that can change a result.

    Left out: where outputs go, where the parties keep their keys, and the cluster section, which decides how a run is
    carried out and not what it computes (a test holds ``local`` and ``debug`` to the same model bits).
    """
    values = spec_values(spec)
    del values["cluster"], values["outputs"]
    values["parties"] = sorted(values["parties"])
    values["task"] = spec.task.to_run()  # a check has the identity of the run that it checks
    return hashlib.sha256(canonical_json(values)).hexdigest()
