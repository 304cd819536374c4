"""What a search will do: its space, its leader, and what all of its trials have in common. Pure: nothing is started."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from runner.errors import PolicyError
from runner.policy.decide import Decision, decide, denied, require
from runner.policy.flows import VALIDATION_CURVE
from runner.policy.grants import load_grants
from runner.report.summary import arguments_of_job
from runner.spec.compose import config_dir, explain, to_spec
from runner.spec.identity import spec_digest
from runner.spec.model import Spec
from runner.spec.trials import check_space, of_search, overrides_of_search, overrides_of_trial
from runner.spec.tune import Range, Scalar, leader_of, objectives_of

ROWS = {
    "validation": "validation rows, held out of the training rows; the test rows were left out",
    "cv": "the mean over folds of the training rows; the test rows were left out",
    "test": "the test rows: the metrics below favour the best trial, and are no fair estimate",
}


@dataclass(frozen=True)
class Plan:
    """A search that may start.

    Attributes:
        spec: of a trial, with the search's own section ``tune``; what is searched has the values that were typed.
        space: setting → its range.
        leader: the party whose process leads it.
        decisions: on the flows of a trial, and on what the leader tells.
        typed: the overrides that say nothing of the search, in order: every trial has them.
        shown: whether the terminal may see metrics.
    """

    spec: Spec
    space: Mapping[str, Range]
    leader: str
    decisions: tuple[Decision, ...]
    typed: tuple[str, ...]
    shown: bool

    def overrides(self, settings: Mapping[str, Scalar]) -> tuple[str, ...]:
        """All overrides of a trial."""
        return (*self.typed, *overrides_of_search(self.spec.tune), *overrides_of_trial(settings))

    def command(self) -> str:
        """What trains a model on all training rows, and measures the test rows; a trial's settings come after it."""
        kept = [override for override in self.typed if not override.startswith(("task=", "sweep."))]
        return shlex.join(["python", "-m", "runner", *arguments_of_job(sys.argv[1:], kept)])

    def identity(self) -> dict[str, Any]:
        """What a search that is gone on with must have in common with its beginning."""
        tune = self.spec.tune
        return {
            "leader": self.leader,
            "by": tune.by,
            "space": {path: _described(searched) for path, searched in self.space.items()},
            "objectives": dict(objectives_of(self.spec)),
            "sampler": tune.sampler,
            "startup": tune.startup,
            "seed": tune.seed,
            "pruner": tune.pruner,
            "pruner_startup": tune.pruner_startup,
            "pruner_warmup": tune.pruner_warmup,
            "trial": spec_digest(self.spec),
        }


def plan_search(spec: Spec, overrides: Sequence[str]) -> Plan:
    """Look at everything that can be wrong with a search before anything is started.

    Args:
        spec: as typed, with the section ``tune``.
        overrides: as typed.

    Raises:
        SpecError: for a setting that cannot be searched, or a range that it does not take.
        PolicyError: where nobody gets what the search would be led by.
    """
    space = check_space(spec)
    typed = tuple(override for override in overrides if not of_search(override))
    config = compose_trial([*typed, *overrides_of_search(spec.tune)])
    with open_dict(config):
        del config["hydra"]
    searched = msgspec.structs.replace(to_spec(config), tune=spec.tune)
    leader = leader_of(searched)
    if leader is None:
        raise _nobody_leads(searched)
    decisions = decide(searched, load_grants(searched, searched.parties))
    require(decisions)
    for decision in decisions:
        flow = decision.flow
        if spec.tune.pruner != "none" and (flow.form, flow.receiver) == (VALIDATION_CURVE, leader):
            _require_curve(decision)
    shown = any(d.allowed and d.flow.kind == "metrics" and d.flow.receiver == "the terminal" for d in decisions)
    return Plan(searched, space, leader, decisions, typed, shown)


def compose_trial(overrides: Sequence[str]) -> DictConfig:
    """The configuration of a trial, with Hydra's own section.

    Raises:
        SpecError: where an override chooses or changes what is not there.
    """
    try:
        if GlobalHydra.instance().is_initialized():
            return compose("config", list(overrides), return_hydra_config=True)
        with initialize_config_dir(config_dir(), job_name="runner", version_base="1.3"):
            return compose("config", list(overrides), return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, list(overrides)) from None


def describe_search(plan: Plan) -> str:
    """Of a dry run: what is searched, and who leads."""
    tune = plan.spec.tune
    ranges = [f"          {path}: {_described(searched)}" for path, searched in plan.space.items()]
    looks_for = ", ".join(f"{way} {name}" for name, way in objectives_of(plan.spec).items())
    stops = "" if tune.pruner == "none" else f", trainings stopped by {tune.pruner}"
    lines = [
        f"Search    {tune.trials} trials by {tune.sampler} from seed {tune.seed}{stops}: {looks_for}",
        *ranges,
        f"Led by    {plan.leader}, on {ROWS[tune.by].partition(':')[0]}",
        "Below     the plan of one trial",
    ]
    return "\n".join(lines)


def _described(searched: Range) -> dict[str, Any]:
    """As it is typed."""
    values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(searched))
    return {name: value for name, value in values.items() if value not in (None, False)}


def _nobody_leads(spec: Spec) -> PolicyError:
    if not spec.policy.metrics.recipients:
        return PolicyError(
            "nobody can lead the search",
            where="policy.metrics.recipients",
            why="it is led by the metrics of its trials, and the policy gives them to nobody",
            fix=f"name a party there: policy.metrics.recipients=[{spec.evaluator()}]",
        )
    return PolicyError(
        "nobody can stop trainings",
        where="policy.curves.recipients",
        why="who does it needs the metrics of finished trials and the curves of running ones, and no party gets both",
        fix="name there a party of policy.metrics.recipients, or set tune.pruner=none",
    )


def _require_curve(decision: Decision) -> None:
    if not decision.allowed:
        raise denied(decision)
