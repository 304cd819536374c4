"""A member that sends too much, too long, in too many pieces or nothing at all harms nobody else."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from made_proxies import Run, piece, received, streams

from runner.errors import ClusterError


def test_who_says_nothing_holds_up_nobody_else(run: Run) -> None:
    """bob begins more messages than the server has threads, and sends no byte of any."""
    ended = threading.Event()

    def endless() -> Iterator[Any]:
        ended.wait()
        yield from ()

    call = streams(run, "bob", "alice")
    held = [call.future(endless()) for _ in range(100)]
    try:
        for number in range(3):
            run.proxies["carol"].send("alice", "goes on", number)
            assert received(run.proxies["alice"], "carol", number, wait=10) == "goes on"
    finally:
        ended.set()
        for one in held:
            one.cancel()


def test_flood_of_a_member_takes_no_more_than_its_share_and_harms_nobody_else(run: Run) -> None:
    from runner.engine.inbox import Inbox

    alice, share = run.proxies["alice"], 2 << 20
    alice._inbox, alice._patience = Inbox(share), 0.1
    bob = run.proxies["bob"]
    bob.send("alice", b"x" * 500_000, 1)
    for number in range(2, 6):
        with pytest.raises(ClusterError, match="alice refused a message of bob") as told:
            bob.send("alice", b"x" * 600_000, number)
        assert "more is waiting than memory allows" in told.value.why
    for number in range(6, 600):
        with contextlib.suppress(ClusterError):
            bob.send("alice", b"", number)
    assert len(alice._inbox) * 1000 < share, "empty ones are counted, too"
    run.proxies["carol"].send("alice", b"y" * 900_000, 1)
    assert len(received(alice, "carol", 1)) == 900_000
    assert len(received(alice, "bob", 1)) == 500_000
    bob.send("alice", "there is room again", 1000)
    assert received(alice, "bob", 1000) == "there is room again"


def test_no_message_is_read_that_is_greater_than_the_share(run: Run) -> None:
    from runner.engine.inbox import Inbox

    alice, read = run.proxies["alice"], []
    alice._inbox = Inbox(20 << 20)

    def endless() -> Iterator[Any]:
        for _ in range(1000):
            read.append(1)
            yield piece(b"x" * (1 << 22), 1)

    answer = streams(run, "bob", "alice")(endless(), timeout=30, metadata=(("pieces", "1000"),))
    assert (answer.code, answer.result) == (417, "longer than memory allows")
    assert len(read) < 20
    assert not alice._inbox._bytes["bob"], "what came of it is forgotten"


def test_message_that_is_too_long_is_refused_at_once_and_its_sender_told_so(run: Run) -> None:
    from runner.engine.inbox import Inbox

    run.proxies["alice"]._inbox = Inbox(20 << 20)
    with pytest.raises(ClusterError, match="alice refused a message of bob") as told:
        run.proxies["bob"].send("alice", np.zeros(2_000_000), 1)
    assert told.value.why == "it has 15.3 MiB: longer than memory allows"
    assert "cluster.limits.memory" in told.value.fix
    assert not told.value.secondary


def test_message_that_is_awaited_finds_room_among_later_ones(run: Run) -> None:
    from runner.engine.inbox import Inbox

    alice, bob = run.proxies["alice"], run.proxies["bob"]
    alice._inbox, found = Inbox(2 << 20), []
    waiting = threading.Thread(target=lambda: found.append(received(alice, "bob", 1)))
    waiting.start()
    bob.send("alice", b"later" * 200_000, 2)
    bob.send("alice", b"first" * 200_000, 1)
    waiting.join()
    assert found == [b"first" * 200_000]


def test_sender_is_put_off_where_its_broken_connections_are_thought_to_stand(run: Run) -> None:
    places = run.proxies["alice"]._served["bob"]
    while places.acquire(blocking=False):
        pass
    timer = threading.Timer(0.5, places.release)
    timer.start()
    assert run.proxies["bob"].send("alice", "x", 1) is True
    timer.join()
    assert received(run.proxies["alice"], "bob", 1) == "x"


def test_message_that_is_sent_again_takes_no_room(run: Run) -> None:
    bob, inbox = run.proxies["bob"], run.proxies["alice"]._inbox
    bob.send("alice", "x" * 1000, 1)
    received(run.proxies["alice"], "bob", 1)
    bob.send("alice", "x" * 1000, 1)
    assert (len(inbox), inbox._bytes["bob"]) == (0, 0)


def test_piece_that_is_too_long_is_not_taken(run: Run) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        streams(run, "bob", "alice")(iter([piece(b"x" * (1 << 23), 1)]), timeout=30)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("count", ["3", "-1", "x", "9" * 30])
def test_message_of_fewer_pieces_than_it_says_is_refused(run: Run, count: str) -> None:
    call = streams(run, "bob", "alice")
    whole = b"a" * (1 << 22)
    answer = call(iter([piece(whole, 1), piece(whole, 1)]), timeout=30, metadata=(("pieces", count),))
    assert len(run.proxies["alice"]._inbox) == (answer.code == 200)
    assert answer.code == (417 if count == "3" else 200), "what is no number counts for one piece"


def test_of_two_messages_with_one_number_the_first_counts(run: Run) -> None:
    for text in ("first", "second"):
        run.proxies["bob"].send("alice", text, 1)
        assert len(run.proxies["alice"]._inbox) == 1
    assert received(run.proxies["alice"], "bob", 1) == "first"
    assert not run.proxies["alice"]._inbox._bytes["bob"]
