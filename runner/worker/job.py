"""One job of a worker: the plan of a run, as the parties whose process this is carry it out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runner.bundle.layout import bundle_folder, find_run
from runner.cluster.channel import Message
from runner.data.pieces import open_table
from runner.data.table import COUNTS
from runner.engine.alignment import Alignment
from runner.engine.lasting import Lasting
from runner.engine.site import Site, open_site
from runner.engine.start import make_devices
from runner.files import make_private_dir, write_json
from runner.policy.decide import decide, floor, require
from runner.policy.gate import Gate
from runner.policy.grants import load_grants
from runner.privacy.ledger import limits_of, require_noise
from runner.spec.model import Spec
from runner.spec.parse import parse
from runner.stages.context import Context
from runner.stages.plan import run_plan
from runner.worker.attest import attest
from runner.worker.statement import state_privacy


class Job:
    """A run, as one process sees it.

    Args:
        order: the driver's: the spec and the run's folder, and what the job takes from earlier ones.
        lasting: SecretFlow in this process.
        emit: sends an event to the driver.
        pace: what is called before each tree but the first, or None.
        alignment: where the rows of alignments are kept.
    """

    def __init__(
        self,
        order: Message,
        lasting: Lasting,
        emit: Callable[..., Any],
        pace: Callable[[int], None] | None,
        alignment: Alignment,
    ) -> None:
        self._order = order
        self._lasting = lasting
        self._emit = emit
        self._pace = pace
        self._alignment = alignment
        self._folder = Path(order["folder"])
        self._parties: tuple[str, ...] = tuple(order["parties"])
        self._sites: dict[str, Site] = {}
        self._sent: dict[str, dict[str, int]] = {}

    def carry_out(self) -> dict[str, Any]:
        """Run the plan to its end; return what the driver is told of it."""
        spec = parse(self._order["spec"])
        self._open_sites(spec)
        # This party's own word, read by this party's own process: no driver can make it do more than it grants.
        grants = load_grants(spec, self._parties)
        decisions = decide(spec, grants)
        require(decisions)
        for party in self._parties:
            require_noise(spec, party, limits_of(spec, party, grants.get(party)))
        party = self._parties[0]
        keep = make_private_dir(self._home(party) / "messages") if spec.cluster.keep_messages else None
        self._lasting.begin(spec, party, keep)
        self._emit(event="stage", stage="open", state="done")
        devices = make_devices(spec)
        audits = {party: site.audit for party, site in self._sites.items()}
        gate = Gate(decisions, devices, audits, {party: site.emit for party, site in self._sites.items()})
        source = find_run(spec.model) if spec.model is not None else self._folder
        run_plan(
            Context(
                spec,
                devices,
                self._sites,
                gate,
                self._order["nonce"],
                {party: bundle_folder(source, spec.trained_as(party)) for party in spec.parties},
                connect_spu=functools.cache(lambda: self._connect_spu(spec)),
                min_rows=floor(spec, grants, "min_rows"),
                min_batch=floor(spec, grants, "min_batch"),
                sockets=Path(self._order["sockets"]),
                connect_heu=self._lasting.heu,
                pace=self._pace,
                alignment=self._alignment,
            ),
            self._emit,
        )
        for site in self._sites.values():
            state_privacy(site, spec, grants.get(site.party))
            if site.checked is not None:
                write_json(site.folder / COUNTS, (site.pieces or site.table).counts())
        clean = self._lasting.settle()
        self._sent = self._lasting.sent()
        facts = {party: site.facts for party, site in self._sites.items()}
        return {"sent": self._sent, "facts": facts, "kept_keys": self._lasting.kept_keys, "clean": clean}

    def attest(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Sign the run's manifest for each party, if it says of its side what it knows; keep a copy."""
        return {party: attest(site, dict(manifest), self._sent) for party, site in self._sites.items()}

    def _open_sites(self, spec: Spec) -> None:
        original = Path(self._order["original"]) if self._order["original"] else None
        memory = iter(self._order.get("descriptors", ()))
        for party in self._parties:
            table = open_table(next(memory), spec) if party in spec.tables() else None
            self._sites[party] = open_site(spec, party, self._folder, table, self._emit, original)

    def _connect_spu(self, spec: Spec) -> Any:
        return self._lasting.spu(spec, Path(self._order["sockets"]).parent, self._home(self._parties[0]) / "spu.log")

    def _home(self, party: str) -> Path:
        return self._folder / "parties" / party
