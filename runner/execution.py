"""One run from its folder to its summary."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from runner.cluster.run import run
from runner.errors import RunnerError, SecurityError
from runner.files import link_below
from runner.policy.decide import Decision
from runner.provenance.folder import make_run_folder, write_snapshot, write_status
from runner.provenance.manifest import build_manifest, write_manifest
from runner.report.summary import summarise
from runner.report.terminal import Terminal
from runner.spec.model import Spec


def carry_out(
    spec: Spec, decisions: Sequence[Decision], config: DictConfig, overrides: Sequence[str], sweep_folder: Path | None
) -> None:
    """Run the plan in a folder of its own, show it, and leave its manifest, or its error, on the disk."""
    if sweep_folder is not None:
        sweep_folder.mkdir(parents=True)
    folder = sweep_folder or make_run_folder(spec.outputs)
    _refuse_link(folder, Path(spec.outputs))
    write_snapshot(folder, config, spec, overrides)
    write_status(folder, "running")
    console = Console()
    console.print(f"Run folder   {folder}", highlight=False, soft_wrap=True)
    try:
        with Terminal(spec, console) as terminal:
            outcome = run(spec, folder, terminal)
        manifest = build_manifest(spec, overrides, decisions, outcome, folder)
        write_manifest(folder, manifest)
    except RunnerError as error:
        write_status(folder, "failed", error)
        raise
    except KeyboardInterrupt:
        write_status(folder, "interrupted")
        raise
    except Exception:  # an error of the runner's own: nobody interrupted it
        write_status(folder, "failed")
        raise
    write_status(folder, "done")
    console.print(
        "\n" + summarise(spec, outcome, manifest, folder, sys.argv[1:]), highlight=False, soft_wrap=True, markup=False
    )


def _refuse_link(folder: Path, outputs: Path) -> None:
    """Leave no party's files in a place that only looks like a folder of ``outputs``."""
    if (link := link_below(outputs, folder)) is not None:
        folder.rmdir()
        raise SecurityError(
            f"{link.name} is a symbolic link",
            where=str(link),
            why="it would lead the parties' private files to another place",
            fix="remove the link, or set outputs to the real folder",
        )
