"""With privacy=output_dp: what is told of test rows comes of noisy counts, and released scores have noise.

Noise is drawn at the party that has the exact numbers, before anything leaves it. What it costs is spent before the
first stage. A run's noise is kept in the party's folder of the run, under the run secret: a repetition takes it from
there and spends nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from runner.engine.site import Site
from runner.errors import BundleError, ReproductionError
from runner.files import write_bytes
from runner.keys.keyring import Keyring
from runner.keys.store import home_of
from runner.policy.audit import payload_bytes
from runner.policy.grants import load_grants
from runner.privacy.accounting import Charge
from runner.privacy.ledger import Ledger, limits_of
from runner.privacy.output import add_noise, add_noise_to_scores, count_cells, fit_counts, rows_like, score_steps
from runner.privacy.output_charges import METRICS, SCORES, output_charges
from runner.privacy.releases import Releases
from runner.spec.model import Spec
from runner.spec.privacy import OutputDp
from runner.stages.context import Context

_CONTEXT = b"sgb-runner: the noise of a run's outputs"


def pay_for_outputs(context: Context) -> None:
    """Spend what the run's outputs cost, at each party that adds noise to some.

    Raises:
        PolicyError: where a party's privacy budget would be overspent.
    """
    spec = context.spec
    context.gate.finish([context.at(party, _pay, spec) for party in output_charges(spec, "")])


def released_rows(site: Site, spec: Spec, label: Any, score: Any) -> tuple[Any, Any]:
    """The test rows as others may know them: made-up ones with noisy counts; without output_dp, those that they are.

    Args:
        label, score: shape (rows,), float64.
    """
    privacy = spec.privacy
    if not isinstance(privacy, OutputDp):
        return label, score
    cells = count_cells(label, score, privacy.bins)
    noisy = _drawn(site, spec, METRICS, (label, score), lambda: add_noise(cells, privacy.epsilon))
    return rows_like(fit_counts(noisy.reshape(cells.shape), len(label)))


def released_scores(site: Site, spec: Spec, scores: Any) -> Any:
    """The scores as others may know them."""
    privacy = spec.privacy
    if not isinstance(privacy, OutputDp) or (epsilon := privacy.scores_epsilon) is None:
        return scores
    steps = privacy.scores_steps
    codes = score_steps(scores, steps)
    return _drawn(site, spec, SCORES, (scores,), lambda: add_noise_to_scores(codes, steps, epsilon)) / steps


def _pay(site: Site, spec: Spec) -> None:
    if site.original is None:
        _releases(site, spec).pay(list(_charges(site, spec).values()))


def _drawn(site: Site, spec: Spec, what: str, of: tuple[Any, ...], draw: Callable[[], Any]) -> Any:
    """Noisy whole numbers: those of the run that is repeated, those that were drawn before, or new ones."""
    inputs, charge = b"".join(payload_bytes(np.ascontiguousarray(part)) for part in of), _charges(site, spec)[what]
    noise = f"{charge.mechanism}, epsilon {charge.epsilon!r}\0".encode()
    digest = hmac.new(site.derive("release"), noise + inputs, hashlib.sha256).digest()
    keys = site.keys.for_run()
    if site.original is not None:
        content = _read(site.original / "parties" / site.party / f"{what}.sealed", keys)
        if content[: len(digest)] != digest:
            raise _other_rows(site)
        numbers = content[len(digest) :]
    else:
        numbers = _releases(site, spec).draw(charge, inputs, lambda: draw().tobytes())
    write_bytes(site.folder / f"{what}.sealed", keys.seal(digest + numbers, _CONTEXT))
    return np.frombuffer(numbers, dtype=np.int64)


def _read(path: Path, keys: Keyring) -> bytes:
    """What the run that is repeated kept of its noise; never drawn anew, which would be another run's, and cost."""
    try:
        return keys.unseal(path.read_bytes(), _CONTEXT)
    except (OSError, ValueError):
        raise BundleError(
            f"{keys.party}'s noise of the run that is repeated cannot be read",
            where=str(path),
            why="the file is missing or was altered, or that run released nothing with noise",
            fix="restore the run folder from a copy; or begin a run of its own, which draws noise and spends epsilon",
        ) from None


def _releases(site: Site, spec: Spec) -> Releases:
    home = home_of(spec.parties[site.party])
    ledger = Ledger(home, site.keys, spec.data.name, site.table.source)
    limits = limits_of(spec, site.party, load_grants(spec, [site.party]).get(site.party))
    return Releases(ledger, home, limits, site.run)


def _charges(site: Site, spec: Spec) -> dict[str, Charge]:
    return output_charges(spec, site.run)[site.party]


def _other_rows(site: Site) -> ReproductionError:
    return ReproductionError(
        "the test rows have other labels or scores than in the run that is repeated, or other noise is asked for",
        where=f"party {site.party}, stage evaluate",
        why=f"{site.original} keeps the noise of the old ones; the same on others would show exactly how they differ",
        fix="repeat the run with the tables, settings, keys and versions that it was made with; or run it as a new "
        "one, which draws new noise and spends epsilon",
    )
