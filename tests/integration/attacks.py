"""What strangers and dishonest members send to a port that they find open."""

from __future__ import annotations

import builtins
import contextlib
import functools
import json
import pickle
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

from runner.cluster.mutual_tls import Credentials
from runner.keys.pki import host_name

SECONDS = 5.0  # for a connection
ANSWER = 0.3  # seconds that an answer is waited for
GRPC = "/SfFedProxy/SendData"
RUN_OF_OTHERS = "0" * 64


class Creates:
    """Unpickled without care, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return builtins.exec, (f"open({str(self.path)!r}, 'w').close()",)


class Attacker:
    """One who can reach every port of this machine.

    Args:
        trap: the file that a malicious pickle makes.
        strangers: party → a certificate for its name by an authority that nobody trusts.
        members: party → its true certificate, as a dishonest operator has it.

    Attributes:
        sent: attack → how often it was sent.
        answered: what was answered to an attack as if it was welcome.
    """

    def __init__(self, trap: Path, strangers: dict[str, Credentials], members: dict[str, Credentials]) -> None:
        self._pickle = pickle.dumps(Creates(trap))
        self._strangers, self._members = strangers, members
        self.sent: Counter[str] = Counter()
        self.answered: list[str] = []

    def ways(self, port: int, owner: str) -> list[Callable[[], None]]:
        """All that can be done to a port of ``owner``'s site, to be called again and again."""
        others = [party for party in self._members if party != owner]
        connections = [
            ("plain TCP", lambda: _plain(port)),
            ("TLS without a certificate", lambda: _tls(port, None)),
            ("TLS by another authority", lambda: _tls(port, self._strangers[others[0]])),
            *((f"TLS as {party}", functools.partial(_tls, port, self._members[party])) for party in others),
        ]
        sending = [functools.partial(self._send_all, name, connect) for name, connect in connections]
        return [*(functools.partial(self._call, port, owner, party) for party in others), *sending]

    def _contents(self) -> Iterator[tuple[str, bytes]]:
        yield "pickle", self._pickle
        yield "pickle in a line", json.dumps({"session": self._pickle.hex(), "heard": 0}).encode() + b"\n"
        link = {"session": RUN_OF_OTHERS, "folder": "1", "service": "psi"}
        yield "frame to the relay", json.dumps(link).encode() + b"\n" + b"PRPC" + bytes(8) + self._pickle
        yield "HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

    def _send_all(self, name: str, connect: Callable[[], socket.socket]) -> None:
        for what, content in self._contents():
            with contextlib.suppress(OSError), connect() as connection:
                connection.sendall(content)
                self.sent[name] += 1
                connection.settimeout(ANSWER)
                answer = connection.recv(1 << 16)
                if any(word in answer for word in (b"OK", b'"said"', b" 200 ")):
                    self.answered.append(f"{what} over {name}: {answer[:80]!r}")

    def _call(self, port: int, owner: str, party: str) -> None:
        """In the form of SecretFlow's own messages, by one who knows everything but the run's name."""
        name, shown = f"a message by {party}'s certificate", self._members[party]
        trusted, key, own = (path.read_bytes() for path in (shown.authority, shown.private_key, shown.certificate))
        options = [("grpc.ssl_target_name_override", host_name(owner)), ("grpc.enable_retries", 0)]
        with grpc.secure_channel(
            f"127.0.0.1:{port}", grpc.ssl_channel_credentials(trusted, key, own), options
        ) as channel:
            call = channel.unary_unary(GRPC)
            for number in range(1, 5):
                with contextlib.suppress(grpc.RpcError):
                    answer = call(_message(self._pickle, number, RUN_OF_OTHERS), timeout=SECONDS)
                    self.sent[name] += 1
                    if b"not a message of this run" not in answer:
                        self.answered.append(f"{name}: {answer[:80]!r}")


def _plain(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def _tls(port: int, shown: Credentials | None) -> ssl.SSLSocket:
    """A connection that trusts any server, so that only the server can refuse."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if shown is not None:
        context.load_cert_chain(shown.certificate, shown.private_key)
    return context.wrap_socket(_plain(port))


def _message(content: bytes, number: int, job: str) -> bytes:
    """SecretFlow's message, as its client writes it (``fed.proto``: data, seq_id, job_name), for a small number."""
    length = bytes((len(content) & 0x7F | 0x80, len(content) >> 7))
    return b"\x0a" + length + content + bytes((0x10, number, 0x1A, len(job))) + job.encode()


def doors(pids: list[int]) -> tuple[dict[int, int], list[str]]:
    """Every TCP port on which these processes listen, and whose it is; and the path of every Unix socket."""
    ports: dict[str, int] = {}
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":  # it listens
                ports[f"socket:[{fields[9]}]"] = int(fields[1].rpartition(":")[2], 16)
    paths: dict[str, str] = {}
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[3], 16) & 0x10000:
            paths[f"socket:[{fields[6]}]"] = fields[7]
    held = {pid: _open_files(pid) for pid in pids}
    found = {port: pid for pid, files in held.items() for file, port in ports.items() if file in files}
    return found, [path for file, path in paths.items() if any(file in files for files in held.values())]


def _open_files(pid: int) -> set[str]:
    files = set()
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                files.add(str(descriptor.readlink()))
    return files
