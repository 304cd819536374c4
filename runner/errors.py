"""Every error a user can meet, each with its exit code.

    RunnerError
    ├── SpecError        2   the spec is wrong: nothing was started
    ├── PolicyError      3   the policy denies something that the plan needs
    ├── DataError        4   a party's table breaks its contract
    ├── ClusterError     5   a process, port, certificate, connection or disk failed
    │   └── SecurityError 5  a peer sent something that it may not send
    ├── StageError       6   a step of the plan failed inside a party's process
    ├── ReproductionError 7  a second run differs from the first
    ├── BundleError      8   a saved model is missing, damaged or somebody else's
    └── Stopped          9   a job of a search was stopped early, as its leader wished

Exit code 0 is success, 1 an error of the runner itself (please report it), 130 an interruption by Ctrl-C.

An error says *what* happened, *where* (spec path, file, party), *why*, and how to *fix* it.
No text of an error may hold a value of a party's data: errors travel to other parties. A password in what was typed
is left out of every text.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

_CREDENTIALS = re.compile(
    r"(?<=://)[^\s'\"]*:[^\s'\"]*(?=@)|(?<=password=)[^\s&;'\"]+|(?<=pwd=)[^\s&;'\"]+", re.IGNORECASE
)


def has_credentials(text: str) -> bool:
    """Whether a text holds a password, as URIs and connection strings do (``://user:password@``, ``password=``)."""
    return _CREDENTIALS.search(text) is not None


def conceal(text: str) -> str:
    """The text without the passwords in it."""
    return _CREDENTIALS.sub("…", text)


class RunnerError(Exception):
    """A failure that the user can understand and act on; it prints as four lines.

    Args:
        what: what happened, in one sentence.
        where: the spec path, file or party it is about.
        why: the cause.
        fix: what to do about it.

    ``secondary`` says that it only follows from another's, which was not told.
    """

    code: ClassVar[int] = 1
    title: ClassVar[str] = "error"
    secondary: bool = False

    def __init__(self, what: str, *, where: str, why: str, fix: str) -> None:
        super().__init__(conceal(what))
        self.what = conceal(what)
        self.where = conceal(where)
        self.why = conceal(why)
        self.fix = conceal(fix)

    def __str__(self) -> str:
        return f"{self.title}: {self.what}\n  where: {self.where}\n  why:   {self.why}\n  fix:   {self.fix}"

    def to_dict(self) -> dict[str, Any]:
        """The error as plain values, for the control channel and the run's status file."""
        return {
            "type": type(self).__name__,
            "what": self.what,
            "where": self.where,
            "why": self.why,
            "fix": self.fix,
        }

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> RunnerError:
        """Rebuild an error from :meth:`to_dict`; an unknown type becomes a :class:`RunnerError`."""
        kind = _BY_NAME.get(str(fields.get("type")), RunnerError)
        return kind(
            str(fields.get("what", "")),
            where=str(fields.get("where", "")),
            why=str(fields.get("why", "")),
            fix=str(fields.get("fix", "")),
        )


class SpecError(RunnerError, ValueError):
    code = 2
    title = "spec error"


class PolicyError(RunnerError, PermissionError):
    code = 3
    title = "policy error"


class DataError(RunnerError, ValueError):
    code = 4
    title = "data error"


class ClusterError(RunnerError, ConnectionError):
    code = 5
    title = "cluster error"


class SecurityError(ClusterError):
    title = "security error"


class StageError(RunnerError, RuntimeError):
    code = 6
    title = "stage error"


class ReproductionError(RunnerError):
    code = 7
    title = "not reproduced"


class BundleError(RunnerError, ValueError):
    code = 8
    title = "bundle error"


class Stopped(RunnerError):
    code = 9
    title = "stopped"


_BY_NAME: dict[str, type[RunnerError]] = {
    kind.__name__: kind
    for kind in (
        RunnerError,
        SpecError,
        PolicyError,
        DataError,
        ClusterError,
        SecurityError,
        StageError,
        ReproductionError,
        BundleError,
        Stopped,
    )
}
