"""How soon a run over three hosts is over at all sites when a process is killed: any process, at any moment.

    python tests/benchmarks/kill_times.py [--kills 50] [--rows outputs/benchmarks/kill_times.jsonl]

Each time a run begins anew at three sites (:mod:`faults.ground`), and at a random moment of it ``kill -9`` hits a
random process of a random site: its driver, a template, the process that checks its table, or its worker. Prints the
seconds from the kill until every command has ended and no process is left (least, median, 95 %, most; 15 is the bar),
the exit codes, and whatever is not as it must be afterwards. A site that is killed before it has met the others is to
them one that is late: they wait for it (``cluster.wait_for_peers``), and these kills are told apart. Kills are kept,
one JSON object a line; those that are there count.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

import psutil  # noqa: E402
from faults.aftermath import files_left, wrong_after  # noqa: E402
from faults.ground import Ground, a_ground  # noqa: E402
from faults.processes import SHORT  # noqa: E402
from integration.launch import PARTIES, Launch, processes_in  # noqa: E402

BAR = 15.0  # seconds
PATIENCE = 20.0  # seconds for which sites wait for a late one
RUN = (*SHORT, f"cluster.wait_for_peers={PATIENCE}")


@dataclasses.dataclass(frozen=True)
class Kill:
    """One kill and its outcome.

    Attributes:
        moment: seconds after the commands were typed.
        seconds: from the kill until all commands had ended and no process was left.
        codes: party → exit code; all 0 where the run did not need the process any more.
        met: whether the others had met this site before.
    """

    party: str
    process: str
    moment: float
    seconds: float
    codes: dict[str, int]
    wrong: list[str]
    met: bool = True

    def is_late(self) -> bool:
        """Whether the sites took longer than they may."""
        return self.seconds > (BAR if self.met else PATIENCE + BAR)


def main() -> int:
    """Kill, and print what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rows", type=Path, default=Path("outputs/benchmarks/kill_times.jsonl"))
    asked = parser.parse_args()
    asked.rows.parent.mkdir(parents=True, exist_ok=True)
    kept = asked.rows.read_text().splitlines() if asked.rows.exists() else []
    kills = [Kill(**json.loads(line)) for line in kept]
    with tempfile.TemporaryDirectory(prefix="kills-") as folder, a_ground(Path(folder)) as ground:
        print(f"hosts: {ground.kind}", flush=True)
        length = undisturbed(ground)
        while len(kills) < asked.kills:
            kill = try_kill(ground, random.uniform(0.0, length))
            if kill is None:
                continue  # the run was over before
            kills.append(kill)
            with asked.rows.open("a") as file:
                file.write(json.dumps(dataclasses.asdict(kill)) + "\n")
            print(f"{len(kills)}: {kill}", file=sys.stderr, flush=True)
    tell(kills)
    return 1 if any(kill.wrong or kill.is_late() for kill in kills) else 0


def undisturbed(ground: Ground) -> float:
    """The seconds of a run at which nothing happens (the second one: the first warms up)."""
    for _ in range(2):
        began = time.monotonic()
        with ground.type_everywhere(*RUN) as launches:
            codes = [launch.end().code for launch in launches.values()]
        assert codes == [0, 0, 0], codes
    return time.monotonic() - began


def try_kill(ground: Ground, moment: float) -> Kill | None:
    """Kill a process of a run at this moment; None where the run was over."""
    party, before = random.choice(PARTIES), files_left(ground)
    with ground.type_everywhere(*RUN) as launches:
        time.sleep(moment)
        victims = processes_in(ground.places[party])
        if not victims or any(launch.driver.poll() is not None for launch in launches.values()):
            return None
        victim = random.choice(victims)
        name = what_it_is(launches[party], victim)
        victim.kill()
        killed = time.monotonic()
        try:
            ended = {peer: launch.end() for peer, launch in launches.items()}
        except psutil.TimeoutExpired:
            printed = "".join(f"\n{peer}:\n{launch.printed()}" for peer, launch in launches.items())
            raise AssertionError(
                f"the {name} of {party}, killed after {moment:.1f} s, is still missed: {printed}"
            ) from None
        while any(processes_in(place) for place in ground.places.values()) and time.monotonic() - killed < 2 * BAR:
            time.sleep(0.05)
        seconds = time.monotonic() - killed
        folders = {peer: launch.folder for peer, launch in launches.items() if "Run folder" in launch.printed()}
        wrong = wrong_after(ground, ended, folders, before)
    met = not any(f"{party} did not come" in one.err for one in ended.values())
    return Kill(party, name, moment, seconds, {peer: one.code for peer, one in ended.items()}, wrong, met)


def what_it_is(launch: Launch, process: psutil.Process) -> str:
    """Driver, template, or one that a template forked."""
    if process.pid == launch.driver.pid:
        return "driver"
    return "template" if process.ppid() == launch.driver.pid else "worker"


def tell(kills: list[Kill]) -> None:
    """Print the distribution."""
    unmet = [kill.seconds for kill in kills if not kill.met]
    ended = [kill for kill in kills if kill.met and any(kill.codes.values())]
    seconds = sorted(kill.seconds for kill in ended)
    high = statistics.quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]
    print(f"{len(kills)} kills, of {dict(Counter(kill.process for kill in kills))}")
    print(f"{len(kills) - len(ended) - len(unmet)} runs did not need the process any more, and were finished")
    if unmet:
        print(f"{len(unmet)} sites had not met the others, who waited {PATIENCE:.0f} s for them: ended after", end=" ")
        print(", ".join(f"{seconds:.1f} s" for seconds in unmet))
    print(
        f"all sites ended after {seconds[0]:.2f} s at the least, {statistics.median(seconds):.2f} s in the median, "
        f"{high:.2f} s (95 %), {seconds[-1]:.2f} s at the most; the bar is {BAR:.0f} s"
    )
    print(f"exit codes: {dict(Counter(str(sorted(kill.codes.values())) for kill in kills))}")
    for kill in kills:
        if kill.wrong:
            print(f"{kill.process} of {kill.party} after {kill.moment:.1f} s: {'; '.join(kill.wrong)}")


if __name__ == "__main__":
    sys.exit(main())
