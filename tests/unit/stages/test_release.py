"""With output_dp a repetition takes the noise of its run, for what that run asked for, and never draws any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.stages.trainings import ORDER, House, draw_features

from runner.errors import BundleError, ReproductionError, RunnerError

ROWS = 80
X = draw_features(ROWS)
LABEL = (X[:, 0] > 4).astype(float)
SCORE = np.linspace(0.01, 0.99, ROWS)


@pytest.fixture(scope="module")
def house(
    secretflow: None, changed: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """Three parties in one process."""
    from secretflow.device import PYU
    from secretflow.device.driver import shutdown

    from runner.engine.start import start_debug

    start_debug(ORDER)
    yield House(tmp_path_factory.mktemp("house"), {party: PYU(party) for party in ORDER}, changed)
    shutdown()


def released(house: House, original: Path | None = None, score: Any = SCORE, **privacy: Any) -> tuple[Any, Path]:
    """The rows as carol releases them, and the run's folder."""
    from runner.stages.release import released_rows

    changes = {"privacy": {"name": "output_dp", "epsilon": 1.0, **privacy}}
    context = house.context(X, LABEL, changes)
    carol = context.sites["carol"]
    carol.original = original
    rows = released_rows(carol, context.spec, LABEL, score)
    return [part.tolist() for part in rows], carol.folder.parent.parent


def test_repetition_takes_the_noise_of_its_run(house: House) -> None:
    rows, run = released(house)
    assert released(house, run)[0] == rows


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"epsilon": 2.0}, ReproductionError),
        ({"bins": 10}, ReproductionError),
        ({"score": SCORE[::-1]}, ReproductionError),
        ({"lost": True}, BundleError),
    ],
    ids=["another epsilon", "other cells", "other scores", "lost"],
)
def test_repetition_neither_takes_other_noise_nor_draws_any(
    house: House, other: dict[str, Any], error: type[RunnerError]
) -> None:
    _, run = released(house)
    ledger = run.parent / "keys" / "carol" / "ledger.jsonl"
    before = ledger.read_bytes()
    if other.pop("lost", False):
        (run / "parties" / "carol" / "released_counts.sealed").unlink()
    with pytest.raises(error):
        released(house, run, **other)
    assert ledger.read_bytes() == before
