"""Settings of the alignment that contradict each other or the rest."""

from __future__ import annotations

from runner.errors import SpecError
from runner.spec.align import IN_PAIRS
from runner.spec.model import Spec


def check_align(spec: Spec) -> None:
    _check_ids(spec)
    align, parties = spec.align, len(spec.parties)
    if align.method != "psi":
        if align.protocol != "auto":
            raise SpecError(
                f"align.protocol = {align.protocol!r} has no effect",
                where="align.protocol",
                why=f"align.method is {align.method}, which has no protocol to choose",
                fix="remove align.protocol, or set align=psi",
            )
        return
    if spec.cluster.mode == "debug" and "align" in spec.stages():
        raise SpecError(
            "cluster=debug has no private set intersection",
            where="cluster.mode",
            why="its protocols run between processes, and debug mode has one for all parties",
            fix="use cluster=local, or align=join_on_digest, which finds the same rows (and shows the parties more)",
        )
    protocol = align.psi_protocol(parties)
    fits = parties >= 3 if protocol in IN_PAIRS else parties == (3 if protocol == "ecdh_3pc" else 2)
    if not fits and "align" in spec.stages():
        raise SpecError(
            f"protocol {protocol} does not fit {parties} parties",
            where="align.protocol",
            why="rr22, kkrt and ecdh are for two parties, ecdh_3pc for three, kkrt_npc and ecdh_npc for three or more",
            fix="set align.protocol=auto",
        )


def _check_ids(spec: Spec) -> None:
    columns = spec.data.id_columns()
    if len(set(columns)) != len(columns):
        raise SpecError(
            "an id column is named twice",
            where="data.id",
            why="columns that make up an id together are different ones",
            fix="name each once",
        )
