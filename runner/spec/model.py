"""The sections of the spec. Each mirrors the Hydra config group of the same name in ``conf/``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from runner.spec.base import PartyName, Seconds, Section, Share
from runner.spec.sgb import SgbSettings

Plan = Literal["train_predict", "train", "predict"]
Stage = Literal["align", "train", "save", "load", "predict", "evaluate"]

STAGES: dict[Plan, tuple[Stage, ...]] = {
    "train_predict": ("align", "train", "save", "load", "predict", "evaluate"),
    "train": ("align", "train", "save"),
    "predict": ("align", "load", "predict", "evaluate"),
}
PLAIN_SCHEMES = ("mock", "plain", "none")


class Task(Section, frozen=True, kw_only=True):
    """What to do. ``plan`` is the task whose plan ``check`` looks at."""

    name: Literal["train_predict", "train", "predict", "check"] = "train_predict"
    plan: Plan = "train_predict"

    def to_run(self) -> Plan:
        """The task whose plan is meant."""
        return self.plan if self.name == "check" else self.name

    def stages(self) -> tuple[Stage, ...]:
        """The stages of the plan, in order."""
        return STAGES[self.to_run()]


class Party(Section, frozen=True, kw_only=True):
    """An organisation. Its key file holds 32 secret bytes, made at first use; its private seeds come from them."""

    key_file: str


class Table(Section, frozen=True, kw_only=True):
    """One party's Parquet file, and the contract that it keeps: ``file.py:Class``, a pandera DataFrameModel."""

    path: str
    contract: str


class Split(Section, frozen=True, kw_only=True):
    """Train and test rows, chosen by a keyed hash of the id, whatever the order of the rows."""

    test_fraction: Share = 0.25
    key: str = "split-1"


class Data(Section, frozen=True, kw_only=True):
    """The parties' tables. ``builtin`` names a bundled data set, written to ``tables`` at first use."""

    name: str
    id: str
    tables: dict[PartyName, Table]
    split: Split = field(default_factory=Split)
    builtin: str | None = None


class Label(Section, frozen=True, kw_only=True):
    """Who owns the label. ``predict`` says whether labels exist when a model is applied."""

    mode: Literal["single"] = "single"
    holder: PartyName
    column: str
    predict: Literal["same", "none"] = "same"


class Crypto(Section, frozen=True, kw_only=True):
    """The homomorphic encryption of gradients. Schemes that encrypt nothing are for the project's tests alone."""

    scheme: Literal["ou", "paillier", "zpaillier", "mock", "plain", "none"] = "ou"
    key_bits: Annotated[int, Meta(ge=1024, le=8192, multiple_of=1024)] = 3072


class Recipients(Section, frozen=True, kw_only=True):
    """The parties to whom a result may go; nobody, if none is named."""

    recipients: tuple[PartyName, ...] = ()


class Predictions(Recipients, frozen=True, kw_only=True):
    """Who may see predictions, and in which form."""

    form: Literal["score"] = "score"


class Policy(Section, frozen=True, kw_only=True):
    """Which results may reach whom. What is not named here does not move."""

    name: str = "custom"
    predictions: Predictions = field(default_factory=Predictions)
    metrics: Recipients = field(default_factory=Recipients)


class Cluster(Section, frozen=True, kw_only=True):
    """Where the parties' processes run, and how long anything may take before the run is given up."""

    mode: Literal["local", "debug"] = "local"
    viewer: PartyName | None = None
    ports: dict[PartyName, Annotated[int, Meta(ge=1, le=65535)]] = field(default_factory=dict)
    start_timeout: Seconds = 180.0
    silence_timeout: Annotated[float, Meta(ge=2, le=14)] = 10.0
    stage_timeout: Seconds = 7200.0
    message_timeout: Seconds = 600.0


class Spec(Section, frozen=True, kw_only=True):
    """One run, resolved and typed. Its digest is its identity."""

    task: Task
    parties: dict[PartyName, Party]
    data: Data
    label: Label
    sgb: SgbSettings
    crypto: Crypto
    policy: Policy
    cluster: Cluster
    model: str | None = None
    outputs: str = "outputs"

    def party_order(self) -> tuple[str, ...]:
        """The canonical order: label holder first, then by name. SGB's model depends on it."""
        return (self.label.holder, *sorted(set(self.parties) - {self.label.holder}))

    def viewer(self) -> str:
        """The party through whose eyes the terminal speaks: ``cluster.viewer``, or the label holder."""
        return self.cluster.viewer or self.label.holder
