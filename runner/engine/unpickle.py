"""What a peer's message may hold: SGB's own types and plain values. Anything else is refused before it is built.

SecretFlow unpickles messages through a list of forbidden names that lets ``builtins.exec`` pass, and ignores its
own ``serializing_allowed_list``. Here only names on a list are resolved, so that a message cannot run code.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any, ClassVar, Literal, cast

import numpy as np
from numpy.typing import NDArray

from runner.errors import ClusterError, RunnerError, SecurityError


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
    return _plain(np.dtype(_of(kind, str)))  # never a copy: the state of NumPy's own dtypes cannot be set


def _empty(subtype: Any, shape: Any, kind: Any) -> NDArray[Any]:
    return np.ndarray((0,), "b")  # its state, which follows, brings shape, dtype and content


def _frombuffer(content: bytes, dtype: Any, shape: tuple[int, ...], order: Literal["C", "F"]) -> NDArray[Any]:
    if any(type(length) is not int for length in _of(shape, tuple)):
        raise pickle.UnpicklingError("a shape is made of whole numbers")
    content = _of(content, bytes, bytearray)  # of an array, it would stay a view when that gives its memory back
    return np.frombuffer(content, dtype=_plain(dtype)).reshape(shape, order=order)


def _scalar(dtype: Any, content: bytes) -> Any:
    return np.frombuffer(_of(content, bytes), dtype=_plain(dtype), count=1)[0]


def _of(value: Any, *kinds: type) -> Any:
    """The value, if it is of one of these types itself."""
    if type(value) not in kinds:
        raise pickle.UnpicklingError("an argument of another type than SGB sends")
    return value


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
CALLED = ("RuntimeError", "FedRemoteError")  # of them, the classes that a message calls; the others it gives a state
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
# Those that stand between an object of a compiled library and its state.
_OF_STATE = (
    *("FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT"),
    *("BININT", "BININT1", "BININT2", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
)
OF_STATE = {getattr(pickle, step)[0] for step in _OF_STATE}
BYTES_OF_STEP = 256  # that a step makes room for, at most, besides what stands in the message
BYTES_OF_CIPHERTEXT = 360  # the same of HEU, for each that an array says that it has
LEAST_CIPHERTEXT = 12  # bytes in a message: one that is none, of crypto.scheme=mock
MOST = 1 << 30

Names = frozenset[tuple[str, str]]


class StrictUnpickler(pickle._Unpickler):
    """Resolves names on the allow list, and no others, by the steps above, and no others.

    It is pickle's reader in Python. The other one makes room for as many things to remember as a message of a few bytes
    says that it has, and lets a message change the classes that it names.

    Args:
        most: bytes that a message may take beyond its own length.
    """

    stack: list[Any]
    metastack: list[list[Any]]
    read: Callable[[int], bytes]
    append: Callable[[Any], None]
    load_build: Callable[[], None]
    load_reduce: Callable[[], None]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]]

    def __init__(self, content: bytes, sender: str, allowed: Names, most: int) -> None:
        super().__init__(io.BytesIO(content))
        self._length = len(content)
        self._sender = sender
        self._allowed = allowed
        self._room = most

    def _take(self, size: int) -> None:
        """Count what is made beyond what stands in the message."""
        self._room -= size
        if self._room < 0:
            raise ClusterError(
                f"a message from {self._sender} takes more memory than a party may have here",
                where=f"message from {self._sender}",
                why="half of the memory, or of cluster.limits.memory, is shared by the messages of the other parties",
                fix="take a larger machine, raise cluster.limits.memory, or bring fewer rows",
            )

    def _load_call(self) -> None:
        """REDUCE: call what may be called."""
        called = self.stack[-2]
        if not isinstance(called, _Stand) and not (isinstance(called, type) and called.__name__ in CALLED):
            raise pickle.UnpicklingError("a message may not call that")
        self.load_reduce()

    def _load_new(self) -> None:
        """NEWOBJ: make an object without its state.

        One of a compiled library has no content then, not even an empty one: whoever looked at it would read whatever
        the memory holds. So its state has to follow at once.
        """
        arguments, kind = self.stack.pop(), self.stack.pop()
        if not isinstance(kind, type) or issubclass(kind, BaseException) or arguments:
            raise pickle.UnpicklingError("an object is made of its state alone")
        made = kind.__new__(kind)
        self.append(made)
        if not _is_compiled(kind):
            return
        while (step := self.read(1)[0]) != pickle.BUILD[0]:
            if step not in OF_STATE:
                raise pickle.UnpicklingError("an object without a state")
            self.dispatch[step](self)
        if self.stack[-2] is not made:
            raise pickle.UnpicklingError("an object without a state")
        if kind.__name__ == "CiphertextArray":
            self._require_ciphertexts(_of(self.stack[-1], bytes))
        self.load_build()

    def _require_ciphertexts(self, state: bytes) -> None:
        """HEU makes room for as many ciphertexts as an array says that it has, before it looks for the first."""
        rows, at = _number(state, 1)
        columns, at = _number(state, at)
        _, at = _number(state, at)
        count = rows * columns
        if state[0] != 0x94 or count * LEAST_CIPHERTEXT > len(state):
            raise pickle.UnpicklingError("an array that has fewer ciphertexts than it says")
        self._take(count * BYTES_OF_CIPHERTEXT)

    def _load_state(self) -> None:
        """BUILD: give what was made its state; not to a class, which all others of its kind would have."""
        if isinstance(self.stack[-2], type) or _is_compiled(type(self.stack[-2])):
            raise pickle.UnpicklingError("a message may not change that")
        self.load_build()

    def _load_bytearray(self) -> None:
        """BYTEARRAY8: that many bytes, which must be there before there is room made for them."""
        size = int.from_bytes(self.read(8), "little")
        if size > self._length:
            raise pickle.UnpicklingError("cut short")
        self.append(bytearray(self.read(size)))

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


Step = Callable[[StrictUnpickler], None]


def _is_compiled(kind: type) -> bool:
    """Whether it is a class of a library that is made with pybind11, as HEU and SPU are."""
    return type(kind).__name__ == "pybind11_type"


def _number(state: bytes, at: int) -> tuple[int, int]:
    """A whole number in MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md), and where it ends."""
    first = state[at]
    if first < 0x80:
        return first, at + 1
    width = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}[first]
    return int.from_bytes(state[at + 1 : at + 1 + width], "big"), at + 1 + width


def _of_pickle(step: str) -> Step:
    return cast("Step", pickle._Unpickler.dispatch[getattr(pickle, step)[0]])


def _into(kind: type, place: Callable[[StrictUnpickler], Any], step: str) -> Step:
    """A step that puts something into a container: pickle takes whatever has a method of that name for one."""
    load = _of_pickle(step)

    def load_into(reader: StrictUnpickler) -> None:
        _of(place(reader), kind)
        load(reader)

    return load_into


def _counted(load: Step) -> Step:
    def step(reader: StrictUnpickler) -> None:
        reader._take(BYTES_OF_STEP)
        load(reader)

    return step


_OWN: dict[str, Step] = {
    "REDUCE": StrictUnpickler._load_call,
    "NEWOBJ": StrictUnpickler._load_new,
    "BUILD": StrictUnpickler._load_state,
    "BYTEARRAY8": StrictUnpickler._load_bytearray,
    "APPEND": _into(list, lambda reader: reader.stack[-2], "APPEND"),
    "SETITEM": _into(dict, lambda reader: reader.stack[-3], "SETITEM"),
    "APPENDS": _into(list, lambda reader: reader.metastack[-1][-1], "APPENDS"),
    "SETITEMS": _into(dict, lambda reader: reader.metastack[-1][-1], "SETITEMS"),
    "ADDITEMS": _into(set, lambda reader: reader.metastack[-1][-1], "ADDITEMS"),
}
StrictUnpickler.dispatch = {getattr(pickle, step)[0]: _counted(_OWN.get(step) or _of_pickle(step)) for step in STEPS}


def loads(content: bytes, sender: str, allowed: Names = ALLOWED, most: int = MOST) -> Any:
    """Read one message of ``sender``, which may hold the types in ``allowed``.

    Args:
        most: bytes that it may take beyond its own length.

    Raises:
        SecurityError: where it holds anything that is not allowed, or is no message at all.
        ClusterError: where it would take more memory.
    """
    try:
        return StrictUnpickler(content, sender, allowed, most).load()
    except RunnerError:
        raise
    except Exception as error:  # noqa: BLE001 - bytes from outside can raise anything
        raise SecurityError(
            f"a message from {sender} cannot be read",
            where=f"message from {sender}",
            why=f"reading it raised {type(error).__name__}",
            fix="check that all parties run the same versions of the runner and of secretflow",
        ) from None
