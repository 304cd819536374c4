"""SecretFlow's gRPC channel, made safe.

Stock SecretFlow 1.14 listens on every interface, cannot open its channel with TLS (it gives server credentials to the
client), believes any member about who sent a message, and unpickles nearly anything. This proxy listens on one
address, demands certificates of the run's authority at both ends, files each message under the party of the
certificate that it came by, reads it with a strict unpickler, and counts what is sent.

Messages come in pieces, so that a sender takes no more memory here than it is given before it is refused; and each
sender has a few places of its own among those that are served at a time, so that one who is slow holds up nobody else.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cloudpickle
import grpc
from heu import numpy as hnp
from secretflow.distributed.fed.exception import FedRemoteError
from secretflow.distributed.fed.proxy.grpc import fed_pb2
from secretflow.distributed.fed.proxy.grpc.grpc import GrpcProxy

from runner.cluster.reach import require_reachable
from runner.cluster.tls import Identity
from runner.engine.inbox import OVERHEAD, Inbox, fair_share
from runner.engine.sending import RECONNECT, send_patiently
from runner.engine.unpickle import ALLOWED, Names, loads
from runner.errors import ClusterError
from runner.files import write_bytes
from runner.keys.pki import host_name, pin_of_pem

PIECE = 1 << 22  # bytes of a message that travel at once
AT_ONCE = 8  # messages that go to one party at a time
SERVED = 2 * AT_ONCE  # messages of one party that are taken in at a time
PIECES = "pieces"  # how many a message has, where these are more than one
HANDSHAKE = 10_000  # milliseconds for a caller to show its certificate
MOST_REFUSALS = 100  # of which the log tells
METHOD = "/SfFedProxy/SendData"
# Why a message is refused, as its sender is told.
STRANGER, OF_OTHERS, CUT = "not a party of this run", "not a message of this run", "cut short"
TOO_MANY = "too many messages at a time"
NO_ROOM = "more is waiting than memory allows"
TOO_LONG = "longer than memory allows"
REFUSALS = (STRANGER, OF_OTHERS, CUT, TOO_MANY, NO_ROOM, TOO_LONG)
Peers = Mapping[str, str]  # party → host:port
Meet = Callable[[int], Peers]


class SecureProxy(GrpcProxy):  # type: ignore[misc]
    """Sends and receives for one party. Made by :func:`secure_proxy`, started by SecretFlow."""

    identity: Identity
    listen: tuple[str, int]
    meet: Meet
    allowed: Names
    keep: Path | None
    pins: Mapping[str, str]
    port: int

    def __init__(self, addresses: Any, party: str, job_name: str, tls_config: Any, proxy_config: Any) -> None:
        super().__init__(addresses, party, job_name, tls_config, proxy_config)
        self.counts: dict[str, Counter[str]] = {}
        self._grpc_options = [
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", PIECE + OVERHEAD),
            ("grpc.max_concurrent_streams", SERVED),
            ("grpc.server_handshake_timeout_ms", HANDSHAKE),
        ]
        self._party_name = party
        self._share = fair_share(len(addresses))
        self._inbox = Inbox(self._share)
        self._patience = self._proxy_config.timeout_in_ms / 1000
        self._senders = {host_name(other): other for other in addresses}
        self._served = {other: threading.BoundedSemaphore(SERVED) for other in addresses}
        self._sending = {other: threading.BoundedSemaphore(AT_ONCE) for other in addresses}
        self._refused: Counter[str] = Counter()

    def start(self) -> None:
        """Listen, tell the others where, wait until all listen (a message sent too early would be lost), connect."""
        self.port = self._listen()
        peers = self.meet(self.port)
        for party in set(peers) - {self._party_name}:
            require_reachable(self._party_name, party, peers[party])
        self._connect(peers)

    def begin_job(self, more_types: Names, keep: Path | None) -> None:
        """Go on with another job: count anew, and take what its messages may hold besides the types of SGB."""
        self.allowed = ALLOWED | more_types
        self.keep = keep
        for counts in self.counts.values():
            counts.clear()

    def forget(self) -> None:
        """Drop messages that nobody took; every party has sent all of its own."""
        self._inbox.clear()

    def _listen(self) -> int:
        host, port = self.listen
        credentials = grpc.ssl_server_credentials(
            [(self.identity.private_key.encode(), self.identity.certificate.encode())],
            root_certificates=self.identity.authority.encode(),
            require_client_auth=True,
        )
        places = SERVED * len(self._served) + SERVED  # some are left for who is refused
        server = grpc.server(ThreadPoolExecutor(max_workers=places), options=self._grpc_options)
        _, service, method = METHOD.split("/")
        handler = grpc.stream_unary_rpc_method_handler(
            self._receive,
            request_deserializer=fed_pb2.SfFedProxySendData.FromString,
            response_serializer=fed_pb2.SfFedProxySendDataResponse.SerializeToString,
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        try:
            bound = server.add_secure_port(f"{host}:{port}", credentials)
        except RuntimeError:
            bound = 0
        if bound == 0:
            raise ClusterError(
                f"port {port} of {self._party_name} is taken",
                where=f"cluster.ports.{self._party_name}",
                why=f"another program listens on {host}:{port}",
                fix="choose another port, or remove the entry: then the system chooses a free one",
            )
        server.start()
        self._server = server
        return int(bound)

    def _connect(self, peers: Peers) -> None:
        credentials = grpc.ssl_channel_credentials(
            self.identity.authority.encode(), self.identity.private_key.encode(), self.identity.certificate.encode()
        )
        for party, address in peers.items():
            pinned = ("grpc.ssl_target_name_override", host_name(party))
            channel = grpc.secure_channel(address, credentials, options=[*self._grpc_options, *RECONNECT, pinned])
            self._stubs[party] = _Stub(channel)
            self.counts[party] = Counter()

    def _receive(self, pieces: Iterator[Any], context: grpc.ServicerContext) -> Any:
        """A message arrives: file it under the party that the connection's certificate names."""
        sender = self._sender(context.auth_context())
        if sender is None:
            return self._refuse("a stranger", STRANGER)
        if not self._served[sender].acquire(blocking=False):
            return self._refuse(sender, TOO_MANY)
        try:
            refusal = self._take_in(sender, _count_of(context), pieces)
        finally:
            self._served[sender].release()
        if refusal:
            return self._refuse(sender, refusal)
        return fed_pb2.SfFedProxySendDataResponse(code=200, result="OK")

    def _take_in(self, sender: str, count: int, pieces: Iterator[Any]) -> str:
        """File a message that comes in so many pieces; returns why not, where it is not taken."""
        first = next(pieces, None)
        if first is None:
            return CUT
        if first.job_name != self._job_name:
            return OF_OTHERS
        if self._inbox.has_had(sender, first.seq_id):
            return ""
        reserved = len(first.data) if count == 1 else count * PIECE
        if reserved > self._inbox.longest:
            return TOO_LONG
        if not self._inbox.reserve(sender, first.seq_id, reserved, self._patience):
            return NO_ROOM
        filed = False
        try:
            content = [first.data, *(piece.data for piece in itertools.islice(pieces, count - 1))]
            filed = len(content) == count and all(len(part) == PIECE for part in content[:-1])
            if filed:
                self._inbox.put(sender, first.seq_id, b"".join(content), reserved)
            return "" if filed else CUT
        finally:
            if not filed:
                self._inbox.release(sender, reserved)

    def _refuse(self, sender: str, why: str) -> Any:
        """Refuse a message, and log it, but no more often than a log can bear."""
        self._refused[sender] += 1
        if self._refused[sender] <= MOST_REFUSALS:
            last = ", and no more of its refusals will be told" if self._refused[sender] == MOST_REFUSALS else ""
            logging.getLogger(__name__).warning("refused a message of %s: %s%s", sender, why, last)
        return fed_pb2.SfFedProxySendDataResponse(code=417, result=why)

    def _sender(self, shown: Mapping[str, list[bytes]]) -> str | None:
        """The party whose certificate a connection came by; None where it is no party's, or not of its pinned key."""
        names = [name.decode() for name in shown.get("x509_subject_alternative_name", [])]
        sender = next((self._senders[name] for name in names if name in self._senders), None)
        pinned = self.pins.get(sender) if sender is not None else None
        if pinned is not None and pinned != pin_of_pem(shown["x509_pem_cert"][0]):
            return None
        return sender

    def recv(self, src_party: str, seq_id: int) -> Any:
        """Wait for a message that ``src_party`` itself sent. A dead peer ends the wait through the control channel."""
        content = self._inbox.take(src_party, seq_id)
        if self.keep is not None:
            write_bytes(self.keep / f"{seq_id:08d}-{src_party}.message", content)
        return loads(content, src_party, self.allowed, self._share)

    def send(self, dest_party: str, data: Any, seq_id: int) -> bool:
        """Send, and count. An exception goes out without its text, which may hold data."""
        if isinstance(data, FedRemoteError):
            data = FedRemoteError(self._party_name, RuntimeError("see that party's own log"))
        content = cloudpickle.dumps(data)
        self.counts[dest_party].update(messages=1, bytes=len(content), ciphertexts=count_ciphertexts(data))
        with self._sending[dest_party]:
            response = send_patiently(
                lambda seconds: self._stubs[dest_party].send(content, seq_id, self._job_name, seconds),
                self._party_name,
                dest_party,
                self._patience,
                lambda response: response.result == TOO_MANY,  # of broken connections, which are thought to stand
            )
        if response.code != 200:
            raise _refused(self._party_name, dest_party, response.result, len(content))
        return True


