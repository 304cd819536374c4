"""Settings of a search, and of what it is led by, that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator

from runner.errors import SpecError
from runner.spec.check_sweep import refuse_redraw
from runner.spec.model import Spec
from runner.spec.privacy import OutputDp
from runner.spec.suggest import advise
from runner.spec.tune import COSTS, METRICS, leader_of, objectives_of, space_of

Contradiction = tuple[str, bool, str, str, str]  # where, whether it is so, what, why, what to do


def check_tune(spec: Spec) -> None:
    _refuse(_of_validation_curve(spec))
    if spec.tune.name == "none":
        return
    refuse_redraw(spec)
    _check_objectives(spec)
    _refuse(_of_search(spec))


def _refuse(contradictions: Iterator[Contradiction]) -> None:
    for where, so, what, why, fix in contradictions:
        if so:
            raise SpecError(what, where=where, why=why, fix=fix)


def _of_validation_curve(spec: Spec) -> Iterator[Contradiction]:
    where, wanted = "train.validation_curve", spec.train.validation_curve and "train" in spec.stages()
    yield (
        where,
        wanted and (spec.data.split.hold_out != "validation" or spec.task.to_run() == "cv"),
        "there are no validation rows",
        "its rows must be neither training rows nor the test rows, nor folds, of which it would give away the end",
        "set +data.split.hold_out=validation (and task=train_predict), or train.validation_curve=false",
    )
    yield (
        where,
        wanted and (spec.engine() == "ss_xgb" or spec.sgb.objective == "multiclass"),
        "there is no validation curve of such a training",
        "with a secret label nobody sees a score; several classes are trained one after another",
        "set train.validation_curve=false",
    )

    yield (
        where,
        wanted and isinstance(spec.privacy, OutputDp),
        "a validation curve would go round the noise",
        "privacy=output_dp is noise on what is told of the test rows; the curve tells of other rows, at every tree",
        "set train.validation_curve=false (and tune.pruner=none), or choose another privacy",
    )


def _check_objectives(spec: Spec) -> None:
    known = {**METRICS[spec.sgb.objective], **COSTS}
    for name in spec.tune.objectives:
        if name not in known:
            raise SpecError(
                f"{name!r} cannot be looked for",
                where="tune.objectives",
                why=f"with sgb.objective={spec.sgb.objective} no run tells it",
                fix=advise(name, known),
            )
    if len(set(spec.tune.objectives)) < len(spec.tune.objectives):
        raise SpecError(
            "an objective is named twice",
            where="tune.objectives",
            why="each is looked for once",
            fix="name each of them once",
        )


def _of_search(spec: Spec) -> Iterator[Contradiction]:
    tune, plan, space = spec.tune, spec.task.to_run(), space_of(spec.tune)
    yield (
        "task",
        plan != "train_predict" and not (plan == "cv" and tune.by == "cv"),
        f"task={plan} is no search's",
        "each trial of a search trains a model, and measures it on the rows that tune.by names",
        "use task=train_predict; tune.by=cv measures each trial by folds",
    )
    yield (
        "cluster.mode",
        spec.is_remote(),
        "a search over several sites",
        "one party's process leads it and chooses the next trial, which the drivers of other sites do not hear",
        "set tune=none and type a sweep (-m) at every site, or search where all parties are on one machine",
    )
    yield (
        "tune.space",
        not space,
        "there is nothing to search",
        "neither tune.space nor tune.default_space names a setting",
        "add 'tune.space.sgb.max_depth={int: [2, 8]}', or another one",
    )
    yield (
        "tune.objectives",
        "bytes_sent" in tune.objectives and spec.cluster.mode == "debug",
        "bytes_sent cannot be looked for in one process",
        "with cluster=debug nothing is sent between parties: all trials would be alike",
        "use cluster=local, or leave bytes_sent out",
    )
    yield (
        "label.predict",
        spec.evaluator() is None,
        "a search without labels to compare with",
        "it is led by metrics of rows that a model has not seen",
        "set label.predict=same, or the party that has the labels",
    )
    yield (
        "resume",
        spec.resume is not None,
        "a search does not go on from a checkpoint",
        "each of its trials is a training of its own",
        "remove resume=…; the same command with hydra.sweep.dir=<its folder> goes on with a search",
    )
    yield (
        "policy.privacy.budget",
        isinstance(spec.privacy, OutputDp) and spec.policy.privacy.budget is None,
        "a search without a budget of privacy",
        "privacy=output_dp draws noise for every trial, and each draw costs its epsilon",
        "set +policy.privacy.budget={epsilon: …}: no trial begins that would overspend it",
    )
    yield (
        "policy.metrics.recipients",
        isinstance(spec.privacy, OutputDp) and leader_of(spec) is None,
        "nobody can lead a search by noisy metrics",
        f"{spec.evaluator()} has the exact ones, and the settings that it would choose by them would tell of them",
        "name another party there (and in policy.curves.recipients, to stop trainings)",
    )
    yield from _of_sampler(spec)
    yield from _of_pruner(spec)


def _of_sampler(spec: Spec) -> Iterator[Contradiction]:
    tune, space = spec.tune, space_of(spec.tune)
    endless = [path for path, searched in space.items() if searched.grid() is None]
    yield (
        "tune.sampler",
        tune.sampler == "grid" and bool(endless),
        f"the grid has no end: {', '.join(endless)}",
        "a grid tries every value, and a range without a step has too many",
        "give each of them a step, or a list: {categorical: [0.1, 0.3]}",
    )
    lists = [path for path, searched in space.items() if searched.categorical is not None]
    yield (
        "tune.sampler",
        tune.sampler == "cmaes" and (bool(lists) or len(space) < 2),
        "cmaes cannot search this space",
        "it models how at least two numbers vary together, and lists have no distances",
        "use tune.sampler=tpe, or ranges of numbers only, at least two",
    )
    yield (
        "tune.sampler",
        tune.sampler == "cmaes" and len(objectives_of(spec)) > 1,
        "cmaes looks for one objective",
        "it ranks its trials, and several objectives give no ranking",
        "use tune.sampler=tpe, or name one objective",
    )


def _of_pruner(spec: Spec) -> Iterator[Contradiction]:
    tune, stops = spec.tune, spec.tune.pruner != "none"
    yield (
        "tune.pruner",
        stops and tune.by != "validation",
        f"tune.pruner={tune.pruner} does not go with tune.by={tune.by}",
        "a training is stopped by its curve on validation rows; the test rows must not stop it, and folds have none",
        "set tune.by=validation, or tune.pruner=none",
    )
    yield (
        "tune.pruner",
        stops and (len(objectives_of(spec)) > 1 or next(iter(objectives_of(spec))) in COSTS),
        "only the search for one metric can stop trainings",
        "several objectives give no ranking, and a cost is known at the end",
        "name one metric in tune.objectives, or set tune.pruner=none",
    )
    yield (
        "tune.pruner",
        stops and (spec.engine() == "ss_xgb" or spec.sgb.objective == "multiclass" or spec.sgb.enable_early_stop),
        "there is no validation curve to stop such a training by",
        "with a secret label nobody sees a score; several classes are trained one after another; early stopping "
        "stops by rows of its own",
        "set tune.pruner=none",
    )
    yield (
        "tune.pruner",
        stops and spec.predict_mode() != "open_to_label_holder",
        f"tune.pruner={tune.pruner} does not go with predict.mode={spec.predict_mode()}",
        "the validation curve is made of scores that the label holder sees after each tree",
        "set tune.pruner=none, or let policy.predictions give the label holder the scores",
    )
