"""Where contracts lie."""

from __future__ import annotations

from pathlib import Path


def bundled_contracts() -> Path:
    """The folder of the contracts that come with the runner: the wheel's copy, else the checkout's ``schemas/``."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_schemas"
    return installed if installed.is_dir() else package.parent / "schemas"


def contract_path(reference: str) -> Path:
    """The file of a contract that is named as ``file.py:Class``: beside the caller, else among the bundled ones."""
    file = Path(reference.partition(":")[0])
    return file if file.is_file() else bundled_contracts() / file
