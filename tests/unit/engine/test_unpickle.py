"""Messages of a peer: what SGB sends is read, anything else is refused before it is built."""

from __future__ import annotations

import builtins
import contextlib
import functools
import os
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
from support import PROJECT

from runner.engine.unpickle import ALLOWED, loads
from runner.errors import ClusterError, SecurityError


class Call:
    """Pickles as a call of ``function`` with ``arguments``, which reading the pickle makes."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.reduced


def refusal(content: bytes) -> SecurityError:
    with pytest.raises(SecurityError) as caught:
        loads(content, "bob")
    error = caught.value
    assert error.where == "message from bob"
    assert all((error.what, error.why, error.fix))
    return error


PLAIN = [
    None,
    True,
    -(2**70),
    1.5,
    float("inf"),
    "text ü",
    b"bytes",
    bytearray(b"x"),
    [1, [2, ()]],
    (1, "a"),
    {"a": {"b": [1]}},
    {1, 2},
    frozenset({3}),
]


@pytest.mark.parametrize("value", PLAIN)
def test_plain_values_pass(value: Any) -> None:
    assert loads(cloudpickle.dumps(value), "bob") == value


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "i4", "u1", "?"])
def test_arrays_pass(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    for given in (array, np.asfortranarray(array), array[:, ::2], array[:0], array[0, 0, None]):
        taken = loads(cloudpickle.dumps(given), "bob")
        assert taken.dtype == given.dtype
        assert taken.shape == given.shape
        assert np.array_equal(taken, given)


@pytest.mark.parametrize("value", [np.float64(0.1), np.int64(-3), np.float32(2.5), np.bool_(True)])
def test_numpy_scalars_pass(value: Any) -> None:
    taken = loads(cloudpickle.dumps(value), "bob")
    assert taken == value
    assert type(taken) is type(value)


def test_structures_of_arrays_pass() -> None:
    given = {"buckets": [np.arange(3), None], "weights": (np.ones(2, np.float32), [np.int64(3)])}
    assert repr(loads(cloudpickle.dumps(given), "bob")) == repr(given)


def test_an_exception_passes_as_the_channel_sends_it() -> None:
    taken = loads(cloudpickle.dumps(RuntimeError("see the log")), "bob")
    assert (type(taken), taken.args) == (RuntimeError, ("see the log",))


@pytest.mark.parametrize("error", [ValueError("x"), OSError(2, "z"), StopIteration(), SystemExit(0)])
def test_other_exceptions_are_refused(error: BaseException) -> None:
    assert type(error).__name__ in refusal(cloudpickle.dumps(error)).why


def test_ciphertexts_and_public_keys_pass(encryption: Any) -> None:
    plain = np.array([[1, 2, 3], [4, 5, 6]])
    sealed = loads(cloudpickle.dumps(encryption.encryptor().encrypt(encryption.array(plain))), "bob")
    assert np.array_equal(encryption.decryptor().decrypt(sealed).to_numpy(), plain)
    key = encryption.public_key()
    assert cloudpickle.dumps(loads(cloudpickle.dumps(key), "bob")) == cloudpickle.dumps(key)


def test_secretflows_error_passes(secretflow: None) -> None:
    from secretflow.distributed.fed.exception import FedRemoteError

    error = loads(cloudpickle.dumps(FedRemoteError("bob", RuntimeError("see the log"))), "bob")
    assert (error.party(), str(error.cause())) == ("bob", "see the log")


def payloads(mark: Path) -> dict[str, Any]:
    """Attacks, each of which would make the file ``mark``."""
    shell, python = f"touch {mark}", f"open({str(mark)!r}, 'w').close()"
    make = Call(os.system, shell)
    return {
        "os.system": make,
        "subprocess": Call(subprocess.Popen, ["touch", str(mark)]),
        "exec": Call(builtins.exec, python),
        "eval": Call(builtins.eval, python),
        "compile": Call(builtins.compile, python, "x", "exec"),
        "open": Call(builtins.open, str(mark), "w"),
        "import": Call(builtins.__import__, "antigravity"),
        "getattr": Call(builtins.getattr, np, "save"),
        "partial": Call(functools.partial, os.system, shell),
        "partial object": functools.partial(os.system, shell),
        "numpy.save": Call(np.save, str(mark), np.zeros(1)),
        "numpy.fromfile": Call(np.fromfile, "/etc/passwd", np.dtype("u1")),
        "numpy.load": Call(np.load, str(mark), None, True),
        "numpy.memmap": Call(np.memmap, str(mark), "u1", "w+", 0, (1,)),
        "pickle.loads": Call(pickle.loads, pickle.dumps(make)),
        "cloudpickle function": lambda: Path(mark).touch(),
        "SystemExit": SystemExit(3),
        "KeyboardInterrupt": KeyboardInterrupt(),
        "path": mark,
        "in a list": [1, [2, {"x": make}]],
        "in a dict key": {(1, make.__reduce__()[0]): 2},
        "argument of an allowed call": Call(np.dtype, make),
        "state of an allowed object": Call(np.ndarray, (0,), state=make),
        "argument of an exception": Call(ValueError, make),
        "in an object array": np.array([make, 1], dtype=object),
    }


@pytest.mark.parametrize("attack", payloads(Path("x")))
def test_attack_is_refused_and_nothing_runs(tmp_path: Path, attack: str) -> None:
    mark = tmp_path / "mark"
    refusal(cloudpickle.dumps(payloads(mark)[attack]))
    assert not mark.exists()


def test_attack_would_work_without_the_guard(tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    mark = tmp_path / "mark"
    pickle.loads(pickle.dumps(payloads(mark)["exec"]))
    assert mark.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_attack_is_refused_under_every_protocol(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "mark"
    refusal(pickle.dumps(payloads(mark)["os.system"], protocol=protocol))
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cbuiltins\nValueError.__init__\n.",
        b"\x80\x04\x8c\x08builtins\x8c\x13ValueError.__init__\x93.",
        b"\x80\x04\x8c\x05numpy\x8c\x0bdtype.__new__\x93.",
        b"\x80\x04\x8c\x05numpy\x8c\x0bndarray.dump\x93.",
        b"cnumpy\nload\n.",
        b"cbuiltins\ngetattr\n.",
        b"cbuiltins\n__dict__\n.",
        b"cbuiltins\nobject\n.",
        b"c__main__\nALLOWED\n.",
        b"crunner.engine.unpickle\nALLOWED\n.",
        b"ios\nsystem\n.",
    ],
)
def test_name_that_is_not_listed_is_refused(content: bytes) -> None:
    refusal(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"garbage",
        b"\x80\x05",
        b"P1\n.",
        b"\x80\x02\x82\x01.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f",
    ],
)
def test_bytes_that_are_no_message_are_refused(content: bytes) -> None:
    assert "cannot be read" in refusal(content).what


def test_message_that_is_cut_is_refused() -> None:
    content = cloudpickle.dumps({"a": np.arange(3.0)})
    for length in range(0, len(content), 7):
        refusal(content[:length])


def test_text_of_an_error_while_reading_stays_here() -> None:
    assert "CANARY" not in str(refusal(pickle.dumps(Call(np.dtype, "CANARY"))))


def test_every_allowed_name_exists(secretflow: None) -> None:
    for module, name in ALLOWED:
        assert hasattr(__import__(module, fromlist=[name]), name)


FORGERY = """
import pickle, resource, sys
import numpy as np
from numpy.core import multiarray
from runner.engine.unpickle import loads

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

