"""The last words of a run: what was made, who got what, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.cluster.run import Outcome
from runner.report.names import NAMES
from runner.report.privacy import describe_privacy
from runner.spec.model import Spec


def summarise(spec: Spec, outcome: Outcome, manifest: Mapping[str, Any], folder: Path, arguments: Sequence[str]) -> str:
    """The summary, as the viewer may see it. ``arguments`` is the command line as typed."""
    stages, model = spec.stages(), (manifest["hashed"]["model"] or "")[:12]
    lines = []
    if shown := outcome.shown.get("align"):
        lines.append(f"Aligned      {shown[0]['rows']} rows that all parties have, by {_method(spec)}")
    if "train" in stages:
        lines += [
            f"Trained      {spec.sgb.objective} {ENGINES[spec.engine()]} on the columns of {len(spec.parties)} parties "
            f"({spec.data.name}); {_label(spec)}",
            f"Encryption   {_encryption(spec, manifest)}",
        ]
    if "import" in stages:
        lines.append(
            f"Taken in     {spec.sgb.objective} SGB, from a folder of each party; leaf weights at {spec.label.holder}"
        )
    if "save" in stages:
        lines.append(f"Model        one part at each party, bundle {model}")
    elif "folds" not in stages and "predict" in stages:
        lines.append(f"Applied      model {model} to {spec.data.name}")
    if "folds" in stages:
        lines += [f"Folds        {spec.cv.folds}, {_dealt(spec)}", f"Metrics      {_metrics(spec, outcome)}"]
    elif "predict" in stages:
        recipients = ", ".join(spec.prediction_recipients())
        elsewhere = not set(spec.prediction_recipients()) & set(spec.parties_here())
        lines.append(f"Predictions  at {recipients} and nobody else{'' if elsewhere else ':'}")
        here = [party for party in spec.prediction_recipients() if party in spec.parties_here()]
        lines += [f"             {folder}/parties/{party}/predictions.parquet" for party in here]
        lines.append(f"Metrics      {_metrics(spec, outcome)}")
    if "export" in stages:
        lines += _export(spec, model, folder)
    if spec.assembles_at() is not None:
        lines.append(
            f"Revealed     to {spec.assembles_at()}: every party's features by name, "
            + ("how they are prepared, " if "predict" in stages else "")
            + "split values and leaf weights; in effect, what the labels say"
        )
    if privacy := outcome.shown.get("privacy"):
        lines += describe_privacy(privacy[0])
    report = folder / "parties" / spec.viewer() / "report.html"
    lines += [
        *([f"Report       {report}"] if report.exists() else []),
        f"Run folder   {folder}",
        "Next         " + _next(spec, folder, arguments),
    ]
    return "\n".join(lines)


def _export(spec: Spec, model: str, folder: Path) -> list[str]:
    """What was written, and where."""
    at = spec.assembles_at()
    whose = "each party's own part" if at is None else "the complete model"
    written = spec.parties_here() if at is None else tuple({at} & set(spec.parties_here()))
    return [
        f"Exported     model {model} for {spec.export.format}, {whose}{':' if written else f', at {at}'}",
        *(f"             {folder}/parties/{party}/export/" for party in written),
    ]


FLAGS = ("--config-dir", "-cd")
ABOUT_KEYS = ("parties", "outputs", "self_party", "site", "cluster=remote", "experiment")
ABOUT_PARTIES = (*ABOUT_KEYS, "data", "align", "policy", "cluster")
ENGINES = {"sgb": "SGB", "ss_xgb": "SS-XGB"}


def _method(spec: Spec) -> str:
    protocol = spec.align.psi_protocol(len(spec.parties))
    return f"psi (protocol {protocol})" if protocol is not None else spec.align.method


def _label(spec: Spec) -> str:
    label = spec.label
    match label.mode:
        case "single":
            return f"label at {label.holder}"
        case "row_sharded":
            return f"labels of {', '.join(label.columns())} joined at {label.holder}"
        case "joint":
            return f"label combined from {', '.join(label.columns())}, seen by {label.holder} alone"
        case _:
            return f"label combined from {', '.join(label.columns())}, seen by nobody"


def _encryption(spec: Spec, manifest: Mapping[str, Any]) -> str:
    if spec.engine() == "ss_xgb":
        return "none needed: labels, gradients and leaf weights exist as secret shares only"
    encryption = manifest["observed"]["encryption"]
    counts = encryption["ciphertexts_sent"]
    sent = f"{sum(counts.values()):,} ciphertexts sent" if counts is not None else "in one process, nothing sent"
    return f"{encryption['scheme']}, {encryption['key_bits']} bits, {sent}"


def _metrics(spec: Spec, outcome: Outcome) -> str:
    if spec.label.predict == "none":
        return "none: label.predict=none says that there are no labels to compare with"
    shown = outcome.shown.get("evaluate")
    if not shown:
        recipients, viewer = ", ".join(spec.policy.metrics.recipients), spec.viewer()
        if spec.policy.metrics.includes(viewer):  # the terminal that shows them is at another site
            return (
                f"at {recipients} only; here in parties/{viewer}/{'cv' if 'folds' in spec.stages() else 'metrics'}.json"
            )
        return f"at {recipients} only; this terminal is {viewer}'s, who may not see them"
    if "folds" in spec.stages():
        means, deviations = shown[0]["mean"], shown[0]["sd"]
        listed = (
            f"{NAMES[name]} {_number(mean)} ({_number(deviations[name])})"
            for name, mean in means.items()
            if name in NAMES
        )
        return ", ".join(listed) + "; mean (standard deviation) over the folds"
    noise = "; of noisy counts" if spec.privacy.name == "output_dp" else ""
    return ", ".join(f"{NAMES[name]} {_number(value)}" for name, value in shown[0].items() if name in NAMES) + noise


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4f}"


def _dealt(spec: Spec) -> str:
    match spec.cv.by:
        case "random":
            return "dealt at random"
        case "stratified":
            return "each with as many rows of each class"
        case "group":
            return f"rows of one {spec.cv.column} together"
        case _:
            return f"each later in {spec.cv.column} than what its model was trained on"


def _next(spec: Spec, folder: Path, arguments: Sequence[str]) -> str:
    """The command that applies this model, or that verifies a run which applied one."""
    if spec.model is not None or "save" not in spec.stages():
        kept, asked = _kept(arguments, ABOUT_KEYS), ["task=verify", f"run={folder}"]
    else:
        kept, asked = _kept(arguments, ABOUT_PARTIES), ["task=predict", f"model={folder}"]
        if spec.policy.privacy.budget is not None:  # with one, no labels are compared without noise
            asked.append("label.predict=none")
    return shlex.join(["python", "-m", "runner", *kept, *asked])


def _kept(arguments: Sequence[str], about: tuple[str, ...] = ()) -> list[str]:
    """What of a command line goes into the next one: where configuration lies, and the settings of some sections."""
    return [
        argument
        for before, argument in zip(("", *arguments), arguments, strict=False)
        if argument in FLAGS or before in FLAGS or (about and argument.lstrip("+").startswith(about))
    ]


def arguments_of_job(arguments: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """What would have been typed for one job of a sweep, for which the command line has all values."""
    return [*_kept(arguments), *overrides]


def resume_command(spec: Spec, folder: Path, overrides: Sequence[str], arguments: Sequence[str]) -> str:
    """The command that goes on from the checkpoints in ``folder``: the run's own, with ``resume`` added."""
    kept = [override for override in overrides if not override.startswith(("task=", "resume="))]
    return shlex.join(
        ["python", "-m", "runner", *_kept(arguments), *kept, f"task={spec.task.name}", f"resume={folder}"]
    )
