"""Frames of SPU's links: the peer's own pass, in whatever pieces they come; all else is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.cluster.brpc import LONGEST, LONGEST_ANSWER, METHOD, SERVICE, Answers, ForgedFrame, Frames


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))


def text(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def push(payload: bytes, service: bytes = SERVICE, method: bytes = METHOD, more: bytes = b"") -> bytes:
    meta = text(1, text(1, service) + text(2, method) + b"\x18\x00") + b"\x20\x82\x80\x80\x80\x80\x40" + more
    return b"PRPC" + (len(meta) + len(payload)).to_bytes(4, "big") + len(meta).to_bytes(4, "big") + meta + payload


def message(rank: int, value: bytes = b"x" * 300) -> bytes:
    return (b"\x08" + varint(rank) if rank else b"") + text(2, b"root:2:ALLGATHER\x01\x022") + text(3, value)


def pieces(content: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


@given(rank=st.integers(0, 300), size=st.integers(1, 700), values=st.lists(st.binary(max_size=300), max_size=4))
def test_own_frames_pass_unchanged(rank: int, size: int, values: list[bytes]) -> None:
    sent = b"".join(push(message(rank, value)) for value in values)
    frames = Frames(rank)
    assert b"".join(frame for piece in pieces(sent, size) for frame in frames.feed(piece)) == sent


def test_frame_as_the_library_writes_it_passes() -> None:
    caught = (
        bytes.fromhex(
            "50525043000000480000003a0a300a286f72672e696e746572636f6e6e656374696f6e2e6c696e6b2e526563656976657253657276696365"
            "120450757368180020828080802012"
        )
        + b"\x0cconnect_0\x01\x020"
    )
    assert list(Frames(0).feed(caught)) == [caught]


FORGERIES = {
    "another's rank": push(message(2)),
    "no rank, which is rank 0": push(message(0)),
    "two ranks": push(message(1) + b"\x08\x02"),
    "another rank last": push(text(2, b"key") + b"\x08\x02"),
    "a rank that is no number": push(text(1, b"\x01")),
    "another service": push(message(1), service=b"brpc.builtin"),
    "another method": push(message(1), method=b"PushAll"),
    "compressed": push(message(1), more=b"\x18\x01"),
    "with an attachment": push(message(1), more=b"\x28\x05"),
    "HTTP": b"GET /flags HTTP/1.1\r\nHost: x\r\n\r\n",
    "impossible sizes": b"PRPC" + b"\x00\x00\x00\x01" + b"\x00\x00\x00\x02" + b"xx",
    "a size that no link sends": b"PRPC" + (LONGEST + 1).to_bytes(4, "big") + b"\x00\x00\x00\x02",
    "an answer besides": push(message(1), more=b"\x12\x02\x08\x00"),
    "a huge size": b"PRPC" + b"\xff\xff\xff\xff" + b"\x00\x00\x00\x02",
    "cut short within": push(b"\x08\x01\x12\xff\x01"),
    "an endless number": push(b"\x08" + b"\xff" * 11),
    "no wire type": push(b"\x0b"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgery_is_refused(name: str) -> None:
    own = push(message(1))
    found = []
    frames = Frames(1)
    with pytest.raises(ForgedFrame):
        found.extend(frames.feed(own + FORGERIES[name]))
    assert list(Frames(1).feed(own)) == [own]


@given(st.binary(min_size=12, max_size=200))
def test_nothing_else_passes_and_nothing_else_is_raised(content: bytes) -> None:
    try:
        passed = list(Frames(1).feed(content))
    except ForgedFrame:
        return
    assert all(frame.startswith(b"PRPC") for frame in passed)


ANSWER = bytes.fromhex("505250430000000e0000000c120208001800208280808030") + b"\n\x00"  # as the library writes it


@given(size=st.integers(1, 100), count=st.integers(0, 4))
def test_answers_pass_unchanged(size: int, count: int) -> None:
    answers = Answers()
    assert b"".join(part for piece in pieces(ANSWER * count, size) for part in answers.feed(piece)) == ANSWER * count


@pytest.mark.parametrize(
    "forged",
    [
        push(message(1)),
        b"HTTP/1.1 200 OK\r\n\r\n",
        ANSWER[:8] + b"\x00\x00\x00\x0f" + ANSWER[12:],
        b"PRPC" + (LONGEST_ANSWER + 1).to_bytes(4, "big") + b"\x00\x00\x00\x02",
        b"PRPC\x00\x00\x00\x00\x00\x00\x00\x00",
    ],
)
def test_what_is_no_answer_is_refused(forged: bytes) -> None:
    answers = Answers()
    assert list(answers.feed(ANSWER)) == [ANSWER]
    with pytest.raises(ForgedFrame):
        list(answers.feed(forged))


def test_frame_of_many_fields_is_not_gone_through() -> None:
    with pytest.raises(ForgedFrame, match="it cannot be read"):
        list(Frames(0).feed(push(message(0) + b"\x20\x01" * 1_000_000)))
