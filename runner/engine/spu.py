"""SPU, SecretFlow's device for computing on secret shares, over Unix sockets in a folder of the run's own.

Three parties compute with ABY3 (Mohassel and Rindal 2018; honest majority: one party may be curious), two with Cheetah
(Huang et al. 2022). Any number can use SEMI2K (after SPDZ2k, Cramer et al. 2018), which takes its correlated randomness
from a *trusted first party*: the first by name makes it, and could use it to open the others' inputs.

A TCP link of SPU's believes whoever connects, with or without TLS (a message without any certificate is taken for a
peer's); a socket in a folder that only this user can enter does not have the problem.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import secretflow.distributed as sfd
import spu as libspu
from secretflow.device import SPU, SPUObject
from secretflow.device.device._utils import get_fn_code_name
from secretflow.device.device.spu import SPUCompilerNumReturnsPolicy, _spu_compile

from runner.spec.label import JointLabel, SecretLabel
from runner.spec.model import Spec

TYPES = frozenset(
    {
        ("secretflow.device.device.spu", "SPUValueMeta"),
        ("secretflow.device.device.spu", "SPUIOInfo"),
        ("spu.libspu", "Visibility"),
        ("spu.libspu", "ProtocolKind"),
        ("spu.libspu", "FieldType"),
        ("numpy", "float32"),
        ("numpy", "int8"),
        ("numpy", "int32"),
    }
)
RETRY = 250  # milliseconds between attempts to connect
# 30 fraction bits leave room for values up to 2^33 in a 64-bit field, as long as no two fractions are multiplied.
_SUMMING = {"protocol": "ABY3", "field": "FM64", "fxp_fraction_bits": 30}
# Training multiplies fractions all the time: with 64 bits and 30 of them fractions its models are worthless.
_TRAINING = {"protocol": "ABY3", "field": "FM128", "fxp_fraction_bits": 40}


class SelfCompiledSPU(SPU):  # type: ignore[misc]
    """An SPU whose every party compiles each program itself.

    Stock SecretFlow compiles at the first party, and the others run what it sends them unseen: a curious first party
    could make them open what should stay shared. Here no program crosses the network.
    """

    def __call__(
        self,
        func: Callable[..., Any],
        *,
        static_argnames: Any = None,
        num_returns_policy: Any = SPUCompilerNumReturnsPolicy.SINGLE,
        user_specified_num_returns: int = 1,
        copts: Any = None,
    ) -> Callable[..., Any]:
        single = num_returns_policy == SPUCompilerNumReturnsPolicy.SINGLE
        returns = 1 if single else user_specified_num_returns
        options = copts or libspu.CompilerOptions()

        def call(*args: Any, **kwargs: Any) -> Any:
            static = {name: kwargs.pop(name) for name in _names(static_argnames) if name in kwargs}
            fn = functools.partial(func, **static) if static else func
            placed = self._place_arguments(*args, **kwargs)
            metas = jax.tree_util.tree_map(lambda x: x.meta if isinstance(x, SPUObject) else x, placed)
            name = get_fn_code_name(func)
            outputs = []
            for index, (party, actor) in enumerate(self.actors.items()):
                compiled = sfd.remote(_compile).party(party).options(num_returns=2)
                program, shape = compiled.remote(fn, options, name, metas)
                shares = [x.shares_name[index] for x in jax.tree_util.tree_leaves(placed)]
                run = actor.run.options(num_returns=2 * returns)
                outputs.append(run.remote(num_returns_policy, shape, program, *shares))
            made = [SPUObject(self, outputs[0][i], [output[returns + i] for output in outputs]) for i in range(returns)]
            return made[0] if returns == 1 else made

        return call


def _names(static_argnames: Any) -> list[str]:
    if static_argnames is None:
        return []
    return [static_argnames] if isinstance(static_argnames, str) else list(static_argnames)


_PROGRAMS: dict[Any, tuple[Any, ...]] = {}


def _compile(fn: Any, options: Any, name: str, metas: Any) -> tuple[Any, Any]:
    """Compile ``fn`` for arguments of these shapes, or take what was compiled for the same code before."""
    args, kwargs = metas
    key = _program_key(fn, metas)
    found = _PROGRAMS.get(key) if key is not None else None
    if found is None:
        program, shape = _spu_compile(fn, options, name, *args, **kwargs)
        found = (program.code, len(program.input_names), len(program.output_names), shape)
        if key is not None:
            _PROGRAMS[key] = found
    code, inputs, outputs, shape = found
    # The SPU names inputs and outputs itself at each run.
    fresh = libspu.Executable(name=name, input_names=["i"] * inputs, output_names=["o"] * outputs, code=code)
    return fresh, shape


def _program_key(fn: Any, metas: Any) -> Any:
    """What decides a compiled program: code, defaults, closure, static arguments and shapes; None where unsure."""
    static: tuple[Any, ...] = ()
    while isinstance(fn, functools.partial):
        static += (fn.args, tuple(sorted(fn.keywords.items())))
        fn = fn.func
    if not hasattr(fn, "__code__"):
        return None
    cells = tuple(cell.cell_contents for cell in fn.__closure__ or ())
    if not all(_is_plain(cell) for cell in cells):
        return None
    leaves, tree = jax.tree_util.tree_flatten(metas)
    shapes = tuple((tuple(leaf.shape), str(np.dtype(leaf.dtype)), int(leaf.vtype)) for leaf in leaves)
    key = (fn.__code__, fn.__defaults__, cells, static, str(tree), shapes)
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _is_plain(cell: Any) -> bool:
    """Whether a closed-over value decides a program by itself: a scalar, or a function that closes over nothing."""
    return (
        cell is None
        or isinstance(cell, (bool, int, float, str))
        or (callable(cell) and not getattr(cell, "__closure__", None))
    )


def protocol_of(spec: Spec) -> str:
    """The protocol of a run: as the label says, else ABY3 for three parties, Cheetah for two, SEMI2K for more."""
    chosen = spec.label.protocol if isinstance(spec.label, (JointLabel, SecretLabel)) else "auto"
    if chosen != "auto":
        return chosen
    return {2: "cheetah", 3: "aby3"}.get(len(spec.parties), "semi2k")


def make_spu(spec: Spec, sockets: Path, log: Path) -> SelfCompiledSPU:
    """Connect this process's part of the SPU; every party of the run is a part of it.

    Args:
        sockets: a folder that only this user can enter, with a short path.
        log: the party's own file for what the SPU has to say.
    """
    protocol = protocol_of(spec)
    runtime = _TRAINING if spec.engine() == "ss_xgb" else _SUMMING
    if protocol != "aby3":
        runtime = {**_TRAINING, "protocol": protocol.upper()}
    options = libspu.logging.LogOptions()
    options.system_log_path = str(log)
    options.log_level = libspu.logging.LogLevel.WARN
    how = spec.log.how()
    options.max_log_file_size, options.max_log_file_count = how.max_bytes, how.keep
    patience = int(spec.cluster.stage_timeout * 1000)  # the parties do not arrive at the same moment
    return SelfCompiledSPU(
        {
            "nodes": [{"party": party, "address": f"unix:{sockets / party}"} for party in spec.party_order()],
            "runtime_config": runtime,
        },
        link_desc={
            "connect_retry_times": max(1, patience // RETRY),
            "connect_retry_interval_ms": RETRY,
            "recv_timeout_ms": patience,
            "http_timeout_ms": patience,
            "http_max_payload_size": 32 << 20,
        },
        log_options=options,
    )
