"""What the outputs of a run cost with privacy=output_dp, at which party. Pure: told before anything starts."""

from __future__ import annotations

import hashlib

from runner.files import canonical_json
from runner.privacy.accounting import Charge
from runner.spec.identity import evaluation_digest
from runner.spec.model import Spec
from runner.spec.privacy import OutputDp

METRICS, SCORES = "released_counts", "released_scores"


def scorer(spec: Spec) -> str:
    """The party that computes scores in the clear, and hands them out."""
    return str(spec.predict.at) if spec.predict_mode() == "complete" else spec.label.holder


def output_charges(spec: Spec, run: str) -> dict[str, dict[str, Charge]]:
    """Party → what it releases with noise → what that costs.

    Args:
        run: the run's folder name. Where a repeated command comes to other scores (``label.mode=secret``), each run
            has draws of its own.
    """
    privacy = spec.privacy
    if not isinstance(privacy, OutputDp):
        return {}
    found: dict[str, dict[str, Charge]] = {}
    evaluator = spec.evaluator()
    if evaluator is not None:
        found.setdefault(evaluator, {})[METRICS] = Charge(
            mechanism=f"counts in {privacy.bins} cells of the score, by label: discrete Laplace",
            epsilon=privacy.epsilon,
            unit="label and score of one test row",
            draw=_draw(spec, run, METRICS, [privacy.epsilon, privacy.bins]),
            against=f"everybody but {evaluator} and whom it has labels or scores from",
        )
    if privacy.scores_epsilon is not None and set(spec.prediction_recipients()) - {scorer(spec)}:
        found.setdefault(scorer(spec), {})[SCORES] = Charge(
            mechanism=f"each score in {privacy.scores_steps} steps: discrete Laplace",
            epsilon=privacy.scores_epsilon,
            unit="score of one row",
            draw=_draw(spec, run, SCORES, [privacy.scores_epsilon, privacy.scores_steps]),
            against=f"everybody but {scorer(spec)}",
        )
    return found


def _draw(spec: Spec, run: str, what: str, parameters: list[float]) -> str:
    identity = [what, parameters, evaluation_digest(spec), run if spec.engine() == "ss_xgb" else ""]
    return hashlib.sha256(canonical_json(identity)).hexdigest()
