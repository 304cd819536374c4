"""Faults of a site's own processes, in every stage and at every party: what is done, and what must come of it."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
from faults.aftermath import crews_left, files_left, taken_for_whole, told_of, wrong_after, wrong_words
from faults.ground import Ground
from faults.inject import EXCEPTION, FAULTS, PAUSE
from faults.rows import Row
from integration.launch import AT_MOST, GIVE_UP, LONG, PARTIES, SMALL, Ended, Launch

# Every stage of the main job over sites, and what happens there before the first and after the last.
STAGES = (
    *("agree", "validate", "open", "align", "prepare", "label", "train"),
    *("explain", "save", "load", "predict", "evaluate", "attest"),
)
DRIVER_FAULTS = ("driver killed", "driver stopped", "Ctrl-C", "SIGTERM")  # the driver alone is there to agree
EARLY_FAULTS = ("templates stopped",)  # before they have forked; afterwards nobody misses them
SHORT = (*SMALL, "sgb.num_boost_round=1", "explain.importance=true")
STOPPED = 30.0  # seconds for which a process is stopped, if its run waits for it so long
UNSAVED = ("train", "save")  # a run that is killed there leaves a folder, and no model
SOON = 5.0  # seconds until a signal has come
IN_TRAINING = 0.5  # seconds after the stage began


def process_faults(
    faults: tuple[str, ...] = FAULTS, stages: tuple[str, ...] = STAGES, parties: tuple[str, ...] = PARTIES
) -> Iterator[tuple[str, str, str]]:
    """Fault, stage and party of every row that there can be."""
    for fault in faults:
        for stage in stages:
            if fault in (*DRIVER_FAULTS, *EARLY_FAULTS) if stage == "agree" else fault not in EARLY_FAULTS:
                yield from ((fault, stage, party) for party in parties)


def try_fault(ground: Ground, fault: str, stage: str, party: str, stop: float = STOPPED) -> Row:
    """Let a fault happen in a run over all sites, and look at what came of it.

    Args:
        stop: seconds for which a driver is stopped at least.
    """
    before = files_left(ground)
    marker = ground.places[party] / "struck"
    marker.unlink(missing_ok=True)
    after = IN_TRAINING if stage == "train" and fault != EXCEPTION else 0.0
    strike = {"party": party, "stage": stage, "fault": fault, "marker": str(marker), "after": after}
    plan = SHORT if STAGES.index(stage) > STAGES.index("train") else LONG
    with ground.type_everywhere(*plan, before={party: [("faults.inject", "at_stage", strike)]}) as launches:
        struck = when_struck(marker, launches[party])
        stopped = _stopped(ground, party) if fault.endswith("stopped") else []
        others = {peer: launch.end() for peer, launch in launches.items() if peer != party}
        seconds = max(one.at for one in others.values()) - struck
        if fault == "driver stopped":
            time.sleep(max(0.0, struck + stop - time.monotonic()))
        went_on = time.monotonic()
        _go_on(stopped)
        own = launches[party].end()
        seconds = max(seconds, own.at - (went_on if fault == "driver stopped" else struck))
        ended = {name: {**others, party: own}[name] for name in PARTIES}
        folders = {name: launch.folder for name, launch in launches.items()}
        wrong = [f"the end took {seconds:.0f} s"] if seconds > AT_MOST else []
        wrong += wrong_after(ground, ended, folders, before) + told_of(ground, party)
    wrong += _badly_ended(fault, stage, party, ended)
    if fault == "worker killed" and stage in UNSAVED:
        wrong += taken_for_whole(ground, party, folders[party])
    codes = {name: one.code for name, one in ended.items()}
    return Row(fault, stage, party, seconds, codes, _told(party, ended), wrong)


def following_run(ground: Ground) -> list[str]:
    """What is wrong with a whole run after all that, which a short pause of a driver does not end either."""
    before = files_left(ground)
    marker = ground.places["bob"] / "paused"
    pause = {"party": "bob", "stage": "train", "fault": PAUSE, "marker": str(marker), "after": 0.1}
    with ground.type_everywhere(*SHORT, before={"bob": [("faults.inject", "at_stage", pause)]}) as launches:
        ended = {party: launch.end() for party, launch in launches.items()}
        folders = {party: launch.folder for party, launch in launches.items()}
        found = [f"the following run of {party} failed: {one.err}" for party, one in ended.items() if one.code != 0]
        found += [] if marker.exists() else ["there was no pause"]
        found += [f"the folder of a crew is left: {path}" for path in crews_left(ground)]  # a driver's that was killed
        return found + wrong_after(ground, ended, folders, before)


def when_struck(marker: Path, launch: Launch) -> float:
    """When it happened (monotonic seconds), waiting for it.

    Raises:
        AssertionError: where the run ended before.
    """
    until = time.monotonic() + GIVE_UP
    while time.monotonic() < until:
        if marker.exists():
            return float(marker.read_text())
        if launch.driver.returncode is not None:
            break
        launch.driver.poll()
        time.sleep(0.01)
    ended = "" if launch.driver.poll() is None else launch.end().err
    raise AssertionError(f"the fault never happened:\n{launch.printed()}{ended}")


def _badly_ended(fault: str, stage: str, party: str, ended: Mapping[str, Ended]) -> list[str]:
    if fault == EXCEPTION:
        own = others = 4 if stage == "validate" else 6
    else:
        own = {"driver killed": -9, "Ctrl-C": 130, "SIGTERM": 130}.get(fault, 5)
        others = 5
    found = []
    for name, one in ended.items():
        # A driver that was stopped finds the others gone, and may not have heard why.
        told = name != party or (own not in (-9, 130) and fault != "driver stopped")
        where = "" if stage == "agree" or (name == party and stage == "validate") else f"party {party}, stage "
        words = (party, where) if told else ()
        found += wrong_words(name, one, own if name == party else others, *words)
    return found


def _told(party: str, ended: Mapping[str, Ended]) -> str:
    found = {
        line.partition(": ")[2]
        for name, one in ended.items()
        if name != party
        for line in one.err.strip().splitlines()
        if re.match(r"[a-z ]*error: ", line)
    }
    return "; ".join(sorted(found))


def _stopped(ground: Ground, party: str) -> list[psutil.Process]:
    """The processes of a site that are stopped, as soon as there are any."""
    until, found = time.monotonic() + SOON, list[psutil.Process]()
    while not found and time.monotonic() < until:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.status() == psutil.STATUS_STOPPED and Path(process.cwd()) == ground.places[party]:
                    found.append(process)
    return found


def _go_on(stopped: list[psutil.Process]) -> None:
    for process in stopped:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)
