"""Did-you-mean and lists of the allowed, for every message about a wrong name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from runner.errors import SpecError


def closest(wrong: str, allowed: Iterable[str]) -> str | None:
    """The allowed name most like ``wrong``, or the one that begins with it; None where none is near."""
    names = list(allowed)
    near = difflib.get_close_matches(wrong, names, n=1, cutoff=0.6)
    begun = [name for name in names if len(wrong) > 2 and name.startswith(wrong)]
    return near[0] if near else begun[0] if len(begun) == 1 else None


def advise(wrong: str, allowed: Iterable[str]) -> str:
    """One phrase for a fix line: a did-you-mean where there is one, then what is allowed."""
    names = sorted(allowed)
    near = closest(wrong, names)
    listing = "allowed: " + ", ".join(names) if names else "nothing is allowed here"
    return f"did you mean {near!r}? {listing}" if near else listing


def require_known(party: str, parties: Iterable[str], where: str) -> None:
    """Make sure that a setting names one of the parties.

    Raises:
        SpecError: with a did-you-mean.
    """
    if party not in parties:
        raise SpecError(
            f"{party!r} is no party", where=where, why="it is not listed under parties", fix=advise(party, parties)
        )
