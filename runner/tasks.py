"""What each task does, from a composed configuration to an exit code."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from runner.earlier import look_at_earlier, settle
from runner.policy.decide import Decision, decide, require
from runner.policy.grants import load_grants
from runner.report.check import describe_plan
from runner.report.warnings import warnings_of
from runner.spec.check_site import refuse_untyped
from runner.spec.compose import to_request, to_spec
from runner.spec.model import Spec
from runner.spec.request import TASKS, Request, refuse_unheeded


def execute(
    config: DictConfig, overrides: Sequence[str], choices: Mapping[str, str], sweep_folder: Path | None = None
) -> None:
    """Do the task of one configuration.

    Args:
        config: what Hydra composed.
        overrides: the overrides as typed, in order.
        choices: group → the choice that was made.
        sweep_folder: the folder of this job in a sweep, or None for a single run.

    Raises:
        RunnerError: with the exit code of what went wrong.
    """
    request = to_request(config)
    if OmegaConf.select(config, "task.name") in TASKS:
        _answer(config, overrides, request)
        return
    config = settle(config, overrides)
    spec, decisions = _decided(config, overrides)
    for warning in warnings_of(spec):
        print(warning, file=sys.stderr)
    if spec.task.name == "check":
        print(describe_plan(spec, decisions))
    require(decisions)
    look_at_earlier(spec)
    if spec.task.name == "check":
        print("\nThis run may start: python -m runner with the same settings and without task=check")
    else:
        from runner.execution import carry_out  # late: a check needs none of it, and must be quick

        carry_out(spec, decisions, config, {"overrides": list(overrides), "choices": dict(choices)}, sweep_folder)


def _decided(config: DictConfig, overrides: Sequence[str]) -> tuple[Spec, tuple[Decision, ...]]:
    spec = to_spec(config)
    refuse_untyped(spec, overrides)
    return spec, decide(spec, load_grants(spec, spec.parties_here()))


def _checked(config: DictConfig, overrides: Sequence[str]) -> Spec:
    """The spec of a run that may start."""
    spec, decisions = _decided(settle(config, overrides), overrides)
    require(decisions)
    look_at_earlier(spec)
    return spec


def _answer(config: DictConfig, overrides: Sequence[str], request: Request) -> None:
    """Do what is asked without a run."""
    from runner import certificates, drafting, records, reproduction

    refuse_unheeded(config.task.name, overrides)
    match config.task.name:
        case "reproduce":
            reproduction.reproduce_run(overrides, request)
        case "verify":
            records.verify_run(config, request)
        case "diff":
            records.diff_runs(request)
        case "report":
            records.report_run(request)
        case "rekey":
            records.rekey_party(config, request)
        case "infer_schema":
            drafting.draft_contracts(config, request)
        case "keygen":
            certificates.make_keys(config, request)
        case "pki":
            certificates.sign_requests(request)
        case "doctor":
            from runner.doctor.visit import examine

            examine(config, overrides, request.doctor, _checked)
