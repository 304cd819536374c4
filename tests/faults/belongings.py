"""Faults of what a site has: disk, certificate, clock, part of a model, settings; an operator who types twice."""

from __future__ import annotations

import contextlib
import datetime
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import libfaketime
import psutil
from faults.rows import Row
from faults.world import PLAN, RECIPIENT, World, now, others_than
from integration.launch import PARTIES, Launch, processes_in
from made_sites import credentials_of

from runner.bundle.layout import bundle_folder
from runner.keys import pki
from runner.keys.pki import AUTHORITY, CERTIFICATE, TLS_KEY, make_authority, make_request, sign_request

ALL_FIVE = dict.fromkeys(PARTIES, 5)
NO_WAIT = "cluster.wait_for_peers=4"
SMALL_DISK = "6m"  # with the settings, logs and bundles of a run it is not full
HOUR = 3600


def disk_full(world: World, party: str, stage: str = "train") -> Row:
    """The disk of a site's outputs is full before the run begins (``start``), or from the moment of a stage on."""
    with _small_disk(world, party) as (settings, fill), ExitStack() as stack:
        plan, own = (*PLAN, NO_WAIT), {party: settings}
        if stage == "start":
            fill()
            launches = stack.enter_context(world.ground.type_everywhere(*plan, own=own))
        else:
            launches = stack.enter_context(world.come_to(stage, party, *plan, own=own))
            fill()
            world.let_go(party)
        words = {party: ("has no room left on a disk", "free some space")}
        words |= dict.fromkeys(others_than(party), (party,))
        return world.outcome("disk full", stage, party, now(), launches, ALL_FIVE, words)


def certificate(world: World, party: str, stage: str = "agree", fault: str = "expired certificate") -> Row:
    """A site shows a certificate that the others must refuse, or has none."""
    keys = world.ground.own(party, "keys")
    words = {
        "no certificate": ("cannot show who it is", f"task=keygen keygen.party={party}", "task=pki"),
        "expired certificate": ("would be refused by the others", "it expired on"),
        "another party's certificate": ("would be refused by the others", f"not for {pki.host_name(party)}"),
        "another authority's certificate": ("did not come",),
    }
    with _restored(keys):
        _spoil(world, party, fault)
        began = now()
        with world.ground.type_everywhere(*PLAN, NO_WAIT) as launches:
            theirs = dict.fromkeys(others_than(party), (f"{party} did not come",))
            expected = {party: words[fault], **theirs}
            return world.outcome(fault, stage, party, began, launches, ALL_FIVE, expected, at_most=None)


def clock(world: World, party: str, stage: str = "agree", seconds: int = HOUR) -> Row:
    """A site's clock is ahead (or, with negative seconds, behind: its certificate is then of the future)."""
    place, host = world.ground.places[party], world.ground.hosts[party]
    temporary = place.parent / "started-cold"  # libraries that are killed while they are imported leave files there
    temporary.mkdir(exist_ok=True)
    wrong_time = {
        "LD_PRELOAD": str(Path(libfaketime.__file__).with_name("vendor") / "libfaketime/src/libfaketime.so.1"),
        "FAKETIME": f"{seconds:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "TMPDIR": str(temporary),
    }
    plan = (*PLAN, "cluster.wait_for_peers=120" if seconds > 0 else NO_WAIT)
    began = now()
    with ExitStack() as stack:
        command = (*world.ground.command(party), *plan)
        launches = {
            party: stack.enter_context(Launch(*command, place=place, warm=False, host=host.pid, **wrong_time)),
            **{name: stack.enter_context(world.ground.type_at(name, *plan)) for name in others_than(party)},
        }
        if seconds > 0:
            words = dict.fromkeys(PARTIES, ("the clocks of ", party, " differ"))  # found, or told by who found it first
        else:
            words = {name: (f"{party} did not come",) for name in others_than(party)}
            words[party] = ("it is not valid before", "the clock here says")
        return world.outcome(clock_fault(seconds), stage, party, began, launches, ALL_FIVE, words, at_most=None)


def clock_fault(seconds: int) -> str:
    """What it is called when a clock is wrong by so much."""
    return f"clock {abs(seconds) // 60} minutes {'ahead' if seconds > 0 else 'behind'}"


