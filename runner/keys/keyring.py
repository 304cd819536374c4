"""What one party's secret is good for. It never leaves the party's own process.

Three things are derived from the secret (HMAC-SHA256, RFC 2104), so that knowing one tells nothing of the others:

- a key that encrypts models and checkpoints on the party's disk (AES-256-GCM, NIST SP 800-38D),
- a key that signs (Ed25519, RFC 8032),
- the *run secret*: shuffle seeds and the keys of digests come from it. Whoever has it can repeat the party's side of a
  run, bit for bit, and can neither read its models nor sign for it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SECRET_BYTES = 32
NONCE_BYTES = 12


class Former(NamedTuple):
    """A public key that a party had before, and that key's signature under the one which followed it."""

    key: str
    signature: str


class Keyring:
    """What one party can do with its secret.

    Args:
        party: its name.
        secret: 32 bytes that only this party has.
        run_secret: another run's, to repeat that run; else the party's own.
        former: the public keys that the party had before, the oldest first.

    ``repeats_another`` says whether the run secret is not that of this key.
    """

    def __init__(
        self, party: str, secret: bytes, run_secret: bytes | None = None, former: Sequence[Former] = ()
    ) -> None:
        self.party = party
        self.former = tuple(former)
        self.run_secret = run_secret or derive(secret, "run")
        self.repeats_another = self.run_secret != derive(secret, "run")
        self._cipher = AESGCM(derive(secret, "encryption"))
        self._signer = Ed25519PrivateKey.from_private_bytes(derive(secret, "signature"))

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose of a run: the same in every run of this party."""
        return derive(self.run_secret, purpose)

    def for_run(self) -> Keyring:
        """The keyring of whoever may repeat the party's side of a run: it comes from the run secret alone."""
        return Keyring(self.party, self.derive("repetition"))

    def seal(self, content: bytes, context: bytes) -> bytes:
        """Encrypt; what comes out can be read with this party's secret and the same ``context`` only."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Read what :meth:`seal` made.

        Raises:
            ValueError: where it was altered, or made with another secret or ``context``.
        """
        return unseal(self._cipher, sealed, context)

    def sign(self, message: bytes) -> str:
        """The party's signature under ``message``, in hexadecimal digits."""
        return self._signer.sign(message).hex()

    @property
    def public(self) -> str:
        """The key that checks this party's signatures, in hexadecimal digits; everybody may have it."""
        return self._signer.public_key().public_bytes_raw().hex()


def unseal(cipher: AESGCM, sealed: bytes, context: bytes) -> bytes:
    """Decrypt a nonce and the ciphertext that follows it.

    Raises:
        ValueError: where the key or the context is another, or a bit was changed.
    """
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
    except (InvalidTag, ValueError):
        raise ValueError("the key does not fit, or the content was altered") from None


def signed_by(public: str, signature: str, message: bytes) -> bool:
    """Whether ``signature`` is that of the owner of ``public`` under ``message``."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def derive(secret: bytes, purpose: str) -> bytes:
    """A 32-byte key for one purpose from a secret."""
    return hmac.new(secret, purpose.encode(), hashlib.sha256).digest()


def follows(key: str, former: Sequence[Former], known: str) -> bool:
    """Whether ``key`` is ``known``, or every key from ``known`` on signed the one which followed it, up to ``key``."""
    chain = [link.key for link in former] + [key]
    if known not in chain:
        return False
    links = list(zip(former, chain[1:], strict=True))[chain.index(known) :]
    return all(signed_by(link.key, link.signature, successor(following)) for link, following in links)


def successor(key: str) -> bytes:
    """What a party's old key signs to name the one that follows it."""
    return f"sgb-runner: the key that follows mine is {key}".encode()
