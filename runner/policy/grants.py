"""A party's own grants: the file beside its key, in the form of a policy. No run's policy can lead past it.

``grants.yaml`` lies in the folder of the party's key file, which the spec names: with another key file a party is
another one, which can read no model of the first. Where there is no grants file, the party consents to the run's policy
as it is. It is read by the driver, to stop a run before it starts, and again by the party's own worker.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

from runner.errors import PolicyError
from runner.policy.decide import Grants
from runner.spec.model import Spec
from runner.spec.policy import Policy

GRANTS = "grants.yaml"


def load_grants(spec: Spec, parties: Iterable[str]) -> dict[str, Grants]:
    """The grants of those of ``parties`` that have any.

    Raises:
        PolicyError: for a file that is no policy: an unknown key, a wrong type, no YAML at all, or a symbolic link.
    """
    found = {}
    for party in parties:
        path = spec.parties[party].key_path().parent / GRANTS
        if _is_there(party, path):
            found[party] = Grants(_read(party, path), str(path))
    return found


def _is_there(party: str, path: Path) -> bool:
    """Whether the party has grants. A link, though it lead nowhere, is no absence: absence is consent."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unreadable(party, path, error) from None
    if stat.S_ISLNK(mode):
        raise PolicyError(
            f"{party}'s grants are a symbolic link",
            where=str(path),
            why="it would lead to another place than the party's own folder",
            fix="put the file itself there",
        )
    return True


def _read(party: str, path: Path) -> Policy:
    # Late: few parties have grants, and a worker that imports it for nothing starts a third of a second later.
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        grants: Policy = msgspec.convert(OmegaConf.to_container(OmegaConf.load(path), resolve=True), Policy)
    except (OSError, ValueError, RecursionError, YAMLError, OmegaConfBaseException, msgspec.ValidationError) as error:
        raise _unreadable(party, path, error) from None
    return grants


def _unreadable(party: str, path: Path, error: Exception) -> PolicyError:
    reason = str(error.strerror) if isinstance(error, OSError) and error.strerror else str(error)
    return PolicyError(
        f"{party}'s grants cannot be read",
        where=str(path),
        why=(reason.splitlines() or [type(error).__name__])[0],
        fix="write the file like a policy in conf/policy; what it does not name is denied",
    )
