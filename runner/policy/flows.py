"""The movements of information that a plan needs, each with the line of a policy that would have to allow it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from runner.spec.align import IN_PAIRS, IdForm
from runner.spec.label import JointLabel, RowShardedLabel, SecretLabel
from runner.spec.model import Spec, Stage
from runner.spec.privacy import LabelDp
from runner.spec.tune import leader_of

# No party can have such a name.
TERMINAL = "the terminal"  # what the viewer reads on the screen of the run
SPU = "the SPU"  # values as secret shares
Kind = Literal[
    "protocol",
    "shares",
    "predictions",
    "labels",
    "label_presence",
    "own_rows",
    "metrics",
    "curves",
    "importance",
    "model_parts",
    "complete_model",
    "row_counts",
    "ids",
]

IDS = "keyed digest and count of the ids"
FOLDS = {
    "stratified": "the fold of each row, dealt evenly within each class of the label",
    "group": "the fold of each row, dealt by a column: rows of one value together",
    "time": "the fold of each row, in the order of a column",
}
ID_TYPE = "data type of its ids"
COMMON_IDS = "which of the receiver's ids all parties have, and how many ids it has"
COMMON_OF_OTHERS = "how many ids the two others have in common"
COMMON_OF_TWO = "how many ids the two of them have in common"
IDS_IN_PAIRS = "which of the receiver's ids it has too, where the protocol pairs them, and how many ids it has"
ID_DIGESTS = "a digest of each of its ids, under a key that all parties have"
COMMON_ROWS = "number of common rows"
GRADIENTS = "encrypted gradients, split choices, split gains, row partitions"
HISTOGRAMS = "encrypted histogram sums, shuffled; row partitions"
LEAVES = "row partitions by leaf"
OWN_LABELS = "labels of its own rows"
LABEL_COLUMN = "its label column"
COMBINED = "combined label ({rule})"
OWN = "which rows are its own"
PART = "number of features, keyed digests of their names and of the model part"
SEALED = "digest of the encrypted model part"
SIGNATURE = "signature under the manifest"
SHAPE = "number of features and of trees, and a digest of the trees' shape"
OWN_SPLITS = "which nodes of the trees it splits"
CURVE = "training metric per tree"
VALIDATION_CURVE = "validation metrics per tree"
NEXT_TRIAL = "settings of the next trial and which trials go on, as earlier metrics suggest"
CHECKPOINTS = "the numbers of trees in its checkpoints"
TRAINING = "which training its checkpoint is of, a random name, and after how many trees"
ROW_COUNT = "rows and features of its table"
METRICS = "test metrics"
FOLD_METRICS = "test metrics of each fold"
GROUPS = "test metrics by group"
TABLES = "test curves and tables"
WHOLE_PART = "its whole part of the model"
CLASSES = "number of classes"
CLASS_NAMES = "names of the classes"

# The form of policy.ids that each needs; any other needs the least.
ID_FORM_OF: dict[str, IdForm] = {
    COMMON_IDS: "common",
    COMMON_OF_OTHERS: "common",
    COMMON_OF_TWO: "common",
    IDS_IN_PAIRS: "pairs",
    ID_DIGESTS: "digests",
}


class Flow(NamedTuple):
    """One movement of information: what, in which form, from whom, to whom, in which stage.

    A flow that is not ``needed`` is left out where it is denied; a denied one that is needed stops the run.
    """

    stage: Stage
    kind: Kind
    form: str
    sender: str
    receiver: str
    needed: bool = True

    def __str__(self) -> str:
        return f"{self.kind} ({self.form}) from {self.sender} to {self.receiver}"


def flows(spec: Spec) -> list[Flow]:
    """Every flow of the spec's plan, stage by stage; a flow that is not here does not happen."""
    found: list[Flow] = []
    for stage in spec.stages():
        found.extend(_BY_STAGE[stage](spec))
    if spec.tune.name != "none":
        found.extend(_search(spec))
    return found


def _align(spec: Spec) -> Iterator[Flow]:
    if spec.align.selects_rows():
        yield from _everybody(spec, "align", "ids", ID_TYPE)
        yield from matching_flows(spec)
        for party in spec.viewers():
            yield Flow("align", "row_counts", COMMON_ROWS, party, TERMINAL, needed=False)
    yield from _everybody(spec, "align", "ids", IDS)
    for party in spec.data.tables:
        yield Flow("align", "row_counts", ROW_COUNT, party, TERMINAL, needed=False)