class _Stub:
    """The way to one party."""

    def __init__(self, channel: grpc.Channel) -> None:
        of_message = fed_pb2.SfFedProxySendData.SerializeToString
        of_answer = fed_pb2.SfFedProxySendDataResponse.FromString
        self._whole = channel.unary_unary(METHOD, of_message, of_answer)
        self._in_pieces = channel.stream_unary(METHOD, of_message, of_answer)  # has a thread for each message

    def send(self, content: bytes, seq_id: int, job_name: str, seconds: float) -> Any:
        """Send one message; returns what the party says to it."""
        places = range(0, len(content), PIECE)
        requests = (
            fed_pb2.SfFedProxySendData(data=content[at : at + PIECE], seq_id=seq_id, job_name=job_name) for at in places
        )
        if len(places) == 1:
            return self._whole(next(requests), timeout=seconds)
        return self._in_pieces(requests, timeout=seconds, metadata=((PIECES, str(len(places))),))


def _refused(party: str, peer: str, said: str, size: int) -> ClusterError:
    known = said if said in REFUSALS else "for a reason that this version does not know"
    error = ClusterError(
        f"{peer} refused a message of {party}",
        where=f"party {peer}",
        why=f"it has {size / (1 << 20):,.1f} MiB: {known}" if said in (NO_ROOM, TOO_LONG) else known,
        fix=f"a quarter of {peer}'s memory (of cluster.limits.memory, where that is set) is for waiting messages, in "
        "equal parts for the others: raise it, take a larger machine, or bring fewer rows"
        if said in (NO_ROOM, TOO_LONG)
        else f"see {peer}'s worker.log; let all parties run the same version of the runner",
    )
    error.secondary = said not in (NO_ROOM, TOO_LONG)  # else why, the peer itself may know
    return error


