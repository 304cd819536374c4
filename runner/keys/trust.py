"""Which public key is believed to be another party's.

The one that the spec pins (``parties.<name>.public_key``); else the one that was seen first, noted in
``known_parties.json`` beside the own key file (trust on first use). A party that changed its key shows that the known
one signed the new one (``task=rekey`` makes that proof).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.errors import BundleError
from runner.files import make_private_dir, write_json
from runner.keys.keyring import Former, follows
from runner.keys.store import home_of
from runner.spec.model import Party

KNOWN_PARTIES = "known_parties.json"


def recognise(party: str, parties: Mapping[str, Party], peer: str, key: str, former: Sequence[Former] = ()) -> None:
    """Make sure that ``key`` is the one by which ``party`` knows ``peer``; note it where it knew none.

    Raises:
        BundleError: where it knows another one.
    """
    pinned = parties[peer].public_key
    path = home_of(parties[party]) / KNOWN_PARTIES
    noted = _read(party, path)
    known = pinned or noted.get(peer, key)
    if not follows(key, former, known):
        raise BundleError(
            f"{party} knows another key of {peer}",
            where=f"parties.{peer}.public_key" if pinned else str(path),
            why=f"{peer} signed with {key[:16]}…, and is known by {known[:16]}…",
            fix=f"ask {peer} whether it made a new key, by another way than this; then replace the known one",
        )
    if not pinned and noted.get(peer) != key:
        make_private_dir(path.parent)
        write_json(path, {**noted, peer: key})


def _read(party: str, path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        return {str(peer): str(key) for peer, key in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, AttributeError):
        raise BundleError(
            f"the keys that {party} knows cannot be read",
            where=str(path),
            why="the file is not what the runner wrote",
            fix="restore it from your backup, or move it away: then the keys of the next run are believed",
        ) from None
