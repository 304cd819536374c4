"""One run from its folder to its summary."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from runner.cluster.run import Outcome, run
from runner.errors import RunnerError
from runner.policy.decide import Decision
from runner.provenance.folder import make_run_folder, write_snapshot, write_status
from runner.provenance.manifest import build_manifest, describe_run, write_manifest
from runner.report.summary import summarise
from runner.report.terminal import Terminal
from runner.spec.model import Spec


def carry_out(
    spec: Spec,
    decisions: Sequence[Decision],
    config: DictConfig,
    typed: Mapping[str, Any],
    sweep_folder: Path | None = None,
    original: Path | None = None,
) -> Path:
    """Run the plan in a folder of its own, show it, and leave its manifest, or its error, on the disk.

    Args:
        typed: the overrides as typed, in order, and the choices of groups.
        sweep_folder: the folder of this job in a sweep, or None for a single run.
        original: the folder of the run that this one repeats.

    Returns:
        the run folder.
    """
    if sweep_folder is not None:
        sweep_folder.mkdir(parents=True)
    folder = sweep_folder or make_run_folder(spec.outputs)
    write_snapshot(folder, config, spec, typed["overrides"])
    write_status(folder, "running")
    console = Console()
    console.print(f"Run folder   {folder}", highlight=False, soft_wrap=True)
    try:
        with Terminal(spec, console) as terminal:
            manifest: dict[str, Any] = {}

            def describe(outcome: Outcome) -> dict[str, Any]:
                hashed = describe_run(spec, decisions, outcome, folder)
                manifest.update(build_manifest(spec, typed, hashed, outcome, folder))
                return manifest

            outcome = run(spec, folder, terminal, describe, original)
        manifest["signatures"] = outcome.signatures
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
    return folder
