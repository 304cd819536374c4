"""How far a table that a model is applied to may be from the table that the model was trained on."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from runner.spec.base import Section, Share

_Index = Annotated[float, Meta(gt=0)]


class Drift(Section, frozen=True, kw_only=True):
    """Thresholds per feature, beyond which a prediction warns or fails; null: never.

    ``psi``: the population stability index. ``missing``: by how much the share of missing values is higher than in
    training. ``range``: the share of values outside of what training saw. With fewer than ``min_rows`` rows in either
    table nothing is judged.
    """

    psi_warn: _Index | None = 0.1
    psi_fail: _Index | None = None
    missing_warn: Share | None = 0.05
    missing_fail: Share | None = None
    range_warn: Share | None = 0.05
    range_fail: Share | None = None
    min_rows: Annotated[int, Meta(ge=1)] = 200
