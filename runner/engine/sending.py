"""Sending a message although the network fails for a moment, and saying who was not reached."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import grpc

from runner.errors import ClusterError

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between attempts
# gRPC opens a broken connection again by itself, at first at once, and at last every two minutes: too late here.
RECONNECT = [
    ("grpc.initial_reconnect_backoff_ms", int(FIRST_PAUSE * 1000)),
    ("grpc.min_reconnect_backoff_ms", int(LONGEST_PAUSE * 1000)),
    ("grpc.max_reconnect_backoff_ms", int(LONGEST_PAUSE * 1000)),
]
Answer = TypeVar("Answer")


def send_patiently(
    send: Callable[[float], Answer],
    party: str,
    peer: str,
    seconds: float,
    put_off: Callable[[Answer], bool] = lambda answer: False,
) -> Answer:
    """Send until the peer has it, or ``seconds`` are over; with longer and longer pauses while it is not reached.

    Args:
        send: sends once, and gives up after the seconds that it is given.
        put_off: whether an answer says that the peer may take it later.

    Raises:
        ClusterError: where the peer did not take it. It is secondary: why the peer is away, others may know.
    """
    until, pause = time.monotonic() + seconds, FIRST_PAUSE
    while True:
        try:
            answer = send(max(until - time.monotonic(), FIRST_PAUSE))
            if not put_off(answer) or time.monotonic() + pause > until:
                return answer
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() + pause > until:
                raise _not_reached(party, peer, seconds, error.code()) from None
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _not_reached(party: str, peer: str, seconds: float, code: grpc.StatusCode) -> ClusterError:
    late = code in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
    error = ClusterError(
        f"{party} could not send to {peer}",
        where=f"party {peer}",
        why=f"{peer} took no message for {seconds:g} s" if late else f"the connection failed ({code.name.lower()})",
        fix=f"see whether {peer}'s process and the network are well; raise cluster.message_timeout for a slow network",
    )
    error.secondary = True
    return error
