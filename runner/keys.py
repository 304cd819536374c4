"""A party's keys: one secret of 32 bytes, and what is derived from it for each purpose.

The secret comes from the party's key file (made at first use, mode 0600, optionally locked with a passphrase) or from
an environment variable. It never leaves the party's own process. Three things are derived from it (HMAC-SHA256,
RFC 2104), so that knowing one tells nothing of the others:

- a key that encrypts models and checkpoints on the party's disk (AES-256-GCM, NIST SP 800-38D),
- a key that signs (Ed25519, RFC 8032),
- the *run secret*: shuffle seeds and the keys of digests come from it. Whoever has it can repeat the party's side of a
  run, bit for bit, and can neither read its models nor sign for it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from runner.errors import BundleError, DataError
from runner.files import PRIVATE_FILE, make_private_dir
from runner.spec.model import Party

SECRET_BYTES = 32
NONCE_BYTES = 12
SCRYPT = {"n": 2**17, "r": 8, "p": 1}  # 128 MB and some 0.4 s for each guess (OWASP's recommendation)


class Keyring:
    """What one party can do with its secret.

    Args:
        party: its name.
        secret: 32 bytes that only this party has.
        run_secret: another run's, to repeat that run; else the party's own.
    """

    def __init__(self, party: str, secret: bytes, run_secret: bytes | None = None) -> None:
        self.party = party
        self.run_secret = run_secret or derive(secret, "run")
        self._cipher = AESGCM(derive(secret, "encryption"))
        self._signer = Ed25519PrivateKey.from_private_bytes(derive(secret, "signature"))

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose of a run: the same in every run of this party."""
        return derive(self.run_secret, purpose)

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


def open_keyring(party: str, settings: Party, run_secret: bytes | None = None) -> Keyring:
    """A party's keys, from where its settings say.

    Raises:
        DataError: where the key file is readable by others or no key, or the environment lacks what it should have.
        BundleError: for a wrong passphrase.
    """
    if settings.key_env is not None:
        where = f"parties.{party}.key_env = {settings.key_env}"
        return Keyring(party, _secret_of(_variable(settings.key_env, party, where), party, where), run_secret)
    return Keyring(party, load_secret(party, Path(settings.key_file), settings.passphrase_env), run_secret)


def load_secret(party: str, path: Path, passphrase_env: str | None = None) -> bytes:
    """A party's secret from its key file, which is made (mode 0600) if it is not there.

    Args:
        party: its name.
        path: the key file.
        passphrase_env: the environment variable with the passphrase that locks the file, or None for an open file.

    Raises:
        DataError: where the file is readable by others or is not a key.
        BundleError: for a wrong passphrase.
    """
    where = f"parties.{party}.key_file = {path}"
    passphrase = None
    if passphrase_env is not None:
        passphrase = _variable(passphrase_env, party, f"parties.{party}.passphrase_env = {passphrase_env}")
    if not path.exists():
        write_secret(path, secrets.token_bytes(SECRET_BYTES), passphrase)
    if path.stat().st_mode & 0o077:
        raise DataError(
            f"{party}'s key file can be read by others",
            where=where,
            why="its permissions let other users of this machine in",
            fix=f"chmod 600 {path}",
        )
    try:
        content = path.read_text().strip()
    except (ValueError, OSError):
        content = ""
    if content.startswith("{"):
        return _unlock(content, passphrase, party, where)
    if passphrase is not None:
        raise DataError(
            f"{party}'s key file has no passphrase",
            where=where,
            why=f"parties.{party}.passphrase_env names one, and the file was made without",
            fix=f"lock the key with task=rekey, or remove parties.{party}.passphrase_env",
        )
    return _secret_of(content, party, where)


def write_secret(path: Path, secret: bytes, passphrase: str | None = None) -> None:
    """Write a key file (mode 0600), locked where there is a passphrase; a file that is there already stays."""
    content = secret.hex()
    if passphrase is not None:
        salt, nonce = secrets.token_bytes(16), secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + _locker(passphrase, salt, SCRYPT).encrypt(nonce, secret, b"")
        content = json.dumps({"kdf": "scrypt", **SCRYPT, "salt": salt.hex(), "sealed": sealed.hex()})
    make_private_dir(path.parent)
    _create_once(path, content.encode() + b"\n")


def _locker(passphrase: str, salt: bytes, cost: dict[str, int]) -> AESGCM:
    """A cipher from a passphrase (scrypt, RFC 7914)."""
    return AESGCM(Scrypt(salt=salt, length=SECRET_BYTES, **cost).derive(passphrase.encode()))


def _unlock(content: str, passphrase: str | None, party: str, where: str) -> bytes:
    if passphrase is None:
        raise DataError(
            f"{party}'s key file is locked with a passphrase",
            where=where,
            why="no passphrase was given",
            fix=f"put it into an environment variable and name that: parties.{party}.passphrase_env=…",
        )
    try:
        fields = json.loads(content)
        cost = {name: int(fields[name]) for name in SCRYPT}
        salt, sealed = bytes.fromhex(fields["salt"]), bytes.fromhex(fields["sealed"])
    except (ValueError, LookupError, TypeError):
        raise _no_key(party, where) from None
    if cost != SCRYPT or fields.get("kdf") != "scrypt":
        raise _no_key(party, where)
    try:
        return unseal(_locker(passphrase, salt, cost), sealed, b"")
    except ValueError:
        raise BundleError(
            f"the passphrase of {party}'s key is wrong",
            where=where,
            why="the key file cannot be opened with it, or the file was altered",
            fix="give the passphrase with which the key was made, or restore the file from your backup",
        ) from None


def _secret_of(digits: str, party: str, where: str) -> bytes:
    try:
        secret = bytes.fromhex(digits.strip())
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise _no_key(party, where)
    return secret


def _no_key(party: str, where: str) -> DataError:
    return DataError(
        f"{party}'s key is no key",
        where=where,
        why=f"it does not hold {SECRET_BYTES} bytes as hexadecimal digits, nor a key locked with a passphrase",
        fix="restore it from your backup, or move it away: a new one is made, and results change",
    )


def _variable(name: str, party: str, where: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise DataError(
            f"{party}'s environment has no {name}",
            where=where,
            why="the variable is not set, or empty",
            fix=f"set {name} in the environment in which the runner is started",
        )
    return value


def _create_once(path: Path, content: bytes) -> None:
    """Create ``path`` whole, unless another process was first: link() fails where the name exists."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
        os.link(temporary, path)
    except FileExistsError:
        return
    finally:
        os.close(descriptor)
        temporary.unlink()
