"""Before the first stage, with privacy=label_dp: every label owner gives its rows noisy labels to be trained on.

From then on whatever trains looks at noisy labels alone: target encodings, stratified folds, class weights, the base
score, gradients, the validation of early stopping, the learning curve. So it is for each owner's column where several
are joined or combined: what is done with noisy columns is post-processing.

True labels are used where an evaluator compares them with scores of rows that are held out, if they are its own;
where the owner's table is checked against its contract, and a label that is constant is refused; and in the owner's own
files. What these show (metrics, curves and tables of test rows; that a run was refused) is not covered by the
guarantee. Nor is what depends on labels by itself: a weight column, a column of groups or times, a feature that is made
of the label.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from runner.data.table import CheckedTable
from runner.engine.site import Site
from runner.errors import BundleError, DataError
from runner.files import canonical_json, write_json
from runner.keys.keyring import Keyring
from runner.keys.store import home_of
from runner.policy.grants import load_grants
from runner.privacy.accounting import Charge
from runner.privacy.choose import label_noise, ordered_classes
from runner.privacy.draws import Draw, KeptDraws, Labels, again, copy_for_run, read_draw, write_draw
from runner.privacy.ledger import Ledger, limits_of
from runner.privacy.mechanisms import LabelNoise, RandomisedResponse
from runner.spec.label import SAME
from runner.spec.model import Spec
from runner.spec.privacy import LabelDp
from runner.stages.context import Context

NOISE_FILE = "label_noise.json"
USED = "label_noise.sealed"  # the noisy labels of this run, under its run secret: what a repetition takes
_CONTEXT = b"sgb-runner: the noisy labels of a run"


def protect_labels(context: Context) -> None:
    """Draw the noise, or take it from where it is kept; what it costs is in the owner's ledger before.

    Raises:
        PolicyError: where an owner's privacy budget would be overspent.
        DataError: where a label is of no class that ``privacy`` names.
        BundleError: where the kept noise cannot be read.
    """
    noise = label_noise(context.spec)
    if noise is None:
        return
    owners = context.spec.label.columns()
    context.gate.finish([context.at(owner, _protect, context.spec, noise) for owner in owners])


def _protect(site: Site, spec: Spec, noise: LabelNoise) -> None:
    table = _with_named_classes(site.party, site.table, spec)
    label = np.asarray(table.label, dtype=np.float64)
    _require_comparable(site.party, spec, noise, table)
    known = ~np.isnan(label)
    true = Labels([str(name) for name in table.ids[known].tolist()], noise.encode(label[known]))
    drawn, fresh = _draw(site, spec, noise, true)
    noisy = np.full(len(label), np.nan)
    noisy[known] = noise.decode(drawn.codes)
    site.use_table(replace(table, noisy=noisy))
    site.note("label", "noise", canonical_json([*drawn.expenses(), noise.parameters()]))
    _tell(site, noise, drawn, fresh)


def _draw(site: Site, spec: Spec, noise: LabelNoise, true: Labels) -> tuple[Draw, int]:
    """The noisy labels, and how many of them were drawn now."""
    key, path = site.derive("label noise"), site.folder / USED
    keys = site.keys.for_run()
    context = _CONTEXT + canonical_json(noise.parameters())  # of another mechanism or epsilon none opens
    earlier = _earlier(site, spec)
    if earlier is not None:
        drawn, fresh = again(_read(earlier, keys, context), true, site.party), 0
    else:
        privacy = spec.privacy
        kept = KeptDraws(home_of(spec.parties[site.party]), site.keys, spec.data.name, spec.label.columns()[site.party])
        redraw = isinstance(privacy, LabelDp) and privacy.redraw
        drawn, fresh = kept.draw(true, noise, lambda names: _pay(site, spec, noise, names), redraw=redraw)
    write_draw(path, copy_for_run(drawn, true, key), keys, context)
    return drawn, fresh


def _earlier(site: Site, spec: Spec) -> Path | None:
    """Where the noisy labels of the run are that is repeated or gone on with; None for a run of its own."""
    run = site.original or (Path(spec.resume) if spec.resume is not None else None)
    return None if run is None else run / "parties" / site.party / USED


def _read(earlier: Path, keys: Keyring, context: bytes) -> Draw:
    """Never drawn anew: the result would be another run's, and might cost."""
    try:
        return read_draw(earlier, keys, context)
    except BundleError:
        raise BundleError(
            f"{keys.party}'s noisy labels of the run that is repeated or gone on with cannot be taken",
            where=str(earlier),
            why="the file is missing or was altered, or that run had another mechanism or epsilon",
            fix="restore the run folder from a copy, and leave privacy.* as it was; or begin a run of its own",
        ) from None


def _pay(site: Site, spec: Spec, noise: LabelNoise, names: tuple[str, ...]) -> None:
    settings = spec.parties[site.party]
    ledger = Ledger(home_of(settings), site.keys, spec.data.name, site.table.source)
    limits = limits_of(spec, site.party, load_grants(spec, [site.party]).get(site.party))
    charges = [
        Charge(
            mechanism=noise.described(),
            epsilon=noise.epsilon,
            unit="the training label of one row",
            draw=name,
            against=f"everybody but {site.party}",
        )
        for name in names
    ]
    ledger.spend(charges, limits, site.run)


def _with_named_classes(party: str, table: CheckedTable, spec: Spec) -> CheckedTable:
    """The table with its classes numbered as the settings name them, whether it has them or not."""
    if table.classes is None or not isinstance(spec.privacy, LabelDp):
        return table
    names = ordered_classes(spec.privacy)
    places = {name: float(place) for place, name in enumerate(names)}
    numbers = np.array([places.get(str(name), np.nan) for name in table.classes.tolist()])
    label = numbers[np.asarray(table.label).astype(int)]
    if np.isnan(label).any():
        raise DataError(
            f"{party}'s label has classes that the settings do not name",
            where="privacy.prior" if spec.privacy.prior else "privacy.classes",
            why=f"{int(np.isnan(label).sum())} rows are of another class",
            fix="name every class as it stands in the table, or leave these rows out",
        )
    return replace(table, label=label, classes=np.array(names))


def _require_comparable(party: str, spec: Spec, noise: LabelNoise, table: CheckedTable) -> None:
    """Find before anything is paid for what the evaluation would refuse: test rows of a class that is left out."""
    if table.classes is None or not isinstance(noise, RandomisedResponse) or spec.evaluator() != party:
        return
    if spec.label.predict != SAME:
        return
    compared = np.asarray(table.label)[table.test | (spec.task.to_run() == "cv")]
    left_out = int((~np.isin(compared, noise.kept)).sum())
    if left_out:
        raise DataError(
            f"{left_out} rows to be compared with predictions are of a class that no noisy label has",
            where="privacy.prior",
            why="with this prior and epsilon it never comes out of the noise, so that the model cannot know it",
            fix="raise privacy.epsilon, name all classes in privacy.classes in place of a prior, or set "
            "label.predict=none",
        )


def _tell(site: Site, noise: LabelNoise, drawn: Draw, fresh: int) -> None:
    facts: dict[str, Any] = {**noise.parameters(), "draw": drawn.name, "revisions": drawn.revisions}
    write_json(site.folder / NOISE_FILE, {**facts, "rows": len(drawn.codes), "drawn_now": fresh})
    how = "drawn now, and kept" if fresh else "those that were drawn before, at no further cost"
    site.emit(event="notice", text=f"{site.party}: noisy labels, epsilon {noise.epsilon:g}: {how}")
