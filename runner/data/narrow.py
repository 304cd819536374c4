"""Importing pandera for polars alone: two thirds of the CPU time.

With the pandas that secretflow pins, pandera finds after a second and a half of importing it that it cannot use it, and
goes on as in an installation without pandas. So pandas is hidden from it while it is imported, and only then: a
contract of a user may import pandas. (Where pandas has been imported before, nothing is hidden.)
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from typing import Any

HIDDEN = "pandas"
_AT_FIRST_CHECK = tuple(
    f"pandera.backends.polars.{name}" for name in ("builtin_checks", "checks", "components", "container")
)


class _Hidden(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> None:
        if name.partition(".")[0] == HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def import_pandera() -> None:
    """Import ``pandera.polars``, and what pandera leaves to the first check, in which it would look for pandas again.

    Call it before anything else imports pandera.
    """
    if HIDDEN in sys.modules or "pandera" in sys.modules:
        importlib.import_module("pandera.polars")
        return
    hidden = _Hidden()
    sys.meta_path.insert(0, hidden)
    try:
        for module in ("pandera.polars", *_AT_FIRST_CHECK):
            importlib.import_module(module)
        importlib.import_module("pandera.backends.register_checks")._load_get_backend_types_from_mro()
    finally:
        sys.meta_path.remove(hidden)
