"""Whether the table that a model is applied to is like that of the training; each party looks at its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from runner.data.drift import Finding, judge
from runner.data.profile import ColumnDrift, Tally, drift_of, feature_columns, profile_of, tally
from runner.engine.site import Site
from runner.errors import DataError
from runner.files import write_json
from runner.spec.check_drift import MEASURES
from runner.spec.drift import Drift

DRIFT_FILE = "drift.json"
PROFILE = "profile"  # the key in a part of a model


def training_profile(site: Site) -> dict[str, Any]:
    """What the party's rows in the training half of the split are like; it stays in the party's own part."""
    return profile_of(feature_columns(site.table, ~site.table.test))


def compare_with_training(site: Site, profile: Mapping[str, Any] | None, limits: Drift) -> None:
    """Compare the party's rows to predict with the profile in its part of the model.

    Every number goes to ``drift.json`` in the party's own folder; what others can read are counts of features.

    Raises:
        DataError: where a feature is beyond a threshold that fails.
    """
    if profile is None:
        site.emit(event="notice", text=f"{site.party}: the model has no profile of its training rows to find drift by")
        return
    drifts = drift_of(profile, _counted_rows(site, profile))
    findings = judge(drifts, limits, site.rows_to_predict, profile["rows"])
    _report(site, profile, drifts, findings, limits)
    counted = _counted(findings)
    path = site.folder / DRIFT_FILE
    if any(finding.threshold.endswith("_fail") for finding in findings):
        raise DataError(
            f"{site.party}'s table has drifted too far from that of the training",
            where=f"data.tables.{site.party}",
            why=counted,
            fix=f"train anew, or raise the threshold; {site.party} finds which features in {path}",
        )
    judged = min(site.rows_to_predict, profile["rows"]) >= limits.min_rows
    if not judged and any(getattr(limits, f"{measure}_fail") is not None for measure in MEASURES):
        site.emit(event="notice", text=f"{site.party}: drift is not judged: fewer rows than drift.min_rows; see {path}")
    if findings:
        site.emit(event="notice", text=f"{site.party}: its table has drifted since the training: {counted}; see {path}")


def _counted_rows(site: Site, profile: Mapping[str, Any]) -> dict[str, Tally]:
    """The rows to predict, counted by the profile's bins, piece after piece."""
    found: dict[str, Tally] = {}
    for piece in site.pieces or [site.table]:
        counted = tally(profile, feature_columns(piece, piece.test))
        found = {name: found[name].and_of(one) if name in found else one for name, one in counted.items()}
    return found


def _counted(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.threshold for finding in findings)
    return ", ".join(
        f"{count} feature{'s are' if count > 1 else ' is'} beyond drift.{threshold}"
        for threshold, count in sorted(counts.items())
    )


def _report(
    site: Site,
    profile: Mapping[str, Any],
    drifts: Mapping[str, ColumnDrift],
    findings: Sequence[Finding],
    limits: Drift,
) -> None:
    beyond: dict[str, list[str]] = {}
    for finding in findings:
        beyond.setdefault(finding.feature, []).append(finding.threshold)
    rows = site.rows_to_predict
    report = {
        "rows": rows,
        "training_rows": profile["rows"],
        "judged": min(rows, profile["rows"]) >= limits.min_rows,
        "features": {name: {**_plain(drift), "beyond": beyond.get(name, [])} for name, drift in drifts.items()},
    }
    write_json(site.folder / DRIFT_FILE, report)


def _plain(drift: ColumnDrift) -> dict[str, float | None]:
    """The numbers, rounded as they are read; a noise that is infinite, for want of values, is null."""
    return {
        name: round(value, 6) if value is not None and np.isfinite(value) else None
        for name, value in drift._asdict().items()
    }
