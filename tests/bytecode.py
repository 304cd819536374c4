"""Lets this process, and all that it starts, keep bytecode where the environment forbids to write it.

Every process would compile all that it imports, which takes most of the time of importing it. So bytecode is written
after all, where it disturbs nobody. Import this module before anything large.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.dont_write_bytecode:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).resolve().parent.parent / ".pytest_cache" / "bytecode")
    sys.dont_write_bytecode, sys.pycache_prefix = False, os.environ["PYTHONPYCACHEPREFIX"]
