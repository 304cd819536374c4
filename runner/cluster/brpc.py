"""Reading the frames of SPU's links, far enough to know who says that it sent them.

SPU's library (yacl over brpc) believes the rank that a message claims, whoever sent it, and its server answers any
protocol that brpc knows. Here a stream from a peer must be frames of brpc's own protocol (baidu_std: ``PRPC``, body and
meta sizes, meta, payload), each a ``Push`` to the link's receiver whose ``sender_rank`` is that peer's; and what it
answers must be answers.
"""

from __future__ import annotations

from collections.abc import Iterator

SERVICE, METHOD = b"org.interconnection.link.ReceiverService", b"Push"
LONGEST = (32 << 20) + (1 << 16)  # bytes of a frame: the links send pieces of at most 32 MiB
LONGEST_ANSWER = 1 << 12
MOST_FIELDS = 64  # of a message: a frame's length would do for millions, and for as many steps of this process
_HEADER = 12
_REQUEST, _ANSWER = 1, 2  # fields of a frame's meta


class ForgedFrame(Exception):
    """A frame that its sender may not send; the text says why and has nothing of the frame."""


class _Stream:
    """Takes the bytes of a stream and gives back whole frames that are allowed there."""

    longest: int

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, content: bytes) -> Iterator[bytes]:
        """The frames that are complete with ``content``.

        Raises:
            ForgedFrame: for anything else.
        """
        self._buffer += content
        while len(self._buffer) >= _HEADER:
            if self._buffer[:4] != b"PRPC":
                raise ForgedFrame("it does not speak the links' protocol")
            body = int.from_bytes(self._buffer[4:8], "big")
            meta = int.from_bytes(self._buffer[8:12], "big")
            if meta > body or body > self.longest:
                raise ForgedFrame("its sizes cannot be")
            if len(self._buffer) < _HEADER + body:
                return
            frame = bytes(self._buffer[: _HEADER + body])
            del self._buffer[: _HEADER + body]
            try:
                self._check(_fields(memoryview(frame)[_HEADER : _HEADER + meta]), memoryview(frame)[_HEADER + meta :])
            except (IndexError, ValueError):
                raise ForgedFrame("it cannot be read") from None
            yield frame

    def _check(self, described: _Fields, payload: memoryview) -> None:
        """Refuse what is compressed, or has something attached."""
        if _number_of(described, 3) or _number_of(described, 5):
            raise ForgedFrame("its form is not that of the links")


class Frames(_Stream):
    """What the peer of ``rank`` sends."""

    longest = LONGEST

    def __init__(self, rank: int) -> None:
        super().__init__()
        self._rank = rank

    def _check(self, described: _Fields, payload: memoryview) -> None:
        super()._check(described, payload)
        request = _fields(_bytes_of(described, _REQUEST))
        if (bytes(_bytes_of(request, 1)), bytes(_bytes_of(request, 2))) != (SERVICE, METHOD) or _ANSWER in described:
            raise ForgedFrame("it calls another service")
        rank = _number_of(_fields(payload), 1)
        if rank != self._rank:
            raise ForgedFrame(f"it claims to come from rank {rank}, and the certificate is that of rank {self._rank}")


class Answers(_Stream):
    """What a peer says to what it was sent: that it has it, in a few bytes."""

    longest = LONGEST_ANSWER

    def _check(self, described: _Fields, payload: memoryview) -> None:
        super()._check(described, payload)
        _bytes_of(described, _ANSWER)
        if _REQUEST in described:
            raise ForgedFrame("it asks where it should answer")


_Fields = dict[int, "list[int | memoryview]"]


def _fields(message: memoryview) -> _Fields:
    """The top fields of a protobuf message (https://protobuf.dev/programming-guides/encoding): number → values."""
    found: _Fields = {}
    at = count = 0
    while at < len(message):
        count += 1
        if count > MOST_FIELDS:
            raise ValueError("more fields than a link's message has")
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        value: int | memoryview
        if kind == 0:
            value, at = _varint(message, at)
        elif kind == 2:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("cut short")
            value, at = message[at : at + length], at + length
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
            if at + length > len(message):
                raise ValueError("cut short")
            value, at = message[at : at + length], at + length
        else:
            raise ValueError("no such wire type")
        found.setdefault(number, []).append(value)
    return found


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("too long")


def _number_of(fields: _Fields, number: int) -> int:
    """A number that stands at most once; a second one would count for some readers and not for others."""
    values = fields.get(number, [0])
    if len(values) != 1 or not isinstance(values[0], int):
        raise ValueError("not one number")
    return values[0]


def _bytes_of(fields: _Fields, number: int) -> memoryview:
    values = fields.get(number, [])
    if len(values) != 1 or not isinstance(values[0], memoryview):
        raise ValueError("not one value")
    return values[0]
