"""While a run trains: outsiders on the same machine find no port that listens to them, and change nothing."""

from __future__ import annotations

import builtins
import contextlib
import pickle
import re
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from integration.launch import LONG, PARTIES, Launch, assert_interrupted, is_open, listening, write_tables
from support import type_command

from runner.cluster.tls import Identity, make_identities
from runner.engine.narrow import import_secretflow

import_secretflow()

from secretflow.distributed.fed.proxy.grpc import fed_pb2, fed_pb2_grpc  # noqa: E402

pytestmark = pytest.mark.processes

Connect = Callable[[int], socket.socket]


class Creates:
    """Unpickled without care, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return builtins.exec, (f"open({str(self.path)!r}, 'w').close()",)


@pytest.fixture(scope="module")
def fixed_port() -> int:
    """A port that is free now, for alice."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, fixed_port: int) -> Iterator[Launch]:
    """A run that is still training when all tests of this file are over; command lines and environments are its own."""
    place = tmp_path_factory.mktemp("attacked")
    write_tables(place)
    with Launch(*LONG, f"+cluster.ports.alice={fixed_port}", place=place, warm=False) as launch:
        launch.wait_for_line("tree 1/")
        yield launch


@pytest.fixture(scope="module")
def ports(run: Launch) -> dict[str, int]:
    return {party: port for party, (_, port) in listening(run.workers()).items()}


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A file that exists only if somebody unpickled the malicious message."""
    return tmp_path / "trap"


def messages(trap: Path) -> list[Any]:
    """A malicious message, and a forged one that would be well-formed."""
    return [
        fed_pb2.SfFedProxySendData(data=pickle.dumps(content), seq_id=number, job_name=job)
        for number in range(3)
        for job in ("", "runner")
        for content in (Creates(trap), {"forged": 1.0})
    ]


def plain(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def over_tls(identity: Identity | None, folder: Path) -> Connect:
    """TLS that trusts any server, so that only the server can refuse; with a certificate or without one."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if identity is not None:
        chain, key = folder / "chain.pem", folder / "key.pem"
        chain.write_text(identity.certificate + identity.authority)
        key.write_text(identity.private_key)
        context.load_cert_chain(chain, key)
    return lambda port: context.wrap_socket(plain(port))


