"""SPU, SecretFlow's device for computing on secret shares, over mutual TLS on loopback.

Three parties compute with ABY3 (Mohassel and Rindal 2018; honest majority: one party may be curious), two with SEMI2K
(after SPDZ2k, Cramer et al. 2018) or Cheetah (Huang et al. 2022). SEMI2K takes its correlated randomness from a
*trusted first party*: the first in canonical order makes it, and is trusted not to use it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from secretflow.device import SPU

from runner.cluster.tls import Identity
from runner.spec.label import JointLabel, SecretLabel
from runner.spec.model import Spec

FRACTION_BITS = 30
TYPES = frozenset(
    {
        ("secretflow.device.device.spu", "SPUValueMeta"),
        ("secretflow.device.device.spu", "SPUIOInfo"),
        ("spu.libspu", "Visibility"),
        ("spu.libspu", "ProtocolKind"),
        ("spu.libspu", "FieldType"),
        ("spu.libspu", "Executable"),
        ("jax._src.api", "ShapeDtypeStruct"),
        ("numpy", "float32"),
        ("numpy", "float64"),
        ("numpy", "int32"),
        ("numpy", "int64"),
        ("numpy", "int8"),
        ("numpy", "uint8"),
        ("numpy", "bool_"),
    }
)
_RUNTIMES = {
    "aby3": {"protocol": "ABY3", "field": "FM128", "fxp_fraction_bits": FRACTION_BITS},
    "semi2k": {"protocol": "SEMI2K", "field": "FM128", "fxp_fraction_bits": FRACTION_BITS},
    "cheetah": {"protocol": "CHEETAH", "field": "FM128", "fxp_fraction_bits": FRACTION_BITS},
}


def protocol_of(spec: Spec) -> str:
    """The protocol of a run: as the label says, else ABY3 for three parties and SEMI2K for any other number."""
    chosen = spec.label.protocol if isinstance(spec.label, (JointLabel, SecretLabel)) else "auto"
    if chosen != "auto":
        return chosen
    return "aby3" if len(spec.parties) == 3 else "semi2k"


def reserve_port() -> socket.socket:
    """A bound loopback port, to be closed just before SPU listens on it."""
    reserved = socket.socket()
    reserved.bind(("127.0.0.1", 0))
    return reserved


def make_spu(spec: Spec, party: str, identity: Identity, ports: Mapping[str, int]) -> SPU:
    """Connect this process's part of the SPU; every party of the run is a part of it."""
    tls = _tls(identity)
    nodes = [
        {"party": name, "address": f"127.0.0.1:{ports[name]}", **({"tls_opts": tls} if name == party else {})}
        for name in spec.party_order()
    ]
    return SPU(
        {"nodes": nodes, "runtime_config": _RUNTIMES[protocol_of(spec)]},
        link_desc={
            "connect_retry_times": 60,
            "connect_retry_interval_ms": 250,
            "recv_timeout_ms": int(spec.cluster.message_timeout * 1000),
            "http_timeout_ms": int(spec.cluster.message_timeout * 1000),
            "brpc_channel_protocol": "baidu_std",
        },
    )


def _tls(identity: Identity) -> dict[str, dict[str, object]]:
    """SPU wants files; these are in memory, so that no key is written to a disk."""
    options = {
        "certificate_path": _in_memory("certificate", identity.certificate),
        "private_key_path": _in_memory("private-key", identity.private_key),
        "ca_file_path": _in_memory("authority", identity.authority),
        "verify_depth": 1,
    }
    return {"server_ssl_opts": dict(options), "client_ssl_opts": dict(options)}


def _in_memory(name: str, text: str) -> str:
    descriptor = os.memfd_create(name)
    os.write(descriptor, text.encode())
    return f"/proc/self/fd/{descriptor}"
