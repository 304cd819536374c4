"""A party's own grants: the file beside its key, in the form of a policy. No spec can lead past it.

``grants.yaml`` lies in the folder of the party's key file. Where there is none, the party consents to the run's policy
as it is. The file is read by the driver, to stop a run before it starts, and again by the party's own worker.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from runner.errors import PolicyError
from runner.policy.decide import Grants
from runner.spec.model import Policy, Spec

GRANTS = "grants.yaml"


def load_grants(spec: Spec, parties: Iterable[str]) -> dict[str, Grants]:
    """The grants of those of ``parties`` that have any.

    Raises:
        PolicyError: for a file that is no policy: an unknown key, a wrong type, or no YAML at all.
    """
    found = {}
    for party in parties:
        path = Path(spec.parties[party].key_file).parent / GRANTS
        if path.exists():
            found[party] = Grants(_read(party, path), str(path))
    return found


def _read(party: str, path: Path) -> Policy:
    try:
        grants: Policy = msgspec.convert(OmegaConf.to_container(OmegaConf.load(path), resolve=True), Policy)
    except (OSError, YAMLError, OmegaConfBaseException, msgspec.ValidationError) as error:
        raise PolicyError(
            f"{party}'s grants cannot be read",
            where=str(path),
            why=str(error).splitlines()[0],
            fix="write the file like a policy in conf/policy; what it does not name is denied",
        ) from None
    return grants
