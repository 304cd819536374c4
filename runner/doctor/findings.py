"""What a check found, and the lines in which it is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from runner.errors import ClusterError, RunnerError

State = Literal["PASSED", "WARNING", "FAILED"]


class Finding(NamedTuple):
    """One line: what was looked at, how it is, what was found, and how to mend it where it is not well."""

    check: str
    state: State
    found: str
    fix: str = ""


def passed(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, "PASSED", found)


def warning(check: str, found: str, fix: str) -> Finding:
    """A run may start, and not for long, or not as well as it could."""
    return Finding(check, "WARNING", found, fix)


def failed(check: str, found: str, fix: str) -> Finding:
    """A run would fail."""
    return Finding(check, "FAILED", found, fix)


def failure(check: str, error: RunnerError) -> Finding:
    """What an error of the runner's says."""
    return failed(check, f"{error.what} ({error.where}: {error.why})", error.fix)


def describe(finding: Finding) -> str:
    """The finding as one line, and a second one that says how to mend it."""
    line = f"{finding.state:<8} {finding.check:<22} {finding.found}"
    return f"{line}\n{'':32}fix: {finding.fix}" if finding.fix else line


def require_healthy(findings: Sequence[Finding]) -> None:
    """Say that all is well, or how much is not.

    Raises:
        ClusterError: where a check failed.
    """
    wrong = [finding for finding in findings if finding.state == "FAILED"]
    if wrong:
        raise ClusterError(
            f"{len(wrong)} of {len(findings)} checks failed",
            where=", ".join(dict.fromkeys(finding.check for finding in wrong)),
            why=wrong[0].found,
            fix=wrong[0].fix,
        )
