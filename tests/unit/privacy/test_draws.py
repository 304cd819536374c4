"""Kept draws: a row's noisy label stays the same, is paid for once, and is in nobody else's hands."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from runner.errors import BundleError, DataError, PolicyError
from runner.keys.keyring import Keyring
from runner.privacy.accounting import Charge
from runner.privacy.draws import FOLDER, Draw, KeptDraws, Labels, again, copy_for_run, reseal_draws
from runner.privacy.ledger import Ledger, Limit
from runner.privacy.mechanisms import LabelNoise, RandomisedResponse
from runner.spec.policy import Budget

KEYS = Keyring("carol", b"c" * 32)
NOISE = RandomisedResponse(1.0, 2, (0, 1))
ROWS = 60
TRUE = Labels([f"p{row}" for row in range(ROWS)], np.arange(ROWS) % 2)


class Purse:
    """What was to be paid, draw by draw."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, names: tuple[str, ...]) -> None:
        self.asked.append(names)

    @property
    def total(self) -> int:
        return len({name for names in self.asked for name in names})


def kept(home: Path, keys: Keyring = KEYS, data: str = "clinics") -> KeptDraws:
    return KeptDraws(home, keys, data, "finding")


def codes(drawn: tuple[Draw, int]) -> list[int]:
    numbers: list[int] = drawn[0].codes.tolist()
    return numbers


def rows(places: NDArray[np.int64]) -> Labels:
    return Labels([TRUE.ids[place] for place in places], TRUE.codes[places])


def test_same_rows_get_the_same_labels_and_cost_once(tmp_path: Path) -> None:
    purse = Purse()
    first, again = (kept(tmp_path).draw(TRUE, NOISE, purse) for _ in range(2))
    assert codes(first) == codes(again)
    assert (first[1], again[1]) == (ROWS, 0)
    assert purse.total == 1


def test_order_and_choice_of_rows_change_no_label(tmp_path: Path) -> None:
    whole, purse = codes(kept(tmp_path).draw(TRUE, NOISE, Purse())), Purse()
    some = np.array([40, 3, 17, 59])
    assert codes(kept(tmp_path).draw(rows(some), NOISE, purse)) == [whole[place] for place in some]
    assert codes(kept(tmp_path).draw(TRUE, NOISE, purse)) == whole, "rows that a run leaves out are not forgotten"
    assert purse.total == 1


def test_new_rows_are_drawn_and_the_old_ones_stay(tmp_path: Path) -> None:
    purse = Purse()
    half = codes(kept(tmp_path).draw(rows(np.arange(30)), NOISE, purse))
    whole, fresh = kept(tmp_path).draw(TRUE, NOISE, purse)
    assert whole.codes[:30].tolist() == half
    assert fresh == 30
    assert purse.total == 1, "each row was drawn once"


def test_changed_label_does_not_show_which_it_is_and_is_paid_for(tmp_path: Path) -> None:
    purse = Purse()
    first = codes(kept(tmp_path).draw(TRUE, NOISE, purse))
    changed = Labels(TRUE.ids, np.where(np.arange(ROWS) == 7, 1 - TRUE.codes, TRUE.codes))
    second, fresh = kept(tmp_path).draw(changed, NOISE, purse)
    others = np.delete(np.arange(ROWS), 7)
    assert (second.codes[others] != np.array(first)[others]).any(), "were row 7 drawn alone, it alone could differ"
    assert fresh == ROWS
    assert purse.asked[1] == (second.name, f"{second.name}.1")
    assert purse.total == 2


@pytest.mark.parametrize(
    "other",
    [
        lambda home: kept(home).draw(TRUE, RandomisedResponse(2.0, 2, (0, 1)), Purse()),
        lambda home: kept(home, data="lenders").draw(TRUE, NOISE, Purse()),
        lambda home: kept(home).draw(TRUE, RandomisedResponse(1.0, 2, (0, 1), ("a", "b")), Purse()),
        lambda home: kept(home).draw(TRUE, NOISE, Purse(), redraw=True),
    ],
    ids=["another epsilon", "other data", "other classes", "redraw"],
)
def test_other_noise_is_another_draw(tmp_path: Path, other: object) -> None:
    assert callable(other)
    first = kept(tmp_path).draw(TRUE, NOISE, Purse())
    second = other(tmp_path)
    assert second[0].name != first[0].name
    assert codes(second) != codes(first)


