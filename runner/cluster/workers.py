"""A crew of workers, one for each party, which carry out one run after another."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from runner.cluster.limits import bounds_of
from runner.cluster.processes import ALL_PARTIES, START_LOG, Template
from runner.cluster.relay import Relay, socket_of
from runner.cluster.run import Journal
from runner.cluster.site import listen_of
from runner.cluster.sites import Agreement, Sites
from runner.cluster.sockets import Sockets
from runner.cluster.tables import Tables
from runner.cluster.tls import LIFETIME, make_identities
from runner.files import PRIVATE_DIR, canonical_json
from runner.spec.identity import spec_values
from runner.spec.model import Spec

MOST_SECONDS = LIFETIME.total_seconds() / 7  # of a crew: its certificates outlast its last run


class Workers:
    """A crew of workers, and what the driver knows of it."""

    def __init__(
        self,
        template: Template,
        spec: Spec,
        folder: Path,
        sites: Sites | None = None,
        agreement: Agreement | None = None,
    ) -> None:
        hosts = {party: [party] for party in spec.parties_here()}
        self._hosts = {ALL_PARTIES: list(spec.parties)} if spec.cluster.mode == "debug" else hosts
        self._settings = _lasting_settings(spec)
        self._began = time.monotonic()
        self._identities = make_identities(spec.parties) if spec.cluster.mode == "local" else {}
        self.name = secrets.token_hex(32)
        if sites is not None and agreement is not None:
            self._identities = {sites.party: sites.identity()}
            self.name = agreement.session
        self._sockets = Sockets()
        self._jobs = 0
        self._aligned: set[str] = set()
        self._relay: Relay | None = None
        self._spus = 0
        if sites is not None and agreement is not None:
            self._relay = sites.relay(spec, agreement, self._sockets.path)
        self.crew = template.fork(self._hosts, folder / START_LOG, bounds_of(spec, self._hosts))
        if sites is not None:
            self.crew.join(sites.channels, sites.faults)

    def misfit(self, spec: Spec) -> str:
        """Why the crew cannot carry out a run, or nothing."""
        if differing := [name for name, value in _lasting_settings(spec).items() if value != self._settings[name]]:
            return f"other settings of {', '.join(differing)}"
        if time.monotonic() - self._began > MOST_SECONDS:
            return "their certificates are too old"
        return "" if self.crew.stands() else "one of them was gone"

    def leave(self) -> None:
        """Let the workers go, which have nothing to do."""
        self.crew.leave()
        self._tidy()

    def end(self) -> None:
        """End the workers, whatever they are at."""
        self.crew.end()
        self._tidy()

    def _tidy(self) -> None:
        if self._relay is not None:
            self._relay.close()
        self._sockets.remove()

    @contextmanager
    def job(
        self,
        spec: Spec,
        folder: Path,
        tables: Tables,
        journal: Journal,
        original: Path | None,
        paced: bool,
        nonce: str | None = None,
    ) -> Iterator[None]:
        """Give every worker its job. ``nonce`` is what all sites agreed on, where there are several."""
        self._jobs += 1
        sockets = self._sockets.path / str(self._jobs)
        sockets.mkdir(mode=PRIVATE_DIR)
        alignment = self._alignment(spec, tables)
        journal.outcome.reused["alignment"] = alignment in self._aligned
        if self._relay is not None:
            self._serve_links(self._relay)
        nonce = nonce or secrets.token_hex(32)
        listen = listen_of(spec) if self.crew.peers else None
        for name, channel in self.crew.own().items():
            parties = self._hosts[name]
            with_tables = [party for party in parties if party in spec.tables()]
            channel.send(
                tables.memory(with_tables),
                order="run",
                parties=parties,
                spec=spec_values(spec),
                folder=str(folder),
                nonce=nonce,
                crew=self.name,
                listen=None if listen is None else [listen[0], listen[1] and listen[1] + 1],
                logs=spec.log.how(),
                identity=self._identities[name]._asdict() if self._identities else None,
                log=self.crew.log_of(name),
                sockets=str(sockets),
                original=str(original) if original is not None else None,
                paced=paced,
                alignment=alignment,
                aligned=alignment in self._aligned,
            )
        try:
            yield
        finally:
            if self._relay is not None:
                self._relay.withdraw(sockets.name)
            shutil.rmtree(sockets, ignore_errors=True)
        if alignment is not None:
            self._aligned.add(alignment)

    def _serve_links(self, relay: Relay) -> None:
        """Carry the links of the job's psi, and those of the next new SPU: one that stands has its own."""
        relay.serve(str(self._jobs), "psi")
        (party,) = self.crew.own()
        newest = self._sockets.path / f"spu-{self._spus - 1}" / socket_of("spu", party)
        if self._spus == 0 or newest.exists():
            relay.serve(f"spu-{self._spus}", "spu")
            self._spus += 1

    def _alignment(self, spec: Spec, tables: Tables) -> str | None:
        """What decides which rows all parties have, in one digest; None where the run leaves out none."""
        if "align" not in spec.stages() or not spec.align.selects_rows():
            return None
        identities = tables.identities(spec)
        if identities is None:
            return None
        settings = [msgspec.to_builtins(spec.align), list(spec.data.id_columns()), list(spec.party_order())]
        return hashlib.sha256(canonical_json([settings, identities])).hexdigest()


def _lasting_settings(spec: Spec) -> dict[str, Any]:
    """The settings that a crew keeps for all its runs, by section."""
    cluster = msgspec.to_builtins(spec.cluster)
    return {
        "parties": msgspec.to_builtins(spec.parties),
        "cluster": {name: cluster[name] for name in ("mode", "ports", "message_timeout", "stage_timeout", "limits")},
        "crypto": msgspec.to_builtins(spec.crypto),
        "policy": msgspec.to_builtins(spec.policy),
        "site": msgspec.to_builtins(spec.site),
    }
