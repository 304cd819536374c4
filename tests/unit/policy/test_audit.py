"""The audit log: a chain in which whatever was changed, removed, moved or put in is found."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from runner.policy.audit import AuditLog, first_broken_line
from runner.policy.chain import START

KEY = b"k" * 32
LINES = 5


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of five flows."""
    path = tmp_path / "audit.jsonl"
    audit = AuditLog(path, KEY)
    for number in range(LINES):
        audit.record("sent", {"stage": "predict", "number": number}, f"payload {number}".encode())
    return path


def read(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_whole_chain_is_whole(log: Path) -> None:
    assert first_broken_line(log) is None
    assert len(read(log)) == LINES


def test_empty_log_is_whole(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").touch()
    assert first_broken_line(tmp_path / "audit.jsonl") is None


def test_line_says_what_was_recorded(log: Path) -> None:
    first, second = (json.loads(line) for line in read(log)[:2])
    assert first["direction"] == "sent"
    assert first["number"] == 0
    assert first["time"] > 1.7e9
    assert first["previous"] == START != second["previous"]


def test_log_is_its_owners_alone(log: Path) -> None:
    assert log.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("line", range(LINES))
def test_changed_line_is_found(log: Path, line: int) -> None:
    lines = read(log)
    lines[line] = lines[line].replace(b'"sent"', b'"kept"')
    log.write_bytes(b"".join(lines))
    assert first_broken_line(log) is not None


@pytest.mark.parametrize("line", range(LINES - 1))
def test_removed_line_is_found(log: Path, line: int) -> None:
    lines = read(log)
    del lines[line]
    log.write_bytes(b"".join(lines))
    assert first_broken_line(log) == line + 1


@pytest.mark.parametrize("line", range(LINES - 1))
def test_swapped_lines_are_found(log: Path, line: int) -> None:
    lines = read(log)
    lines[line], lines[line + 1] = lines[line + 1], lines[line]
    log.write_bytes(b"".join(lines))
    assert first_broken_line(log) == line + 1


@pytest.mark.parametrize("line", range(LINES))
def test_repeated_line_is_found(log: Path, line: int) -> None:
    lines = read(log)
    lines.insert(line, lines[line])
    log.write_bytes(b"".join(lines))
    assert first_broken_line(log) == line + 2


@pytest.mark.parametrize(
    "stray", [b"\n", b"{}\n", b"not json\n", b"5\n", b"[]\n", b'"text"\n', b"null\n", b"\xff\xfe\n"]
)
def test_stray_line_is_found(log: Path, stray: bytes) -> None:
    lines = read(log)
    log.write_bytes(b"".join([*lines[:2], stray, *lines[2:]]))
    assert first_broken_line(log) == 3


def test_torn_last_line_is_found(log: Path) -> None:
    log.write_bytes(log.read_bytes()[:-20])
    assert first_broken_line(log) == LINES


def test_lines_of_another_log_do_not_fit(log: Path, tmp_path: Path) -> None:
    other = AuditLog(tmp_path / "other.jsonl", KEY)
    for number in range(LINES):
        other.record("sent", {"number": number + 100})
    lines = [*read(log)[:2], *read(tmp_path / "other.jsonl")[2:]]
    log.write_bytes(b"".join(lines))
    assert first_broken_line(log) == 3


def test_payload_is_kept_as_a_keyed_digest(tmp_path: Path) -> None:
    def digest(name: str, key: bytes, payload: bytes) -> str:
        AuditLog(tmp_path / name, key).record("sent", {}, payload)
        content = (tmp_path / name).read_bytes()
        assert payload not in content
        return str(json.loads(content)["payload"])

    assert digest("a", KEY, b"secret payload") == digest("b", KEY, b"secret payload")
    assert digest("c", KEY, b"secret payload") != digest("d", b"q" * 32, b"secret payload")
    assert digest("e", KEY, b"secret payload") != digest("f", KEY, b"another payload")


def test_flow_without_a_payload_has_no_digest(tmp_path: Path) -> None:
    AuditLog(tmp_path / "audit.jsonl", KEY).record("kept", {})
    assert "payload" not in json.loads((tmp_path / "audit.jsonl").read_bytes())


def test_threads_keep_the_chain(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "audit.jsonl", KEY)
    threads = [
        threading.Thread(target=lambda n=n: [audit.record("sent", {"n": n, "i": i}, b"x") for i in range(20)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read(tmp_path / "audit.jsonl")) == 80
    assert first_broken_line(tmp_path / "audit.jsonl") is None