class Call:
    def __init__(self, *reduced): self.reduced = reduced
    def __reduce__(self): return self.reduced

def structured(kind, offset, flags):
    dtype = Call(np.dtype, ("V8", False, True), (3, "|", None, ("a",), {"a": (np.dtype(kind), offset)}, 8, 1, flags))
    return Call(multiarray._reconstruct, (np.ndarray, (0,), b"b"), (1, (4,), dtype, False, b"A" * 32))

forgery = {
    "buffer of objects": Call(np.ndarray, ((4,), "O", b"A" * 32)),
    "hidden objects": structured("O", 0, 0),
    "objects with false flags": structured("O", 0, 1),
    "field outside": structured("f8", 2**40, 0),
}[sys.argv[1]]
content = pickle.dumps(forgery)
try:
    value = loads(content, "bob")
    print(value["a"] if value.dtype.names else value)
except Exception as error:
    sys.exit(0 if type(error).__name__ == "SecurityError" else 3)
sys.exit(4)
"""


@pytest.mark.parametrize(
    "forgery", ["buffer of objects", "hidden objects", "objects with false flags", "field outside"]
)
def test_array_of_forged_addresses_is_refused(forgery: str) -> None:
    """NumPy's own constructors believe a sender who says that bytes are addresses of objects."""
    done = subprocess.run([sys.executable, "-c", FORGERY, forgery], cwd=PROJECT, capture_output=True, check=False)
    assert done.returncode == 0, f"it was built; the process ended with {done.returncode}"


