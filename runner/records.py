"""What can be asked about runs that are over: to verify one, to compare two; and to change a party's key."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from runner.bundle.layout import MANIFEST as BUNDLE_MANIFEST
from runner.bundle.layout import bundle_folder
from runner.cluster.offline import ask_parties
from runner.errors import BundleError, SpecError
from runner.files import canonical_json
from runner.provenance.folder import SPEC
from runner.provenance.manifest import read_run
from runner.report.records import describe_diff, describe_verification
from runner.spec.compose import to_values
from runner.spec.identity import spec_values
from runner.spec.model import Spec
from runner.spec.parse import parse
from runner.spec.request import KEYS, Request


def verify_run(request: Request) -> None:
    """Check all digests, signatures and audit logs of a finished run, each party's in a process of its own.

    Raises:
        BundleError: where anything is not as the parties signed it.
    """
    folder = Path(str(request.run))
    manifest, spec = read_run(folder), _spec_of(folder)
    orders = {
        party: {
            "order": "verify",
            "party": party,
            "spec": spec_values(spec),
            "run": str(folder),
            "manifest": manifest,
        }
        for party in spec.parties
    }
    answers = ask_parties(orders, spec.cluster)
    findings = [("driver", *_spec_finding(manifest, spec))]
    findings += [(party, *finding) for party in spec.party_order() for finding in answers[party]["findings"]]
    findings.append(("all parties", *_both_ends({party: answer["flows"] for party, answer in answers.items()})))
    print(describe_verification(folder, findings))
    wrong = [(party, what, detail) for party, what, good, detail in findings if not good]
    if wrong:
        party, what, detail = wrong[0]
        raise BundleError(
            f"{len(wrong)} of the run's records {'is' if len(wrong) == 1 else 'are'} not as the parties signed them",
            where=f"{folder}, {party}, {what}",
            why=detail,
            fix="restore the folder from a copy, and do not rely on the run before you know who changed it",
        )


def _spec_finding(manifest: Mapping[str, Any], spec: Spec) -> tuple[str, bool, str]:
    stated = dict(manifest["hashed"]["spec"])
    found = {name: value for name, value in spec_values(spec).items() if name in stated}
    found["parties"] = sorted(found["parties"])
    same = canonical_json(found) == canonical_json(stated)
    return "spec.json", same, "the settings of the manifest" if same else "it has other settings than the manifest"


def _both_ends(flows: Mapping[str, Sequence[Sequence[Any]]]) -> tuple[str, bool, str]:
    """Whether for every flow that one party's log sent, the other's received it, as often and of the same shape."""
    ends: dict[str, dict[str, int]] = {"sent": {}, "received": {}}
    for found in flows.values():
        for direction, *flow, count in found:
            name = f"{flow[1]} ({flow[2]}) from {flow[3]} to {flow[4]} in {flow[0]}, {flow[5]}"
            if direction in ends:
                ends[direction][name] = ends[direction].get(name, 0) + count
    different = sorted(
        name for name in {*ends["sent"], *ends["received"]} if ends["sent"].get(name) != ends["received"].get(name)
    )
    if different:
        return "both ends of each flow", False, f"the logs differ on {different[0]}"
    return "both ends of each flow", True, f"{sum(ends['sent'].values())} flows sent, and received"


def diff_runs(request: Request) -> None:
    """Print settings, data, versions and metrics of two finished runs side by side."""
    folders = (Path(str(request.run)), Path(str(request.other)))
    first, second = (read_run(folder) for folder in folders)
    print(describe_diff(folders, first, second))


def rekey_party(config: DictConfig, request: Request) -> None:
    """Give a party a new key, and protect its models with it.

    Raises:
        SpecError: for a party that is none.
        BundleError: where one of its models does not open with its present key.
    """
    values = {key: value for key, value in to_values(config).items() if key not in KEYS}
    spec, party = parse({**values, "task": {"name": "train"}}), str(request.rekey.party)
    if party not in spec.parties:
        raise SpecError(
            f"{party!r} is no party",
            where="rekey.party",
            why="it is not listed under parties",
            fix=f"name one of {', '.join(sorted(spec.parties))}",
        )
    bundles = [str(folder) for folder in _bundles(party, Path(spec.outputs), request.rekey.models)]
    order = {
        "order": "rekey",
        "party": party,
        "spec": spec_values(spec),
        "bundles": bundles,
        "passphrase_env": request.rekey.passphrase_env,
    }
    answer = ask_parties({party: order}, spec.cluster)[party]
    print(f"New key      of {party}: {answer['public']} (public; replace it where parties.{party}.public_key pins it)")
    print(f"Models       {answer['models']} protected with it:")
    print("\n".join(f"             {bundle}" for bundle in bundles))
    print(f"Old key      kept in {answer['old']}: it opens copies made before. Remove it when there are none")


def _bundles(party: str, outputs: Path, models: Iterable[str]) -> Iterator[Path]:
    """The party's bundles in the outputs folder, and those named."""
    found = {folder.parent for folder in outputs.glob(f"**/parties/{party}/bundle/{BUNDLE_MANIFEST}")}
    for model in models:
        folder = bundle_folder(Path(model), party)
        if not (folder / BUNDLE_MANIFEST).exists():
            raise BundleError(
                "there is no model",
                where=f"rekey.models, {model}",
                why=f"{party} has no bundle there",
                fix="name run folders whose training finished",
            )
        found.add(folder)
    yield from sorted(found)


def _spec_of(folder: Path) -> Spec:
    """The spec of a finished run."""
    try:
        return parse(json.loads((folder / SPEC).read_bytes()))
    except (OSError, ValueError) as error:
        raise BundleError(
            "the spec of the run cannot be read",
            where=str(folder / SPEC),
            why=str(error).splitlines()[0],
            fix="restore it from a copy",
        ) from None
