"""The last words of a run: what was made, who got what, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.cluster.run import Outcome
from runner.spec.model import Spec

NAMES = {
    "auc": "AUC",
    "ks": "KS",
    "accuracy": "accuracy",
    "log_loss": "log-loss",
    "f1": "F1",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
}


def summarise(spec: Spec, outcome: Outcome, manifest: Mapping[str, Any], folder: Path, arguments: Sequence[str]) -> str:
    """The summary, as the viewer may see it. ``arguments`` is the command line as typed."""
    plan = spec.task.to_run()
    holder = spec.label.holder
    lines = []
    if plan != "predict":
        others = ", ".join(party for party in spec.party_order() if party != holder)
        features = sum(outcome.features.values())
        lines += [
            f"Trained      {spec.sgb.objective} SGB on {features} features of {len(spec.parties)} parties "
            f"({spec.data.name}); label at {holder}, encrypted towards {others}",
            f"Encryption   {_encryption(manifest)}",
            f"Model        one part at each party, bundle {manifest['hashed']['model'][:12]}",
        ]
    else:
        lines.append(f"Applied      model {manifest['hashed']['model'][:12]} to {spec.data.name}")
    if plan != "train":
        recipients = ", ".join(spec.policy.predictions.recipients)
        lines.append(f"Predictions  at {recipients} and nobody else:")
        lines += [f"             {folder}/parties/{p}/predictions.parquet" for p in spec.policy.predictions.recipients]
        lines.append(f"Metrics      {_metrics(spec, outcome)}")
    lines += [
        f"Run folder   {folder}",
        "Next         " + _next(spec, folder, arguments),
    ]
    return "\n".join(lines)


def _encryption(manifest: Mapping[str, Any]) -> str:
    encryption = manifest["observed"]["encryption"]
    counts = encryption["ciphertexts_sent"]
    sent = f"{sum(counts.values()):,} ciphertexts sent" if counts is not None else "in one process, nothing sent"
    return f"{encryption['scheme']}, {encryption['key_bits']} bits, {sent}"


def _metrics(spec: Spec, outcome: Outcome) -> str:
    if spec.label.predict == "none":
        return "none: label.predict=none says that there are no labels to compare with"
    shown = outcome.shown.get("evaluate")
    if not shown:
        recipients = ", ".join(spec.policy.metrics.recipients)
        return f"at {recipients} only; this terminal is {spec.viewer()}'s, who may not see them"
    return ", ".join(f"{NAMES[name]} {value:.4f}" for name, value in shown[0].items())


def _next(spec: Spec, folder: Path, arguments: Sequence[str]) -> str:
    """The command that applies this model, with what of this run's command line is about parties and tables."""
    if spec.task.to_run() == "predict":
        return "python -m runner --help"
    kept = [
        argument
        for before, argument in zip(("", *arguments), arguments, strict=False)
        if argument in _FLAGS or before in _FLAGS or argument.lstrip("+").startswith(_ABOUT_PARTIES)
    ]
    return shlex.join(["python", "-m", "runner", *kept, "task=predict", f"model={folder}"])


_FLAGS = ("--config-dir", "-cd")
_ABOUT_PARTIES = ("data", "parties", "policy", "cluster", "outputs", "experiment")