def damaged_model(world: World, party: str, stage: str = "load") -> Row:
    """One byte of a site's part of a model has changed."""
    path = bundle_folder(world.quiet[party], party) / "part.bin"
    models = {name: [f"model={folder}"] for name, folder in world.quiet.items()}
    with _restored(path.parent):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
        began = now()
        with world.ground.type_everywhere("task=predict", "report.html=false", own=models) as launches:
            words = dict.fromkeys(PARTIES, (party,))
            codes = dict.fromkeys(PARTIES, 8)
            return world.outcome("damaged model", stage, party, began, launches, codes, words, at_most=None)


def other_settings(world: World, party: str, stage: str = "agree") -> Row:
    """One site was given another depth of trees."""
    began = now()
    with world.ground.type_everywhere(*PLAN, own={party: ["sgb.max_depth=3"]}) as launches:
        words = dict.fromkeys(PARTIES, ("were given different settings", "sgb.max_depth"))
        codes = dict.fromkeys(PARTIES, 2)
        return world.outcome("other settings", stage, party, began, launches, codes, words, at_most=None)


def second_run(world: World, party: str, stage: str = "train") -> Row:
    """While a run goes on, its command is typed again at one site; and another run is typed at all with other ports."""
    with ExitStack() as stack:
        launches = stack.enter_context(world.ground.type_everywhere(*PLAN))
        launches[RECIPIENT].wait_for_line("check tables")
        began = now()
        hosts = world.ground.hosts.items()
        other_ports = [f"parties.{name}.address={host.address}:{host.port + 10}" for name, host in hosts]
        beside = stack.enter_context(world.ground.type_everywhere(*PLAN, *other_ports))
        refused = stack.enter_context(world.ground.type_at(party, *PLAN)).end()
        both = {name: launch.end() for name, launch in beside.items()}
        row = world.healed("second run", stage, party, began, launches)
        if refused.code != 5 or f"{party} cannot listen" not in refused.err or "in use" not in refused.err:
            row.wrong.append(f"the second run at {party} was not refused: {refused.err!r}")
        row.wrong.extend(f"{name}'s run beside it failed: {one.err!r}" for name, one in both.items() if one.code)
        return row


@contextlib.contextmanager
def _small_disk(world: World, party: str) -> Iterator[tuple[list[str], Callable[[], None]]]:
    """Settings with which a site's outputs are on a small disk of its own, and what fills that.

    Where hosts have no disks of their own, the site's processes are forbidden to write any file from then on.
    """
    place, host = world.ground.places[party], world.ground.hosts[party]
    if host.pid is None:
        yield [], lambda: [process.rlimit(psutil.RLIMIT_FSIZE, (0, 0)) for process in processes_in(place)]
        return
    disk = place / "small"
    disk.mkdir(exist_ok=True)
    host.run("mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(disk))
    own = f"sites/{party}"
    table = f"data.tables.{party}.path={own}/data/breast_cancer/{party}/table.parquet"
    try:
        yield (
            ["outputs=small", f"parties.{party}.key_file={own}/keys/secret.key", table],
            lambda: _fill(world.seen(party, disk)),
        )
    finally:
        host.run("umount", "-l", str(disk))


def _fill(disk: Path) -> None:
    with contextlib.suppress(OSError), disk.joinpath("filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 12))


def _spoil(world: World, party: str, fault: str) -> None:
    keys, other = world.ground.own(party, "keys"), next(others_than(party))
    folder = world.ground.places[party].parent.parent
    if fault == "no certificate":
        (keys / CERTIFICATE).unlink()
    elif fault == "another party's certificate":
        theirs = credentials_of(folder, other)
        shutil.copy(theirs.certificate, keys / CERTIFICATE)
        shutil.copy(theirs.private_key, keys / TLS_KEY)
    else:
        authority = folder / ("ca" if fault == "expired certificate" else "other-ca")
        make_authority(authority)
        (keys / TLS_KEY).unlink()
        make_request(party, keys)
        with _issued_long_ago() if fault == "expired certificate" else contextlib.nullcontext():
            sign_request(authority, keys / pki.REQUEST, days=-1 if fault == "expired certificate" else 30)
        shutil.copy(authority / AUTHORITY, keys / AUTHORITY)


@contextlib.contextmanager
def _issued_long_ago() -> Iterator[None]:
    before, pki.SKEW = pki.SKEW, datetime.timedelta(days=30)
    try:
        yield
    finally:
        pki.SKEW = before


@contextlib.contextmanager
def _restored(folder: Path) -> Iterator[None]:
    """What is changed in ``folder`` is as it was afterwards."""
    kept = folder.with_name(f"{folder.name}.kept")
    shutil.copytree(folder, kept)
    try:
        yield
    finally:
        shutil.rmtree(folder)
        kept.rename(folder)
