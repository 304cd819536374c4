"""What can be asked about runs that are over: to verify one, to compare two; and to change a party's key."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from omegaconf import DictConfig

from runner.bundle.layout import MANIFEST as BUNDLE_MANIFEST
from runner.bundle.layout import bundle_folder
from runner.cluster.offline import ask_parties
from runner.errors import BundleError, SpecError
from runner.files import canonical_json
from runner.keys.keyring import signed_by
from runner.keys.statement import signed_text
from runner.provenance.folder import SPEC
from runner.provenance.manifest import read_run, snapshot_digests, stated_values
from runner.report.ledger import describe_ledgers
from runner.report.pages import make_reports
from runner.report.records import describe_diff, describe_verification
from runner.spec.compose import to_parties, to_values
from runner.spec.model import Cluster, Party, Spec
from runner.spec.parse import parse
from runner.spec.request import Request

Ask = Callable[[Mapping[str, Mapping[str, Any]], Cluster], Mapping[str, Mapping[str, Any]]]


def verify_run(config: DictConfig, request: Request, ask: Ask = ask_parties) -> None:
    """Check all digests, signatures and audit logs of a finished run, each party's in a process of its own.

    Where the parties' keys are is what this command says, never what the run folder does: whoever can write there
    could name keys of their own.

    Args:
        ask: gives each party its order and brings the answers.

    Raises:
        BundleError: where anything is not as the parties signed it.
        SpecError: where the command does not know a party of the run.
    """
    folder = Path(str(request.run))
    manifest, spec = read_run(folder), _spec_of(folder)
    parties = _parties_of(spec, to_parties(config))
    orders = {
        party: {
            "order": "verify",
            "party": party,
            "settings": msgspec.to_builtins(settings),
            "table": spec.data.tables[party].path if party in spec.data.tables else None,
            "run": str(folder),
            "manifest": manifest,
        }
        for party, settings in parties.items()
    }
    answers = ask(orders, Cluster())
    findings = [("driver", *finding) for finding in _findings(folder, manifest, spec)]
    findings += [(party, *finding) for party in spec.parties_here() for finding in answers[party]["findings"]]
    if spec.is_remote():
        others = {party: settings for party, settings in spec.parties.items() if party not in orders}
        findings += [_elsewhere(party, settings, manifest) for party, settings in others.items()]
    else:
        findings.append(("all parties", *_both_ends({party: answer["flows"] for party, answer in answers.items()})))
    print(describe_verification(folder, manifest["digest"], findings))
    wrong = [(party, what, detail) for party, what, good, detail in findings if not good]
    if wrong:
        party, what, detail = wrong[0]
        raise BundleError(
            f"{len(wrong)} of the run's records {'is' if len(wrong) == 1 else 'are'} not as the parties signed them",
            where=f"{folder}, {party}, {what}",
            why=detail,
            fix="restore the folder from a copy, and do not rely on the run before you know who changed it",
        )


def _parties_of(spec: Spec, known: Mapping[str, Party]) -> dict[str, Party]:
    """The run's parties, with their keys where the command says that they are."""
    if unknown := sorted(set(spec.parties) - set(known)):
        raise SpecError(
            f"{', '.join(unknown)} of the run is no party of this command",
            where="parties",
            why=f"the command has {', '.join(sorted(known))}; it says where the keys are, not the run folder",
            fix="name the parties as the run did: parties=<choice>, --config-dir …",
        )
    for party in spec.parties_here():
        settings = spec.parties[party]
        if settings != known[party]:
            print(f"Key          of {party}: as this command says; the run was made with {_place(party, settings)}")
    return {party: known[party] for party in spec.parties_here()}


def _elsewhere(party: str, settings: Party, manifest: Mapping[str, Any]) -> tuple[str, str, bool, str]:
    """Whether the party of another site signed the same run; what it has there is for its own site to check."""
    signed = manifest["signatures"].get(party, {})
    good = (
        bool(signed)
        and signed["digest"] == manifest["digest"]
        and signed_by(signed["key"], signed["signature"], signed_text(signed))
    )
    if good and settings.public_key not in (None, signed["key"]):
        return party, "signature", False, f"it was made with the key {signed['key'][:16]}…, which is not the pinned one"
    return party, "signature", good, f"by the key {signed['key'][:16]}…, of the same run" if good else "it does not fit"


