"""How much each setting mattered: functional analysis of variance over the jobs of a sweep.

A random forest is fitted to the jobs' results; a setting's importance is the share of the forest's variance that it
explains by itself (fANOVA; Hutter, Hoos and Leyton-Brown, "An efficient approach for assessing hyperparameter
importance", ICML 2014), as Optuna computes it. It speaks of the values that were tried, and of no others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from runner.sweep.summary_compare import Group, shown_value

LEAST_JOBS = 8  # with fewer, the forest has next to nothing to split
_SEED = 0


def importances(group: Group) -> dict[str, float] | None:
    """Setting → its share, the largest first; None where there are too few jobs, or nothing differs in them."""
    ranked = group.ranked()
    if len(ranked) < LEAST_JOBS:
        return None
    scores = [job.numbers()[str(group.by)] for job in ranked]
    columns = {name: [shown_value(job, name) for job in ranked] for name in group.columns}
    columns = {name: values for name, values in columns.items() if len(set(map(repr, values))) > 1}
    if not columns or max(scores) == min(scores):
        return None
    return _fanova(columns, scores)


def _fanova(columns: Mapping[str, Sequence[Any]], scores: Sequence[float]) -> dict[str, float]:
    import optuna  # late: with scikit-learn it takes seconds

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ranges: dict[str, Any] = {}
    for name, values in columns.items():
        if all(map(is_number, values)):
            ranges[name] = optuna.distributions.FloatDistribution(min(values), max(values))
        else:
            ranges[name] = optuna.distributions.CategoricalDistribution(sorted(set(map(repr, values))))
    study = optuna.create_study()
    for number, score in enumerate(scores):
        chosen = {
            name: float(values[number]) if all(map(is_number, values)) else repr(values[number])
            for name, values in columns.items()
        }
        study.add_trial(optuna.trial.create_trial(params=chosen, distributions=ranges, value=score))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=_SEED)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def is_number(value: Any) -> bool:
    """Whether a setting's value has a place on a scale."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
