"""The control channel: whole messages, in order, and a clear end."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Iterator

import pytest

from runner.cluster.channel import Channel


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Channel]]:
    one, other = socket.socketpair()
    channels = Channel(one), Channel(other)
    yield channels
    for channel in channels:
        channel.close()


@pytest.fixture
def raw() -> Iterator[tuple[socket.socket, Channel]]:
    one, other = socket.socketpair()
    with one:
        channel = Channel(other)
        yield one, channel
        channel.close()


def test_messages_arrive_in_order(pair: tuple[Channel, Channel]) -> None:
    driver, worker = pair
    for number in range(3):
        assert driver.send(order="run", number=number, text="zwei\nZeilen ü") is True
    assert [worker.receive() for _ in range(3)] == [
        {"order": "run", "number": number, "text": "zwei\nZeilen ü"} for number in range(3)
    ]


def test_both_ends_speak(pair: tuple[Channel, Channel]) -> None:
    driver, worker = pair
    driver.send(order="run")
    worker.send(event="done")
    assert (worker.receive(), driver.receive()) == ({"order": "run"}, {"event": "done"})


def test_message_that_comes_in_pieces_is_put_together(raw: tuple[socket.socket, Channel]) -> None:
    sender, channel = raw
    for piece in (b'{"event"', b': "done"', b'}\n{"event": "ali'):
        sender.sendall(piece)
    assert channel.receive() == {"event": "done"}
    sender.sendall(b've"}\n')
    assert channel.receive() == {"event": "alive"}


def test_ready_messages_are_the_whole_ones(raw: tuple[socket.socket, Channel]) -> None:
    sender, channel = raw
    sender.sendall(b'{"event": "a"}\n{"event": "b"}\n{"event"')
    assert channel.receive_ready() == ([{"event": "a"}, {"event": "b"}], True)
    sender.sendall(b': "c"}\n')
    assert channel.receive_ready() == ([{"event": "c"}], True)


def test_end_is_told_after_the_last_message(raw: tuple[socket.socket, Channel]) -> None:
    sender, channel = raw
    sender.sendall(b'{"event": "last"}\n{"half"')
    sender.close()
    assert channel.receive() == {"event": "last"}
    assert channel.receive() is None
    assert channel.receive() is None


def test_ready_tells_the_end(raw: tuple[socket.socket, Channel]) -> None:
    sender, channel = raw
    sender.sendall(b'{"event": "last"}\n')
    sender.close()
    assert channel.receive_ready()[0] == [{"event": "last"}]
    assert channel.receive_ready() == ([], False)


def test_sending_to_nobody_is_told(pair: tuple[Channel, Channel]) -> None:
    driver, worker = pair
    worker.close()
    assert driver.send(order="run") is False
    assert driver.receive() is None


def test_large_message_passes(pair: tuple[Channel, Channel]) -> None:
    driver, worker = pair
    thread = threading.Thread(target=driver.send, kwargs={"order": "run", "text": "x" * 2_000_000})
    thread.start()
    message = worker.receive()
    thread.join()
    assert message is not None
    assert len(message["text"]) == 2_000_000


def test_threads_do_not_mix_their_messages(pair: tuple[Channel, Channel]) -> None:
    driver, worker = pair
    threads = [
        threading.Thread(target=lambda n=n: [worker.send(event="n", number=n, text="x" * 5000) for _ in range(20)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    messages = [driver.receive() for _ in range(80)]
    for thread in threads:
        thread.join()
    numbers = [message["number"] for message in messages if message is not None]
    assert sorted(numbers) == sorted(list(range(4)) * 20)


def test_descriptor_can_be_waited_for(pair: tuple[Channel, Channel]) -> None:
    driver, worker = pair
    assert not select.select([driver], [], [], 0)[0]
    worker.send(event="done")
    assert select.select([driver], [], [], 2)[0] == [driver]


def test_channel_can_be_handed_over_as_a_descriptor() -> None:
    one, other = socket.socketpair()
    with one:
        channel = Channel.from_descriptor(other.detach())
        one.sendall(b'{"order": "leave"}\n')
        assert channel.receive() == {"order": "leave"}
        channel.close()


@pytest.mark.parametrize("line", [b"not json\n", b"\xff\n", b"\n"])
def test_line_that_is_no_message_is_an_error(raw: tuple[socket.socket, Channel], line: bytes) -> None:
    sender, channel = raw
    sender.sendall(line)
    with pytest.raises(ValueError):
        channel.receive()


def test_files_go_along_with_their_message(pair: tuple[Channel, Channel]) -> None:
    driver, worker = pair
    files = [os.memfd_create(f"file-{number}") for number in range(3)]
    for number, file in enumerate(files):
        os.write(file, str(number).encode())
    driver.send(files[:2], order="run", text="x" * 100_000)
    driver.send(order="between")
    driver.send(files[2:], order="run")
    first, between, last = (worker.receive() for _ in range(3))
    assert first is not None
    assert last is not None
    assert between == {"order": "between"}
    received = [*first["descriptors"], *last["descriptors"]]
    assert [os.pread(file, 1, 0) for file in received] == [b"0", b"1", b"2"]
    assert not set(received) & set(files)
    for file in (*files, *received):
        os.close(file)
