"""Noise that is paid for once: what a run releases again of the same rows is what was released before.

What was drawn is kept beside the party's key file, encrypted with the ledger's own key, and the ledger says of what: a
draw is used again only for exactly the same labels and scores, since the same noise on others would show the
difference. For others it is drawn anew, and paid for.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from runner.files import make_private_dir, write_bytes
from runner.keys.keyring import NONCE_BYTES, unseal
from runner.privacy.accounting import Charge
from runner.privacy.ledger import Ledger, Limit, Receipt
from runner.privacy.ledger_file import OpenLedger

FOLDER = "releases"


class Releases:
    """What one party releases with noise in one run.

    Args:
        ledger: the party's, for the run's data set.
        home: the folder of the party's key file.
        limits: the budgets that must hold.
        run: the run's folder name.
    """

    def __init__(self, ledger: Ledger, home: Path, limits: Sequence[Limit], run: str) -> None:
        self._ledger = ledger
        self._folder = home / FOLDER
        self._limits = limits
        self._run = run

    def pay(self, charges: Sequence[Charge]) -> Receipt:
        """Spend what the run's draws cost, before anything is computed.

        Raises:
            PolicyError: where a budget would be overspent.
        """
        return self._ledger.spend(charges, self._limits, self._run)

    def draw(self, charge: Charge, inputs: bytes, make: Callable[[], bytes]) -> bytes:
        """What was drawn of these inputs before, or what ``make`` draws now and is paid for.

        Args:
            charge: with the name of the draw.
            inputs: what the noise is added to, as bytes.

        Raises:
            PolicyError: where the draw was made of other inputs, and the budget has nothing left for another one.
        """
        with self._ledger.opened() as book:
            of = book.digest("inputs", inputs)
            drawn = [entry for entry in book.entries if entry["kind"] == "drawn" and entry["charge"] == charge.draw]
            for entry in drawn:
                if entry["inputs"] == of and (kept := self._read(book, entry)) is not None:
                    return kept
            name = charge.draw if not drawn else f"{charge.draw}.{len(drawn)}"
            self._ledger.spend_in(book, [msgspec.structs.replace(charge, draw=name)], self._limits, self._run)
            content = make()
            self._keep(book, {"charge": charge.draw, "draw": name, "inputs": of}, content)
        return content

    def _read(self, book: OpenLedger, entry: dict[str, Any]) -> bytes | None:
        """What was kept of a draw; None where it is lost: then it is no longer free."""
        try:
            return unseal(_cipher(book), self._path(entry["draw"]).read_bytes(), entry["inputs"].encode())
        except (OSError, ValueError):
            return None

    def _keep(self, book: OpenLedger, entry: dict[str, Any], content: bytes) -> None:
        """First the content, then the entry that it is there: an entry without content could be drawn twice."""
        make_private_dir(self._folder)
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + _cipher(book).encrypt(nonce, content, entry["inputs"].encode())
        write_bytes(self._path(entry["draw"]), sealed)
        book.append({"kind": "drawn", "time": time.time(), "run": self._run, **entry})

    def _path(self, draw: str) -> Path:
        return self._folder / f"{hashlib.sha256(draw.encode()).hexdigest()[:32]}.sealed"


def _cipher(book: OpenLedger) -> AESGCM:
    return AESGCM(book.derive("releases"))