def test_no_allowed_function_can_be_changed_by_a_message() -> None:
    """Pickle's BUILD may set attributes on what a name resolves to, here a function's defaults."""
    from numpy.core import numeric

    before = numeric._frombuffer.__defaults__  # type: ignore[attr-defined]
    name = pickle.GLOBAL + b"numpy.core.numeric\n_frombuffer\n"
    state = pickle.dumps((None, {"__defaults__": (1, 2)}), protocol=0)[:-1]
    try:
        refusal(name + state + pickle.BUILD + pickle.STOP)
        assert numeric._frombuffer.__defaults__ == before  # type: ignore[attr-defined]
    finally:
        numeric._frombuffer.__defaults__ = before  # type: ignore[attr-defined]


def test_no_builtin_passes_but_the_one_exception() -> None:
    passing = []
    for name in vars(builtins):
        with contextlib.suppress(SecurityError):
            passing.append(loads(f"cbuiltins\n{name}\n.".encode(), "bob"))
    assert passing == [RuntimeError]


def test_no_allowed_class_can_be_changed_by_a_message(secretflow: None) -> None:
    """BUILD sets attributes on whatever stands there: on a class, for every object of it, now and later."""
    from secretflow.device.device.spu import SPUValueMeta

    from runner.engine.spu import TYPES

    name = b"csecretflow.device.device.spu\nSPUValueMeta\n"
    state = pickle.dumps((None, {"shape": (7,)}), protocol=2)[2:-1]
    with pytest.raises(SecurityError):
        loads(name + state + pickle.BUILD + pickle.STOP, "bob", ALLOWED | TYPES)
    assert "shape" not in vars(SPUValueMeta)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02Nr\xff\xff\xff\x3f.",
        b"\x80\x05\x96\xff\xff\xff\xff\x00\x00\x00\x00.",
        b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
    ],
    ids=["a place far off", "4 GB", "8 EB", "bytes", "a number"],
)
def test_few_bytes_take_little_memory(content: bytes) -> None:
    tracemalloc.start()
    with contextlib.suppress(SecurityError):
        loads(content, "bob")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1 << 20


@pytest.mark.parametrize(
    "step", ["INST", "OBJ", "NEWOBJ_EX", "PERSID", "BINPERSID", "EXT1", "NEXT_BUFFER", "DUP", "INT"]
)
def test_other_steps_of_pickle_are_refused(step: str) -> None:
    refusal(b"\x80\x05N(" + getattr(pickle, step) + b"cnumpy\ndtype\n.")


def call(module: str, name: str, *arguments: bytes) -> bytes:
    return f"c{module}\n{name}\n(".encode() + b"".join(arguments) + b"tR"


def step_of(value: Any) -> bytes:
    return pickle.dumps(value, protocol=3)[2:-1]


BYTE = call("numpy", "dtype", step_of("u1"))
EMPTY = call("numpy.core.multiarray", "_reconstruct", b"cnumpy\nndarray\n", step_of((0,)), step_of(b"b"))
KEPT, AGAIN = b"q\x64", b"h\x64"


def state_of(length: int) -> bytes:
    return b"(" + step_of(1) + step_of((length,)) + BYTE + step_of(False) + step_of(b"A" * length) + b"t" + pickle.BUILD


