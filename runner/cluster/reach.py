"""Whether another site's port can be reached at all, before anything is said through it."""

from __future__ import annotations

import socket
import time

from runner.cluster.mutual_tls import reason
from runner.errors import ClusterError
from runner.spec.site import PORTS, host_and_port

SECONDS = 15.0  # for a connection, over however many attempts
PAUSE = 0.5  # seconds between attempts


def trouble_with(host: str, port: int, seconds: float) -> str | None:
    """Why no connection to a port can be made within so many seconds; None where one can."""
    until, why = time.monotonic() + seconds, "no answer in time"
    while (left := until - time.monotonic()) > 0:
        try:
            socket.create_connection((host, port), timeout=left).close()
        except OSError as error:
            why = reason(error)
            time.sleep(min(PAUSE, max(0.0, until - time.monotonic())))
        else:
            return None
    return why


def require_reachable(party: str, peer: str, address: str, seconds: float = SECONDS) -> None:
    """Make sure that a peer's process can be reached where it listens.

    Raises:
        ClusterError: naming its address.
    """
    why = trouble_with(*host_and_port(address), seconds)
    if why is not None:
        raise ClusterError(
            f"{party} cannot reach the process of {peer} at {address}",
            where=f"party {party}, {address}",
            why=f"{why}, within {seconds:.0f} s",
            fix=f"let the firewalls between the two pass all {PORTS} ports of {peer}'s site; task=doctor tries each",
        )
