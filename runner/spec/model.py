"""The sections of the spec. Each mirrors the Hydra config group of the same name in ``conf/``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, field

from runner.errors import SpecError
from runner.spec.align import Align
from runner.spec.base import Digits, PartyName, Seconds, Section, Share
from runner.spec.drift import Drift
from runner.spec.evaluation import CrossValidation, Evaluate
from runner.spec.label import NONE, SAME, Label
from runner.spec.log import Log
from runner.spec.policy import ALL, Policy
from runner.spec.prepare import Prepare
from runner.spec.privacy import NoPrivacy, Privacy
from runner.spec.sgb import SgbSettings
from runner.spec.site import Address, Site
from runner.spec.source import Drawn, Source
from runner.spec.sweep import Sweep, Tracking, Tune

Plan = Literal["train_predict", "train", "cv", "predict", "export", "import"]
Stage = Literal[
    "align", "folds", "prepare", "label", "train", "explain", "import", "save", "load", "predict", "evaluate", "export"
]
Engine = Literal["sgb", "ss_xgb"]
PredictMode = Literal["open_to_label_holder", "sealed", "complete"]
ExportFormat = Literal["secretflow", "serving", "xgboost", "onnx"]

STAGES: dict[Plan, tuple[Stage, ...]] = {
    "train_predict": ("align", "prepare", "label", "train", "explain", "save", "load", "predict", "evaluate"),
    "train": ("align", "prepare", "label", "train", "explain", "save"),
    "cv": ("align", "folds", "prepare", "label", "train", "predict", "evaluate", "explain", "save"),
    "predict": ("align", "load", "explain", "predict", "evaluate"),
    "export": ("load", "export"),
    "import": ("import", "save"),
}
APPLIES_MODEL: tuple[Plan, ...] = ("predict", "export")  # plans that begin with a saved model
COMPLETE_FORMATS: tuple[ExportFormat, ...] = ("xgboost", "onnx")  # one file with all parties' parts
PLAIN_SCHEMES = ("mock", "plain", "none")
RESERVED_NAMES = (ALL, "none", "same", "nobody", "spu", "terminal")


class Task(Section, frozen=True, kw_only=True):
    """What to do. ``plan`` is the task whose plan ``check`` looks at."""

    name: Literal["train_predict", "train", "cv", "predict", "export", "import", "check"] = "train_predict"
    plan: Plan = "train_predict"

    def to_run(self) -> Plan:
        """The task whose plan is meant."""
        return self.plan if self.name == "check" else self.name


class Party(Section, frozen=True, kw_only=True):
    """An organisation. Its key file holds 32 secret bytes, made at first use; its keys and seeds come from them.

    ``key_env`` names an environment variable that holds the key (64 hexadecimal digits) instead of the file;
    ``passphrase_env`` one that holds the passphrase that locks the file. ``public_key`` (64 hexadecimal digits) pins
    the key with which the party signs; without it, the others believe the first one that they see.
    With ``cluster=remote`` a site knows its own party's key file only; ``address`` is where the others reach the
    party's driver, and ``tls_pin`` (64 hexadecimal digits) pins the key of its certificate.
    """

    key_file: str | None = None
    key_env: str | None = None
    passphrase_env: str | None = None
    public_key: Digits | None = None
    address: Address | None = None
    tls_pin: Digits | None = None

    def key_path(self) -> Path:
        """Where its key is.

        Raises:
            SpecError: where the settings do not say so, as those of a party of another site.
        """
        if self.key_file is None:
            raise SpecError(
                "a party has no key file",
                where="parties.<name>.key_file",
                why="a party's keys and seeds come from it, and nothing is done for a party without it",
                fix="set parties.<name>.key_file, or site=<name> for the party of this site",
            )
        return Path(self.key_file)


class Table(Section, frozen=True, kw_only=True):
    """One party's table, and the contract that it keeps: ``file.py:Class`` (pandera) or ``file.yaml:Name``.

    ``path`` is a file, a folder of files (``year=2024/`` gives a column), or a pattern such as ``part-*.parquet``;
    ``source`` says how it is read, or names a query in its place.
    ``ignore`` names columns of the contract that are no features, such as labels that this run does not use.
    ``owns`` names a boolean column that marks the rows of the party's own customers, for ``own_rows`` predictions.
    With ``cluster=remote`` a site knows these settings of its own party's table only.
    """

    path: str | None = None
    contract: str | None = None
    source: Source = field(default_factory=Source)
    ignore: tuple[str, ...] = ()
    owns: str | None = None


class Split(Section, frozen=True, kw_only=True):
    """Train and test rows, chosen by a keyed hash of the id, whatever the order of the rows.

    With ``hold_out=validation``, for choosing settings, the test rows are left out as if they were not there, and
    ``validation_fraction`` of the others takes their place; a cross-validation deals the others.
    """

    test_fraction: Share = 0.25
    key: str = "split-1"
    hold_out: Literal["test", "validation"] = "test"
    validation_fraction: Share = 0.25


class Data(Drawn, frozen=True, kw_only=True):
    """The parties' tables. ``builtin`` names a bundled data set, written below ``outputs`` at first use.

    ``id`` names the column that identifies a row, or the columns that do so together. ``max_memory`` bounds what one
    party's table may take, in GiB; by default its share of the memory that is free.
    """

    name: str
    id: str | Annotated[tuple[str, ...], Meta(min_length=1)]
    tables: dict[PartyName, Table]
    split: Split = field(default_factory=Split)
    builtin: str | None = None
    max_memory: Annotated[float, Meta(gt=0)] | None = None

    def id_columns(self) -> tuple[str, ...]:
        """The columns that identify a row, in their order."""
        return (self.id,) if isinstance(self.id, str) else self.id

    def contract_of(self, party: str) -> str:
        """The contract of the party's table.

        Raises:
            SpecError: where there is none, as for a party of another site.
        """
        contract = self.tables[party].contract
        if contract is None:
            raise SpecError(
                f"{party}'s table has no contract",
                where=f"data.tables.{party}.contract",
                why="a table is read by its contract",
                fix=f"set data.tables.{party}.contract=<file.py:Class> or <file.yaml:Name>",
            )
        return contract

    def is_drawn(self) -> bool:
        """Whether the tables are made up, and none is read."""
        return self.rows is not None

    def builtin_path(self, party: str, outputs: str) -> str | None:
        """Where the bundled table of ``party`` is written; the runner writes none to another place."""
        return f"{outputs}/data/{self.builtin}/{party}/table.parquet" if self.builtin is not None else None


class Crypto(Section, frozen=True, kw_only=True):
    """The homomorphic encryption of gradients. Schemes that encrypt nothing are for the project's tests alone."""

    scheme: Literal["ou", "paillier", "zpaillier", "mock", "plain", "none"] = "ou"
    key_bits: Annotated[int, Meta(ge=1024, le=8192, multiple_of=1024)] = 3072


