"""Starting secretflow for one run: in production mode over the secure transport, or in debug mode in one process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import secretflow.distributed.fed.api as fed_api
from secretflow.device import PYU
from secretflow.device.driver import init
from secretflow.distributed.fed.global_context import get_global_context

from runner.engine.encryption import PackedHeu
from runner.engine.transport import SecureProxy
from runner.spec.model import Spec


def start_debug(parties: Sequence[str]) -> None:
    """All parties in this process; SecretFlow calls every function at once. Encryption is real, SPU is not there."""
    init(parties=list(parties), debug_mode=True, logging_level="warning")


def start_production(spec: Spec, party: str, job_name: str, proxy: type[SecureProxy]) -> SecureProxy:
    """This process as one party among others, talking through ``proxy``; returns once all parties are connected."""
    made: list[SecureProxy] = []

    def make(*arguments: Any) -> SecureProxy:
        made.append(proxy(*arguments))
        return made[0]

    fed_api.GrpcProxy = make
    init(
        ray_mode=False,
        # The proxy learns the real addresses when all parties listen.
        cluster_config={
            "parties": {name: {"address": "127.0.0.1:0"} for name in spec.party_order()},
            "self_party": party,
        },
        cross_silo_comm_backend="grpc",
        cross_silo_comm_options={"timeout_in_ms": int(spec.cluster.message_timeout * 1000)},
        enable_waiting_for_other_parties_ready=False,
        job_name=job_name,
        logging_level="warning",
    )
    logging.getLogger("secretflow").setLevel(logging.WARNING)
    return made[0]


def first_failure() -> Exception | None:
    """The exception that SecretFlow noted in one of its threads, if any: this party's own before a peer's."""
    context = get_global_context(assert_none=False)
    if context is None:
        return None
    failure: Exception | None = (
        context.get_local_exception() or context.get_remote_exception() or context.get_send_exception()
    )
    return failure


def make_heu(spec: Spec) -> Any:
    """The homomorphic encryption of one training; the secret key is made at the label holder and stays there."""
    holder, *evaluators = spec.party_order()
    return PackedHeu(
        {
            "sk_keeper": {"party": holder},
            "evaluators": [{"party": party} for party in evaluators],
            "mode": "PHEU",
            "he_parameters": {
                "schema": spec.crypto.scheme,
                "key_pair": {"generate": {"bit_size": spec.crypto.key_bits}},
            },
        },
        "FM128",
    )


def make_devices(spec: Spec) -> dict[str, PYU]:
    """Each party's device, in canonical order."""
    return {party: PYU(party) for party in spec.party_order()}
