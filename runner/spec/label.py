"""Who owns the label. Each mode is a section of its own; ``label.mode`` says which."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from runner.spec.base import PartyName, Section

Rule = Literal["any", "all", "majority", "sum", "mean", "threshold"]
Protocol = Literal["auto", "aby3", "semi2k", "cheetah"]
SAME, NONE = "same", "none"


class _Label(Section, frozen=True, kw_only=True, tag_field="mode"):
    """What all modes share: where labels are when a model is applied to new rows.

    ``predict`` is ``same`` (where they are in training), ``none`` (nowhere: evaluation is skipped), or a party,
    which then has them in its column ``predict_column`` and evaluates alone.

    ``weight`` is the label holder's column with a weight > 0 for each training row. ``class_weight`` multiplies it by
    class: ``balanced`` (rows / (classes x rows of the class)), or class → factor (1 for a class that is not named).
    Both are known and used at the label holder only; a mapping, as all settings, is known to all parties.
    """

    predict: str = SAME
    predict_column: str | None = None
    weight: str | None = None
    class_weight: Literal["balanced"] | dict[str, Annotated[float, Meta(gt=0)]] | None = None


class SingleLabel(_Label, frozen=True, kw_only=True, tag="single"):
    """One party owns the label column and is the label holder."""

    mode: ClassVar[str] = "single"
    holder: PartyName
    column: str

    def columns(self) -> dict[str, str]:
        """Party → its column with (a part of) the training label."""
        return {self.holder: self.column}


class RowShardedLabel(_Label, frozen=True, kw_only=True, tag="row_sharded"):
    """Each owner has the label of its own rows, and null in the others; the shards are joined at the label holder."""

    mode: ClassVar[str] = "row_sharded"
    holder: PartyName
    column: str
    owners: Annotated[tuple[PartyName, ...], Meta(min_length=2)]
    on_conflict: Literal["error", "any", "holder"] = "error"
    on_missing: Literal["error", "drop"] = "error"

    def columns(self) -> dict[str, str]:
        """Party → its column with (a part of) the training label."""
        return dict.fromkeys(self.owners, self.column)


class JointLabel(_Label, frozen=True, kw_only=True, tag="joint"):
    """The label is a function of columns of several parties, computed in SPU; the label holder gets the result only."""

    mode: ClassVar[str] = "joint"
    holder: PartyName
    inputs: Annotated[dict[PartyName, str], Meta(min_length=2)]
    rule: Rule
    threshold: float | None = None
    protocol: Protocol = "auto"

    def columns(self) -> dict[str, str]:
        """Party → its column with (a part of) the training label."""
        return dict(self.inputs)


class SecretLabel(_Label, frozen=True, kw_only=True, tag="secret"):
    """No party sees the label: it is combined in SPU and stays there; SecretFlow's SS-XGB trains on shares.

    ``holder`` leads the canonical order and keeps nothing more than any other party.
    """

    mode: ClassVar[str] = "secret"
    holder: PartyName
    inputs: Annotated[dict[PartyName, str], Meta(min_length=1)]
    rule: Rule
    threshold: float | None = None
    protocol: Protocol = "auto"

    def columns(self) -> dict[str, str]:
        """Party → its column with (a part of) the training label."""
        return dict(self.inputs)


Label = SingleLabel | RowShardedLabel | JointLabel | SecretLabel
