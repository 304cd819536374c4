"""A run that goes on in the background: its lines as they come, its processes, its ports, and what it leaves behind."""

from __future__ import annotations

# ruff: isort: off
import bytecode  # noqa: F401 - first: it is there for its effect
# ruff: isort: on

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import polars as pl
import psutil
from support import command_environment
from warm.client import Before, WarmDriver, entering

from runner.bundle.manifest import read_manifest
from runner.bundle.part import read_part
from runner.cluster.processes import CHECK_LOG, START_LOG
from runner.data.builtin import write_builtin
from runner.keys.store import open_keyring
from runner.spec.model import Party

PARTIES = ("alice", "bob", "carol")
NO_REPORT = "report.html=false"
SMALL = ("crypto=ou_2048", "sgb.num_boost_round=2", "sgb.max_depth=2", "sgb.sketch_eps=0.25", NO_REPORT)
LONG = ("crypto=ou_2048", "sgb.num_boost_round=400", "sgb.max_depth=2", "sgb.sketch_eps=0.25", NO_REPORT)
# Deep trees on little data: many splits gain the same, so that the shuffles decide between them.
DEEP = ("crypto=ou_2048", "sgb.num_boost_round=2", "sgb.max_depth=4", "sgb.sketch_eps=0.1", NO_REPORT)
AT_MOST = 15.0  # seconds from a failure to the end of everything
GIVE_UP = 120.0


def write_tables(folder: Path, name: str = "breast_cancer", id_column: str = "patient_id") -> None:
    """A bundled data set where a run in ``folder`` looks for it, so that the run need not load scikit-learn."""
    for party in PARTIES:
        write_builtin(name, party, table_path(folder, party, name), id_column)


def table_path(folder: Path, party: str, name: str = "breast_cancer") -> Path:
    """A party's table, as the settings of a run in ``folder`` name it."""
    return folder / "outputs" / "data" / name / party / "table.parquet"


class Ended(NamedTuple):
    """How a run ended: its exit code, what it printed, and when (monotonic seconds)."""

    code: int
    out: str
    err: str
    at: float


class Finished(NamedTuple):
    """A run that is over: where it was typed, its run folder, and how it ended."""

    place: Path
    folder: Path
    ended: Ended

    def copy(self, place: Path) -> Path:
        """Take the tables and keys to another place, and the run folder; returns the latter."""
        for name in ("keys", "data"):
            shutil.copytree(self.place / "outputs" / name, place / "outputs" / name)
        folder = place / self.folder.relative_to(self.place)
        shutil.copytree(self.folder, folder)
        return folder

    def json(self, *names: str) -> Any:
        """A JSON file of the run folder."""
        return json.loads(self.folder.joinpath(*names).read_bytes())

    def own(self, party: str, *names: str) -> Path:
        """A file of one party's own folder."""
        return self.folder.joinpath("parties", party, *names)

    def part(self, party: str) -> Any:
        """A party's part of the saved model, opened with the party's key."""
        keys = open_keyring(party, Party(key_file=str(self.place / "outputs" / "keys" / party / "secret.key")))
        folder = self.own(party, "bundle")
        return read_part(folder, party, read_manifest(folder, party), keys)

    def predictions(self, party: str = "carol") -> pl.DataFrame:
        """The predictions that one party received."""
        return pl.read_parquet(self.own(party, "predictions.parquet"))


Finish = Callable[..., Finished]  # types a command in a place and waits for its good end


