"""How rows of different tables find each other. ``align.method`` says how, and with it who learns what."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from runner.spec.base import Section

Method = Literal["assume_sorted", "psi", "join_on_digest"]
Protocol = Literal["rr22", "kkrt", "ecdh", "ecdh_3pc", "kkrt_npc", "ecdh_npc"]
Choice = Literal["auto", "rr22", "kkrt", "ecdh", "ecdh_3pc", "kkrt_npc", "ecdh_npc"]
# What the parties may learn of each other's ids, from the least to the most.
IdForm = Literal["set", "common", "pairs", "digests"]
ID_FORMS: tuple[IdForm, ...] = ("set", "common", "pairs", "digests")
IN_PAIRS: tuple[Protocol, ...] = ("kkrt_npc", "ecdh_npc")  # round after round of two parties each


class Align(Section, frozen=True, kw_only=True):
    """How rows of different tables find each other: by their ids, in one of three ways.

    ``assume_sorted``: all tables have the same ids; each party puts its rows in their order, and keyed digests of the
    whole are compared. ``psi``: private set intersection; only rows whose ids all parties have go on.
    ``join_on_digest``: the same rows, found by exchanging a keyed digest of every id, against which each party can test
    guesses.

    ``protocol`` is that of psi; ``auto`` takes RR22 for two parties, ECDH for three, KKRT in pairs for more.
    ``min_rows`` is the least number of common rows; ``policy.min_rows`` holds besides.
    """

    method: Method = "assume_sorted"
    protocol: Choice = "auto"
    min_rows: Annotated[int, Meta(ge=1)] = 1

    def selects_rows(self) -> bool:
        """Whether rows of which another party has no counterpart are left out."""
        return self.method != "assume_sorted"

    def psi_protocol(self, parties: int) -> Protocol | None:
        """The protocol between so many parties, with ``auto`` resolved; None without psi."""
        if self.method != "psi":
            return None
        if self.protocol != "auto":
            return self.protocol
        by_number: dict[int, Protocol] = {2: "rr22", 3: "ecdh_3pc"}
        return by_number.get(parties, "kkrt_npc")
