"""What one party's process has of its own: folder, secret, table, audit log, and its line to the driver."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.data.pieces import Pieces
from runner.data.place import contract_path
from runner.data.table import CheckedTable
from runner.files import file_digest, make_private_dir, write_json
from runner.keys.keyring import Keyring
from runner.keys.store import PRIVATE_SNAPSHOT, open_keyring, run_secret_of
from runner.policy.audit import AuditLog
from runner.prepare.preparation import Preparation
from runner.spec.model import Spec


@dataclass
class Site:
    """One party, as its own process sees it.

    Attributes:
        party: its name.
        folder: its private folder in the run folder.
        keys: its keys; seeds and the keys of digests are derived from them.
        audit: its audit log.
        emit: sends an event to the driver.
        checked: its checked table, or None where it brings none.
        facts: stage → what → digest of what the stage worked with and made, under the party's key: what a repeated run
            is compared by.
        original: the folder of the run that this one repeats, or None.
        pieces: its table, where it is gone through in pieces; ``checked`` is then the one that is at hand.
    """

    party: str
    folder: Path
    keys: Keyring
    audit: AuditLog
    emit: Callable[..., Any]
    checked: CheckedTable | None
    facts: dict[str, dict[str, str]] = field(default_factory=dict)
    original: Path | None = None
    pieces: Pieces | None = None
    _prepared: tuple[Preparation, NDArray[np.float64]] | None = None

    @property
    def table(self) -> CheckedTable:
        """Its table; a party that only brings its part of a model has none, and no stage asks it for one."""
        if self.checked is None:
            raise AssertionError(f"{self.party} brought no table to this run")
        return self.checked

    @property
    def rows_to_predict(self) -> int:
        """How many rows its table holds out, or, to apply a model, has."""
        return int(self.table.test.sum()) if self.pieces is None else self.pieces.rows

    def id_digests(self, *keys: bytes) -> list[str]:
        """Digests of the ids of all its rows, under each key."""
        table = self.table
        return [table.id_digest(key) for key in keys] if self.pieces is None else self.pieces.id_digests(*keys)

    @property
    def preparation(self) -> Preparation:
        """What made its features: fitted by stage `prepare`, or restored by stage `load`."""
        return self._in_use()[0]

    @property
    def features(self) -> NDArray[np.float64]:
        """Its features: shape (rows, features), float64, finite; the rows are those of ``table``."""
        return self._in_use()[1]

    def prepare_with(self, preparation: Preparation) -> None:
        """Make the features from the table.

        Raises:
            UnfitColumns: where a column has what the preparation does not allow.
        """
        self._prepared = (preparation, preparation.apply(self.table.columns))

    def use_table(self, table: CheckedTable) -> None:
        """Go on with this table; its features are yet to be made."""
        self.checked = table
        self.forget_preparation()

    def turn_to(self, piece: CheckedTable) -> None:
        """Go on with this piece of the table; its features are made as those of the piece before.

        Raises:
            UnfitColumns: where a column has what the preparation does not allow.
        """
        preparation = self.preparation
        self.use_table(piece)
        self.prepare_with(preparation)

    def forget_preparation(self) -> None:
        """Have no features, until another preparation is given."""
        self._prepared = None

    def _in_use(self) -> tuple[Preparation, NDArray[np.float64]]:
        if self._prepared is None:
            raise AssertionError(f"{self.party}'s table was not prepared")
        return self._prepared

    def keep_rows(self, rows: NDArray[np.intp]) -> None:
        """Go on with these rows of the table only; ``rows`` has their places, ascending."""
        self.use_table(self.table.with_rows(rows).with_own_classes())
        self.facts.setdefault("align", {})["table"] = self.table.digest(self.derive("table"))

    def note(self, stage: str, what: str, content: bytes) -> None:
        """Keep the digest of something that this party worked with or made in a stage.

        Of a table in pieces, it is that of what was noted of the pieces before, and of this.
        """
        if self.pieces is not None:
            content = self.facts.get(stage, {}).get(what, "").encode() + content
        digest = hmac.new(self.derive("facts"), content, hashlib.sha256).hexdigest()
        self.facts.setdefault(stage, {})[what] = digest

    @property
    def run(self) -> str:
        """The run's name: of its folder; where that is a number, as of a sweep's job, with the two folders above."""
        folder = self.folder.absolute().parent.parent
        return "/".join(folder.parts[-3:]) if folder.name.isdigit() else folder.name

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose, the same in every run of this party."""
        return self.keys.derive(purpose)

    def shuffle_seed(self, seed: int) -> tuple[int, ...]:
        """256 bits as eight 32-bit words: this party's private shuffle seed, the same in every run with ``seed``."""
        key = self.derive(f"shuffle/{seed}")
        return tuple(int.from_bytes(key[at : at + 4], "big") for at in range(0, len(key), 4))


def open_site(
    spec: Spec,
    party: str,
    folder: Path,
    table: CheckedTable | Pieces | None,
    emit: Callable[..., Any],
    original: Path | None = None,
) -> Site:
    """Open one party's private things; its key file is made at first use.

    Args:
        original: the folder of a run that is to be repeated: seeds and digest keys are then that run's, if the party's
            private snapshot is there.
    """
    run_secret = run_secret_of(original, party) if original is not None else None
    keys = open_keyring(party, spec.parties[party], run_secret, make=spec.model is None)
    own = make_private_dir(folder / "parties" / party)
    write_json(own / PRIVATE_SNAPSHOT, {"run_secret": keys.run_secret.hex()})
    if keys.repeats_another:
        emit(event="notice", text=f"{party}: seeds and digest keys are those of {original}, made with another key")
    audit = AuditLog(own / "audit.jsonl", keys.derive("audit"))
    pieces = table if isinstance(table, Pieces) else None
    checked = next(iter(table)) if isinstance(table, Pieces) else table
    site = Site(party, own, keys, audit, emit, checked, original=original, pieces=pieces)
    if table is not None and checked is not None:
        site.facts["validate"] = {"table": table.digest(site.derive("table"))}
        site.note("validate", "file", checked.source)
        site.note("validate", "contract", file_digest(contract_path(spec.data.contract_of(party))))
    return site
