"""What a run's noise guarantees, in plain words: who is protected, against whom, how well; and who is not."""

from __future__ import annotations

import math

from runner.privacy.choose import label_noise
from runner.privacy.output_charges import METRICS, SCORES, output_charges, scorer
from runner.spec.model import Spec


def guarantees(spec: Spec) -> list[str]:
    """One sentence or more for each thing that is protected; none without noise. All parties may read them."""
    return [*_of_labels(spec), *_of_outputs(spec)]


def _of_labels(spec: Spec) -> list[str]:
    noise = label_noise(spec)
    if noise is None:
        return []
    owners = tuple(spec.label.columns())
    whose = "the training label of one row is protected against everybody but its owner"
    together = ""
    if len(owners) > 1:
        whose = "what one owner's column says of one row's label is protected against everybody but that owner"
        most = len(owners) * noise.epsilon
        together = f" A row with labels at several owners is protected by their epsilons together ({most:g} at most)."
    return [
        f"Training labels ({noise.described()}): {whose} ({' and '.join(owners)}). {_odds(noise.epsilon)}{together} "
        f"Not protected: features, which rows there are, and {_measured(spec)}."
    ]


def _measured(spec: Spec) -> str:
    """Metrics compare with true labels."""
    if spec.task.to_run() == "cv" and spec.evaluator() is not None:
        return "what metrics tell of the labels: every row is a test row of one fold"
    return f"what metrics tell of the labels of {spec.data.split.hold_out} rows (which another run may train on)"


def _of_outputs(spec: Spec) -> list[str]:
    costs = {what: (party, cost) for party, found in output_charges(spec, "").items() for what, cost in found.items()}
    told = []
    if METRICS in costs:
        evaluator, cost = costs[METRICS]
        what = "label of one test row is" if SCORES in costs else "label and score of one test row are"
        told.append(
            f"Metrics, curves and tables ({cost.mechanism}): the {what} protected against everybody but {evaluator}, "
            f"which computes the metrics, and whom it has labels or scores from. {_odds(cost.epsilon)} "
            f"Not protected: the rows of the training{_handed_out(spec, SCORES in costs)}."
        )
    if SCORES in costs:
        party, cost = costs[SCORES]
        together = sum(found.epsilon for _, found in costs.values())  # metrics tell of scores, too
        told.append(
            f"Predictions ({cost.mechanism}): what one row's features make of its score is protected against everybody "
            f"but {party}, which computes the scores. {_odds(together)} Not protected: the rows of the training, and "
            "which rows are scored."
        )
    return told


def _handed_out(spec: Spec, noisy: bool) -> str:
    """Whoever gets a score as it is knows it; then only the label is left to protect."""
    others = [party for party in spec.prediction_recipients() if party != scorer(spec)]
    if noisy or not others:
        return ""
    return f", and scores from {', '.join(others)}, which get predictions without noise (of the labels all holds)"


def _odds(epsilon: float) -> str:
    return (
        f"(epsilon {epsilon:g}, delta 0)-differential privacy: whatever they see of this run, the odds of any guess "
        f"about it change by a factor of {math.exp(epsilon):.3g} at most."
    )
