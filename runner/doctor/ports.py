"""A site's further ports: held open while the others look, and looked for at the others. Nothing is said over them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from runner.cluster.mutual_tls import listening
from runner.cluster.reach import trouble_with
from runner.errors import ClusterError
from runner.spec.site import PORTS, address_of

SECONDS = 3.0  # for a connection


@contextlib.contextmanager
def held_open(listen: tuple[str, int], party: str) -> Iterator[None]:
    """Listen on those after the first one, so that a peer can see whether it reaches them; the system answers it."""
    host, first = listen
    with contextlib.ExitStack() as stack:
        for port in range(first + 1, first + PORTS) if first else ():
            with contextlib.suppress(ClusterError):  # a taken port is a finding of its own
                stack.enter_context(listening((host, port), party))
        yield


def unreachable(host: str, first: int) -> dict[str, str]:
    """Address → why it cannot be reached, of a site's ports after the first one."""
    found = {address_of(host, port): trouble_with(host, port, SECONDS) for port in range(first + 1, first + PORTS)}
    return {address: why for address, why in found.items() if why is not None}
