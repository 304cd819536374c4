"""From keys to three sites that agree, as three operators type it: keygen, pki, and all doctors at once."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from support import Command, command_environment
from warm.client import WarmDriver

pytestmark = pytest.mark.processes
PARTIES = ("alice", "bob", "carol")
HOSTS = {"alice": "127.0.0.2", "bob": "127.0.0.3", "carol": "127.0.0.4"}
OURS = ("--config-dir", "common", "parties=ours", "cluster=remote")


def free_port(host: str) -> int:
    with socket.create_server((host, 0)) as server:
        return min(int(server.getsockname()[1]), 65000)


def told(text: str) -> dict[str, dict[str, str]]:
    """The lines of task=keygen that are to be pasted."""
    lines = text.splitlines()
    return dict(
        yaml.safe_load("\n".join(lines[lines.index(next(x for x in lines if x[-1:] == ":" and " " not in x)) :]))
    )


def type_at_once(commands: Mapping[str, tuple[str, ...]], cwd: Path) -> dict[str, tuple[int, str]]:
    """Every site's command at the same time; party → exit code and all that it printed."""
    with ExitStack() as stack:
        files = {party: stack.enter_context(tempfile.TemporaryFile("w+")) for party in commands}
        drivers = {}
        for party, arguments in commands.items():
            out = files[party].fileno()
            whole = ("-m", "runner", *arguments)
            drivers[party] = WarmDriver(whole, cwd=cwd, environment=command_environment(), stdout=out, stderr=out)
        found = {}
        for party, driver in drivers.items():
            code = driver.wait(280)
            files[party].seek(0)
            found[party] = (code, files[party].read())
        return found


def write_common(place: Path, parties: Mapping[str, Mapping[str, str | None]]) -> None:
    folder = place / "common" / "parties"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ours.yaml").write_text(yaml.safe_dump(dict(parties)))


def test_three_sites_from_keys_to_agreement(tmp_path: Path, command: Command) -> None:
    write_common(tmp_path, {party: {"address": f"{HOSTS[party]}:{free_port(HOSTS[party])}"} for party in PARTIES})
    pasted = {}
    for party in PARTIES:
        own = (f"self_party={party}", f"site={party}", f"keygen.party={party}", f"keygen.hosts=[{HOSTS[party]}]")
        done = command(*OURS, "task=keygen", *own)
        assert done.returncode == 0, done.stderr
        assert "PRIVATE" not in done.stdout
        pasted |= told(done.stdout)
    requests = ",".join(f"sites/{party}/keys/tls.csr" for party in PARTIES)
    done = command("task=pki", "pki.folder=ca", f"pki.sign=[{requests}]", "pki.days=20")
    assert done.returncode == 0, done.stderr
    for party in PARTIES:
        assert f"with the pin {pasted[party]['tls_pin']}" in done.stdout
        (tmp_path / f"sites/{party}/keys/ca.crt").write_bytes((tmp_path / "ca/ca.crt").read_bytes())
    write_common(tmp_path, pasted)
    asked = {
        "alice": (*OURS, "task=doctor", "self_party=alice", "site=alice", "doctor.wait=120"),
        "bob": (*OURS, "task=doctor", "self_party=bob", "site=bob", "doctor.wait=120"),
        "carol": (*OURS, "task=doctor", "self_party=carol", "site=carol", "doctor.wait=120", "sgb.max_depth=3"),
    }
    found = type_at_once(asked, tmp_path)
    for party, (code, text) in found.items():
        assert code == 5, text
        assert f"WARNING  certificate            {party}.party.internal" in text
        for peer in set(PARTIES) - {party}:
            assert f"PASSED   {peer}: connection" in text
            assert f"PASSED   {peer}: versions" in text
            assert f"PASSED   {peer}: clock" in text
            differ = "carol" in (party, peer)
            assert (f"FAILED   {peer}: settings" in text) == differ
            assert (f"PASSED   {peer}: settings" in text) != differ
    assert "sgb.max_depth is 5 at alice, 3 at carol" in found["alice"][1]
    assert "sgb.max_depth is 3 at carol, 5 at bob" in found["carol"][1]
    assert "Traceback" not in "".join(text for _, text in found.values())


def test_peer_that_does_not_come_is_one_line_and_no_hang(tmp_path: Path, command: Command) -> None:
    alone = ("self_party=alice", "site=alice", "parties=sites", "cluster=remote")
    keys = command("task=keygen", "keygen.party=alice", *alone)
    assert keys.returncode == 0, keys.stderr
    command("task=pki", "pki.folder=sites/alice/keys", "pki.sign=[sites/alice/keys/tls.csr]")
    ports = [f"parties.{party}.address={HOSTS[party]}:{free_port(HOSTS[party])}" for party in PARTIES]
    done = command("task=doctor", *alone, *ports, "doctor.wait=1")
    assert done.returncode == 5, done.stdout
    assert done.stdout.count("FAILED") == 2
    assert "FAILED   bob: connection        not reached within 1 s" in done.stdout
    fine = command("task=doctor", *alone, *ports, "doctor.peers=false")
    assert fine.returncode == 0, fine.stdout
    assert "bob" not in fine.stdout


def test_doctor_tells_a_wrong_spec_as_a_line(command: Command) -> None:
    done = command("task=doctor", "sgb.max_depth=99")
    assert done.returncode == 5
    assert "FAILED   config                 sgb.max_depth = 99 is not valid" in done.stdout