@pytest.mark.parametrize("function", ["_frombuffer", "scalar"])
def test_no_array_is_a_view_of_another(function: str) -> None:
    """The other one's state could be set again: the view would then show whatever comes to lie in its old place."""
    order = (AGAIN, BYTE, step_of((100,)), step_of("C")) if function == "_frombuffer" else (BYTE, AGAIN)
    module = "numpy.core.numeric" if function == "_frombuffer" else "numpy.core.multiarray"
    array = EMPTY + state_of(100) + KEPT
    loads(b"\x80\x03]" + array + b"a.", "bob")
    refusal(b"\x80\x03]" + array + b"a" + call(module, function, *order) + b"a" + AGAIN + state_of(150) + b"a.")


def test_ciphertexts_without_their_state_are_refused(encryption: Any) -> None:
    """They would show what lies in the memory that they were given."""
    new = b"\x80\x03cheu.numpy\nCiphertextArray\n)\x81"
    state = step_of(encryption.encryptor().encrypt(encryption.array(np.arange(3))).__getstate__())
    assert loads(new + state + b"b.", "bob").size == 3
    for content in (b".", b"N.", b"N0.", state + b".", state + b"0.", state + b"bNb.", state + b"b" + state + b"b."):
        refusal(new + content)
    refusal(b"\x80\x03](" + new[2:] + b"e.")
    refusal(b"\x80\x03" + call("heu.numpy", "CiphertextArray", state) + b".")


@pytest.mark.parametrize("rows", [4, 200, 2**20, 2**40, 2**62])
def test_array_that_says_it_has_more_ciphertexts_is_refused_before_there_is_room_for_them(
    encryption: Any, rows: int
) -> None:
    state = encryption.encryptor().encrypt(encryption.array(np.arange(3))).__getstate__()
    assert state[:5].hex() == "9403010193"
    said = b"\x94\xcf" + rows.to_bytes(8, "big") + state[2:]
    why = refusal(b"\x80\x03cheu.numpy\nCiphertextArray\n)\x81" + step_of(said) + b"b.").why
    assert ("UnpicklingError" if rows > 4 else "PheRuntimeError") in why


def test_message_takes_no_more_than_it_may(encryption: Any) -> None:
    """A byte of a message can be a container of 200 bytes."""
    with pytest.raises(ClusterError, match="a message from bob takes more memory") as told:
        loads(b"\x80\x04(" + b"\x8f" * 10_000 + b"l.", "bob", most=1 << 20)
    assert "cluster.limits.memory" in told.value.fix
    many = cloudpickle.dumps(encryption.encryptor().encrypt(encryption.array(np.arange(500))))
    with pytest.raises(ClusterError, match="a message from bob takes more memory"):
        loads(many, "bob", most=100_000)
    assert loads(many, "bob", most=200_000).size == 500


@pytest.mark.parametrize("step", ["APPEND", "SETITEM", "APPENDS", "SETITEMS", "ADDITEMS"])
def test_only_containers_are_filled(encryption: Any, step: str) -> None:
    """Pickle takes anything for one that has the method: an array of ciphertexts has one of these, and no limits."""
    array = cloudpickle.dumps(encryption.encryptor().encrypt(encryption.array(np.arange(3))))[11:-1]
    filled = (b"" if step in ("APPEND", "SETITEM") else b"(") + b"K\x00" + (b"" if "SET" not in step else b"K\x01")
    for target in (array, EMPTY + state_of(8), step_of(bytearray(9))):
        refusal(b"\x80\x05" + target + filled + getattr(pickle, step) + b".")


@pytest.mark.parametrize("name", ["numpy float32", "secretflow.device.device.spu SPUIOInfo", "spu.libspu FieldType"])
def test_classes_that_are_sent_as_state_are_not_called(secretflow: None, name: str) -> None:
    from runner.engine.spu import TYPES

    with pytest.raises(SecurityError):
        loads(b"\x80\x03" + call(*name.split(), b"K\x01") + b".", "bob", ALLOWED | TYPES)


def test_enumerations_of_spu_pass(secretflow: None) -> None:
    import spu

    from runner.engine.spu import TYPES

    for value in (spu.libspu.FieldType.FM64, spu.libspu.Visibility.VIS_SECRET):
        assert loads(cloudpickle.dumps(value), "bob", ALLOWED | TYPES) == value
