"""How much of the machine a party's process may take: memory, cores, threads.

Memory is bounded twice. The driver looks at what a process holds, with its children, and ends the run with a clear
error where that is more than the limit; and the kernel refuses (RLIMIT_DATA) what would go far beyond it at once. The
kernel counts what is reserved, the stacks of some forty threads among it, so its bound lies higher; RLIMIT_AS, which
counts all that the libraries map, would say nothing of what a process takes. Control groups would count what is held,
and need rights that users seldom have.
"""

from __future__ import annotations

import itertools
import os
import resource
import secrets
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from runner.cluster.processes import ALL_PARTIES, RESERVED, Bounds
from runner.errors import ClusterError
from runner.spec.model import Spec

GIB = 1 << 30
_POOLS = ("OMP_NUM_THREADS", "YACL_NUM_THREADS", "POLARS_MAX_THREADS")
_BLAS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_HELD = ("RssAnon:", "RssShmem:", "VmSwap:")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def bounds_of(spec: Spec, children: Collection[str]) -> Bounds:
    """What these processes may take; in debug mode one process has what all parties may."""
    shares = {child: len(spec.parties) if child == ALL_PARTIES else 1 for child in children}
    memory, cores = spec.cluster.limits.memory, spec.cluster.limits.cores
    return Bounds(
        {} if memory is None else {child: int(memory * GIB * share) for child, share in shares.items()},
        {} if cores is None else _deal({child: cores * share for child, share in shares.items()}),
    )


def _deal(numbers: Mapping[str, int]) -> dict[str, list[int]]:
    """Child → so many cores, none of them another child's as far as there are enough.

    They begin anywhere: other jobs and sites on this machine deal their own.
    """
    cores = sorted(os.sched_getaffinity(0))
    first = secrets.randbelow(len(cores))
    there = itertools.cycle([*cores[first:], *cores[:first]])
    return {child: sorted(set(itertools.islice(there, number))) for child, number in numbers.items()}


def held_by(pid: int) -> int:
    """Bytes that a process and its children hold for themselves, in memory or swapped out; 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return 0
    own = sum(int(line.split()[1]) for line in lines if line.startswith(_HELD)) * 1024
    return own + sum(held_by(int(child)) for task in tasks for child in _children_of(task))


def _children_of(task: Path) -> list[str]:
    """The processes that a thread has started: each has its own."""
    try:
        return (task / "children").read_text().split()
    except OSError:
        return []


def usable_cores() -> int:
    """How many cores this process may use: of the machine, of its affinity, of its control group's quota."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = _QUOTA.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def threads_of(spec: Spec) -> int:
    """How many threads each library's pool has in one process: what is set, or a party's share of the job's cores."""
    cluster = spec.cluster
    if cluster.threads is not None:
        return cluster.threads
    if cluster.limits.cores is not None:
        return min(cluster.limits.cores, usable_cores())
    return max(1, _cores_of_job(spec) // (len(spec.parties) if cluster.mode == "local" else 1))


def _cores_of_job(spec: Spec) -> int:
    return max(1, usable_cores() // spec.sweep.parallel)


def conditions(spec: Spec) -> dict[str, str]:
    """The environment variables that the cluster's settings come to; what this process was given itself stays.

    Where no number of threads is set, YACL, which HEU computes with, may use all cores of the job: in SGB one party
    computes while the others wait for it, most of the time, and fewer threads were slower. But BLAS has one thread,
    whatever anybody says: it sums in another order where it has others, so that the last bits of leaf weights would
    depend on the machine's cores.
    """
    found: dict[str, Any] = {}
    if spec.cluster.hash_seed is not None:
        found["PYTHONHASHSEED"] = str(spec.cluster.hash_seed)
    threads = threads_of(spec)
    pools = dict.fromkeys(_POOLS, str(threads))
    pools["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    if spec.cluster.threads is None:
        pools["YACL_NUM_THREADS"] = str(threads if spec.cluster.limits.cores is not None else _cores_of_job(spec))
        pools = {name: value for name, value in pools.items() if name not in os.environ}
    return found | pools | dict.fromkeys(_BLAS, "1")


def too_much(party: str, stage: str, allowed: int | None, why: str) -> ClusterError:
    """The error of a process that would take more memory than it may, or than there is."""
    bound = "the machine has no more" if allowed is None else f"cluster.limits.memory allows {gib(allowed)} GiB"
    return ClusterError(
        f"{party}'s process needs more memory than it may take",
        where=f"party {party}, stage {stage}",
        why=f"{why}; {bound}",
        fix="raise cluster.limits.memory or take a larger machine; bring fewer rows or columns; a saved model can be "
        "applied in smaller pieces (predict.chunk_rows)",
    )


def allowed_here() -> int | None:
    """Bytes that this process may hold by ``cluster.limits.memory``; None: that says nothing."""
    bound, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return None if bound == resource.RLIM_INFINITY or bound <= RESERVED else bound - RESERVED


def refused_memory(party: str, stage: str) -> ClusterError:
    """What a process says of itself that got a MemoryError."""
    return too_much(party, stage, allowed_here(), f"it held {gib(held_by(os.getpid()))} GiB and was refused more")


def gib(size: int) -> str:
    """A size in GiB, with three digits."""
    return f"{size / GIB:.3g}"
