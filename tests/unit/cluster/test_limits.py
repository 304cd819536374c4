"""What a party's process may take of its machine: the kernel and the driver hold it to that."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import make_spec

from runner.cluster.channel import Message
from runner.cluster.limits import bounds_of, conditions, held_by, refused_memory, threads_of, usable_cores
from runner.cluster.processes import ALL_PARTIES, RESERVED, Bounds, Crew, Template
from runner.cluster.watch import Watch
from runner.errors import ClusterError

GIB = 1 << 30


@pytest.fixture
def template(tmp_path: Path) -> Iterator[Template]:
    """One whose children wait for an order."""
    template = Template("offline", tmp_path / "start.log")
    yield template
    template.close()


def events(crew: Crew) -> None:
    watch = Watch(crew, make_spec().cluster, stage="train", last_words=("answered",), beats=False)
    list(watch.events())


def test_nothing_is_bounded_where_nothing_is_set() -> None:
    assert bounds_of(make_spec(), ["alice", "bob"]) == Bounds({}, {})


def test_each_process_has_its_share_and_all_parties_process_that_of_all() -> None:
    spec = make_spec("cluster.limits.memory=1.5", "cluster.limits.cores=1")
    bounds = bounds_of(spec, ["alice", "bob"])
    assert bounds.memory == {"alice": 3 * GIB // 2, "bob": 3 * GIB // 2}
    assert all(len(cores) == 1 for cores in bounds.cores.values())
    assert len({*bounds.cores["alice"], *bounds.cores["bob"]}) == min(2, len(os.sched_getaffinity(0)))
    assert bounds_of(spec, [ALL_PARTIES]).memory == {ALL_PARTIES: 9 * GIB // 2}


def test_more_cores_than_there_are_is_all_of_them() -> None:
    cores = bounds_of(make_spec("cluster.limits.cores=5000"), ["alice"]).cores["alice"]
    assert set(cores) == os.sched_getaffinity(0)


def test_kernel_holds_a_child_to_its_bounds(template: Template, tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    crew = template.fork(["alice"], tmp_path / "log", Bounds({"alice": GIB}, {"alice": [core]}))
    told: list[Message] = []
    while not told:
        told, _ = crew.control.receive_ready()
    pid = told[0]["pid"]
    while Path(f"/proc/{pid}/comm").read_text().strip() != "alice":
        time.sleep(0.01)
    assert f"Max data size             {GIB + RESERVED}" in Path(f"/proc/{pid}/limits").read_text()
    assert os.sched_getaffinity(pid) == {core}
    crew.end()


def test_child_that_holds_more_ends_the_run_with_its_name_and_the_numbers(template: Template, tmp_path: Path) -> None:
    crew = template.fork(["alice", "bob"], tmp_path / "log", Bounds({"bob": 1 << 20}))
    with pytest.raises(ClusterError, match="bob's process needs more memory than it may take") as told:
        events(crew)
    assert told.value.where == "party bob, stage train"
    assert "it holds 0.0" in told.value.why
    assert "cluster.limits.memory allows 0.000977 GiB" in told.value.why
    crew.end()


def test_what_children_hold_counts_whichever_thread_began_them() -> None:
    program = "import os, time; x = bytearray(64 << 20); print(flush=True); time.sleep(60)"
    before = held_by(os.getpid())
    with (
        ThreadPoolExecutor(1) as thread,
        thread.submit(subprocess.Popen, [sys.executable, "-c", program], stdout=subprocess.PIPE).result() as child,
    ):
        assert child.stdout is not None
        child.stdout.readline()
        assert held_by(child.pid) > 64 << 20
        assert held_by(os.getpid()) - before > 32 << 20
        child.kill()
    assert held_by(child.pid) == 0


def test_process_that_is_refused_memory_says_how_much_it_may_take() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    assert "the machine has no more" in refused_memory("bob", "train").why
    resource.setrlimit(resource.RLIMIT_DATA, (8 * GIB + RESERVED, before[1]))
    try:
        error = refused_memory("bob", "train")
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
    assert "cluster.limits.memory allows 8 GiB" in error.why
    assert "was refused more" in error.why


def test_messages_of_others_have_half_of_what_the_process_may_take() -> None:
    from runner.engine.inbox import LEAST, fair_share

    before = resource.getrlimit(resource.RLIMIT_DATA)
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert fair_share(3) <= machine // 4
    for memory, parties, share in ((GIB, 3, GIB // 4), (GIB, 2, GIB // 2), (1, 3, LEAST)):
        resource.setrlimit(resource.RLIMIT_DATA, (memory + RESERVED, before[1]))
        try:
            assert fair_share(parties) == share
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, before)


def test_threads_are_what_is_set_or_a_partys_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.cluster.limits.usable_cores", lambda: 12)
    assert threads_of(make_spec()) == 4
    assert threads_of(make_spec("sweep.parallel=2")) == 2
    assert threads_of(make_spec("cluster=debug")) == 12
    assert threads_of(make_spec("cluster=remote", "parties=sites", "self_party=alice", "site=alice")) == 12
    assert threads_of(make_spec("cluster.limits.cores=3")) == 3
    assert threads_of(make_spec("cluster.limits.cores=3", "cluster.threads=5")) == 5
    monkeypatch.setattr("runner.cluster.limits.usable_cores", lambda: 2)
    assert threads_of(make_spec()) == 1
    assert threads_of(make_spec("cluster.limits.cores=5000")) == 2


def test_encryption_may_use_all_cores_where_nothing_else_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.cluster.limits.usable_cores", lambda: 12)
    monkeypatch.delenv("YACL_NUM_THREADS", raising=False)
    assert conditions(make_spec())["YACL_NUM_THREADS"] == "12"
    assert conditions(make_spec("sweep.parallel=3"))["YACL_NUM_THREADS"] == "4"
    assert conditions(make_spec("cluster.limits.cores=3"))["YACL_NUM_THREADS"] == "3"
    assert conditions(make_spec("cluster.limits.cores=5000"))["YACL_NUM_THREADS"] == "12"
    assert conditions(make_spec("cluster.threads=5"))["YACL_NUM_THREADS"] == "5"


def test_quota_of_a_control_group_bounds_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr("runner.cluster.limits._QUOTA", quota)
    there = len(os.sched_getaffinity(0))
    found = []
    for text in (None, "max 100000", "100000 100000", "50000 100000"):
        if text is not None:
            quota.write_text(text)
        found.append(usable_cores())
    assert found == [there, there, 1, 1]


def test_threads_that_are_set_beat_the_environment_and_the_default_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("POLARS_MAX_THREADS", raising=False)
    assert "OMP_NUM_THREADS" not in conditions(make_spec())
    assert conditions(make_spec())["POLARS_MAX_THREADS"] == str(threads_of(make_spec()))
    assert conditions(make_spec("cluster.threads=3"))["OMP_NUM_THREADS"] == "3"


LEAF_WEIGHTS = """
import hashlib, numpy
draw = numpy.random.default_rng(0)
selects, gradients = (draw.random((13, 8000)) < 0.3).astype(numpy.uint8), draw.normal(size=(8000, 1))
print(hashlib.sha256(numpy.matmul(selects, gradients).tobytes()).hexdigest())
"""


@pytest.mark.parametrize("overrides", [(), ("cluster=debug",), ("cluster.threads=2",)])
def test_no_leaf_weight_depends_on_threads(overrides: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 13 leaves and 8,000 rows; with two threads BLAS comes to others."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    monkeypatch.setattr("runner.cluster.limits.usable_cores", lambda: 2)

    def computed(variables: dict[str, str]) -> str:
        done = subprocess.run(
            [sys.executable, "-c", LEAF_WEIGHTS], env=os.environ | variables, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert computed(conditions(make_spec(*overrides))) == computed({"OPENBLAS_NUM_THREADS": "1"})
