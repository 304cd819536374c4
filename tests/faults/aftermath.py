"""What must hold after any fault: every site has ended and says why, and nothing is left that lives, listens or loads.

Each check returns what is wrong, in words; nothing is what should be wrong.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from faults.ground import Ground
from faults.inject import CANARY, canary_of
from integration.launch import Ended, processes_in

from runner.bundle.layout import bundle_folder
from runner.bundle.manifest import read_manifest, read_signatures
from runner.bundle.part import read_part
from runner.cluster.sockets import PREFIX
from runner.errors import BundleError
from runner.keys.store import open_keyring
from runner.policy.audit import first_broken_line
from runner.spec.model import Party

SETTLE = 5.0  # seconds for the kernel to do away with what was killed
KILLED = -9


def files_left(ground: Ground) -> set[Path]:
    """What there is in the sites' places for temporary files."""
    folders = [place / "tmp" for place in ground.places.values()]
    folders += [folder for host in ground.hosts.values() if (folder := host.memory_folder()) is not None]
    return {path for folder in folders for path in folder.iterdir()}


def crews_left(ground: Ground) -> list[Path]:
    """Of these, the folders that the next driver to start removes, whose ever they were."""
    return sorted(path for path in files_left(ground) if path.name.startswith(PREFIX))


def wrong_after(
    ground: Ground, ended: Mapping[str, Ended], folders: Mapping[str, Path], before: set[Path]
) -> list[str]:
    """What is left of runs that have ended, though it should not be.

    Args:
        before: the files that were left before.
        ended: party → how its command ended.
        folders: party → its run folder.
    """
    found = list(_left(ground))
    if not any(one.code == KILLED for one in ended.values()):  # whose files nobody is there to remove
        found += [f"a file is left: {path}" for path in sorted(files_left(ground) - before)]
    for party, one in ended.items():
        found += _badly_told(party, one)
    for party, folder in folders.items():
        found += _half_written(ground, party, folder)
    return found


def wrong_words(party: str, ended: Ended, code: int, *words: str) -> list[str]:
    """What is wrong with how one site ended: its exit code, and words that its error must have."""
    found = [] if ended.code == code else [f"{party} ended with {ended.code}, not {code}"]
    return found + [f"{party} was not told {word!r}, but {ended.err!r}" for word in words if word not in ended.err]


def taken_for_whole(ground: Ground, party: str, folder: Path) -> list[str]:
    """What comes of it when an operator goes on with the folder of a run that failed before there was a model."""
    found = []
    for typed, alone in ((["task=predict", f"model={folder}"], False), (["task=verify", f"run={folder}"], True)):
        with ground.type_at(party, *typed, alone=alone) as launch:
            found += wrong_words(f"{party}'s {typed[0]}", launch.end(), 8, "bundle error")
    return found


def told_of(ground: Ground, party: str) -> list[str]:
    """Where other parties can read what ``party`` keeps to itself."""
    secret, found = canary_of(party).encode(), []
    for peer, place in ground.places.items():
        for path in place.rglob("*") if peer != party else ():
            if path.is_file() and secret in path.read_bytes():
                found.append(f"{peer} can read in {path.name} what {party} keeps to itself")
    return found


def _left(ground: Ground) -> list[str]:
    until = time.monotonic() + SETTLE
    while (left := list(_alive(ground))) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def _alive(ground: Ground) -> Iterator[str]:
    for party, place in ground.places.items():
        for process in processes_in(place):
            yield f"a process of {party} is left: {process.pid}"
        if ports := ground.hosts[party].listening():
            yield f"ports of {party} are open: {sorted(ports)}"


def _badly_told(party: str, ended: Ended) -> Iterator[str]:
    if "Traceback" in ended.out + ended.err:
        yield f"{party} saw a traceback"
    if CANARY in ended.out + ended.err:
        yield f"{party}'s terminal shows a value of a table"
    lines = [line for line in ended.err.strip().splitlines() if not line.startswith("warning")]
    if (
        ended.code > 0
        and ended.code != 130
        and [line.split(":")[0].strip() for line in lines[1:]]
        != [
            "where",
            "why",
            "fix",
        ]
    ):
        yield f"{party} was not told by one error of four lines: {ended.err!r}"


def _half_written(ground: Ground, party: str, folder: Path) -> Iterator[str]:
    own = folder / "parties" / party
    if (own / "audit.jsonl").exists() and (line := first_broken_line(own / "audit.jsonl")) is not None:
        yield f"the audit log of {party} is broken in line {line}"
    if [path.name for path in own.parent.iterdir()] != [party]:
        yield f"{party}'s site has files of another party"
    for path in folder.rglob("*.json"):
        try:
            json.loads(path.read_bytes())
        except ValueError:
            yield f"{party} has half a file: {path.name}"
    state = json.loads((folder / "status.json").read_bytes())["state"]
    if (folder / "manifest.json").exists() != (state == "done"):
        yield f"{party}'s run is {state}, and its manifest says otherwise"
    bundle = bundle_folder(folder, party)
    if (bundle / "manifest.json").exists():
        keys = open_keyring(party, Party(key_file=str(ground.own(party, "keys", "secret.key"))), make=False)
        try:
            manifest = read_manifest(bundle, party)
            read_signatures(bundle, party, manifest)
            read_part(bundle, party, manifest, keys)
        except BundleError as error:
            yield f"{party} has half a model: {error.what}"
