"""What was released once is released again, at no cost, and never with the same noise on other numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import make_spec

from runner.errors import PolicyError
from runner.keys.keyring import Keyring
from runner.privacy.accounting import Charge
from runner.privacy.ledger import Ledger, Limit
from runner.privacy.ledger_file import LedgerFile
from runner.privacy.output_charges import output_charges
from runner.privacy.releases import FOLDER, Releases
from runner.spec.policy import Budget

KEYS = Keyring("carol", b"\1" * 32)
COUNTS = Charge(mechanism="counts", epsilon=1.0, draw="d" * 64)


def releases(home: Path, epsilon: float, keys: Keyring = KEYS) -> Releases:
    limits = [Limit(Budget(epsilon=epsilon), "policy.privacy.budget")]
    return Releases(Ledger(home, keys, "clinics", b"table"), home, limits, "run")


def counted(content: bytes) -> tuple[Callable[[], bytes], list[int]]:
    calls: list[int] = []

    def make() -> bytes:
        calls.append(1)
        return content

    return make, calls


def test_the_same_rows_are_drawn_and_paid_once(tmp_path: Path) -> None:
    make, calls = counted(b"noisy")
    assert releases(tmp_path, 1).pay([COUNTS]).spent.epsilon == 1
    for _ in range(3):
        assert releases(tmp_path, 1).draw(COUNTS, b"rows", make) == b"noisy"
    assert len(calls) == 1
    assert releases(tmp_path, 1).pay([COUNTS]).paid == ()


def test_other_rows_cost_again(tmp_path: Path) -> None:
    releases(tmp_path, 2).draw(COUNTS, b"rows", lambda: b"noisy")
    assert releases(tmp_path, 2).draw(COUNTS, b"others", lambda: b"other noise") == b"other noise"
    assert releases(tmp_path, 2).draw(COUNTS, b"rows", lambda: b"never") == b"noisy"
    make, calls = counted(b"too much")
    with pytest.raises(PolicyError):
        releases(tmp_path, 2).draw(COUNTS, b"more", make)
    assert not calls


def test_a_lost_draw_is_not_free(tmp_path: Path) -> None:
    releases(tmp_path, 1).draw(COUNTS, b"rows", lambda: b"noisy")
    for path in (tmp_path / FOLDER).iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PolicyError):
        releases(tmp_path, 1).draw(COUNTS, b"rows", lambda: b"drawn twice")


def test_paid_and_killed_before_the_draw_is_not_paid_again(tmp_path: Path) -> None:
    own = releases(tmp_path, 1)
    own.pay([COUNTS])

    def die() -> bytes:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        own.draw(COUNTS, b"rows", die)
    assert releases(tmp_path, 1).draw(COUNTS, b"rows", lambda: b"noisy") == b"noisy"


def test_a_new_key_keeps_what_was_drawn(tmp_path: Path) -> None:
    new = Keyring("carol", b"\2" * 32)
    releases(tmp_path, 1).draw(COUNTS, b"rows", lambda: b"noisy")
    LedgerFile(tmp_path, KEYS).reseal(new)
    assert releases(tmp_path, 1, new).draw(COUNTS, b"rows", lambda: b"never") == b"noisy"


DP: Any = ("privacy=output_dp", "policy=lab")


@pytest.mark.parametrize(
    ("overrides", "same"),
    [
        (("policy=label_owner",), True),  # whoever may see the noisy counts: they are the same
        (("evaluate.bootstrap=0",), True),
        (("cluster=debug", "task=check"), True),
        (("privacy.bins=10",), False),
        (("sgb.max_depth=2",), False),
        (("data.split.key=other",), False),
    ],
)
def test_which_runs_release_the_same(overrides: tuple[str, ...], same: bool) -> None:
    def draw(*more: str) -> str | None:
        return output_charges(make_spec(*DP, *more), "run")["carol"]["released_counts"].draw

    assert (draw(*overrides) == draw()) is same


def test_noisy_scores_cost_their_scorer() -> None:
    spec = make_spec(*DP, "privacy.scores_epsilon=4")
    costs = output_charges(spec, "run")
    assert {party: sorted(charges) for party, charges in costs.items()} == {
        "carol": ["released_counts", "released_scores"]
    }
    assert output_charges(make_spec(), "run") == {}