class Predict(Section, frozen=True, kw_only=True):
    """How predictions are computed.

    ``open_to_label_holder``: SGB's way, the label holder sees the scores. ``sealed``: inside SPU, opened to the
    recipients only. ``complete``: the whole model goes to ``at``, which predicts alone on a table with all features.
    ``auto``: open where the label holder may see scores, else sealed. With ``chunk_rows`` a table is read, checked and
    predicted so many rows at a time; by default only one of more than a million rows is. No score changes by it.
    """

    mode: Literal["auto", "open_to_label_holder", "sealed", "complete"] = "auto"
    at: PartyName | None = None
    chunk_rows: Annotated[int, Meta(ge=1)] | None = None


class Explain(Section, frozen=True, kw_only=True):
    """Whether feature importance (by gain) is computed; ``policy.importance`` says for whom."""

    importance: bool = False


class Report(Section, frozen=True, kw_only=True):
    """Whether each party's ``report.html`` is made when a run is done (``task=report`` makes it later)."""

    html: bool = True


class Train(Section, frozen=True, kw_only=True):
    """How training is carried out; nothing here changes the model.

    After every ``checkpoint_every`` trees each party writes, for itself, what an interrupted training goes on from
    (``resume``); 0: never. With ``validation_curve`` whoever gets curves gets the metrics of the validation rows after
    each tree, too.
    """

    checkpoint_every: Annotated[int, Meta(ge=0)] = 0
    validation_curve: bool = False


