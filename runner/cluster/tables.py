"""The parties' checked tables, in places that the driver holds and never reads."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from runner.cluster.channel import Message
from runner.cluster.limits import bounds_of
from runner.cluster.processes import CHECK_LOG, Crew, Template
from runner.cluster.run import Journal
from runner.cluster.sites import Sites
from runner.cluster.watch import Watch
from runner.spec.identity import spec_values
from runner.spec.model import Spec
from runner.spec.pieces import SORTING, obstacle


class _Table(NamedTuple):
    """A party's checked table.

    Attributes:
        memory: the descriptor of what it lies in: anonymous memory, or a file without a name, if it is in pieces.
        told: what its check told: its identity, and its size where the policy lets the terminal show that.
    """

    memory: int
    told: Message


class Tables:
    """Lets every party check its own table, in a process of its own, and keeps what came out for its worker."""

    def __init__(self) -> None:
        self._kept: dict[str, _Table] = {}

    def check(
        self,
        spec: Spec,
        folder: Path,
        template: Template,
        journal: Journal,
        sites: Sites | None = None,
        idle: Crew | None = None,
    ) -> None:
        """Check the tables of a run at this site; one that was checked before, and is the same, is not read again.

        Args:
            sites: of the other organisations, which check theirs; all go on when all have done so.
            idle: the workers, which wait meanwhile.

        Raises:
            DataError: where a table breaks its contract.
            ClusterError: where a process died.
        """
        parties = list(spec.tables_here())
        journal.begin("validate")
        memory = {party: _places(spec, folder, party) for party in parties}
        crew = template.fork(parties, folder / CHECK_LOG, bounds_of(spec, parties))
        if sites is not None:
            with_tables = {party: peer for party, peer in sites.channels.items() if party in spec.tables()}
            crew.join(with_tables, sites.faults)
        try:
            words, limits = ("checked",), spec.cluster
            seconds = limits.stage_timeout
            watch = Watch(
                crew, limits, stage="validate", last_words=words, beats=True, phase=words, idle=idle, seconds=seconds
            )
            for party, channel in crew.own().items():
                channel.send(memory[party], **self._order(spec, folder, party, journal))
            for party, message in watch.events():
                crew.pass_on(party, message)
                if message["event"] == "checked" and party not in crew.peers:
                    used = message.get("in_pieces", False)
                    table = self._kept[party] if message["unchanged"] else _Table(memory[party].pop(used), message)
                    self._keep(party, table)
                    journal.checked(table.told)
                    if message["unchanged"]:
                        journal.outcome.reused["tables"] = sorted([*journal.outcome.reused["tables"], party])
        finally:
            crew.end()
            for descriptor in itertools.chain.from_iterable(memory.values()):
                os.close(descriptor)
            for party in parties:
                shutil.rmtree(folder / "parties" / party / SORTING, ignore_errors=True)
        journal.end("validate")

    def memory(self, parties: Iterable[str]) -> list[int]:
        """The descriptors of these parties' tables."""
        return [self._kept[party].memory for party in parties]

    def identities(self, spec: Spec) -> list[str] | None:
        """What the tables of a run depend on, by party in canonical order; None where that is not known of all."""
        found = [self._kept[party].told["identity"] for party in spec.party_order() if party in self._kept]
        return None if len(found) < len(spec.parties) or None in found else found

    def drop(self) -> None:
        """Give the memory back."""
        for table in self._kept.values():
            os.close(table.memory)
        self._kept.clear()

    def _order(self, spec: Spec, folder: Path, party: str, journal: Journal) -> dict[str, Any]:
        known = self._kept[party].told["identity"] if party in self._kept else None
        return {
            "order": "check",
            "party": party,
            "spec": spec_values(spec),
            "folder": str(folder),
            "known": known,
            "log": str(folder / "parties" / party / CHECK_LOG),
            "logs": spec.log.how(),
            "run": journal.outcome.run,
        }

    def _keep(self, party: str, table: _Table) -> None:
        before = self._kept.get(party)
        self._kept[party] = table
        if before is not None and before is not table:
            os.close(before.memory)


def _places(spec: Spec, folder: Path, party: str) -> list[int]:
    """Where the check may put the table: anonymous memory; and, if it may come in pieces, a file without a name."""
    places = [os.memfd_create(f"table-{party}")]
    if not obstacle(spec):
        with tempfile.TemporaryFile(dir=folder / "parties" / party) as file:
            places.append(os.dup(file.fileno()))
    return places
