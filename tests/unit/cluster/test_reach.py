"""Whether a port can be reached: at once where it can, with the reason where it cannot, and no hang."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest
from support import make_spec

from runner.cluster.mutual_tls import is_refusal, reason
from runner.cluster.reach import require_reachable, trouble_with
from runner.cluster.site import as_reached, reached_at
from runner.doctor.peers import judge_ports
from runner.doctor.ports import held_open, unreachable
from runner.errors import ClusterError
from runner.spec.site import PORTS, address_of, host_and_port


@pytest.fixture
def first() -> int:
    """The first of three ports in a row that nobody has, most likely."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    return min(port, 65000)


def test_port_that_opens_late_is_reached(first: int) -> None:
    opened: list[socket.socket] = []
    late = threading.Timer(0.3, lambda: opened.append(socket.create_server(("127.0.0.1", first))))
    late.start()
    require_reachable("alice", "bob", f"127.0.0.1:{first}", seconds=10)
    late.join()
    opened[0].close()


def test_closed_port_is_told_with_its_address(first: int) -> None:
    with pytest.raises(ClusterError) as error:
        require_reachable("alice", "bob", f"127.0.0.1:{first}", seconds=0.2)
    assert error.value.what == f"alice cannot reach the process of bob at 127.0.0.1:{first}"
    assert error.value.why.startswith("nothing listens there")
    assert "firewalls" in error.value.fix


def test_silent_port_is_no_hang() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]  # who comes after them gets no answer
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        began = time.monotonic()
        assert trouble_with("127.0.0.1", full.getsockname()[1], 0.5) == "no answer in time"
        assert time.monotonic() - began < 5
        for one in waiting:
            one.close()


def test_doctor_holds_further_ports_open_while_it_is_there(first: int) -> None:
    with held_open(("127.0.0.1", first), "alice"):
        assert unreachable("127.0.0.1", first) == {}
    closed = unreachable("127.0.0.1", first)
    assert set(closed) == {f"127.0.0.1:{port}" for port in range(first + 1, first + PORTS)}
    finding = judge_ports("alice", closed)
    assert finding.state == "FAILED"
    assert f"127.0.0.1:{first + 1}: nothing listens there" in finding.found
    assert judge_ports("alice", {}).state == "PASSED"


async def connect(host: str, port: int) -> None:
    await asyncio.open_connection(host, port)


def test_reasons_are_words(first: int) -> None:
    with pytest.raises(OSError, match="Connect call failed") as refused:
        asyncio.run(connect("127.0.0.1", first))
    assert (reason(refused.value), is_refusal(refused.value)) == ("nothing listens there", True)
    several = OSError(f"Multiple exceptions: [Errno 111] {refused.value.strerror}, [Errno 111] of ::1")
    assert (reason(several), is_refusal(several)) == ("nothing listens there", True)
    mixed = OSError("Multiple exceptions: [Errno 113] Connect call failed, [Errno 111] Connect call failed")
    assert (reason(mixed), is_refusal(mixed)) == ("No route to host", False)
    unknown = socket.gaierror(-2, "Name or service not known")
    assert reason(unknown) == "the host's name is not known here (Name or service not known)"
    assert not is_refusal(unknown)


def test_router_may_shift_a_sites_ports() -> None:
    remote = ("cluster=remote", "parties=sites", "self_party=alice", "site=alice")
    plain = make_spec(*remote)
    assert [reached_at(plain, port) for port in (7100, 7102)] == [7100, 7102]
    shifted = make_spec(*remote, "site.listen=0.0.0.0:9000")
    assert [reached_at(shifted, port) for port in (9000, 9001, 9002)] == [7100, 7101, 7102]
    assert reached_at(make_spec(*remote, "site.listen=0.0.0.0:0"), 40_123) == 40_123
    listening = {"event": "listening", "port": 9001, "sequence": 0}
    assert as_reached(shifted, listening) == {**listening, "port": 7101}
    assert as_reached(shifted, {"event": "checked"}) == {"event": "checked"}
    assert as_reached(make_spec(), listening) == listening


@pytest.mark.parametrize("address", ["[::1]:7200", "bank.example.org:7200", "127.0.0.1:7200"])
def test_addresses_are_written_as_they_are_read(address: str) -> None:
    assert address_of(*host_and_port(address)) == address
