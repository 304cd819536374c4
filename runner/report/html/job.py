"""The process of one party that makes its report; imported once, with all that is slow, and then forked."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from runner.files import write_bytes
from runner.report.html.content import gather
from runner.report.html.figures import draw
from runner.report.html.page import render, template
from runner.worker.attest import REPORT
from runner.worker.offline import answer as answer_with


def report(order: dict[str, Any]) -> dict[str, Any]:
    """Write ``report.html`` in the party's own folder.

    Args:
        order: ``party``, ``run`` (the run folder) and ``manifest`` (the run's, without what its terminal showed).

    Raises:
        BundleError: where a file of the party's folder is not as the run wrote it.
    """
    run, party = Path(order["run"]), str(order["party"])
    write_bytes(run / "parties" / party / REPORT, page_of(run, party, order["manifest"]))
    return {"path": str(run / "parties" / party / REPORT)}


def page_of(run: Path, party: str, manifest: dict[str, Any]) -> bytes:
    """The party's report as it goes to the disk."""
    content = gather(run, party, manifest)
    return render({**content, "figures": draw(content["files"])})


template()  # once for all parties
answer = functools.partial(answer_with, orders={"report": report})
