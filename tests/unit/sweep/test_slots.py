"""Slots side by side: each task is done once, and what ends one slot interrupts the others."""

from __future__ import annotations

import functools
import threading
import time

import pytest

from runner.sweep.slots import Slots


@pytest.mark.parametrize("count", [1, 3])
def test_each_task_is_done_once(count: int) -> None:
    done: list[int] = []
    Slots(count).carry_out(functools.partial(done.append, number) for number in range(20))
    assert sorted(done) == list(range(20))


def test_one_slot_is_the_calling_thread() -> None:
    threads: list[int] = []
    Slots(1).carry_out([lambda: threads.append(threading.get_ident())])
    assert threads == [threading.get_ident()]


def test_failure_interrupts_the_others_and_begins_no_more() -> None:
    told: list[str] = []
    working = threading.Event()

    def work() -> None:
        try:
            working.set()
            for _ in range(2000):
                time.sleep(0.005)
        except KeyboardInterrupt:
            told.append("interrupted")
            raise

    def fail() -> None:
        assert working.wait(5)
        raise ValueError("the second task")

    began = time.monotonic()
    with pytest.raises(ValueError, match="the second task"):
        Slots(2).carry_out([work, fail, *[lambda: time.sleep(0.2)] * 50])
    assert told == ["interrupted"]
    assert time.monotonic() - began < 5
