"""Importing only the part of secretflow that SGB uses: less than half of the CPU time of ``import secretflow``.

The package's ``__init__`` modules import every algorithm there is. The packages below are entered without running
theirs; models and predictions are the same bits (a test compares them with a program that imports everything).
This is tied to one version of the library; with any other, the plain import is used.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import sys
import types

TESTED_VERSION = "1.14.0b0"
SKIPPED_INITS = (
    "secretflow",
    "secretflow.ml",
    "secretflow.ml.boost",
    "secretflow.ml.linear",
    "secretflow.ml.linear.ss_glm",
    "secretflow.ml.linear.ss_glm.core",
    "secretflow.stats",
    "secretflow.stats.core",
)


def import_secretflow() -> None:
    """Make secretflow importable, as narrowly as is known to be safe. Call it before anything imports secretflow."""
    # secretflow looks for ray at every access to an array element; without this each look-up searches the disk.
    sys.modules.setdefault("ray", None)  # type: ignore[arg-type]
    if "secretflow" not in sys.modules and importlib.metadata.version("secretflow") == TESTED_VERSION:
        for name in SKIPPED_INITS:
            _enter_without_init(name)
    importlib.import_module("secretflow.ml.boost.sgb_v")


def _enter_without_init(name: str) -> None:
    parent, _, leaf = name.rpartition(".")
    path = sys.modules[parent].__path__ if parent else None
    specification = importlib.machinery.PathFinder.find_spec(name, path)
    if specification is None:
        raise ImportError(f"{name} was not found", name=name)
    package = types.ModuleType(name)
    package.__spec__ = specification
    package.__path__ = list(specification.submodule_search_locations or ())
    sys.modules[name] = package
    if parent:
        setattr(sys.modules[parent], leaf, package)
