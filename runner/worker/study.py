"""A study of Optuna's in a party's own folder: which settings to try next, and what came of those that were tried.

Each trial draws from a generator seeded by the search's seed and the trial's number: with one trial at a time the same
search finds the same, interrupted and resumed or not. Methods: TPE (Bergstra et al., NeurIPS 2011; with a constant liar
for trials that are under way), CMA-ES (Hansen and Ostermeier, 2001), median and (successive halving, Jamieson and
Talwalkar, AISTATS 2016) Hyperband pruning (Li et al., JMLR 18, 2018).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from runner.errors import BundleError
from runner.files import PRIVATE_FILE
from runner.spec.model import Spec
from runner.spec.tune import Range, Scalar, objectives_of, space_of

State = Literal["done", "failed", "stopped"]
JOURNAL = "study.journal"
NAME = "search"


class Study:
    """The study of one search; it is on the disk after each step, and goes on from there.

    Args:
        folder: of the party that leads the search: nobody else's process reads it.
        spec: of the search.
    """

    def __init__(self, folder: Path, spec: Spec) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._spec = spec
        self._space = space_of(spec.tune)
        self.objectives = objectives_of(spec)
        self._distributions = {path: _distribution(searched) for path, searched in self._space.items()}
        self._lock = FileLock(folder / f".{JOURNAL}.owner")
        self._lock.acquire(timeout=0)
        self._study = optuna.create_study(
            storage=_storage(folder / JOURNAL),
            study_name=NAME,
            directions=list(self.objectives.values()),
            pruner=_pruner(spec),
            load_if_exists=True,
        )
        self._trials: dict[int, Trial] = {}
        # Begun before an interruption: they are given out again, each once, before any new one.
        self._interrupted = [trial.number for trial in self._in_state(TrialState.RUNNING)]

    def ask(self) -> tuple[int, dict[str, Scalar]] | None:
        """The number and the settings of the next trial; None where a grid has no other."""
        number = self._interrupted.pop(0) if self._interrupted else len(self._study.get_trials(deepcopy=False))
        if self._spec.tune.sampler == "grid" and number >= math.prod(len(values) for values in self._grid().values()):
            return None
        self._study.sampler = self._sampler(number)
        begun = self._study.get_trials(deepcopy=False)
        trial = Trial(self._study, begun[number]._trial_id) if number < len(begun) else self._study.ask()
        for path, distribution in self._distributions.items():
            trial._suggest(path, distribution)
        self._trials[number] = trial
        return number, dict(sorted(trial.params.items()))

    def goes_on(self, number: int, value: float, trees: int) -> bool:
        """Note a trial's metric after a number of trees; answer whether it promises enough to go on."""
        trial = self._trials[number]
        trial.report(value, trees)
        return not trial.should_prune()

    def tell(self, number: int, state: State, values: Sequence[float | None], job: int | None = None) -> None:
        """Note how a trial ended, and which job it was. One without a number for each objective has failed."""
        if self._study.get_trials(deepcopy=False)[number].state.is_finished():
            return
        self._trials[number].set_user_attr("job", job)
        known = [value for value in values if value is not None and math.isfinite(value)]
        if state == "stopped":
            self._study.tell(number, state=TrialState.PRUNED)
        elif state == "done" and len(known) == len(self.objectives):
            self._study.tell(number, known)
        else:
            self._study.tell(number, state=TrialState.FAIL)

    def interrupted(self) -> int:
        """How many trials were under way when the search was interrupted, and are not given out again yet."""
        return len(self._interrupted)

    def ended(self) -> dict[str, int]:
        """How many trials are done, stopped and failed."""
        states = {"done": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
        return {name: len(self._in_state(state)) for name, state in states.items()}

    def best(self) -> list[dict[str, Any]]:
        """The best trial; of several objectives, all that no other trial is better than in every one (Pareto front)."""
        if not self._in_state(TrialState.COMPLETE):
            return []
        front = self._study.best_trials
        if len(self.objectives) == 1:
            front = [min(front, key=lambda trial: trial.number)]
        return [self._told(trial) for trial in sorted(front, key=lambda trial: trial.number)]

    def close(self) -> None:
        """Let another process have the study."""
        self._lock.release()

    def _told(self, trial: FrozenTrial) -> dict[str, Any]:
        values = dict(zip(self.objectives, trial.values, strict=True))
        return {
            "trial": trial.number,
            "job": trial.user_attrs.get("job"),
            "settings": dict(sorted(trial.params.items())),
            "values": values,
        }

    def _in_state(self, state: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=(state,))

    def _grid(self) -> Mapping[str, Sequence[Scalar]]:
        return {path: searched.grid() or () for path, searched in self._space.items()}

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        tune = self._spec.tune
        seed = (tune.seed + 0x9E3779B1 * number) % 2**32
        match tune.sampler:
            case "random":
                return optuna.samplers.RandomSampler(seed)
            case "grid":
                return _Grid(self._grid(), seed=tune.seed)
            case "cmaes":
                return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
        return optuna.samplers.TPESampler(n_startup_trials=tune.startup, seed=seed, constant_liar=True)


class _Grid(optuna.samplers.GridSampler):
    """Optuna's, which ends ``Study.optimize`` after the last value; there is none to end here."""

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        """Do nothing."""


def _distribution(searched: Range) -> optuna.distributions.BaseDistribution:
    if searched.categorical is not None:
        return CategoricalDistribution(searched.categorical)
    if searched.whole is not None:
        low, high = searched.whole
        return IntDistribution(low, high, log=searched.log, step=int(searched.step or 1))
    least, most = searched.real or (0.0, 0.0)
    return FloatDistribution(least, most, log=searched.log, step=searched.step)


def _pruner(spec: Spec) -> optuna.pruners.BasePruner:
    tune = spec.tune
    rounds = space_of(tune).get("sgb.num_boost_round")
    most = int(max(rounds.probes())) if rounds is not None and rounds.whole else spec.sgb.num_boost_round
    match tune.pruner:
        case "median":
            return optuna.pruners.MedianPruner(tune.pruner_startup, tune.pruner_warmup - 1)
        case "successive_halving":
            return optuna.pruners.SuccessiveHalvingPruner(min_resource=tune.pruner_warmup)
        case "hyperband":
            return optuna.pruners.HyperbandPruner(tune.pruner_warmup, max(most, tune.pruner_warmup))
    return optuna.pruners.NopPruner()


def _storage(path: Path) -> JournalStorage:
    """The study's journal. What a killed process left half written, and its lock, are taken away."""
    path.touch(PRIVATE_FILE)
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
    Path(f"{path}.lock").unlink(missing_ok=True)
    try:
        return JournalStorage(JournalFileBackend(str(path)))
    except (ValueError, KeyError) as error:
        raise BundleError(
            "the record of the search is damaged",
            where=str(path),
            why=f"{type(error).__name__} was raised when it was read",
            fix="restore it from a copy, or begin another search: hydra.sweep.dir=<another folder>",
        ) from None
