"""The parties' channel over real gRPC and real certificates: who may speak, as whom, and what."""

from __future__ import annotations

import os
import socket
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import grpc
import numpy as np
import psutil
import pytest
from made_proxies import JOB, PARTIES, SOON, Run, credentials, piece, received, send_raw, streams

from runner.cluster.tls import make_identities
from runner.errors import ClusterError, SecurityError
from runner.keys.pki import host_name


def test_peers_must_be_reached_before_anything_is_sent(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.cluster import reach
    from runner.engine import transport

    monkeypatch.setattr(transport, "require_reachable", lambda *names: reach.require_reachable(*names, seconds=0.2))
    met = {party: f"127.0.0.1:{port}" for party, port in run.ports.items()} | {"alice": "127.0.0.9:1"}
    proxy = run.proxies["alice"]
    proxy._server.stop(None)
    proxy.meet = lambda bound: met  # its own address is the others' business
    proxy.start()
    assert proxy.send("bob", "text", 1) is True
    proxy._server.stop(None)
    met["bob"] = "127.0.0.9:1"
    with pytest.raises(ClusterError, match=r"alice cannot reach the process of bob at 127\.0\.0\.9:1"):
        proxy.start()


def test_arrays_arrive_as_they_were(run: Run) -> None:
    given = {"a": np.arange(100_000, dtype=np.float32).reshape(-1, 10), "b": [np.array([1, 2]), None, "text"]}
    assert run.proxies["alice"].send("bob", given, 7) is True
    taken = received(run.proxies["bob"], "alice", 7)
    assert np.array_equal(taken["a"], given["a"])
    assert taken["a"].dtype == np.float32
    assert repr(taken["b"]) == repr(given["b"])


def test_messages_keep_their_numbers_whatever_their_order(run: Run) -> None:
    for number in (3, 1, 2):
        run.proxies["alice"].send("bob", f"message {number}", number)
    assert [received(run.proxies["bob"], "alice", number) for number in (1, 2, 3)] == [
        "message 1",
        "message 2",
        "message 3",
    ]


def test_receiver_may_wait_before_the_message_is_sent(run: Run) -> None:
    timer = threading.Timer(0.3, run.proxies["alice"].send, ("bob", "late", 1))
    timer.start()
    assert received(run.proxies["bob"], "alice", 1) == "late"
    timer.join()


def test_party_may_send_to_itself(run: Run) -> None:
    run.proxies["alice"].send("alice", "note", 1)
    assert received(run.proxies["alice"], "alice", 1) == "note"


def test_client_without_a_certificate_is_refused(run: Run) -> None:
    with pytest.raises(grpc.RpcError):
        send_raw(run, credentials(run.identities["bob"], None), "alice", cloudpickle.dumps("x"), 1)
    assert not run.proxies["alice"]._inbox


def test_client_without_tls_is_refused(run: Run) -> None:
    with pytest.raises(grpc.RpcError):
        send_raw(run, None, "alice", cloudpickle.dumps("x"), 1)
    assert not run.proxies["alice"]._inbox


def test_certificate_of_another_authority_is_refused(run: Run) -> None:
    """Another run's member, with the right party name in its certificate."""
    stranger = make_identities(PARTIES)["bob"]
    with pytest.raises(grpc.RpcError):
        send_raw(run, credentials(run.identities["bob"], stranger), "alice", cloudpickle.dumps("x"), 1)
    assert not run.proxies["alice"]._inbox


def test_server_of_another_authority_gets_nothing(run: Run) -> None:
    other = Run()
    impostor = other.start("bob")
    try:
        alice = run.connect("alice", bob=other.ports["bob"])
        alice._patience = SOON
        with pytest.raises(ClusterError, match="alice could not send to bob"):
            alice.send("bob", "secret", 1)
        assert not impostor._inbox
    finally:
        other.stop()


def test_member_at_another_members_address_gets_nothing(run: Run) -> None:
    alice = run.connect("alice", bob=run.ports["carol"])
    alice._patience = SOON
    with pytest.raises(ClusterError, match="alice could not send to bob"):
        alice.send("bob", "for bob only", 1)
    assert not run.proxies["carol"]._inbox


def test_message_is_filed_under_the_certificate_it_came_by(run: Run) -> None:
    """bob sends with the number of a message that alice expects of carol."""
    run.proxies["bob"].send("alice", "forged", 5)
    with pytest.raises(TimeoutError):
        received(run.proxies["alice"], "carol", 5, wait=0.5)
    run.proxies["carol"].send("alice", "genuine", 5)
    assert received(run.proxies["alice"], "bob", 5) == "forged", "it is bob's own message and nobody else's"


def test_forged_message_does_not_push_out_the_genuine_one(run: Run) -> None:
    run.proxies["carol"].send("alice", "genuine", 5)
    run.proxies["bob"].send("alice", "forged", 5)
    assert received(run.proxies["alice"], "carol", 5) == "genuine"


def test_certificate_of_the_authority_for_no_party_is_refused(run: Run) -> None:
    bob = run.proxies["bob"]
    run.proxies["alice"]._senders = {host_name("carol"): "carol"}
    with pytest.raises(ClusterError, match="alice refused a message of bob") as told:
        bob.send("alice", "x", 1)
    assert told.value.why == "not a party of this run"


def test_message_of_another_job_is_refused(run: Run) -> None:
    response = send_raw(
        run, credentials(run.identities["bob"], run.identities["bob"]), "alice", cloudpickle.dumps("x"), 1, job="other"
    )
    assert response.code == 417
    assert not run.proxies["alice"]._inbox


class Touch:
    """Pickles as a call that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("wrap", [lambda attack: attack, lambda attack: [1, {"a": attack}]])
def test_members_malicious_message_is_refused_and_nothing_runs(
    run: Run, tmp_path: Path, wrap: Callable[[Any], Any]
) -> None:
    run.proxies["bob"].send("alice", wrap(Touch(tmp_path / "mark")), 1)
    error = received(run.proxies["alice"], "bob", 1)
    assert isinstance(error, SecurityError)
    assert "bob" in error.what
    assert not (tmp_path / "mark").exists()


def test_bytes_that_are_no_message_are_refused(run: Run) -> None:
    send_raw(run, credentials(run.identities["bob"], run.identities["bob"]), "alice", b"garbage", 1)
    assert isinstance(received(run.proxies["alice"], "bob", 1), SecurityError)


def test_port_that_is_taken_is_told(secretflow: None) -> None:
    run = Run()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ClusterError) as caught:
            run.start("alice", port=port)
    assert caught.value.code == 5
    assert caught.value.where == "cluster.ports.alice"
    assert str(port) in caught.value.what


def test_two_parties_cannot_share_a_port(run: Run) -> None:
    other = Run()
    with pytest.raises(ClusterError):
        other.start("alice", port=run.ports["alice"])


def test_it_listens_on_loopback_alone(run: Run) -> None:
    listening = [
        connection.laddr
        for connection in psutil.Process().net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port in run.ports.values()
    ]
    assert {place.port for place in listening} == set(run.ports.values())
    assert {place.ip.removeprefix("::ffff:") for place in listening} == {"127.0.0.1"}


def test_ports_that_the_system_chooses_differ(run: Run) -> None:
    assert len(set(run.ports.values())) == len(PARTIES)
    assert min(run.ports.values()) > 1023


def test_start_meets_with_the_bound_port_before_it_connects(secretflow: None) -> None:
    from runner.engine.transport import secure_proxy

    heard: list[int] = []

    def meet(port: int) -> dict[str, str]:
        heard.append(port)
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return {"alice": f"127.0.0.1:{port}"}

    kind = secure_proxy(make_identities(["alice"])["alice"], ("127.0.0.1", 0), meet)
    proxy = kind({"alice": "127.0.0.1:0"}, "alice", JOB, None, {"timeout_in_ms": 20000})
    proxy.start()
    try:
        proxy.send("alice", "hello", 1)
        assert received(proxy, "alice", 1) == "hello"
        assert len(heard) == 1
    finally:
        proxy.stop()


def test_what_is_sent_is_counted_by_receiver(run: Run, encryption: Any) -> None:
    alice, plain = run.proxies["alice"], np.arange(6).reshape(2, 3)
    one, other = (encryption.encryptor().encrypt(encryption.array(plain)) for _ in range(2))
    alice.send("bob", {"a": [one, (other, 1)], "b": "x"}, 1)
    alice.send("bob", np.zeros(1000), 2)
    assert alice.counts["bob"]["messages"] == 2
    assert alice.counts["bob"]["ciphertexts"] == 12
    assert 8000 + 12 * 100 < alice.counts["bob"]["bytes"] < 20_000
    assert alice.counts["carol"] == Counter()
    taken = received(run.proxies["bob"], "alice", 1)
    assert np.array_equal(encryption.decryptor().decrypt(taken["a"][0]).to_numpy(), plain)


def test_exception_leaves_without_its_text(run: Run) -> None:
    from secretflow.distributed.fed.exception import FedRemoteError

    run.proxies["alice"].send("bob", FedRemoteError("alice", ValueError("CANARY 42")), 1)
    error = received(run.proxies["bob"], "alice", 1)
    assert "CANARY" not in repr(vars(error))
    assert isinstance(error, FedRemoteError)
    assert error.party() == "alice"
    assert "log" in str(error)


def test_large_message_passes(run: Run) -> None:
    """gRPC's default limit is 4 MB, SecretFlow's 500 MB."""
    given = np.zeros(5_000_000)
    run.proxies["alice"].send("bob", given, 1)
    assert received(run.proxies["bob"], "alice", 1).shape == given.shape


def test_message_to_a_party_that_is_gone_fails_in_time_and_names_it(run: Run) -> None:
    run.proxies["bob"].stop()
    alice = run.proxies["alice"]
    alice._patience = SOON
    with pytest.raises(ClusterError, match="alice could not send to bob") as error:
        alice.send("bob", "x", 1)
    assert "raise cluster.message_timeout" in error.value.fix
    assert error.value.secondary, "why bob is gone, others know"


def test_message_is_sent_again_while_the_network_fails(run: Run) -> None:
    run.proxies["bob"].stop()
    timer = threading.Timer(0.5, run.start, ("bob",), {"port": run.ports["bob"]})
    timer.start()
    assert run.proxies["alice"].send("bob", "x", 1) is True
    timer.join()
    assert received(run.proxies["bob"], "alice", 1) == "x"


def test_refusals_are_logged_and_do_not_fill_the_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    call = streams(run, "bob", "alice")
    for number in range(150):
        assert call(iter([piece(b"x", number, job="other")]), timeout=30).code == 417
    assert caplog.messages[0] == "refused a message of bob: not a message of this run"
    assert len(caplog.messages) == 100


def test_trust_can_be_in_single_certificates(secretflow: None) -> None:
    """As between sites: whom the authority vouches for besides is refused before a word is said."""
    run = Run()
    try:
        known = "".join(run.identities[party].certificate for party in ("alice", "bob"))
        run.start("alice", identity=run.identities["alice"]._replace(authority=known))
        for party in ("bob", "carol"):
            run.start(party)
            run.connect(party, alice=run.ports["alice"])
        run.proxies["bob"].send("alice", "of bob", 1)
        assert received(run.proxies["alice"], "bob", 1) == "of bob"
        run.proxies["carol"]._patience = SOON
        with pytest.raises(ClusterError, match="carol could not send to alice"):
            run.proxies["carol"].send("alice", "of carol", 1)
        alice = run.connect("alice", bob=run.ports["carol"], carol=run.ports["carol"])
        alice._patience = SOON
        for party in ("bob", "carol"):
            with pytest.raises(ClusterError, match=f"alice could not send to {party}"):
                alice.send(party, "for bob only", 2)
        assert not run.proxies["carol"]._inbox
    finally:
        run.stop()
