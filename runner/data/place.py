"""Where contracts lie."""

from __future__ import annotations

import keyword
from pathlib import Path

SUFFIX = {"yaml": ".yaml", "python": ".py"}  # format of a drafted contract → how its file's name ends


def bundled_contracts() -> Path:
    """The folder of the contracts that come with the runner: the wheel's copy, else the checkout's ``schemas/``."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_schemas"
    return installed if installed.is_dir() else package.parent / "schemas"


def contract_path(reference: str) -> Path:
    """The file of a contract that is named as in the spec: beside the caller, else among the bundled ones."""
    file = Path(reference.partition(":")[0])
    return file if file.is_file() else bundled_contracts() / file


def class_name(party: str) -> str:
    """The class of a party's contract in a drafted Python file."""
    name = "".join(word.capitalize() for word in party.split("_"))
    return f"{name}_" if keyword.iskeyword(name) else name
