"""Faults of the world round a run over three sites: networks, disks, clocks, certificates, models, and operators.

Each fault is a function of a :class:`World` and of the party that it happens to; it makes a row of the table.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import polars as pl
from faults.aftermath import wrong_after, wrong_words
from faults.ground import Ground
from faults.hosts import Hosts
from faults.inject import HELD, go_on
from faults.processes import IN_TRAINING, when_struck
from faults.rows import Row
from integration.launch import AT_MOST, PARTIES, SMALL, Ended, Launch

PLAN = (*SMALL, "sgb.num_boost_round=6")
RECIPIENT = "carol"  # of predictions: the label holder
WITH = {
    "align": ("align=psi",),
    "explain": ("explain.importance=true",),
}  # settings that a stage needs, or is more with
Words = Mapping[str, tuple[str, ...]]


class World:
    """Three sites, their network, and what came of a run that nobody disturbed."""

    def __init__(self, ground: Ground, hosts: Hosts) -> None:
        self.ground = ground
        self.hosts = hosts

    @cached_property
    def quiet(self) -> dict[str, Path]:
        """Party → the folder of an undisturbed run."""
        with self.ground.type_everywhere(*PLAN) as launches:
            ended = {party: launch.end() for party, launch in launches.items()}
            assert all(one.code == 0 for one in ended.values()), ended
            return {party: launch.folder for party, launch in launches.items()}

    @contextlib.contextmanager
    def come_to(
        self, stage: str, party: str, *arguments: str, own: Mapping[str, Sequence[str]] | None = None
    ) -> Iterator[dict[str, Launch]]:
        """A run over all sites that has come to a stage: there a party waits until :meth:`let_go`, or is in training.

        Args:
            own: what the operator of one site adds.
        """
        marker = self._marker(party)
        for path in (marker, go_on(marker)):
            path.unlink(missing_ok=True)
        after = IN_TRAINING if stage == "train" else 0.0
        hold = {"party": party, "stage": stage, "fault": HELD, "marker": str(marker), "after": after}
        plan, before = (*arguments, *WITH.get(stage, ())), {party: [("faults.inject", "at_stage", hold)]}
        with self.ground.type_everywhere(*plan, own=own, before=before) as launches:
            when_struck(marker, launches[party])
            yield launches

    def let_go(self, party: str) -> None:
        """Let the party go on that waits at a stage."""
        go_on(self._marker(party)).touch()

    def _marker(self, party: str) -> Path:
        return self.ground.places[party] / "held"

    def outcome(
        self,
        fault: str,
        stage: str,
        party: str,
        began: float,
        launches: Mapping[str, Launch],
        codes: Mapping[str, int],
        words: Words | None = None,
        at_most: float | None = AT_MOST,
    ) -> Row:
        """How the runs end, and what is wrong with that.

        Args:
            began: when the fault did (monotonic seconds).
            codes: party → the exit code that there should be.
            words: party → what its error should say.
            at_most: seconds that the end may take; None: as long as it likes.
        """
        ended = {name: launch.end() for name, launch in launches.items()}
        seconds = max(one.at for one in ended.values()) - began
        wrong = [f"the end took {seconds:.0f} s"] if at_most is not None and seconds > at_most else []
        for name, one in ended.items():
            wrong += wrong_words(name, one, codes[name], *(words or {}).get(name, ()))
        begun = {name: launch.folder for name, launch in launches.items() if "Run folder" in launch.printed()}
        folders = {name: self.seen(name, folder) for name, folder in begun.items()}
        wrong += wrong_after(self.ground, ended, folders, before=set())
        return Row(fault, stage, party, seconds, {name: one.code for name, one in ended.items()}, told(ended), wrong)

    def seen(self, party: str, path: Path) -> Path:
        """A path on a party's host, as it is seen from here: disks that are mounted there alone included."""
        pid = self.ground.hosts[party].pid
        return path if pid is None else Path(f"/proc/{pid}/root{path}")

    def healed(self, fault: str, stage: str, party: str, began: float, launches: Mapping[str, Launch]) -> Row:
        """The row of a run that goes on, and has the predictions of the undisturbed one."""
        row = self.outcome(fault, stage, party, began, launches, dict.fromkeys(PARTIES, 0), at_most=None)
        if not row.wrong and not predictions(launches[RECIPIENT].folder).equals(predictions(self.quiet[RECIPIENT])):
            row.wrong.append("the predictions are others")
        return row


def predictions(folder: Path) -> pl.DataFrame:
    """Those of a run that has ended, at their recipient."""
    return pl.read_parquet(folder / "parties" / RECIPIENT / "predictions.parquet")


def told(ended: Mapping[str, Ended]) -> str:
    """The first lines of the sites' errors."""
    lines = (line for one in ended.values() for line in one.err.splitlines())
    return "; ".join(sorted({line.partition(": ")[2] for line in lines if re.match(r"[a-z ]*error: ", line)}))


def others_than(party: str) -> Iterator[str]:
    """The other parties."""
    return (other for other in PARTIES if other != party)


def now() -> float:
    """Monotonic seconds, as in :class:`integration.launch.Ended`."""
    return time.monotonic()
