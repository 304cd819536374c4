"""Task `doctor`: look at everything that a run needs, and say what is wrong and how to mend it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from runner.cluster.offline import ask_parties
from runner.doctor.findings import Finding, describe, failed, failure, passed, require_healthy
from runner.doctor.machine import (
    look_at_clock,
    look_at_cpu,
    look_at_disk,
    look_at_entropy,
    look_at_versions,
    newest_file,
    pins,
)
from runner.doctor.peers import look_at_peers
from runner.doctor.site import look_at_certificate, look_at_key, look_at_ports
from runner.environment import machine, versions
from runner.errors import RunnerError
from runner.spec.identity import spec_values
from runner.spec.model import Cluster, Spec
from runner.spec.request import Doctor

NEEDED = ("runner.data.job",)  # it imports pandera as it should be
Checked = Callable[[DictConfig, Sequence[str]], Spec]


def examine(config: DictConfig, overrides: Sequence[str], settings: Doctor, checked: Checked) -> None:
    """Print a line for each check.

    Args:
        config: as for the run, but for the task.
        overrides: as typed.
        checked: makes of both the spec, and refuses what a run would refuse before it starts.

    Raises:
        ClusterError: where a check failed.
    """
    findings = []
    for finding in _look(config, overrides, settings, checked):
        print(describe(finding), flush=True)
        findings.append(finding)
    require_healthy(findings)
    warnings = sum(finding.state == "WARNING" for finding in findings)
    print(
        f"\n{len(findings) - warnings} of {len(findings)} checks passed" + (f", {warnings} to look at" * bool(warnings))
    )


def _look(config: DictConfig, overrides: Sequence[str], settings: Doctor, checked: Checked) -> Iterator[Finding]:
    installed, here = versions(), machine()
    yield look_at_versions(installed, pins())
    yield look_at_cpu(here["cpu_flags"], here["cores"])
    yield look_at_entropy()
    yield look_at_clock(time.time(), newest_file())
    plan = OmegaConf.select(config, "task.plan")
    settled = config.copy()
    OmegaConf.set_struct(settled, False)
    settled.task = {"name": "check", "plan": plan}
    del settled["doctor"]
    try:
        spec = checked(settled, overrides)
    except RunnerError as error:
        yield failure("config", error)
        return
    yield passed("config", f"spec and policy allow task={plan}")
    yield look_at_disk(Path(spec.outputs))
    for party in spec.parties_here():
        yield look_at_key(party, spec.parties[party])
    yield from look_at_ports(spec)
    yield from _look_at_tables(spec)
    if spec.is_remote():
        yield from _look_at_others(spec, installed, settings)


def _look_at_tables(spec: Spec) -> Iterator[Finding]:
    """Each party looks at its own table, in a process of its own."""
    orders = {party: {"order": "measure", "party": party, "spec": spec_values(spec)} for party in spec.tables_here()}
    if not orders:
        return
    try:
        answers = ask_parties(orders, Cluster(), preload=NEEDED)
    except RunnerError as error:
        yield failure("tables", error)
        return
    for party, answer in answers.items():
        check = f"table of {party}"
        if answer["error"] is not None:
            yield failure(check, RunnerError.from_dict(answer["error"]))
        else:
            yield passed(check, "there, readable, and not too large for the memory")


def _look_at_others(spec: Spec, installed: dict[str, str], settings: Doctor) -> Iterator[Finding]:
    certificate = look_at_certificate(spec)
    yield certificate
    if not settings.peers:
        return
    if certificate.state == "FAILED":
        yield failed("peers", "not asked, for want of a certificate", "mend the certificate first")
        return
    yield from look_at_peers(spec, installed, settings.wait, lambda line: print(f"         {line}", flush=True))
