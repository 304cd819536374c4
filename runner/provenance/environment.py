"""What a run was computed by: the runner's code, the installed versions, and the machine."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from runner import __version__
from runner.files import canonical_json, file_digest

PACKAGE = Path(__file__).resolve().parent.parent
# What sets the number of threads, or the way in which numbers are computed or hashed, in the libraries underneath.
VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "YACL_NUM_THREADS",
    "BIGINT_LIB",
    "XLA_FLAGS",
    "JAX_ENABLE_X64",
    "PYTHONHASHSEED",
)


@functools.cache  # what this process has imported stays the same
def code_identity() -> dict[str, str | None]:
    """Which code ran.

    ``source`` is a digest of every Python file of the package, whichever way it came here. In a checkout, ``commit`` is
    the commit that it stands on and ``changes`` a digest of what differs from it (None: nothing); of an installed
    wheel, ``record`` is a digest of its list of files.
    """
    files = {path.relative_to(PACKAGE).as_posix(): file_digest(path).hex() for path in sorted(PACKAGE.rglob("*.py"))}
    identity: dict[str, str | None] = {"source": hashlib.sha256(canonical_json(files)).hexdigest()}
    commit = _git("rev-parse", "HEAD") if (PACKAGE.parent / ".git").exists() else None
    if commit is not None:
        changes = _git("diff", "HEAD", "--", "runner", "conf", "schemas", "pyproject.toml")
        return {
            **identity,
            "commit": commit,
            "changes": hashlib.sha256(changes.encode()).hexdigest() if changes else None,
        }
    record = metadata.distribution("sgb-runner").read_text("RECORD") or ""
    return {**identity, "record": hashlib.sha256(record.encode()).hexdigest()}


@functools.cache
def versions() -> dict[str, str]:
    """Every installed package, Python and the runner."""
    installed = {
        str(found.metadata["Name"]).lower().replace("_", "-"): found.version for found in metadata.distributions()
    }
    return {**dict(sorted(installed.items())), "python": platform.python_version(), "runner": __version__}


def machine() -> dict[str, Any]:
    """The platform, the CPU's abilities, and the variables that the libraries heed."""
    return {
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "cpu_flags": _cpu_flags(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def _cpu_flags() -> list[str]:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("flags", "Features")):
            return sorted(line.partition(":")[2].split())
    return []


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(PACKAGE.parent), *arguments], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
