"""A template forks crew after crew, tells how their children end, and never outlives the driver's end of it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from support import make_spec

from runner.cluster.offline import ask_forked
from runner.cluster.processes import Crew, Template
from runner.cluster.watch import Watch
from runner.cluster.workers import Workers
from runner.errors import ClusterError, RunnerError
from runner.spec.model import Spec

LIMITS = make_spec().cluster


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    """One whose children wait for an order about their party's files."""
    template = Template("offline", tmp_path_factory.mktemp("template") / "start.log")
    yield template
    template.close()


def wait_until(there: Callable[[], bool]) -> bool:
    limit = time.monotonic() + 20
    while not there() and time.monotonic() < limit:
        time.sleep(0.01)
    return there()


def pids(crew: Crew) -> dict[str, int]:
    """The process of each child, once they are forked."""
    found: dict[str, int] = {}
    while len(found) < len(crew.channels):
        messages, standing = crew.control.receive_ready()
        assert standing
        found |= {m["child"]: m["pid"] for m in messages if (m["event"], m["crew"]) == ("forked", crew.number)}
    return found


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_death_in_an_idle_crew_is_told_while_another_one_works(template: Template, tmp_path: Path) -> None:
    idle = template.fork(["alice"], tmp_path / "log")
    (pid,) = pids(idle).values()
    working = template.fork(["bob"], tmp_path / "log")
    watch = Watch(working, LIMITS, stage="validate", last_words=("answered",), beats=False, idle=idle)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ClusterError, match="the process of alice is gone") as told:
        list(watch.events())
    assert told.value.where == "party alice, stage validate"
    working.end()


def test_crews_come_one_after_another(template: Template, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(RunnerError, match="alice's files could not be looked at"):
            ask_forked(template, {"alice": {"order": "nonsense", "party": "alice"}}, LIMITS, tmp_path / "log")
    assert template.is_there()


def test_a_site_without_a_table_forks_nobody(template: Template, tmp_path: Path) -> None:
    template.fork([], tmp_path / "log")
    with pytest.raises(RunnerError, match="alice's files could not be looked at"):
        ask_forked(template, {"alice": {"order": "nonsense", "party": "alice"}}, LIMITS, tmp_path / "log")


def test_a_child_is_named_after_its_party_and_prints_to_its_log(template: Template, tmp_path: Path) -> None:
    crew = template.fork(["alice"], tmp_path / "own.log")
    (pid,) = pids(crew).values()
    assert wait_until(lambda: Path(f"/proc/{pid}/comm").read_text().strip() == "alice")
    assert wait_until(lambda: str(Path(f"/proc/{pid}/fd/1").readlink()) == str(tmp_path / "own.log"))
    crew.end()
    assert wait_until(lambda: is_gone(pid))


def test_a_death_is_told_of_the_crew_that_it_happened_in(template: Template, tmp_path: Path) -> None:
    idle = template.fork(["alice", "bob"], tmp_path / "log")
    os.kill(pids(idle)["alice"], signal.SIGKILL)
    crew = template.fork(["alice", "bob"], tmp_path / "log")
    watch = Watch(crew, LIMITS, stage="train", last_words=("done",), beats=False)
    os.kill(pids(crew)["bob"], signal.SIGTERM)
    with pytest.raises(ClusterError, match="the process of bob is gone") as told:
        list(watch.events())
    assert told.value.why == "it was ended by signal 15"
    assert not idle.stands()
    idle.end()
    crew.end()


def test_a_template_goes_with_its_connection(tmp_path: Path) -> None:
    template = Template("offline", tmp_path / "start.log")
    crew = template.fork(["alice"], tmp_path / "log")
    (pid,) = pids(crew).values()
    template.control.close()
    assert wait_until(lambda: is_gone(pid))
    assert wait_until(lambda: not template.is_there())


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        ("parties", {}),
        ("crypto", {"key_bits": 2048}),
        ("cluster", {"message_timeout": 5.0}),
        ("policy", {"min_rows": 77}),
    ],
)
def test_workers_of_other_settings_do_not_fit(
    template: Template, tmp_path: Path, section: str, changes: dict[str, object]
) -> None:
    workers = Workers(template, make_spec(), tmp_path)
    assert workers.misfit(make_spec("sgb.max_depth=2", "sgb.seed=9", "label.class_weight=balanced")) == ""
    assert workers.misfit(_changed(make_spec(), section, changes)) == f"other settings of {section}"
    workers.end()


def _changed(spec: Spec, section: str, changes: dict[str, object]) -> Spec:
    if section == "parties":
        keys = {name: msgspec.structs.replace(party, key_file="other.key") for name, party in spec.parties.items()}
        return msgspec.structs.replace(spec, parties=keys)
    return msgspec.structs.replace(spec, **{section: msgspec.structs.replace(getattr(spec, section), **changes)})


def test_workers_that_lost_one_do_not_fit(template: Template, tmp_path: Path) -> None:
    workers = Workers(template, make_spec(), tmp_path)
    os.kill(pids(workers.crew)["bob"], signal.SIGKILL)
    assert wait_until(lambda: workers.misfit(make_spec()) == "one of them was gone")
    workers.end()