class Export(Section, frozen=True, kw_only=True):
    """In which format task=export writes a saved model.

    ``secretflow``, ``serving``: each party writes its own part. ``xgboost``, ``onnx``: the whole model goes to ``at``.
    """

    format: ExportFormat = "secretflow"
    at: PartyName | None = None


class Limits(Section, frozen=True, kw_only=True):
    """What one party's process may take of its machine: ``memory`` in GiB, with its children's, and ``cores``."""

    memory: Annotated[float, Meta(ge=0.5)] | None = None
    cores: Annotated[int, Meta(ge=1)] | None = None


class Cluster(Section, frozen=True, kw_only=True):
    """Where the parties' processes run, what they may take, and how long anything may before the run is given up.

    ``threads`` bounds the pools of threads in each process (by default the cores of the machine, divided by the number
    of parties on it), ``hash_seed`` is Python's for sets of texts, and with
    ``shuffle_rows`` tables are read with their rows in a random order: none of them changes a result.
    With ``keep_messages`` every party keeps a copy of each message that reached it, in its own folder, for an auditor.
    With mode ``remote`` this site runs one party: ``wait_for_peers`` seconds for the other sites to come, ``grace``
    seconds for which a connection to one may be cut, ``max_clock_skew`` seconds by which two clocks may differ;
    ``insecure`` is there to be refused: all connections are TLS.
    """

    mode: Literal["local", "debug", "remote"] = "local"
    viewer: PartyName | None = None
    ports: dict[PartyName, Annotated[int, Meta(ge=1, le=65535)]] = field(default_factory=dict)
    start_timeout: Seconds = 180.0
    silence_timeout: Annotated[float, Meta(ge=2, le=14)] = 10.0
    stage_timeout: Seconds = 7200.0
    message_timeout: Seconds = 600.0
    keep_messages: bool = False
    threads: Annotated[int, Meta(ge=1)] | None = None
    limits: Limits = field(default_factory=Limits)
    hash_seed: Annotated[int, Meta(ge=0, lt=2**32)] | None = None
    shuffle_rows: bool = False
    wait_for_peers: Seconds = 300.0
    grace: Annotated[float, Meta(ge=3)] = 10.0
    max_clock_skew: Seconds = 60.0
    insecure: bool = False


