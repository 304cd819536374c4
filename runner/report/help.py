"""``python -m runner --help``: the groups and their choices, and what each SGB setting costs and shows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import NODEFAULT, inspect

from runner.spec.compose import config_dir
from runner.spec.label import SingleLabel
from runner.spec.model import Spec
from runner.spec.parse import describe, unwrap
from runner.spec.policy import Budget
from runner.spec.privacy import LabelDp, OutputDp
from runner.spec.request import Request
from runner.spec.sgb import SgbSettings
from runner.spec.source import Csv, Drawn, Source

INTRODUCTION = """\
python -m runner [group=choice] [group.setting=value] …

Trains SecretFlow SGB over the tables of several parties, saves it, loads it, predicts and evaluates, under a policy.

  python -m runner                                     the whole job on built-in real data
  python -m runner task=check                          dry run: spec, policy and plan; starts nothing
  python -m runner task=cv cv.folds=5                  cross-validation
  python -m runner task=predict model=RUN data=…       apply a saved model
  python -m runner task=train resume=RUN (or newest)   go on with an interrupted training that wrote checkpoints
  python -m runner task=verify run=RUN                 check the records of a finished run; task=reproduce: run it again
  python -m runner task=infer_schema data=…            draft a contract of each party's table, at that party
  python -m runner task=ledger                         what each party has spent of its rows' privacy
  python -m runner task=report run=RUN                 make every party's report.html of a finished run again
  python -m runner task=export model=RUN export.format=…   write a saved model for SecretFlow, Serving, XGBoost or ONNX
  python -m runner task=import import_from={alice: …, …}   take in what SecretFlow's own save_model wrote
  python -m runner cluster=remote self_party=alice site=alice   one party here, each of the others at a site of its own
  python -m runner task=keygen keygen.party=alice      a party's keys and certificate request; task=pki signs it
  python -m runner task=doctor                         is this site, and are its peers, fit for the run? 0 or 5
  python -m runner data=synthetic data.rows=… data.features=…   on made-up tables of any size
  python -m runner sgb=fast crypto=paillier            other choices
  python -m runner -m sgb.max_depth=3,5                a sweep; typed again with hydra.sweep.dir=DIR, it goes on
  python -m runner tune=optuna tune.trials=20          a search for good settings; task=check shows what it would do
  python -m runner task=summary sweep=DIR              its jobs compared: a table, CSV, Parquet and a page
  python -m runner --cfg job                           the composed configuration

Exit codes: 0 done · 2 spec · 3 policy · 4 data · 5 cluster · 6 stage · 7 not reproduced · 8 bundle ·
            9 stopped early in a search · 130 interrupted

Groups:
"""
# Those of which every run has one kind; label's and data's are the settings that all their choices have.
SECTIONS = (
    "align",
    "prepare",
    "predict",
    "train",
    "explain",
    "cv",
    "evaluate",
    "report",
    "log",
    "export",
    "drift",
    "cluster",
    "sweep",
    "tune",
    "tracking",
    "self_party",
    "site",
)
OF_LABEL = ("predict", "predict_column", "weight", "class_weight")
OF_TASKS = (
    *("infer", "include_values", "reproduce", "allow_overrides", "rekey", "ledger"),
    *("keygen", "pki", "doctor"),
)


def help_text() -> str:
    """The whole help."""
    parts = [INTRODUCTION + "\n".join(_groups())]
    parts.append("Settings of data.tables.<party>.source, each added with +:\n" + "\n".join(_source_settings()))
    parts.append("Other settings, and their defaults; conf/ says what they mean:\n" + "\n".join(_other_settings()))
    parts.append("Settings of sgb:\n" + "\n".join(_settings()))
    return "\n\n".join(parts)


def _groups() -> list[str]:
    lines = []
    for group in sorted(path for path in Path(config_dir()).iterdir() if path.is_dir()):
        lines.append(f"  {group.name}=")
        for choice in sorted(group.glob("*.yaml")):
            lines.append(f"    {choice.stem:<27} {_first_comment(choice.read_text())}".rstrip())
    return lines


def _first_comment(text: str) -> str:
    """The first line that says what a choice is; ``# @package`` is a word to Hydra."""
    comments = (line[2:] for line in text.splitlines() if line.startswith("# "))
    return next((comment for comment in comments if not comment.startswith("@")), "")


def _source_settings() -> list[str]:
    lines = []
    for section, name in ((Source, ""), (Csv, "csv.")):
        kinds: Any = inspect.type_info(section)
        for setting in kinds.fields:
            described = describe(unwrap(setting.type))
            if not described.startswith("a section"):
                lines.append(f"  {name}{setting.encode_name:<{20 - len(name)}}{described}")
    return lines


def _other_settings() -> list[str]:
    sections: tuple[tuple[str, Any, tuple[str, ...] | None], ...] = (
        ("data.", Drawn, None),
        ("label.", SingleLabel, OF_LABEL),
        ("policy.privacy.budget.", Budget, None),
        ("privacy=label_dp privacy.", LabelDp, None),
        ("privacy=output_dp privacy.", OutputDp, None),
        ("", Spec, SECTIONS),
        ("", Request, OF_TASKS),
    )
    lines = []
    for prefix, section, names in sections:
        kinds: Any = inspect.type_info(section)
        lines += _leaves(prefix, [field for field in kinds.fields if names is None or field.name in names])
    width = max(len(setting) for setting, _ in lines)
    return [f"  {setting:<{width}}  {described}" for setting, described in lines]


def _leaves(prefix: str, fields: Iterable[Any]) -> list[tuple[str, str]]:
    """``name = default`` and what is allowed, of sections within sections, too."""
    lines = []
    for setting in fields:
        kind: Any = unwrap(setting.type)
        name = f"{prefix}{setting.encode_name}"
        if isinstance(kind, inspect.StructType):
            lines += _leaves(f"{name}.", kind.fields)
        else:
            lines.append((f"{name} = {_default(setting)}", describe(setting.type)))
    return lines


def _default(setting: Any) -> str:
    """As it is written in YAML."""
    made = setting.default_factory
    if made is NODEFAULT and setting.default is NODEFAULT:
        return "…"
    value = setting.default if made is NODEFAULT else made()
    return value if isinstance(value, str) else json.dumps(value)


def _settings() -> list[str]:
    lines = []
    kinds: Any = inspect.type_info(SgbSettings)
    for setting in kinds.fields:
        metadata = setting.type
        schema = metadata.extra_json_schema or {}
        extra = metadata.extra or {}
        lines.append(f"  sgb.{setting.encode_name} = {_default(setting):<10}  {describe(metadata.type)}".rstrip())
        lines.append(f"      {schema.get('description', '')}")
        lines += [
            f"      {label} {extra[key]}" for key, label in (("cost", "costs:"), ("shows", "shows:")) if extra.get(key)
        ]
    return lines