def _place(party: str, settings: Party) -> str:
    """Where a party's key is, as overrides."""
    named = {name: value for name, value in msgspec.to_builtins(settings).items() if value is not None}
    return " ".join(f"parties.{party}.{name}={value}" for name, value in named.items())


def _findings(folder: Path, manifest: Mapping[str, Any], spec: Spec) -> Iterator[tuple[str, bool, str]]:
    """What can be checked without a key, given that the parties signed the manifest."""
    stated = dict(manifest["hashed"]["spec"])
    found = {name: value for name, value in stated_values(spec).items() if name in stated}
    same = canonical_json(found) == canonical_json(stated)
    yield "settings", same, "those of the manifest" if same else "spec.json has other settings than the manifest"
    digests = snapshot_digests(folder)
    for name, digest in digests.items():
        same = digest is not None and manifest["observed"]["files"].get(name) == digest
        yield name, same, "as it was written" if same else "changed or missing"
    if strangers := sorted(set(manifest["signatures"]) - set(spec.parties)):
        yield "signatures", False, f"{', '.join(strangers)} signed, and is no party of the run"


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


def report_run(request: Request) -> None:
    """Have every party's report of a finished run made again, from what is on the disk."""
    folder = Path(str(request.run))
    for path in make_reports(folder, read_run(folder)):
        print(f"Report       {path}")


def rekey_party(config: DictConfig, request: Request) -> None:
    """Give a party a new key, and protect its models with it.

    Raises:
        SpecError: for a party that is none.
        BundleError: where one of its models does not open with its present key.
    """
    parties, party = to_parties(config), str(request.rekey.party)
    if party not in parties:
        raise SpecError(
            f"{party!r} is no party",
            where="rekey.party",
            why="it is not listed under parties",
            fix=f"name one of {', '.join(sorted(parties))}",
        )
    outputs = Path(str(to_values(config).get("outputs")))
    bundles = [str(folder) for folder in _bundles(party, outputs, request.rekey.models)]
    order = {
        "order": "rekey",
        "party": party,
        "settings": msgspec.to_builtins(parties[party]),
        "bundles": bundles,
        "passphrase_env": request.rekey.passphrase_env,
    }
    answer = ask_parties({party: order}, Cluster())[party]
    print(f"New key      of {party}: {answer['public']} (public; replace it where parties.{party}.public_key pins it)")
    print(f"Models       {answer['models']} protected with it:")
    print("\n".join(f"             {bundle}" for bundle in bundles))
    if answer["ledger"]:
        print("Ledger       of privacy: protected with it, too")
    if locked := request.rekey.passphrase_env:
        print(f"Locked       with {locked}: from now on add ++parties.{party}.passphrase_env={locked}")
    print(f"Old key      kept in {answer['old']}: it opens copies made before. Remove it when there are none")


def show_ledgers(config: DictConfig, request: Request) -> None:
    """Print what each party has spent of its rows' privacy; each party's own process reads its ledger.

    Raises:
        SecurityError: where a ledger is not as its party wrote it.
    """
    settings = request.ledger
    parties = to_parties(config)
    orders = {
        party: {"order": "ledger", "party": party, "settings": msgspec.to_builtins(own), "delta": settings.delta}
        for party, own in sorted(parties.items())
        if own.key_file is not None or own.key_env is not None  # those of other sites are shown there
    }
    answers = ask_parties(orders, Cluster())
    if settings.format == "json":
        kept = {party: {name: answers[party][name] for name in ("expenses", "totals")} for party in orders}
        print(json.dumps({"delta": settings.delta, "parties": kept}, indent=2, sort_keys=True))
    else:
        print(describe_ledgers({party: answers[party] for party in orders}, settings.delta))


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
    except (OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise BundleError(
            "the spec of the run cannot be read",
            where=str(folder / SPEC),
            why=(str(error) or type(error).__name__).splitlines()[0],
            fix="restore it from a copy",
        ) from None
