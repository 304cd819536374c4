"""What must be said aloud before a run."""

from __future__ import annotations

from runner.spec.model import Spec
from runner.spec.policy import ALL


def warnings_of(spec: Spec) -> list[str]:
    """Lines that nobody should miss: a policy that shows everything, a model that goes to one party."""
    policy = spec.policy
    found = []
    if ALL in policy.complete_model.recipients and ALL in policy.labels.recipients:
        found.append(f"WARNING: policy {policy.name!r} shows everything to every party. For simulation only.")
    if (at := spec.assembles_at()) is not None:
        found.append(f"WARNING: the complete model goes to {at}, who can then tell much about the labels.")
    if spec.sgb.shuffle == "shared" and spec.engine() == "sgb":
        found.append("WARNING: sgb.shuffle=shared lets the label holder undo the shuffles. For comparisons only.")
    if spec.align.method == "join_on_digest" and "align" in spec.stages():
        found.append("WARNING: align=join_on_digest lets every party find out which ids the others have, by guessing.")
    return found
