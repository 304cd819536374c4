"""Faults of the network between three sites: cut, cut and healed, flapping, slow; and a site that comes late."""

from __future__ import annotations

import time
from contextlib import ExitStack

from faults.ground import GRACE
from faults.processes import STAGES
from faults.rows import Row
from faults.world import PLAN, World, now, others_than
from integration.launch import LONG, PARTIES

CUT = GRACE - 2  # seconds
RATE, QUEUE = "8mbit", "400ms"  # of a slow link: whatever waits there for longer than that is lost


def cut(world: World, party: str, stage: str = "train") -> Row:
    """The cable of a host is pulled as a stage begins there, and stays so."""
    plan = PLAN if STAGES.index(stage) > STAGES.index("train") else LONG
    with world.come_to(stage, party, *plan) as launches:
        began = now()
        world.hosts.cut(party)
        world.let_go(party)
        try:
            where = () if stage == "agree" else ("stage ",)
            words = {name: (f"the site of {party} is gone", *where) for name in others_than(party)}
            words[party] = (" is gone", *where)
            return world.outcome("link cut", stage, party, began, launches, dict.fromkeys(PARTIES, 5), words)
        finally:
            world.hosts.heal(party)


def cut_and_heal(world: World, party: str, stage: str = "train") -> Row:
    """The cable is pulled for less than the grace: in SGB's messages (train), SPU's (align, by PSI), the drivers'."""
    with world.come_to(stage, party, *PLAN) as launches:
        began = now()
        world.hosts.cut(party)
        world.let_go(party)
        time.sleep(CUT)
        world.hosts.heal(party)
        return world.healed(f"link cut for {CUT:g} s", stage, party, began, launches)


def flapping(world: World, party: str, stage: str = "align") -> Row:
    """The link comes and goes every second."""
    with world.come_to(stage, party, *PLAN) as launches:
        began = now()
        world.let_go(party)
        for _ in range(4):
            world.hosts.cut(party)
            time.sleep(1)
            world.hosts.heal(party)
            time.sleep(1)
        return world.healed("flapping link", stage, party, began, launches)


def slow(world: World, party: str, stage: str = "all") -> Row:
    """The network of a host is slow from beginning to end."""
    host = world.ground.hosts[party]
    host.run("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", RATE, "burst", "32kbit", "latency", QUEUE)
    try:
        began = now()
        with world.ground.type_everywhere(*PLAN) as launches:
            return world.healed(f"slow link ({RATE})", stage, party, began, launches)
    finally:
        host.run("tc", "qdisc", "del", "dev", "eth0", "root")


def late(world: World, party: str, stage: str = "agree", seconds: float = 60.0) -> Row:
    """A site's operator types the command long after the others."""
    began = now()
    with ExitStack() as stack:
        launches = {name: stack.enter_context(world.ground.type_at(name, *PLAN)) for name in others_than(party)}
        for launch in launches.values():
            launch.wait_for_line(f"waiting for {party} at ")
        time.sleep(max(0.0, began + seconds - now()))
        launches[party] = stack.enter_context(world.ground.type_at(party, *PLAN))
        launches = {name: launches[name] for name in PARTIES}
        return world.healed(f"{seconds:g} s late", stage, party, began, launches)
