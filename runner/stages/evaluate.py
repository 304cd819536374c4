"""Stage `evaluate`: compare scores with labels at the label holder; metrics go to whom the policy names."""

from __future__ import annotations

from typing import Any

from secretflow.device import PYUObject

from runner.engine.site import Site
from runner.errors import StageError
from runner.files import write_json
from runner.stages.context import Context
from runner.stages.metrics import evaluate_scores

METRICS = "metrics.json"


def evaluate(context: Context, scores: PYUObject) -> None:
    """Compute the test metrics and write ``metrics.json`` in each recipient's folder; skipped without labels."""
    spec = context.spec
    if spec.label.predict == "none":
        return

    def measure(site: Site, scores: Any) -> dict[str, float]:
        if site.table.label is None:
            raise StageError(
                "there is no label to compare with",
                where="label.predict",
                why="the table has none",
                fix="label.predict=none",
            )
        return evaluate_scores(spec.sgb.objective, site.table.label[site.table.test], scores)

    metrics = context.at(spec.label.holder, measure, scores)
    effects = []
    for recipient in spec.policy.metrics.recipients:
        received = context.gate.deliver(metrics, recipient, stage="evaluate", kind="metrics")
        effects.append(context.at(recipient, lambda site, values: write_json(site.folder / METRICS, values), received))
    effects.append(context.gate.show(metrics, stage="evaluate", kind="metrics"))
    context.gate.finish(effects)
