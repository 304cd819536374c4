"""The proxies of a run's parties in one process, and what a stranger could send them."""

from __future__ import annotations

import threading
from typing import Any

import grpc

from runner.cluster.tls import Identity, make_identities
from runner.errors import SecurityError
from runner.keys.pki import host_name

PARTIES = ("alice", "bob", "carol")
JOB = "job-1"
SOON = 0.5  # seconds


class Run:
    """The proxies of a run's parties, all in this process."""

    def __init__(self) -> None:
        self.identities = make_identities(PARTIES)
        self.ports: dict[str, int] = {}
        self.proxies: dict[str, Any] = {}

    def start(self, party: str, *, port: int = 0, job: str = JOB, identity: Identity | None = None) -> Any:
        """One party's proxy, listening; it is connected by :meth:`connect`."""
        from runner.engine.transport import secure_proxy

        kind = secure_proxy(identity or self.identities[party], ("127.0.0.1", port), lambda bound: {})
        proxy = kind(dict.fromkeys(PARTIES, "127.0.0.1:0"), party, job, None, {"timeout_in_ms": 20000})
        self.proxies[party] = proxy
        self.ports[party] = proxy._listen()
        return proxy

    def connect(self, party: str, **ports: int) -> Any:
        addresses = {name: f"127.0.0.1:{port}" for name, port in {**self.ports, **ports}.items()}
        self.proxies[party]._connect(addresses)
        return self.proxies[party]

    def stop(self) -> None:
        for proxy in self.proxies.values():
            proxy.stop()


def received(proxy: Any, sender: str, number: int, wait: float = 30) -> Any:
    """What arrives, or :class:`TimeoutError`: the proxy itself waits until the driver ends it."""
    found: list[Any] = []

    def receive() -> None:
        try:
            found.append(proxy.recv(sender, number))
        except SecurityError as error:
            found.append(error)

    thread = threading.Thread(target=receive, daemon=True)
    thread.start()
    thread.join(wait)
    if not found:
        raise TimeoutError
    return found[0]


def send_raw(run: Run, credentials: Any, receiver: str, content: bytes, number: int, job: str = JOB) -> Any:
    """Send bytes as a stranger's program might."""
    from secretflow.distributed.fed.proxy.grpc import fed_pb2, fed_pb2_grpc

    address = f"127.0.0.1:{run.ports[receiver]}"
    options = [("grpc.ssl_target_name_override", host_name(receiver))]
    channel = grpc.secure_channel(address, credentials, options) if credentials else grpc.insecure_channel(address)
    with channel:
        message = fed_pb2.SfFedProxySendData(data=content, seq_id=number, job_name=job)
        return fed_pb2_grpc.SfFedProxyStub(channel).SendData(message, timeout=20)


def credentials(trusted: Identity, own: Identity | None) -> Any:
    if own is None:
        return grpc.ssl_channel_credentials(trusted.authority.encode())
    return grpc.ssl_channel_credentials(trusted.authority.encode(), own.private_key.encode(), own.certificate.encode())


def streams(run: Run, caller: str, receiver: str) -> Any:
    """The method of the channel, to be called with whatever requests come to the mind of ``caller``."""
    from secretflow.distributed.fed.proxy.grpc import fed_pb2

    identity = run.identities[caller]
    channel = grpc.secure_channel(
        f"127.0.0.1:{run.ports[receiver]}",
        credentials(identity, identity),
        [("grpc.ssl_target_name_override", host_name(receiver))],
    )
    return channel.stream_unary(
        "/SfFedProxy/SendData",
        fed_pb2.SfFedProxySendData.SerializeToString,
        fed_pb2.SfFedProxySendDataResponse.FromString,
    )


def piece(content: bytes, number: int, job: str = JOB) -> Any:
    from secretflow.distributed.fed.proxy.grpc import fed_pb2

    return fed_pb2.SfFedProxySendData(data=content, seq_id=number, job_name=job)