def _count_of(context: grpc.ServicerContext) -> int:
    """How many pieces a message has, as its sender says."""
    said = str(dict(context.invocation_metadata()).get(PIECES, "1"))
    return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else 1


def secure_proxy(
    identity: Identity,
    listen: tuple[str, int],
    meet: Meet,
    more_types: Names = frozenset(),
    keep: Path | None = None,
    pins: Mapping[str, str] | None = None,
) -> type[SecureProxy]:
    """The proxy class for one party of one run; SecretFlow makes the instance.

    Args:
        identity: the party's certificate, key and authority.
        listen: host and port to listen on; port 0 lets the system choose.
        meet: called with the port that was bound; returns every party's address once all are listening.
        more_types: what messages may hold besides the types of SGB.
        keep: a folder that gets a copy of every message that reaches the party, for an auditor to look into.
        pins: party → the pin of the key that its certificate must have; a party that is not there may have any.
    """
    settings = {
        "identity": identity,
        "listen": listen,
        "meet": staticmethod(meet),
        "allowed": ALLOWED | more_types,
        "keep": keep,
        "pins": pins or {},
    }
    return type("RunProxy", (SecureProxy,), settings)


def count_ciphertexts(data: Any) -> int:
    """How many ciphertexts a message holds."""
    if isinstance(data, hnp.CiphertextArray):
        return int(data.rows * data.cols)
    if isinstance(data, (list, tuple)):
        return sum(count_ciphertexts(item) for item in data)
    if isinstance(data, dict):
        return sum(count_ciphertexts(item) for item in data.values())
    return 0
