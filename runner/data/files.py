"""The files that a table is made of: one, those that match a pattern, or those in a folder."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from runner.errors import DataError
from runner.spec.source import SUFFIXES

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class TableFile:
    """One file of a table.

    Attributes:
        path: where it is.
        partition: the columns that the names of its folders give: of ``year=2024/part-0.parquet``, year.
    """

    path: Path
    partition: dict[str, str | None]


def find_files(path: str, party: str) -> tuple[TableFile, ...]:
    """The files of the table at ``path``, in the order of their names.

    Of a folder, every file with a table's suffix is taken, at any depth; names that begin with a dot or an underscore
    are not. (What is there is tried by its own name first: a name may hold ``*`` or ``[``.)

    Raises:
        DataError: where there is none.
    """
    place = Path(path)
    if place.is_file():
        return (TableFile(place, {}),)
    is_pattern = glob.has_magic(path) and not place.exists()
    root = _fixed_part(place) if is_pattern else place
    found = root.glob(str(place.relative_to(root))) if is_pattern else root.rglob("*")
    files = sorted(file for file in found if file.is_file() and (is_pattern or _is_data(file.relative_to(place))))
    if not files:
        raise DataError(
            f"{party}'s table is not there",
            where=f"data.tables.{party}.path = {path}",
            why=_absence(place, is_pattern),
            fix=f"put the file there, or set data.tables.{party}.path",
        )
    return tuple(TableFile(file, _partition(file.relative_to(root))) for file in files)


def _absence(place: Path, is_pattern: bool) -> str:
    if is_pattern:
        return f"no file matches {place.absolute()}"
    if place.is_dir():
        return f"the folder {place.absolute()} has no file that ends in {', '.join(SUFFIXES)}"
    return f"there is no file {place.absolute()}"


def _fixed_part(pattern: Path) -> Path:
    """The folders of a pattern before its first wildcard."""
    return next((parent for parent in pattern.parents if not glob.has_magic(str(parent))), Path())


def _is_data(name: Path) -> bool:
    hidden = any(part.startswith((".", "_")) for part in name.parts)
    return not hidden and name.suffix.lower() in SUFFIXES


def _partition(name: Path) -> dict[str, str | None]:
    pairs = (folder.partition("=") for folder in name.parts[:-1])
    return {unquote(key): None if value == _NO_VALUE else unquote(value) for key, equals, value in pairs if equals}
