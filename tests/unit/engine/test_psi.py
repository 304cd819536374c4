"""Private set intersection with the real library, each party in a process of its own."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import psutil
import pytest
from support import PROJECT

from runner.data.ids import id_digests
from runner.engine.psi import Intersection, _remove_traces, intersect
from runner.engine.psi_process import _wait_for_all
from runner.errors import StageError
from runner.spec.align import Protocol

KEY = b"k" * 32


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path: a socket's name has few bytes."""
    with tempfile.TemporaryDirectory(prefix="psi-") as folder:
        yield Path(folder)


def digests(*ids: int) -> list[bytes]:
    return id_digests(np.array(ids), KEY)


def meet(folder: Path, protocol: Protocol, *own: list[bytes]) -> list[Intersection]:
    """What each party learns, with its digests in ``own``."""
    parties = [f"p{place}" for place in range(len(own))]

    def join(place: int) -> Intersection:
        return intersect(own[place], parties[place], parties, protocol, folder, 60.0)

    with ThreadPoolExecutor(len(own)) as threads:
        return list(threads.map(join, range(len(own))))


CASES: list[tuple[Protocol, int]] = [("rr22", 2), ("kkrt", 2), ("ecdh", 2), ("ecdh_3pc", 3), ("kkrt_npc", 4)]


@pytest.mark.parametrize(("protocol", "parties"), CASES)
def test_everybody_finds_its_rows_that_all_have(short: Path, protocol: Protocol, parties: int) -> None:
    own = [list(range(100 + place, 130 + 2 * place)) for place in range(parties)]
    own[1] = own[1][::-1]  # in another order
    found = meet(short, protocol, *(digests(*ids) for ids in own))
    common = set(range(100 + parties - 1, 130))
    for ids, result in zip(own, found, strict=True):
        assert result.rows.tolist() == [place for place, value in enumerate(ids) if value in common]
    assert not [path for path in short.iterdir() if path.is_dir()], "a party's files are left"


@pytest.mark.parametrize(("protocol", "parties"), [("rr22", 2), ("ecdh_3pc", 3), ("kkrt_npc", 4)])
def test_no_common_id_is_an_answer(short: Path, protocol: Protocol, parties: int) -> None:
    own = [digests(*range(10 * place, 10 * place + 10)) for place in range(parties)]
    assert [result.rows.tolist() for result in meet(short, protocol, *own)] == [[]] * parties


def test_the_library_leaves_nothing_elsewhere(short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes ids to the folder for temporary files and to that it works in, where its caller says nothing."""
    temporary, here = tmp_path / "temporary", tmp_path / "here"
    temporary.mkdir()
    here.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.chdir(here)
    for protocol, parties in (("rr22", 2), ("ecdh_3pc", 3)):
        folder = short / protocol
        folder.mkdir()
        meet(folder, protocol, *[digests(*range(20))] * parties)  # type: ignore[arg-type]
    assert [*temporary.rglob("*"), *here.rglob("*")] == []


def test_the_librarys_trace_goes_at_once() -> None:
    trace = Path(tempfile.mkstemp(prefix="psi_", suffix=".trace", dir="/tmp")[1])
    command = [sys.executable, "-c", f"held = open({str(trace)!r}); print(); input()"]
    with subprocess.Popen(command, stdin=-1, stdout=-1) as held:
        assert held.stdout is not None
        held.stdout.readline()
        _remove_traces(held.pid)
        held.kill()
    assert not trace.exists()


def test_it_does_not_outlive_its_worker(short: Path) -> None:
    waiting = f"""
from pathlib import Path
from runner.engine.psi import intersect
intersect([b"1" * 16], "alice", ["alice", "bob"], "rr22", Path({str(short)!r}), 60.0)
"""
    worker = psutil.Popen([sys.executable, "-c", waiting], env={**os.environ, "PYTHONPATH": str(PROJECT)})
    limit = time.monotonic() + 30
    while not (short / "psi-alice.s").exists() and time.monotonic() < limit:
        time.sleep(0.05)
    (side,) = worker.children()
    worker.kill()
    worker.wait()
    side.wait(timeout=5)
    assert not side.is_running()
    assert stat.S_IMODE((short / "psi-alice").stat().st_mode) == 0o700, "what it leaves is the owner's alone"


def test_a_peer_that_never_comes_ends_the_wait(short: Path) -> None:
    with pytest.raises(StageError) as failed:
        intersect(digests(1, 2), "alice", ["alice", "bob"], "rr22", short, 3.0)
    assert "alice" in failed.value.where
    assert not [path for path in short.iterdir() if path.is_dir()]


def test_no_side_leaves_while_another_may_still_wait_for_it(short: Path) -> None:
    order = {"rank": 0, "addresses": [f"unix:{short}/psi-alice.s", f"unix:{short}/psi-bob.s"]}
    with ThreadPoolExecutor(1) as threads:
        leaving = threads.submit(_wait_for_all, order)
        left = wait([leaving], timeout=0.2).done
        (short / "psi-bob.s.done").touch()
        leaving.result(timeout=5)
    assert not left
    assert (short / "psi-alice.s.done").exists()