class Spec(Section, frozen=True, kw_only=True):
    """One run, resolved and typed. Its digest is its identity."""

    task: Task
    parties: dict[PartyName, Party]
    data: Data
    prepare: Prepare = field(default_factory=Prepare)
    label: Label
    sgb: SgbSettings
    crypto: Crypto
    policy: Policy
    privacy: Privacy = field(default_factory=NoPrivacy)
    align: Align = field(default_factory=Align)
    train: Train = field(default_factory=Train)
    predict: Predict = field(default_factory=Predict)
    explain: Explain = field(default_factory=Explain)
    cv: CrossValidation = field(default_factory=CrossValidation)
    evaluate: Evaluate = field(default_factory=Evaluate)
    report: Report = field(default_factory=Report)
    log: Log = field(default_factory=Log)
    export: Export = field(default_factory=Export)
    drift: Drift = field(default_factory=Drift)
    cluster: Cluster
    sweep: Sweep = field(default_factory=Sweep)
    tune: Tune = field(default_factory=Tune)
    tracking: Tracking = field(default_factory=Tracking)
    model: str | None = None
    roles: dict[PartyName, PartyName] = field(default_factory=dict)
    resume: str | None = None
    import_from: dict[PartyName, str] | None = None
    self_party: PartyName | None = None
    site: Site = field(default_factory=Site)
    outputs: str = "outputs"

    def party_order(self) -> tuple[str, ...]:
        """The canonical order: label holder first, then by name. SGB's model depends on it."""
        return (self.label.holder, *sorted(set(self.parties) - {self.label.holder}))

    def is_remote(self) -> bool:
        """Whether each party runs at a site of its own, and this is one of them."""
        return self.cluster.mode == "remote"

    def parties_here(self) -> tuple[str, ...]:
        """The parties whose processes run at this site, in canonical order: all, or in remote mode its own."""
        if self.is_remote():
            return (self.self_party,) if self.self_party is not None else ()
        return self.party_order()

    def tables_here(self) -> dict[str, Table]:
        """The tables that the plan reads at this site."""
        here = self.parties_here()
        return {party: table for party, table in self.tables().items() if party in here}

    def trained_as(self, party: str) -> str:
        """The name that ``party`` had in the training of ``model``."""
        return self.roles.get(party, party)

    def stages(self) -> tuple[Stage, ...]:
        """The stages of the plan, in order."""
        plan = self.task.to_run()
        skipped = {"align"} if self.predicts_alone() else set()
        if not self.explain.importance or (plan == "cv" and not self.cv.refit):
            skipped.add("explain")
        if plan == "cv" and not self.cv.refit:
            skipped.add("save")
        return tuple(stage for stage in STAGES[plan] if stage not in skipped)

    def stages_at_once(self) -> tuple[Stage, ...]:
        """The stages that run one after another, once: in a cross-validation, ``folds`` runs the others for each fold.

        With ``refit``, those that make and save a model follow it.
        """
        stages = self.stages()
        if "folds" not in stages:
            return stages
        again = {"prepare", "label", "train", "explain", "save"} if self.cv.refit else set[Stage]()
        return tuple(stage for stage in stages if stage in {"align", "folds"} | again)

    def engine(self) -> Engine:
        """Which of SecretFlow's trainers runs: SGB, or SS-XGB where no party may see the label."""
        return "ss_xgb" if self.label.mode == "secret" else "sgb"

    def predicts_alone(self) -> bool:
        """Whether one party applies a complete model on its own table."""
        return self.task.to_run() == "predict" and self.predict.mode == "complete"

    def tables(self) -> dict[str, Table]:
        """The tables that the plan reads: an export reads none."""
        return {} if self.task.to_run() == "export" else self.data.tables

    def assembles_at(self) -> str | None:
        """The party to which the plan brings every party's part of the model, or None where parts stay."""
        if self.predicts_alone():
            return self.predict.at
        exports = self.task.to_run() == "export" and self.export.format in COMPLETE_FORMATS
        return self.export.at if exports else None

    def predict_mode(self) -> PredictMode:
        """How predictions are computed, with ``auto`` resolved."""
        if self.predict.mode != "auto":
            return self.predict.mode
        predictions = self.policy.predictions
        holder = self.label.holder
        sees_scores = predictions.includes(holder) and predictions.form_for(holder) == "score"
        return "open_to_label_holder" if sees_scores and self.engine() == "sgb" else "sealed"

    def needs_spu(self) -> bool:
        """Whether the plan computes on secret shares."""
        trains_on_shares = "train" in self.stages() and self.label.mode in ("joint", "secret")
        labels_on_shares = self.label.mode in ("joint", "secret") and self.evaluator() is not None
        sealed = "predict" in self.stages() and self.predict_mode() == "sealed"
        return trains_on_shares or labels_on_shares or sealed

    def needs_processes(self) -> bool:
        """Whether the plan needs a process for each party, which debug mode does not have."""
        return self.needs_spu() or ("align" in self.stages() and self.align.method == "psi")

    def evaluator(self) -> str | None:
        """The party that compares scores with labels, or None where the plan has no evaluation."""
        if "evaluate" not in self.stages() or self.label.predict == NONE:
            return None
        return self.label.holder if self.label.predict == SAME else self.label.predict

    def prediction_recipients(self) -> tuple[str, ...]:
        """The parties that get predictions, in canonical order."""
        return tuple(party for party in self.party_order() if self.policy.predictions.includes(party))

    def viewers(self) -> tuple[str, ...]:
        """The parties at whose terminals something is shown: one, or with a site for each party all of them."""
        return self.party_order() if self.is_remote() else (self.viewer(),)

    def viewer(self) -> str:
        """The party whose terminal this is: a site's own, else ``cluster.viewer`` or the label holder."""
        own = self.self_party if self.is_remote() else None
        return own or self.cluster.viewer or self.label.holder
