"""What each task does, from a composed configuration to an exit code."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from runner.budget import require_budget
from runner.earlier import look_at_earlier, settle
from runner.policy.decide import Decision, decide, require
from runner.policy.grants import load_grants
from runner.report.check import describe_budget, describe_plan
from runner.report.warnings import warnings_of
from runner.spec.compose import to_request, to_spec
from runner.spec.model import Spec
from runner.spec.request import TASKS, Request, refuse_unheeded
from runner.tracking.track import require_tracking


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
    spec, decisions = _decided(config)
    if spec.tune.name != "none":
        _search(spec, overrides, sweep_folder)
        return
    for warning in warnings_of(spec):
        print(warning, file=sys.stderr)
    if spec.task.name == "check":
        print(describe_plan(spec, decisions))
    require(decisions)
    require_tracking(spec)
    look_at_earlier(spec)
    if spec.task.name == "check":
        for told in describe_budget(spec, require_budget(spec)):
            print(told)
        print("\nThis run may start: python -m runner with the same settings and without task=check")
    else:
        from runner.execution import carry_out  # late: a check needs none of it, and must be quick

        carry_out(spec, decisions, config, {"overrides": list(overrides), "choices": dict(choices)}, sweep_folder)


def _search(spec: Spec, overrides: Sequence[str], sweep_folder: Path | None) -> None:
    """A search, or of a check what it would do."""
    from runner.tuning.plan import describe_search, plan_search
    from runner.tuning.search import search

    for warning in warnings_of(spec):
        print(warning, file=sys.stderr)
    require_tracking(spec)
    if spec.task.name != "check":
        search(spec, overrides, sweep_folder)
        return
    plan = plan_search(spec, overrides)
    print(f"{describe_search(plan)}\n\n{describe_plan(plan.spec, plan.decisions)}")
    print("\nThis search may start: python -m runner with the same settings and without task=check")


def _decided(config: DictConfig) -> tuple[Spec, tuple[Decision, ...]]:
    spec = to_spec(config)
    return spec, decide(spec, load_grants(spec, spec.parties_here()))


def _checked(config: DictConfig, overrides: Sequence[str]) -> Spec:
    """The spec of a run that may start."""
    spec, decisions = _decided(settle(config, overrides))
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
        case "summary":
            from runner.sweep.summary import summarise_sweep  # late: nothing else here needs what makes the page

            print(summarise_sweep(Path(str(request.sweep))))
        case "rekey":
            records.rekey_party(config, request)
        case "ledger":
            records.show_ledgers(config, request)
        case "infer_schema":
            drafting.draft_contracts(config, request)
        case "keygen":
            certificates.make_keys(config, request)
        case "pki":
            certificates.sign_requests(request)
        case "doctor":
            from runner.doctor.visit import examine

            examine(config, overrides, request.doctor, _checked)
