"""What a peer's message may hold: SGB's own types and plain values. Anything else is refused before it is built.

SecretFlow unpickles messages through a list of forbidden names that lets ``builtins.exec`` pass, and ignores its
own ``serializing_allowed_list``. Here only names on a list are resolved, so that a message cannot run code.
"""

from __future__ import annotations

import builtins
import io
import pickle
from typing import Any

from runner.errors import SecurityError

ALLOWED = frozenset(
    {
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy.core.numeric", "_frombuffer"),
        ("heu.numpy", "CiphertextArray"),
        ("heu.phe", "PublicKey"),
        ("secretflow.distributed.fed.exception", "FedRemoteError"),
    }
)


Names = frozenset[tuple[str, str]]


class StrictUnpickler(pickle.Unpickler):
    """Resolves names on the allow list and the builtin exceptions, and no others."""

    def __init__(self, content: bytes, sender: str, allowed: Names) -> None:
        super().__init__(io.BytesIO(content))
        self._sender = sender
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._allowed or (module == "builtins" and _is_exception(name)):
            return super().find_class(module, name)
        raise SecurityError(
            f"a message from {self._sender} holds a forbidden type",
            where=f"message from {self._sender}",
            why=f"{module}.{name} is not a type that SGB sends; it was not built and nothing ran",
            fix=f"ask {self._sender}'s operator which software sent it; do not repeat the run before you know",
        )

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("persistent ids are not allowed")


def loads(content: bytes, sender: str, allowed: Names = ALLOWED) -> Any:
    """Read one message of ``sender``, which may hold the types in ``allowed``.

    Raises:
        SecurityError: where it holds anything that is not allowed, or is no message at all.
    """
    try:
        return StrictUnpickler(content, sender, allowed).load()
    except SecurityError:
        raise
    except Exception as error:  # noqa: BLE001 - bytes from outside can raise anything
        raise SecurityError(
            f"a message from {sender} cannot be read",
            where=f"message from {sender}",
            why=f"reading it raised {type(error).__name__}",
            fix="check that all parties run the same versions of the runner and of secretflow",
        ) from None


def _is_exception(name: str) -> bool:
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, Exception)
