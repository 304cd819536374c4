"""Where a party's secret is kept: a key file (mode 0600, made at first use, optionally locked with a passphrase), or an
environment variable.

Beside the key file lie the party's former public keys (``former_keys.json``), written when its key is changed.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from runner.errors import BundleError, DataError
from runner.files import PRIVATE_FILE, append_whole, make_private_dir
from runner.keys.keyring import NONCE_BYTES, SECRET_BYTES, Former, Keyring, unseal
from runner.spec.model import Party

SCRYPT = {"n": 2**17, "r": 8, "p": 1}  # 128 MB and some 0.4 s for each guess (OWASP's recommendation)
FORMER_KEYS = "former_keys.json"
PRIVATE_SNAPSHOT = "private_snapshot.json"  # what only this party needs to repeat its side of a run


def open_keyring(party: str, settings: Party, run_secret: bytes | None = None, *, make: bool = True) -> Keyring:
    """A party's keys, from where its settings say.

    Args:
        run_secret: another run's, to repeat that run.
        make: whether a key file that is not there is made.

    Raises:
        DataError: where the key file is readable by others or no key, or the environment lacks what it should have.
        BundleError: for a wrong passphrase, or where there is no key file and none is to be made.
    """
    if settings.key_env is not None:
        where = f"parties.{party}.key_env = {settings.key_env}"
        secret = _secret_of(read_variable(settings.key_env, party, where), party, where)
    elif not make and not settings.key_path().exists():
        raise BundleError(
            f"there is no key of {party}",
            where=f"parties.{party}.key_file = {settings.key_file}",
            why="there is no such file, and what was made with the party's key cannot be read or checked with another",
            fix=f"restore the key file, or say where it is: parties.{party}.key_file=…",
        )
    else:
        secret = load_secret(party, settings.key_path(), settings.passphrase_env)
    return Keyring(party, secret, run_secret, _former_keys(party, home_of(settings) / FORMER_KEYS))


def home_of(settings: Party) -> Path:
    """The folder of what a party keeps from run to run: its key, its grants, the keys of the parties that it knows."""
    return settings.key_path().parent


def _former_keys(party: str, path: Path) -> list[Former]:
    if not path.exists():
        return []
    try:
        return [Former(str(link["key"]), str(link["signature"])) for link in json.loads(path.read_bytes())]
    except (OSError, ValueError, LookupError, TypeError):
        raise DataError(
            f"{party}'s former keys cannot be read",
            where=str(path),
            why="the file is not what task=rekey wrote",
            fix="restore it from your backup; without it other parties do not recognise the party's new key",
        ) from None


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
        passphrase = read_variable(passphrase_env, party, f"parties.{party}.passphrase_env = {passphrase_env}")
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
            fix=f"put it into an environment variable and name that: ++parties.{party}.passphrase_env=…",
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


def read_variable(name: str, party: str, where: str) -> str:
    """What the environment variable ``name`` holds.

    Raises:
        DataError: where it is not set, or empty.
    """
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
        append_whole(descriptor, content)
        os.fsync(descriptor)
        os.link(temporary, path)
    except FileExistsError:
        return
    finally:
        os.close(descriptor)
        temporary.unlink()


def run_secret_of(original: Path, party: str) -> bytes | None:
    """The run secret with which a party ran, from its private snapshot in the run folder; None where there is none.

    Raises:
        BundleError: where it cannot be read.
    """
    path = original / "parties" / party / PRIVATE_SNAPSHOT
    if not path.exists():
        return None
    try:
        return bytes.fromhex(json.loads(path.read_bytes())["run_secret"])
    except (ValueError, LookupError, TypeError):
        raise BundleError(
            f"{party}'s private snapshot cannot be read",
            where=str(path),
            why="it is not what the runner wrote",
            fix="restore it from a copy, or remove it: the run is then repeated with the party's present key",
        ) from None
