"""A party's first draft of a contract, from its own table, to its own place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.errors import DataError
from runner.files import make_private_dir, write_bytes
from runner.spec.columns import columns_of
from runner.spec.model import Spec
from runner.spec.parse import convert


def infer_schema(order: dict[str, Any]) -> dict[str, Any]:
    """Read the party's table, and write what it is like.

    Args:
        order: ``party``, ``spec`` (its sections, typed and no more), ``path`` (of the draft), ``format`` (``yaml`` or
            ``python``), ``overwrite``, ``include_values``.

    Returns:
        nothing: what was found stays at the party.

    Raises:
        DataError: where the table cannot be read or has no such id, or a draft is there already.
    """
    party, spec, path = order["party"], convert(order["spec"]), Path(order["path"])
    _refuse_existing(path, order["overwrite"])
    text = _draft(spec, party, order["format"], order["include_values"])
    make_private_dir(path.parent)
    write_bytes(path, text.encode())
    return {}


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if path.is_symlink() or (path.exists() and not overwrite):
        raise DataError(
            "there is a draft already",
            where=str(path),
            why="it may have been changed since",
            fix="move it to your schemas, or replace it with infer.overwrite=true",
        )


def _draft(spec: Spec, party: str, kind: Any, include_values: bool) -> str:
    from runner.data.narrow import import_pandera  # late, all of them: other orders need none

    import_pandera()
    from runner.data.builtin import ensure_builtin
    from runner.data.draft import draft_text
    from runner.data.infer import infer_columns
    from runner.data.source import load_table

    ensure_builtin(spec, party)
    frame, named = load_table(spec, party).frame, columns_of(spec, party)
    missing = [name for name in named.ids if name not in frame.columns]
    if missing:
        raise DataError(
            f"{party}'s table has no column {missing[0]!r}",
            where="data.id",
            why="rows are known by it",
            fix=f"set data.id to the column that names rows at every party, or give it that name with "
            f"data.tables.{party}.source.rename",
        )
    others = {name for name in named.not_features() if name not in named.ids}
    columns = infer_columns(frame, named.ids, others, include_values)
    return draft_text(kind, party, spec.data.name, columns, include_values)