def _prepare(spec: Spec) -> Iterator[Flow]:
    """Each party prepares its own columns, and keeps what it learned of them."""
    yield from ()


def _folds(spec: Spec) -> Iterator[Flow]:
    dealer = spec.cv.dealer(spec.label.holder)
    for party in spec.party_order():
        if dealer is not None and party != dealer:
            yield Flow("folds", "protocol", FOLDS[spec.cv.by], dealer, party)


def matching_flows(spec: Spec) -> Iterator[Flow]:
    """What finding the common ids shows: of psi's own messages, what they come to."""
    if spec.align.method == "join_on_digest":
        yield from _everybody(spec, "align", "ids", ID_DIGESTS)
        return
    protocol = spec.align.psi_protocol(len(spec.parties))
    yield from _everybody(spec, "align", "ids", IDS_IN_PAIRS if protocol in IN_PAIRS else COMMON_IDS)
    if protocol == "ecdh_3pc":
        receiver, second, third = spec.party_order()
        yield Flow("align", "ids", COMMON_OF_OTHERS, second, receiver)
        yield Flow("align", "ids", COMMON_OF_TWO, third, second)


def label_form(spec: Spec, form: str) -> str:
    """The form in which labels move: with label DP, their owners have made them noisy."""
    if not isinstance(spec.privacy, LabelDp):
        return form
    return f"{form}, noisy (epsilon {spec.privacy.epsilon:g})"


def _label(spec: Spec) -> Iterator[Flow]:
    """Bringing the parts of the label together: see the label modes in ``spec.label``."""
    label = spec.label
    if isinstance(label, RowShardedLabel):
        for owner in label.owners:
            if owner != label.holder:
                yield Flow("label", "labels", label_form(spec, OWN_LABELS), owner, label.holder)
        if label.on_missing == "drop":
            for party in spec.party_order()[1:]:
                yield Flow("label", "label_presence", "which rows have a label", label.holder, party)
    elif isinstance(label, (JointLabel, SecretLabel)):
        for owner in label.inputs:
            yield Flow("label", "shares", label_form(spec, LABEL_COLUMN), owner, SPU)
        if isinstance(label, JointLabel):
            form = label_form(spec, COMBINED.format(rule=label.rule))
            yield Flow("label", "labels", form, SPU, label.holder)


def _train(spec: Spec) -> Iterator[Flow]:
    holder, *others = spec.party_order()
    if spec.engine() == "ss_xgb":
        for party in spec.party_order():
            yield Flow("train", "shares", "which rows fall into which bucket of its features", party, SPU)
            yield Flow("train", "protocol", "which of its buckets splits a node", SPU, party)
        return
    for party in others:
        yield Flow("train", "protocol", GRADIENTS, holder, party)
        yield Flow("train", "protocol", HISTOGRAMS, party, holder)
        if spec.sgb.enable_monitor or spec.sgb.enable_early_stop:
            yield Flow("train", "metrics", "validation metric per tree", holder, party)
        if spec.sgb.objective == "multiclass":
            yield Flow("train", "model_parts", CLASSES, holder, party)
    if spec.train.checkpoint_every or spec.resume is not None:
        yield from _everybody(spec, "train", "model_parts", CHECKPOINTS)
    if spec.resume is not None:
        yield from _everybody(spec, "train", "model_parts", TRAINING)
    if spec.train.validation_curve:
        yield from _validation_curve(spec)
    for recipient in spec.parties:
        if recipient != holder:
            yield Flow("train", "curves", CURVE, holder, recipient, needed=False)
    yield Flow("train", "curves", CURVE, holder, TERMINAL, needed=False)


def _validation_curve(spec: Spec) -> Iterator[Flow]:
    """The label holder scores the validation rows after each tree, as it would after the last."""
    holder, *others = spec.party_order()
    for party in others:
        yield Flow("train", "protocol", LEAVES, party, holder)
    yield Flow("train", "predictions", "score", holder, holder)
    for recipient in spec.party_order():
        yield Flow("train", "curves", VALIDATION_CURVE, holder, recipient, needed=False)


def _search(spec: Spec) -> Iterator[Flow]:
    """Every party learns the settings of the next training from the party that leads the search."""
    leader = leader_of(spec)
    for party in spec.party_order():
        if leader is not None and party != leader:
            yield Flow("train", "protocol", NEXT_TRIAL, leader, party)