@contextlib.contextmanager
def tunnel(connect: Connect, port: int) -> Iterator[str]:
    """An address at which a plain gRPC client reaches ``port`` through ``connect``."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_carry_all, args=(server, connect, port), daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def _carry_all(server: socket.socket, connect: Connect, port: int) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = server.accept()
            try:
                target = connect(port)
            except OSError:
                client.close()
                continue
            threading.Thread(target=_carry, args=(client, target), daemon=True).start()


def _carry(client: socket.socket, target: socket.socket) -> None:
    """Both ways, in one thread: a TLS connection is not for two."""
    other = {client: target, target: client}
    with contextlib.suppress(OSError), selectors.DefaultSelector() as selector:
        for end in other:
            end.settimeout(0.5)
            selector.register(end, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                end: socket.socket = key.fileobj  # type: ignore[assignment]
                try:
                    content = end.recv(1 << 16)
                except TimeoutError:  # what came was TLS's own
                    continue
                if not content:
                    raise ConnectionResetError
                while isinstance(end, ssl.SSLSocket) and end.pending():
                    content += end.recv(1 << 16)
                other[end].sendall(content)
    for end in other:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def send(address: str, message: Any) -> Any:
    with grpc.insecure_channel(address, options=[("grpc.enable_retries", 0)]) as channel:
        return fed_pb2_grpc.SfFedProxyStub(channel).SendData(message, timeout=5)


def assert_refused(connect: Connect, port: int, trap: Path) -> None:
    with tunnel(connect, port) as address:
        for message in messages(trap):
            with pytest.raises(grpc.RpcError) as refused:
                send(address, message)
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert not trap.exists()


def trees_done(run: Launch) -> int:
    return int(re.findall(r"tree (\d+)/", run.printed())[-1])


def assert_goes_on(run: Launch) -> None:
    """Two more trees, of which one at least was begun after the attack."""
    done = trees_done(run)
    run.wait_for_line(f"tree {done + 2}/")
    assert run.driver.poll() is None


def test_the_way_of_the_attacks_leads_to_a_server_that_does_not_ask_who_comes(tmp_path: Path, trap: Path) -> None:
    """Against a careless server the same attack arrives: a refusal is the workers' doing, not the attack's fault."""

    class Careless(fed_pb2_grpc.SfFedProxyServicer):
        def SendData(self, request: Any, context: Any) -> Any:
            pickle.loads(request.data)
            return fed_pb2.SfFedProxySendDataResponse(code=200, result="OK")

    me = make_identities(["careless"])["careless"]
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    fed_pb2_grpc.add_SfFedProxyServicer_to_server(Careless(), server)
    credentials = grpc.ssl_server_credentials([(me.private_key.encode(), me.certificate.encode())])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        with tunnel(over_tls(None, tmp_path), port) as address:
            assert send(address, messages(trap)[0]).code == 200
    finally:
        server.stop(grace=None)
    assert trap.exists()


def test_workers_listen_on_loopback_and_nothing_else_listens(run: Launch, fixed_port: int) -> None:
    workers = run.workers()
    addresses = listening(workers)
    assert addresses["alice"] == ("127.0.0.1", fixed_port), "cluster.ports is followed"
    assert {host for host, _ in addresses.values()} == {"127.0.0.1"}
    assert len({port for _, port in addresses.values()}) == len(PARTIES)
    others = [
        run.driver,
        *(process for process in run.driver.children(recursive=True) if process not in workers.values()),
    ]
    for process in others:
        assert [c for c in process.net_connections(kind="inet") if c.status == "LISTEN"] == []


def test_plain_grpc_is_refused(run: Launch, ports: dict[str, int], trap: Path) -> None:
    for port in ports.values():
        for message in messages(trap):
            with pytest.raises(grpc.RpcError):
                send(f"127.0.0.1:{port}", message)
    assert not trap.exists()
    assert_goes_on(run)


def test_tls_without_a_certificate_is_refused(run: Launch, ports: dict[str, int], tmp_path: Path, trap: Path) -> None:
    for port in ports.values():
        assert_refused(over_tls(None, tmp_path), port, trap)
    assert_goes_on(run)


def test_certificates_of_an_own_authority_are_refused(
    run: Launch, ports: dict[str, int], tmp_path: Path, trap: Path
) -> None:
    """The names are right; whoever signed them is not the run's authority."""
    forged = make_identities(PARTIES)
    for party, port in ports.items():
        other = next(name for name in PARTIES if name != party)
        assert_refused(over_tls(forged[other], tmp_path), port, trap)
    assert_goes_on(run)


def test_private_keys_are_on_no_disk_and_no_command_line(run: Launch) -> None:
    for path in run.place.rglob("*"):
        assert not path.is_file() or b"PRIVATE KEY" not in path.read_bytes(), path
    for process in [run.driver, *run.workers().values()]:
        assert "PRIVATE KEY" not in " ".join(process.cmdline())
        assert "PRIVATE KEY" not in "".join(process.environ().values())


def test_after_all_attacks_ctrl_c_ends_the_run(run: Launch, ports: dict[str, int]) -> None:
    """What an interruption leaves: no process, no open port, no model that can be applied."""
    began = time.monotonic()
    run.interrupt()
    ended = run.end()
    print(f"SIGINT in train: ended {ended.at - began:.2f} s after it")
    assert_interrupted(run, ended, began)
    assert [party for party, port in ports.items() if is_open(port)] == []
    assert type_command("task=predict", f"model={run.folder}", cwd=run.place).returncode == 8
