"""What a peer's message may hold: SGB's own types and plain values. Anything else is refused before it is built.

SecretFlow unpickles messages through a list of forbidden names that lets ``builtins.exec`` pass, and ignores its
own ``serializing_allowed_list``. Here only names on a list are resolved, so that a message cannot run code.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from runner.errors import SecurityError


class _Stand:
    """What a message gets in place of a function of NumPy's: it may be called, and not changed.

    (Pickle's BUILD asks for ``__setstate__`` first; without one it would set attributes on the function itself.)
    """

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a message may not change a function")


def _plain(dtype: Any) -> np.dtype[Any]:
    """A dtype of plain numbers, or an error. NumPy's own builders would take a sender's bytes for addresses of objects
    (``ndarray((1,), "O", b"AAAAAAAA")``), and let a dtype's state name fields that lie outside of the array."""
    if isinstance(dtype, np.dtype) and dtype.kind in "?biuf" and dtype.isbuiltin == 1:
        return dtype
    raise pickle.UnpicklingError("an array may hold plain numbers only")


def _dtype(kind: str, align: bool = False, copy: bool = False) -> np.dtype[Any]:
    return _plain(np.dtype(str(kind)))  # never a copy: the state of NumPy's own dtypes cannot be set


def _empty(subtype: Any, shape: Any, kind: Any) -> NDArray[Any]:
    return np.ndarray((0,), "b")  # its state, which follows, brings shape, dtype and content


def _frombuffer(content: bytes, dtype: Any, shape: tuple[int, ...], order: Literal["C", "F"]) -> NDArray[Any]:
    return np.frombuffer(content, dtype=_plain(dtype)).reshape(shape, order=order)


def _scalar(dtype: Any, content: bytes) -> Any:
    return np.frombuffer(content, dtype=_plain(dtype), count=1)[0]


def _no_call(*arguments: Any) -> Any:
    raise pickle.UnpicklingError("an array is not made from its class")


STANDS = {
    ("numpy", "dtype"): _Stand(_dtype),
    ("numpy", "ndarray"): _Stand(_no_call),
    ("numpy.core.multiarray", "scalar"): _Stand(_scalar),
    ("numpy.core.multiarray", "_reconstruct"): _Stand(_empty),
    ("numpy.core.numeric", "_frombuffer"): _Stand(_frombuffer),
}
ALLOWED = frozenset(
    {
        ("heu.numpy", "CiphertextArray"),
        ("heu.phe", "PublicKey"),
        ("secretflow.distributed.fed.exception", "FedRemoteError"),
        ("builtins", "RuntimeError"),  # what the channel sends in place of any exception
    }
)
# What SecretFlow's writer of messages uses of pickle: values, containers, references, names, calls and states.
STEPS = (
    *("PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK"),
    *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_SET", "ADDITEMS", "FROZENSET"),
    *("MEMOIZE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
    *("GLOBAL", "STACK_GLOBAL", "REDUCE", "NEWOBJ", "BUILD"),
)

Names = frozenset[tuple[str, str]]


class StrictUnpickler(pickle._Unpickler):
    """Resolves names on the allow list, and no others, by the steps above, and no others.

    It is pickle's reader in Python. The other one makes room for as many things to remember as a message of a few bytes
    says that it has, and lets a message change the classes that it names.
    """

    stack: list[Any]
    read: Callable[[int], bytes]
    append: Callable[[Any], None]
    load_build: Callable[[], None]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        getattr(pickle, step)[0]: pickle._Unpickler.dispatch[getattr(pickle, step)[0]] for step in STEPS
    }

    def __init__(self, content: bytes, sender: str, allowed: Names) -> None:
        super().__init__(io.BytesIO(content))
        self._length = len(content)
        self._sender = sender
        self._allowed = allowed

    def _load_state(self) -> None:
        """BUILD: give what was made its state; not to a class, which all others of its kind would have."""
        if isinstance(self.stack[-2], type):
            raise pickle.UnpicklingError("a message may not change a class")
        self.load_build()

    def _load_bytearray(self) -> None:
        """BYTEARRAY8: that many bytes, which must be there before there is room made for them."""
        size = int.from_bytes(self.read(8), "little")
        if size > self._length:
            raise pickle.UnpicklingError("cut short")
        self.append(bytearray(self.read(size)))

    dispatch[pickle.BUILD[0]] = _load_state
    dispatch[pickle.BYTEARRAY8[0]] = _load_bytearray

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in STANDS:
            return STANDS[module, name]
        if (module, name) in self._allowed:
            return super().find_class(module, name)
        raise SecurityError(
            f"a message from {self._sender} holds a forbidden type",
            where=f"message from {self._sender}",
            why=f"{f'{module}.{name}'[:120]!a} is not a type that SGB sends; it was not built and nothing ran",
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
