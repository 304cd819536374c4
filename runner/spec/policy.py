"""The section ``policy``: which information may reach whom. A party's grants are written in the same way."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from runner.spec.align import IdForm
from runner.spec.base import PartyName, Section

Form = Literal["score", "rounded", "class", "top_k"]
ALL = "all"  # in a policy: every party of the run
RECIPIENT_KINDS = (
    "predictions",
    "labels",
    "metrics",
    "curves",
    "importance",
    "model_parts",
    "complete_model",
    "row_counts",
    "ids",
)


class Recipients(Section, frozen=True, kw_only=True):
    """The parties to whom something may go (``all``: every party of the run); nobody, if none is named."""

    recipients: tuple[PartyName, ...] = ()

    def includes(self, party: str) -> bool:
        """Whether ``party`` is one of them."""
        return party in self.recipients or ALL in self.recipients


class Predictions(Recipients, frozen=True, kw_only=True):
    """Who may see predictions, and in which form.

    ``forms`` gives single recipients another form than ``form`` (``all``: whoever is not named there). ``decimals``
    belongs to ``rounded``, ``k`` to ``top_k`` (the ids of the k highest scores). With ``own_rows`` a recipient gets the
    rows only that its own table marks as its own (``data.tables.<party>.owns``).
    """

    form: Form = "score"
    forms: dict[PartyName, Form] = field(default_factory=dict)
    decimals: Annotated[int, Meta(ge=0, le=9)] = 2
    k: Annotated[int, Meta(ge=1)] = 10
    own_rows: bool = False

    def form_for(self, party: str) -> Form:
        """The form in which ``party`` may see predictions."""
        return self.forms.get(party, self.forms.get(ALL, self.form))


class Labels(Recipients, frozen=True, kw_only=True):
    """Who may see labels of other parties, and who may learn (``presence``) which rows have one."""

    presence: tuple[PartyName, ...] = ()


class Importance(Recipients, frozen=True, kw_only=True):
    """Who may see feature importance: each feature's by name, or each party's total."""

    form: Literal["party_total", "by_name"] = "party_total"


class Ids(Recipients, frozen=True, kw_only=True):
    """What the parties may learn of each other's ids, from the least to the most.

    ``set``: whether all have the same. ``common``: which of their own all parties have. ``pairs``: also which of their
    own one other party has. ``digests``: a keyed digest of each id, against which guesses can be tested.
    """

    form: IdForm = "set"


class Budget(Section, frozen=True, kw_only=True):
    """How much of its rows' privacy a party may lose in all: (epsilon, delta), by one rule of composition.

    ``basic``: epsilons and deltas add up. ``zcdp``: zero-concentrated differential privacy adds up, and the sum is
    converted at ``delta`` (> 0); it is the smaller one where there are many small expenses. The rule is chosen
    beforehand: the better of two sums, chosen afterwards, would prove nothing.

    ``counts``: which earlier expenses count. ``same_data``: those for a data set of the same name, or for the same
    file under another name. ``all``: all of the party's.
    """

    epsilon: Annotated[float, Meta(gt=0)]
    delta: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    rule: Literal["basic", "zcdp"] = "basic"
    counts: Literal["same_data", "all"] = "same_data"


class PrivacyLimits(Section, frozen=True, kw_only=True):
    """The budget that each party's ledger is held to; none: expenses are written down, and nothing is stopped."""

    budget: Budget | None = None


class Policy(Section, frozen=True, kw_only=True):
    """Which information may reach whom. What is not named here does not move. A party's grants have the same form.

    ``min_rows`` is the least number of rows behind a metric or a curve; ``min_batch`` the least number of rows that
    are predicted together.
    """

    name: str = "custom"
    predictions: Predictions = field(default_factory=Predictions)
    labels: Labels = field(default_factory=Labels)
    metrics: Recipients = field(default_factory=Recipients)
    curves: Recipients = field(default_factory=Recipients)
    importance: Importance = field(default_factory=Importance)
    model_parts: Recipients = field(default_factory=Recipients)
    complete_model: Recipients = field(default_factory=Recipients)
    row_counts: Recipients = field(default_factory=Recipients)
    ids: Ids = field(default_factory=Ids)
    privacy: PrivacyLimits = field(default_factory=PrivacyLimits)
    min_rows: Annotated[int, Meta(ge=0)] = 0
    min_batch: Annotated[int, Meta(ge=0)] = 0
