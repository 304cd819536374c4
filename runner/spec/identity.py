"""The identity of a run: the digest of its spec."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from runner.files import canonical_json
from runner.spec.model import Spec
from runner.spec.shared import shared_values

HOW_NOT_WHAT = (
    *("cluster", "self_party", "site", "outputs", "train", "resume", "report"),
    *("log", "sweep", "tune", "tracking"),
)

NOT_TRAINING = (*HOW_NOT_WHAT, "task", "model", "roles", "predict", "explain", "evaluate", "policy")


def spec_values(spec: Spec) -> dict[str, Any]:
    """The spec as plain JSON values."""
    values: dict[str, Any] = msgspec.to_builtins(spec)
    return values


def spec_digest(spec: Spec) -> str:
    """SHA-256 of the canonical form of every setting that can change a result.

    Left out: where outputs go, where the parties keep their keys, and what decides how a run is carried out and not
    what it computes: the cluster section (a test holds ``local`` and ``debug`` to the same model bits), checkpoints,
    going on from one, the pieces in which a table is predicted, and the report; and the budget of privacy, which lets a
    run start or stops it. With ``cluster=remote`` it is the same at all sites: what is a site's own, such as where its
    table lies, does not count.
    """
    return hashlib.sha256(canonical_json(identity_values(spec))).hexdigest()


def identity_values(spec: Spec) -> dict[str, Any]:
    """The settings that the digest is taken of, as plain JSON values."""
    values = shared_values(spec) if spec.is_remote() else spec_values(spec)
    for name in HOW_NOT_WHAT:
        values.pop(name, None)
    values["data"].pop("max_memory", None)
    del values["predict"]["chunk_rows"]
    del values["policy"]["privacy"]
    values["parties"] = sorted(values["parties"])
    values["task"] = spec.task.to_run()  # a check has the identity of the run that it checks
    return values


def evaluation_digest(spec: Spec) -> str:
    """SHA-256 of the canonical form of every setting on which the scores and labels of the test rows depend.

    Left out besides what :func:`spec_digest` leaves out: who may see what, and what is told of scores and labels.
    """
    values = spec_values(spec)
    for name in (*HOW_NOT_WHAT, "policy", "explain", "evaluate", "export"):
        del values[name]
    del values["data"]["max_memory"]
    del values["predict"]["chunk_rows"]
    values["parties"] = sorted(values["parties"])
    values["task"] = spec.task.to_run()
    return hashlib.sha256(canonical_json(values)).hexdigest()


def training_digest(spec: Spec) -> str:
    """SHA-256 of the canonical form of every setting that a training must have in common with its checkpoint.

    Left out: what is done with the model afterwards, how the run is carried out, and where keys, tables and contracts
    are kept (a checkpoint has a digest of the table itself, as its contract has it read). With ``sgb.shuffle=shared``
    the parties' draws depend on whether they share one process: then the cluster's mode counts.
    """
    values = spec_values(spec)
    for name in NOT_TRAINING:
        del values[name]
    del values["drift"]
    values["parties"] = sorted(spec.parties)
    del values["data"]["max_memory"]
    for table in values["data"]["tables"].values():
        del table["path"], table["source"], table["contract"]
    if spec.is_remote():
        values["data"]["tables"] = sorted(values["data"]["tables"])
    if spec.sgb.shuffle == "shared":
        values["process"] = spec.cluster.mode
    return hashlib.sha256(canonical_json(values)).hexdigest()
