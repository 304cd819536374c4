"""The parties' processes, which stay up and carry out one run after another.

What lasts is kept in layers, and ends with the layer below it: *templates* (the libraries, imported once), the workers'
*crew* that one of them forked (connections, homomorphic keys, alignments), and the checked tables. A run that fails
takes its crew with it, and the next one begins with another; so does one with other settings of the parties, the
cluster, the encryption or the policy.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.cluster.channel import Message
from runner.cluster.limits import conditions
from runner.cluster.logged import Logged
from runner.cluster.offline import ask_forked
from runner.cluster.processes import CHECK_LOG, START_LOG, Template
from runner.cluster.run import Journal, Listener, Outcome, Pace, attest, follow
from runner.cluster.sites import Agreement, Sites
from runner.cluster.tables import Tables
from runner.cluster.workers import Workers
from runner.errors import Stopped
from runner.files import make_private_dir
from runner.logs import How, RunLog, run_id
from runner.policy.decide import Decision, denied_by, require, with_denials
from runner.spec.model import Cluster as Limits
from runner.spec.model import Spec


class Cluster:
    """Processes for one run after another, in one thread; use it as a context manager. They start at the first run.

    Args:
        lasting: whether more runs than one are to come; else checked tables are not kept in memory.
    """

    def __init__(self, lasting: bool = True) -> None:
        self._lasting = lasting
        self._conditions: dict[str, str] = {}
        self._templates: dict[str, Template] = {}
        self._tables = Tables()
        self._workers: Workers | None = None
        self._sites: Sites | None = None
        self._ended_by = ""
        self._log = RunLog(None, How(), process="driver")

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def run(
        self,
        spec: Spec,
        decisions: Sequence[Decision],
        folder: Path,
        listener: Listener,
        describe: Callable[[Outcome], dict[str, Any]],
        original: Path | None = None,
        pace: Pace | None = None,
        log: RunLog | None = None,
    ) -> Outcome:
        """Run ``spec`` in ``folder``. Where it fails, none of its processes is left behind.

        Args:
            decisions: what may flow, as far as this site knows.
            describe: makes of the outcome what every party signs: the run's manifest.
            original: the folder of the run that this one repeats.
            pace: is asked, with the number of trees that the run has grown, before each tree but the first whether to
                go on.
            log: the driver's structured log; None: there is none.

        Raises:
            SpecError, PolicyError: where other sites were given something else, or their parties' grants deny a flow.
            DataError: where a table breaks its contract, or the parties' ids differ.
            ClusterError: where a process could not start, died, or went silent.
            StageError, BundleError: where a stage failed at a party.
            Stopped: where ``pace`` said no; the processes then stay up.
        """
        for party in spec.parties_here():
            make_private_dir(folder / "parties" / party)
        self._log = log or RunLog(None, How(), process="driver")
        logged = Logged(listener, self._log)
        journal = Journal(logged)
        journal.outcome.reused |= {"processes": False, "keys": False, "tables": [], "alignment": False}
        try:
            self._ready_templates(spec, folder)
            agreement = self._agree(spec, decisions, journal, logged, original)
            nonce = secrets.token_hex(32) if agreement is None else agreement.session
            self._name_run(nonce, journal, agreement)
            workers = self._prepare(spec, folder, journal, agreement)
            if spec.tables():
                self._tables.check(spec, folder, self._templates["check"], journal, self._sites, workers.crew)
            journal.begin("open")
            with workers.job(spec, folder, self._tables, journal, original, pace is not None, nonce):
                if not self._lasting:
                    self._tables.drop()
                follow(spec, workers.crew, journal, pace)
            attest(spec, workers.crew, journal, describe(journal.outcome))
            if self._sites is not None:
                self._sites.settle()
        except Stopped:
            raise
        except BaseException as error:
            if self._sites is not None:  # first: the others should not wait for what is done here
                self._sites.tell_of_failure(error, journal.stage)
            self._end_workers(f"the run before ended with {type(error).__name__}")
            self._leave_sites()
            raise
        if not journal.clean:
            self._end_workers("something failed in the run before that nobody waited for")
        return journal.outcome

    def get_ready(self, kind: str, preload: tuple[str, ...]) -> None:
        """Let a template import what :meth:`ask` will need, while something else goes on."""
        if not self._is_there(kind):
            self._start(kind, Path(os.devnull), preload)

    def ask(self, kind: str, preload: tuple[str, ...], orders: Mapping[str, Mapping[str, Any]]) -> dict[str, Message]:
        """Ask each party about its own files, as :func:`runner.cluster.offline.ask_parties` does."""
        self.get_ready(kind, preload)
        return ask_forked(self._templates[kind], orders, Limits(), Path(os.devnull))

    def close(self) -> None:
        """Let all processes go."""
        if self._workers is not None:
            self._workers.leave()
            self._workers = None
        self._leave_sites()
        self._close_templates()
        self._tables.drop()

    def _ready_templates(self, spec: Spec, folder: Path) -> None:
        """Templates that import what the run needs."""
        if conditions(spec) != self._conditions:
            self._end_workers("conditions of the cluster have changed")
            self._close_templates()
            self._conditions = conditions(spec)
        if spec.tables() and not self._is_there("check"):
            self._start("check", folder / CHECK_LOG, _check_imports(spec), spec.log.how())
        if not self._is_there("work"):
            self._end_workers("the process that they were forked from is gone")
            self._start("work", folder / START_LOG, how=spec.log.how())
        if self._workers is not None and (why := self._workers.misfit(spec)):
            self._end_workers(why)

    def _name_run(self, nonce: str, journal: Journal, agreement: Agreement | None) -> None:
        """Give the run its name, by which the logs of all its processes, at all sites, are found."""
        self._log.run = journal.outcome.run = run_id(nonce)
        for template in self._templates.values():
            template.control.send(order="name", run=self._log.run)
        if agreement is not None:
            journal.listener.notice(f"this run is {self._log.run} in the logs of all sites")

    def _agree(
        self, spec: Spec, decisions: Sequence[Decision], journal: Journal, logged: Logged, original: Path | None
    ) -> Agreement | None:
        """With sites of other organisations: connect, and compare what all were given."""
        if not spec.is_remote():
            return None
        journal.begin("agree")
        if self._sites is None:
            self._sites = Sites(spec, logged.notice, logged.warn)
        crew = "" if self._workers is None else self._workers.name
        repeats = "" if original is None else json.loads((original / "manifest.json").read_bytes())["digest"]
        agreement = self._sites.agree(spec, crew, denied_by(decisions, self._sites.party), repeats)
        journal.outcome.machines = agreement.machines
        journal.outcome.decisions = with_denials(decisions, agreement.denied)
        require(journal.outcome.decisions)
        if self._workers is not None and not agreement.same_crew:
            self._end_workers("another site begins with new processes")
        journal.end("agree")
        return agreement

    def _prepare(self, spec: Spec, folder: Path, journal: Journal, agreement: Agreement | None) -> Workers:
        """A crew that fits the run: the last one's, if it may go on."""
        if self._workers is None:
            if self._ended_by:
                journal.outcome.reused["restarted"] = self._ended_by
                journal.listener.notice(f"the parties' processes were started anew: {self._ended_by}")
            self._workers = Workers(self._templates["work"], spec, folder, self._sites, agreement)
            self._ended_by = ""
        else:
            journal.outcome.reused["processes"] = True
        return self._workers

    def _leave_sites(self) -> None:
        if self._sites is not None:
            self._sites.close()
            self._sites = None

    def _is_there(self, kind: str) -> bool:
        return kind in self._templates and self._templates[kind].is_there()

    def _start(self, kind: str, log: Path, preload: tuple[str, ...] = (), how: How | None = None) -> None:
        if kind in self._templates:
            self._templates[kind].close()
        self._templates[kind] = template = Template(kind, log, preload, self._conditions, how)
        self._log.write("process", f"the {kind} template was started", kind=kind, template=template.pid)

    def _close_templates(self) -> None:
        for template in self._templates.values():
            template.close()
        self._templates.clear()

    def _end_workers(self, why: str) -> None:
        if self._workers is not None:
            self._workers.end()
            self._workers, self._ended_by = None, why


# Written from scikit-learn's files.
SKLEARN_DATA = (
    *("breast_cancer", "clinics", "clinics_raw", "clinics_raw_later", "diabetes", "pen_strokes"),
    *("unaligned_clinics", "unaligned_clinics_raw", "wine"),
)


def _check_imports(spec: Spec) -> tuple[str, ...]:
    missing = any(not Path(table.path or "").exists() for table in spec.data.tables.values())
    return ("runner.data.job", *(["sklearn.datasets"] if spec.data.builtin in SKLEARN_DATA and missing else []))
