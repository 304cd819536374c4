"""A party's first keys, for runs with other sites: its secret, its TLS key, and the request for a certificate."""

from __future__ import annotations

from typing import Any

import msgspec

from runner.keys.pki import REQUEST, make_request, pin_of
from runner.keys.store import home_of, open_keyring
from runner.spec.model import Party


def keygen(order: dict[str, Any]) -> dict[str, Any]:
    """Make what is not there yet of the party's keys, and a new certificate request; keys that are there stay.

    Args:
        order: ``party``, ``settings`` (where its key is, as plain values), ``hosts`` (names and addresses of its
            machine, for the certificate).

    Returns:
        ``public``: the public key with which it signs; ``pin``: of its TLS key; ``home``: the folder; ``request``: the
        request's file.

    Raises:
        DataError: where a key that is there is none, or can be read by others.
        SpecError: where the settings do not say where the key is.
    """
    settings, party = msgspec.convert(order["settings"], Party), order["party"]
    home = home_of(settings)
    keys = open_keyring(party, settings)
    request = make_request(party, home, order["hosts"])
    pin = pin_of(request.public_key())  # type: ignore[arg-type]
    return {"public": keys.public, "pin": pin, "home": str(home), "request": str(home / REQUEST)}