def _explain(spec: Spec) -> Iterator[Flow]:
    form = spec.policy.importance.form
    for owner in spec.party_order():
        for recipient in spec.party_order():
            if owner != recipient and spec.policy.importance.includes(recipient):
                yield Flow("explain", "importance", form, owner, recipient)
    if not spec.policy.importance.recipients:
        yield Flow("explain", "importance", form, "each party", "nobody")


def _save(spec: Spec) -> Iterator[Flow]:
    for form in (PART, SEALED, SIGNATURE):
        yield from _everybody(spec, "save", "model_parts", form)


def _load(spec: Spec) -> Iterator[Flow]:
    yield from _everybody(spec, "load", "model_parts", SIGNATURE)
    at = spec.assembles_at()
    if at is not None:
        for party in spec.party_order():
            if party != at:
                yield Flow("load", "complete_model", WHOLE_PART, party, at)


def _import(spec: Spec) -> Iterator[Flow]:
    """In training the label holder sees who splits which node; here it makes sure that the parts belong together."""
    yield from _everybody(spec, "import", "model_parts", SHAPE)
    holder, *others = spec.party_order()
    for party in others:
        yield Flow("import", "model_parts", OWN_SPLITS, party, holder)


def _export(spec: Spec) -> Iterator[Flow]:
    """The parts are where they may be: each at its party, or, by stage `load`, all at one."""
    yield from ()


def _predict(spec: Spec) -> Iterator[Flow]:
    mode = spec.predict_mode()
    recipients = spec.prediction_recipients()
    forms = {recipient: spec.policy.predictions.form_for(recipient) for recipient in recipients}
    if mode == "sealed":
        for party in spec.party_order():
            yield Flow("predict", "shares", LEAVES, party, SPU)
        source = SPU
    elif mode == "complete":
        source = str(spec.predict.at)
        yield Flow("predict", "predictions", "score", source, source)
    else:
        source, *others = spec.party_order()
        for party in others:
            yield Flow("predict", "protocol", LEAVES, party, source)
        yield Flow("predict", "predictions", "score", source, source)
    if spec.task.to_run() == "cv":
        return  # scores of folds are measured, and go no further
    for recipient in recipients:
        if recipient != source:
            if spec.policy.predictions.own_rows:
                yield Flow("predict", "shares" if mode == "sealed" else "own_rows", OWN, recipient, source)
            yield Flow("predict", "predictions", forms[recipient], source, recipient)
            if spec.sgb.objective == "multiclass":
                yield Flow("predict", "predictions", CLASS_NAMES, source, recipient)
    if not recipients:
        yield Flow("predict", "predictions", spec.policy.predictions.form, source, "nobody")


def _evaluate(spec: Spec) -> Iterator[Flow]:
    evaluator = spec.evaluator()
    if evaluator is None:
        return
    if spec.task.to_run() == "predict" and spec.label.predict == "same":
        yield from (flow._replace(stage="evaluate") for flow in _label(spec))
    if spec.predict_mode() == "sealed":
        yield Flow("evaluate", "predictions", "score", SPU, evaluator)
    elif evaluator != spec.label.holder:
        yield Flow("evaluate", "predictions", "score", spec.label.holder, evaluator)
        if spec.sgb.objective == "multiclass":
            yield Flow("evaluate", "predictions", CLASS_NAMES, spec.label.holder, evaluator)
    form = FOLD_METRICS if spec.task.to_run() == "cv" else METRICS
    yield Flow("evaluate", "metrics", form, evaluator, evaluator)
    for recipient in spec.party_order():
        if recipient != evaluator and spec.policy.metrics.includes(recipient):
            yield Flow("evaluate", "metrics", form, evaluator, recipient)
            if spec.evaluate.group_by is not None and form == METRICS:
                yield Flow("evaluate", "metrics", GROUPS, evaluator, recipient)
    yield Flow("evaluate", "metrics", form, evaluator, TERMINAL, needed=False)
    for recipient in spec.party_order():
        if recipient != evaluator and form == METRICS:
            yield Flow("evaluate", "curves", TABLES, evaluator, recipient, needed=False)


def _everybody(spec: Spec, stage: Stage, kind: Kind, form: str) -> Iterator[Flow]:
    for sender in spec.party_order():
        for receiver in spec.party_order():
            if sender != receiver:
                yield Flow(stage, kind, form, sender, receiver)


_BY_STAGE = {
    "align": _align,
    "prepare": _prepare,
    "folds": _folds,
    "label": _label,
    "train": _train,
    "explain": _explain,
    "import": _import,
    "save": _save,
    "load": _load,
    "predict": _predict,
    "evaluate": _evaluate,
    "export": _export,
}