def test_redrawn_labels_are_the_kept_ones_from_then_on(tmp_path: Path) -> None:
    purse = Purse()
    kept(tmp_path).draw(TRUE, NOISE, purse)
    anew = codes(kept(tmp_path).draw(TRUE, NOISE, purse, redraw=True))
    assert codes(kept(tmp_path).draw(TRUE, NOISE, purse)) == anew
    assert purse.total == 2


def test_nothing_is_drawn_that_cannot_be_paid(tmp_path: Path) -> None:
    def refuse(names: tuple[str, ...]) -> None:
        raise PolicyError("the budget is spent", where="here", why="it is", fix="none")

    with pytest.raises(PolicyError):
        kept(tmp_path).draw(TRUE, NOISE, refuse)
    assert not list((tmp_path / FOLDER).glob("*.sealed"))


def test_process_that_dies_after_paying_leaves_no_free_noise(tmp_path: Path) -> None:
    class Dying(RandomisedResponse):
        def draw(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
            raise KeyboardInterrupt

    purse = Purse()
    with pytest.raises(KeyboardInterrupt):
        kept(tmp_path).draw(TRUE, Dying(1.0, 2, (0, 1)), purse)
    assert purse.total == 1
    kept(tmp_path).draw(TRUE, NOISE, purse)
    assert purse.total == 2, "the draw that is used is another one than that which was lost"


def test_two_processes_get_one_draw(tmp_path: Path) -> None:
    purse = Purse()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: codes(kept(tmp_path).draw(TRUE, NOISE, purse)), range(4)))
    assert found == [found[0]] * 4
    assert purse.total == 1


def ledger(home: Path) -> Ledger:
    return Ledger(home, KEYS, "clinics", b"source")


def spend(home: Path, epsilon: float, budget: float, noise: LabelNoise) -> None:
    limit = Limit(Budget(epsilon=budget), "policy.privacy.budget")
    kept(home).draw(
        TRUE,
        noise,
        lambda names: ledger(home).spend(
            [Charge(mechanism="test", epsilon=epsilon, draw=name) for name in names], [limit], "run"
        ),
    )


def test_ten_runs_cost_epsilon_once_and_another_epsilon_its_own(tmp_path: Path) -> None:
    for _ in range(10):
        spend(tmp_path, 1.0, 1.5, NOISE)
    spent = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert len(spent) == 1
    with pytest.raises(PolicyError, match="overspent"):
        spend(tmp_path, 2.0, 1.5, RandomisedResponse(2.0, 2, (0, 1)))
    assert len(list((tmp_path / FOLDER).glob("*.sealed"))) == 1


def test_file_shows_no_label_and_opens_with_its_key_alone(tmp_path: Path) -> None:
    kept(tmp_path).draw(TRUE, NOISE, Purse())
    (path,) = (tmp_path / FOLDER).glob("*.sealed")
    assert path.stat().st_mode & 0o077 == 0
    assert b"codes" not in path.read_bytes()
    with pytest.raises(BundleError, match="cannot be read"):
        kept(tmp_path, Keyring("carol", b"d" * 32)).draw(TRUE, NOISE, Purse())
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(BundleError, match="cannot be read"):
        kept(tmp_path).draw(TRUE, NOISE, Purse())


def test_new_key_keeps_the_draws(tmp_path: Path) -> None:
    first, new = codes(kept(tmp_path).draw(TRUE, NOISE, Purse())), Keyring("carol", b"d" * 32)
    assert reseal_draws(tmp_path, KEYS, new) == 1
    assert reseal_draws(tmp_path, KEYS, new) == 1, "typed again after an interruption"
    assert codes(kept(tmp_path, new).draw(TRUE, NOISE, Purse())) == first


def test_repetition_takes_the_labels_that_the_run_used(tmp_path: Path) -> None:
    drawn, _ = kept(tmp_path).draw(TRUE, NOISE, Purse())
    copy = Draw.from_bytes(copy_for_run(drawn, TRUE, b"k" * 32).to_bytes())
    order = np.arange(ROWS)[::-1]
    repeated = again(copy, rows(order), "carol")
    assert repeated.codes.tolist() == drawn.codes[order].tolist()
    assert repeated.expenses() == drawn.expenses()


@pytest.mark.parametrize(
    "other", [Labels(["new", *TRUE.ids[1:]], TRUE.codes), Labels(TRUE.ids, 1 - TRUE.codes)], ids=["row", "labels"]
)
def test_repetition_refuses_other_labels(tmp_path: Path, other: Labels) -> None:
    drawn, _ = kept(tmp_path).draw(TRUE, NOISE, Purse())
    with pytest.raises(DataError, match="not those of the run"):
        again(copy_for_run(drawn, TRUE, b"k" * 32), other, "carol")
