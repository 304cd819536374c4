"""What the sites of a run have in common and must agree on before anything is done: all but what is a site's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from runner.errors import PolicyError, RunnerError, SpecError, conceal
from runner.files import canonical_json
from runner.spec.model import Spec

# How this site carries the run out, where its things are, and who looks at its terminal.
PRIVATE = ("outputs", "site", "self_party", "import_from", "report", "log", "tune", "tracking")
OF_PARTY = ("address", "tls_pin", "public_key")
OF_CLUSTER = ("mode",)
OF_SWEEP = ("keep_going", "retries")  # which job follows a failure
ABSENT = "not there"
LONGEST = 60  # characters of a value in a message
MOST = 8  # differences in a message
DEEPEST = 10  # sections within each other; another site may send more


def shared_values(spec: Spec) -> dict[str, Any]:
    """The spec as plain JSON values, without what is private to a site: no path, no key, no column of one table.

    Of a model, or an interrupted run to go on with, it says whether there is one: each site has its own copy.
    """
    values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(spec))  # as it arrives at a peer
    for name in PRIVATE:
        del values[name]
    values["task"] = spec.task.to_run()
    values["parties"] = {
        party: {name: settings[name] for name in OF_PARTY} for party, settings in values["parties"].items()
    }
    values["cluster"] = {name: values["cluster"][name] for name in OF_CLUSTER}
    values["sweep"] = {name: values["sweep"][name] for name in OF_SWEEP}
    del values["data"]["max_memory"]
    values["data"]["tables"] = sorted(values["data"]["tables"])
    for name in ("model", "resume"):
        values[name] = values[name] is not None
    return values


def shared_digest(spec: Spec) -> str:
    """SHA-256 of the canonical form of the shared values: the same at all sites, or they do not start."""
    return hashlib.sha256(canonical_json(shared_values(spec))).hexdigest()


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Setting (dotted) → this site's value and the other's, of every setting in which two shared values differ.

    A setting that one of them does not have is ``not there``.
    """
    here, there = dict(_leaves(ours)), dict(_leaves(theirs))
    return {
        path: (here.get(path, ABSENT), there.get(path, ABSENT))
        for path in sorted({*here, *there})
        if here.get(path, ABSENT) != there.get(path, ABSENT)
    }


def disagreement(party: str, peer: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> RunnerError | None:
    """The error of two sites whose specs differ, which names the settings; None where they agree.

    Returns:
        a PolicyError where the policy is among what differs, else a SpecError.
    """
    found = differences(ours, theirs)
    if not found:
        return None
    lines = [
        f"{shown(path)} is {shown(mine)} at {party}, {shown(other)} at {peer}" for path, (mine, other) in found.items()
    ]
    if len(lines) > MOST:
        lines[MOST:] = [f"and {len(lines) - MOST} more"]
    policy = [path for path in found if path.partition(".")[0] == "policy"]
    kind = PolicyError if policy else SpecError
    return kind(
        f"{party} and {peer} were given different settings",
        where=", ".join(shown(path) for path in (policy or list(found))[:MOST]),
        why="; ".join(lines),
        fix="let the sites agree on one text of these settings, and start again",
    )


def shown(value: Any) -> str:
    """A value of a setting, which may come from another site, as it is typed, short and without control characters."""
    text = conceal(value if isinstance(value, str) and value.isprintable() else json.dumps(value))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _leaves(values: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    if isinstance(values, Mapping) and values and depth < DEEPEST:
        for name, value in values.items():
            yield from _leaves(value, f"{path}.{name}".lstrip("."), depth + 1)
    else:
        yield path, values
