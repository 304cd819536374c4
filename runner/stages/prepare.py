"""Stage `prepare`: each party fits the preparation of its columns to its training rows, and makes its features."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from runner.data.table import CheckedTable
from runner.engine.site import Site
from runner.errors import DataError
from runner.files import canonical_json, write_json
from runner.policy.audit import payload_bytes
from runner.prepare.preparation import Preparation, as_it_is, fit, restore
from runner.prepare.problems import Unfit, UnfitColumns
from runner.spec.prepare import Prepare
from runner.stages.context import Context

UNFIT_FILE = "unfit_columns.json"
FEATURES_FILE = "features.json"


def prepare(context: Context) -> None:
    """Fit at every party; nothing of it leaves the party.

    Where the features are not the table's columns, ``features.json`` in the party's own folder says what they are.

    Raises:
        DataError: where a column cannot be prepared; its name goes to the party's own folder only.
    """
    settings = context.spec.prepare
    context.gate.finish(context.everywhere(lambda site: _prepare(site, settings)))


def prepare_as_it_is(site: Site) -> None:
    """Take the table's numbers unchanged: for a model that was trained elsewhere, on such a matrix.

    Raises:
        DataError: where a column holds other things than numbers, or holes.
    """
    others = {
        name: Unfit("hold no numbers", len(site.table.ids))
        for name, rule in zip(site.table.names, site.table.rules, strict=True)
        if rule.kind != "number"
    }
    if others:
        raise unfit_error(site, UnfitColumns(others))
    apply_preparation(site, as_it_is(site.table.names, site.table.dtypes))


def apply_preparation(site: Site, preparation: Preparation) -> None:
    """Make the party's features.

    Raises:
        DataError: where a column has what the preparation does not allow.
    """
    try:
        site.prepare_with(preparation)
    except UnfitColumns as unfit:
        raise unfit_error(site, unfit) from None


def turn_to(site: Site, piece: CheckedTable) -> None:
    """Go on with this piece of the party's table.

    Raises:
        DataError: where a column has what the preparation does not allow.
    """
    try:
        site.turn_to(piece)
    except UnfitColumns as unfit:
        raise unfit_error(site, unfit) from None


def forget_preparations(context: Context) -> None:
    """What is trained is saved: from now on, features come from what is loaded."""
    context.gate.finish(context.everywhere(lambda site: site.forget_preparation()))


def preparation_of(part: dict[str, Any]) -> Preparation:
    """What was fitted to a party's columns in the training, out of its part of the model."""
    return restore(part["prepare"])


def unfit_error(site: Site, unfit: UnfitColumns) -> DataError:
    """The error that all may read; the names go to the party's own folder."""
    write_json(site.folder / UNFIT_FILE, unfit.reasons)
    return DataError(
        f"{site.party}'s columns cannot be prepared",
        where=f"data.tables.{site.party}",
        why=unfit.counted(),
        fix=f"mend the table, or change prepare; {site.party} finds names and counts in {site.folder / UNFIT_FILE}",
    )


def _prepare(site: Site, settings: Prepare) -> None:
    table = site.table
    training = table.columns.filter(pa.array(~table.test))
    known = table.training_label
    label = None if known is None else known[~table.test]
    try:
        fitted = fit(training, table.dtypes, table.rules, settings, label)
    except UnfitColumns as unfit:
        raise unfit_error(site, unfit) from None
    apply_preparation(site, fitted.preparation)
    if fitted.constant or fitted.duplicates:
        site.emit(
            event="notice",
            text=f"{site.party}: features left out: {fitted.constant} constant in the training rows, "
            f"{fitted.duplicates} that repeat{'s another' if fitted.duplicates == 1 else ' others'}",
        )
    if fitted.preparation.features != table.names:
        write_json(site.folder / FEATURES_FILE, fitted.preparation.described())
    site.note("prepare", "preparation", canonical_json(fitted.preparation.to_json()))
    site.note("prepare", "features", payload_bytes(site.features))