class Launch:
    """``python -m runner …`` typed in ``place``; a context manager that leaves no process behind.

    Args:
        warm: whether the warm process may stand in for the start of Python and all imports.
        host: the process that holds the namespaces of the host on which it is typed; None: this one.
        before: for the warm process (see :class:`warm.client.WarmDriver`).
        variables: of the environment, besides pytest's own.
    """

    def __init__(
        self,
        *arguments: str,
        place: Path,
        warm: bool = True,
        host: int | None = None,
        before: Sequence[Before] = (),
        **variables: str,
    ) -> None:
        self.place = place
        (out, stdout), (err, stderr) = os.pipe(), os.pipe()
        command, whole = ["-m", "runner", *arguments], command_environment(**variables)
        if warm:
            self.driver: psutil.Process = WarmDriver(
                command, cwd=place, environment=whole, stdout=stdout, stderr=stderr, host=host, before=before
            )
        else:
            self.driver = _start(command, place, whole, stdout, stderr, host)
        os.close(stdout)
        os.close(stderr)
        self._lines: list[str] = []
        self._errors: list[str] = []
        self._changed = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in ((os.fdopen(out), self._lines), (os.fdopen(err), self._errors))
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Launch:
        return self

    def __exit__(self, *exception: object) -> None:
        for process in [self.driver, *processes_in(self.place)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.driver.wait()

    def wait_for_line(self, text: str) -> str:
        """The first line of the terminal with ``text`` in it, as soon as it is printed."""

        def found() -> str | None:
            return next((line for line in self._lines if text in line), None)

        with self._changed:
            self._changed.wait_for(lambda: found() or self.driver.poll() is not None, timeout=GIVE_UP)
        line = found()
        assert line is not None, f"{text!r} was never printed:\n{self._told()}"
        return line.rstrip("\n")

    def printed(self) -> str:
        """What the terminal shows so far."""
        return "".join(self._lines)

    @property
    def folder(self) -> Path:
        """The run folder, from the line that the run begins with."""
        return self.place / self.wait_for_line("Run folder").split()[-1]

    def template(self, kind: str) -> psutil.Process:
        """The process that imports and forks: ``check`` or ``work``."""
        return self._wait_until(lambda: next(self._templates(kind), None), f"a {kind} template")

    def party(self, kind: str, party: str) -> psutil.Process:
        """The process that checks (``check``) or computes (``work``) for one party."""

        def found() -> psutil.Process | None:
            for template in self._templates(kind):
                for child in template.children():
                    if _belongs_to(child, party):
                        return child
            return None

        return self._wait_until(found, f"a {kind} process of {party}")

    def workers(self) -> dict[str, psutil.Process]:
        """Every party's worker."""
        return {party: self.party("work", party) for party in PARTIES}

    def end(self, timeout: float = GIVE_UP) -> Ended:
        """Wait for the end of the command itself."""
        code = self.driver.wait(timeout)
        at = time.monotonic()
        for reader in self._readers:
            reader.join(timeout=5)
        return Ended(code, "".join(self._lines), "".join(self._errors), at)

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Ctrl-C, or another signal, to the command itself."""
        self.driver.send_signal(number)

    def _templates(self, kind: str) -> Iterator[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in self.driver.children():
                if _prints_to(child).endswith(f"/{CHECK_LOG if kind == 'check' else START_LOG}"):
                    yield child

    def _wait_until(self, look: Callable[[], psutil.Process | None], what: str) -> psutil.Process:
        limit = time.monotonic() + GIVE_UP
        while time.monotonic() < limit and self.driver.poll() is None:
            if (found := look()) is not None:
                return found
            time.sleep(0.005)
        raise AssertionError(f"there never was {what}:\n{self._told()}")

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        with stream:
            for line in stream:
                with self._changed:
                    lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def _told(self) -> str:
        return "".join([*self._lines, *self._errors])


def _start(
    arguments: list[str], place: Path, environment: dict[str, str], stdout: int, stderr: int, host: int | None
) -> psutil.Popen:
    return psutil.Popen(
        [*(entering(host, place) if host is not None else ()), sys.executable, *arguments],
        cwd=place,
        env=environment,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )


def _prints_to(process: psutil.Process) -> str:
    """Where the standard output of a process goes."""
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{process.pid}/fd/1").readlink())
    return ""


def _belongs_to(process: psutil.Process, party: str) -> bool:
    """Whether the process was forked for the party, after which it is named then."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process.pid}/comm").read_text().rstrip() == party
    return False


def processes_in(place: Path) -> list[psutil.Process]:
    """Every living process that works in ``place``: a run's processes stay where its command was typed."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == place:
                found.append(process)
    return found


def seconds_until_nothing_runs(place: Path, ports: dict[str, tuple[str, int]]) -> float:
    """How long (up to ``AT_MOST``) processes go on in ``place``, or one of its ports is open."""
    began = time.monotonic()
    while True:
        left = [process.pid for process in processes_in(place)]
        still_open = [party for party, (_, port) in ports.items() if is_open(port)]
        seconds = time.monotonic() - began
        if not left and not still_open:
            return seconds
        assert seconds < AT_MOST, f"processes {left} and ports of {still_open} are left"
        time.sleep(0.05)


def listening(processes: dict[str, psutil.Process]) -> dict[str, tuple[str, int]]:
    """The one address that each party's process listens on."""
    found = {}
    for party, process in processes.items():
        (address,) = {
            (connection.laddr.ip.removeprefix("::ffff:"), connection.laddr.port)  # gRPC's IPv4, mapped into IPv6
            for connection in process.net_connections(kind="tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        found[party] = address
    return found


def is_open(port: int) -> bool:
    """Whether anything listens on a loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def assert_interrupted(launch: Launch, ended: Ended, began: float) -> None:
    """Exit code 130 in time, a word about it, the state on the disk, and nothing that looks finished or goes on."""
    assert ended.code == 130
    assert ended.at - began < AT_MOST
    assert "interrupted" in ended.err
    assert "Traceback" not in ended.err
    assert json.loads(launch.folder.joinpath("status.json").read_bytes()) == {"state": "interrupted"}
    assert list(launch.folder.rglob("manifest.json")) == []
    seconds_until_nothing_runs(launch.place, {})
