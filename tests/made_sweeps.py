"""Sweep folders as the runner writes them, made without running anything: for what is read of them afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from support import make_spec

from runner.errors import RunnerError, StageError
from runner.files import write_json
from runner.provenance.folder import SPEC, STATUS, write_status
from runner.provenance.manifest import MANIFEST, run_digest
from runner.spec.identity import HOW_NOT_WHAT, spec_digest, spec_values
from runner.spec.model import Spec
from runner.spec.parse import parse
from runner.sweep.record import RECORD
from runner.sweep.state import ATTEMPTS

FAILURE = StageError("training failed", where="carol", why="a worker ended", fix="begin again")
SIGNED = {"digest": "0", "rest": "0", "audit": {}, "files": {}, "key": "0", "signature": "0"}


class MadeJob(NamedTuple):
    """A job as it is to be found: what was typed, how it ended, and what its terminal was shown.

    Attributes:
        state: of ``status.json``; None: the job was never begun.
        metrics: None where the policy shows none.
        files: party → digest of its table's file.
        earlier: errors of attempts before.
    """

    overrides: tuple[str, ...] = ()
    state: str | None = "done"
    metrics: Mapping[str, Any] | None = None
    seconds: float = 2.0
    sent: int = 1_000_000
    reused: Mapping[str, Any] | None = None
    error: RunnerError | None = None
    files: Mapping[str, str] = {"carol": "0"}
    earlier: tuple[RunnerError, ...] = ()


def make_sweep(folder: Path, jobs: Sequence[MadeJob], typed: Sequence[str] = ("-m",), tune: Any = None) -> Path:
    """Write the folder of a sweep; its jobs are numbered in their order."""
    folder.mkdir(parents=True)
    entries = []
    for number, job in enumerate(jobs):
        spec = spec_of(job.overrides)
        attempts = len(job.earlier) + (job.state is not None)
        digest = spec_digest(spec)
        entries.append(
            {"number": number, "overrides": list(job.overrides), "spec_digest": digest, "attempts": attempts}
        )
        for attempt, error in enumerate(job.earlier, start=1):
            run = folder / ATTEMPTS / f"{number}-{attempt}"
            run.mkdir(parents=True)
            write_status(run, "failed", error)
        if job.state is not None:
            _write_run(folder / str(number), job, spec)
    write_json(folder / RECORD, {"version": 1, "typed": list(typed), "jobs": entries, "tune": tune})
    return folder


def spec_of(overrides: Sequence[str]) -> Spec:
    """What the overrides come to. Only choices of groups are composed, as that takes long; settings are put in."""
    pairs = [override.lstrip("+").partition("=") for override in overrides]
    values = spec_values(make_spec(*(f"{name}={value}" for name, _, value in pairs if "." not in name)))
    for name, _, value in pairs:
        *sections, setting = name.split(".")
        section = values
        for part in sections:
            section = section[part]
        if sections:
            section[setting] = yaml.safe_load(value)
    return parse(values)


def _write_run(run: Path, job: MadeJob, spec: Spec) -> None:
    run.joinpath("parties", spec.viewer()).mkdir(parents=True)
    write_json(run / SPEC, spec_values(spec))
    write_status(run, str(job.state), job.error)
    if job.state == "done":
        write_json(run / MANIFEST, _manifest(job, spec))


def _manifest(job: MadeJob, spec: Spec) -> dict[str, Any]:
    values = {name: value for name, value in spec_values(spec).items() if name not in HOW_NOT_WHAT}
    hashed = {
        "spec": {**values, "parties": sorted(spec.parties)},
        "spec_digest": spec_digest(spec),
        "party_order": list(spec.party_order()),
        "seeds": {},
        "rows": {},
        "align": {"method": "assume_sorted", "protocol": None},
        "plan": ["validate", *spec.stages()],
        "stages": {
            "validate": {party: {"file": digest} for party, digest in job.files.items()},
            "align": {party: {"ids": "0"} for party in spec.parties},
        },
        "model": "0123456789ab",
        "policy": [],
        "code": {"source": "0", "commit": None},
        "versions": {"numpy": "1"},
        "machine": {},
    }
    shown = {"evaluate": [dict(job.metrics)]} if job.metrics is not None else {}
    observed = {
        "cluster": spec.cluster.mode,
        "encryption": {},
        "sent": {"alice": {"carol": {"messages": 1, "bytes": job.sent}}},
        "seconds": {"train": job.seconds, "evaluate": 0.1},
        "shown": shown,
        "files": {},
    }
    return {
        "hashed": hashed,
        "digest": run_digest(hashed),
        "signatures": {party: SIGNED for party in spec.parties},
        "typed": {"overrides": list(job.overrides), "choices": {}},
        "observed": observed if job.reused is None else {**observed, "reused": job.reused},
    }


def damage(folder: Path, number: int) -> None:
    """Change a finished job's manifest without its digest."""
    path = folder / str(number) / MANIFEST
    path.write_bytes(path.read_bytes().replace(b'"method": "assume_sorted"', b'"method": "psi"', 1))


def break_status(folder: Path, number: int) -> None:
    """Leave half a status file, as no run of ours does."""
    (folder / str(number) / STATUS).write_text('{"state": "do')
