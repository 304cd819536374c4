"""This machine: versions, CPU, entropy, clock, disk."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection, Mapping
from importlib import metadata
from pathlib import Path

from runner.doctor.findings import Finding, failed, passed, warning

PACKAGES = ("python", "secretflow", "spu", "sf-heu", "runner")  # must be the same at all sites
OF_ENGINE = ("secretflow", "spu", "sf-heu")
CPU_FLAGS = ("aes", "avx2")
GIB = 1 << 30
LITTLE_DISK, SCARCE_DISK = 256 << 20, 2 * GIB  # bytes that are free: a run fails, a run may fail


def pins() -> dict[str, str]:
    """Package → the version that the runner was made for, where it is installed as a package."""
    try:
        required = metadata.requires("sgb-runner") or []
    except metadata.PackageNotFoundError:
        return {}
    pairs = (line.partition("==") for line in required)
    return {name: version for name, equals, version in pairs if equals and name in OF_ENGINE}


def look_at_versions(installed: Mapping[str, str], pinned: Mapping[str, str]) -> Finding:
    """Whether the engine's packages are those that the runner was made for."""
    missing = [name for name in OF_ENGINE if name not in installed]
    wrong = [name for name in pinned if name not in missing and installed[name] != pinned[name]]
    if missing or wrong:
        named = [f"{name} is not installed" for name in missing]
        named += [f"{name} is {installed[name]}, not {pinned[name]}" for name in wrong]
        return failed("versions", ", ".join(named), "install the runner anew, in an environment of its own")
    return passed("versions", ", ".join(f"{name} {installed[name]}" for name in PACKAGES))


def look_at_cpu(flags: Collection[str], cores: int | None) -> Finding:
    """Whether the CPU can do what the encryption's libraries are compiled for."""
    if missing := [flag for flag in CPU_FLAGS if flag not in flags]:
        lacking = " and ".join(flag.upper() for flag in missing)
        return failed("cpu", f"it has no {lacking}", "take a machine, or a virtual one, that has them")
    return passed("cpu", f"{cores} cores, {', '.join(flag.upper() for flag in CPU_FLAGS)}")


def look_at_entropy() -> Finding:
    """Whether keys can be drawn now."""
    try:
        os.getrandom(32, os.GRND_NONBLOCK)
    except BlockingIOError:
        return failed("entropy", "the system's random generator has no seed yet", "wait, or install rng-tools")
    return passed("entropy", "the system's random generator is ready")


def look_at_clock(now: float, newest: float) -> Finding:
    """Whether the clock is at least past what is known to have been.

    Args:
        now, newest: seconds since 1970, UTC: the clock's, and those of the runner's newest file.
    """
    told = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < newest - 86400:
        return failed("clock", f"{told}, which is before the runner was installed", "set the clock, best by NTP")
    return passed("clock", told)


def newest_file() -> float:
    """When the runner's files were last changed."""
    return max(path.stat().st_mtime for path in Path(__file__).resolve().parent.parent.rglob("*.py"))


def look_at_disk(outputs: Path) -> Finding:
    """Whether there is room for the run's files."""
    there = next(folder for folder in (outputs.absolute(), *outputs.absolute().parents) if folder.exists())
    if not os.access(there, os.W_OK):
        return failed("disk", f"{there} is not writable", "set outputs to a folder of yours")
    free = shutil.disk_usage(there).free
    told = f"{free / GIB:.1f} GiB are free at {there}"
    if free < LITTLE_DISK:
        return failed("disk", told, "make room, or set outputs to another disk")
    if free < SCARCE_DISK:
        return warning("disk", told, "make room, or set outputs to another disk")
    return passed("disk", told)
