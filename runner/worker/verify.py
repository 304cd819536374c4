"""A party's check of what a finished run left in its own folder."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from runner.bundle.layout import MANIFEST as BUNDLE_MANIFEST
from runner.bundle.layout import bundle_folder
from runner.bundle.manifest import read_manifest, read_signatures
from runner.bundle.part import content_digest, part_bytes, read_part
from runner.data.digest import files_digest
from runner.data.files import find_files
from runner.errors import BundleError, DataError
from runner.files import canonical_json
from runner.keys.keyring import Keyring, signed_by
from runner.keys.statement import rest_digest, signed_text
from runner.keys.store import open_keyring, run_secret_of
from runner.policy.audit import read_log
from runner.policy.flows import SPU, TERMINAL
from runner.spec.model import Party
from runner.worker.attest import MANIFEST, result_digests

Finding = tuple[str, bool, str]  # what was checked, whether it is as it should be, and a word about it


def verify(order: dict[str, Any]) -> dict[str, Any]:
    """Check a party's copy of the manifest, its signature, its audit log, its results and its part of the model.

    Args:
        order: ``party``, ``settings`` (where its key is, as plain values), ``table`` (the path of its table; None where
            it had none, or no files), ``run`` (the run folder), ``manifest`` (the run's).

    Returns:
        ``findings``, and ``flows``: how often which flow left or reached the party, for comparison with the others'.

    Raises:
        BundleError: where the party's key is not there, or its private snapshot cannot be read.
    """
    party, run, manifest = order["party"], Path(order["run"]), order["manifest"]
    settings = msgspec.convert(order["settings"], Party)
    keys = open_keyring(party, settings, run_secret_of(run, party), make=False)
    folder = run / "parties" / party
    signed = manifest["signatures"].get(party, {})
    findings = [
        _own_copy(folder, manifest, signed),
        _signature(keys, manifest, signed),
        _results(folder, keys, signed),
    ]
    entries, audit = _audit(folder, signed)
    findings.append(audit)
    if (bundle_folder(run, party) / BUNDLE_MANIFEST).exists():
        findings.append(_model(run, party, keys, manifest["hashed"]["model"]))
    stated = manifest["hashed"]["stages"].get("validate", {}).get(party, {}).get("file")
    if order["table"] is not None and stated is not None:
        findings.append(_table(order["table"], party, keys, stated))
    return {"findings": findings, "flows": _flows(entries)}


def _own_copy(folder: Path, manifest: Mapping[str, Any], signed: Mapping[str, Any]) -> Finding:
    what = "own copy of the manifest"
    try:
        own = json.loads((folder / MANIFEST).read_bytes())
        same = canonical_json(own) == canonical_json({"hashed": manifest["hashed"], **signed})
    except (OSError, ValueError, RecursionError):
        return what, False, "it is missing or damaged"
    return what, same, "the same" if same else "it is another one than the run's"


def _signature(keys: Keyring, manifest: Mapping[str, Any], signed: Mapping[str, Any]) -> Finding:
    what = "signature"
    if not signed:
        return what, False, "it is missing"
    if signed["key"] not in {keys.public, *(former.key for former in keys.former)}:
        return what, False, f"it was made with the key {signed['key'][:16]}…, the party's is {keys.public[:16]}…"
    good = (
        signed_by(signed["key"], signed["signature"], signed_text(signed))
        and signed["digest"] == manifest["digest"]
        and signed["rest"] == rest_digest(manifest)
    )
    return what, good, f"by the party's key {signed['key'][:16]}…" if good else "it does not fit the run's manifest"


def _results(folder: Path, keys: Keyring, signed: Mapping[str, Any]) -> Finding:
    stated, found = signed.get("files", {}), result_digests(folder, keys)
    changed = sorted(name for name in {*stated, *found} if stated.get(name) != found.get(name))
    if changed:
        return "results", False, f"changed, missing or new: {', '.join(changed)}"
    return "results", True, f"{len(found)} files as they were written"


def _audit(folder: Path, signed: Mapping[str, Any]) -> tuple[list[dict[str, Any]], Finding]:
    what = "audit log"
    try:
        entries, broken = read_log(folder / "audit.jsonl")
    except OSError:
        return [], (what, False, "it is missing")
    if broken is not None:
        return entries, (what, False, f"line {broken} does not follow from the one before")
    head = entries[-1]["digest"] if entries else "0" * 64
    if {"lines": len(entries), "head": head} != signed.get("audit"):
        return entries, (what, False, "its last line is not the one that the party signed")
    return entries, (what, True, f"{len(entries)} lines, each chained to the one before")


def _model(run: Path, party: str, keys: Keyring, bundle: str) -> Finding:
    what, folder = "part of the model", bundle_folder(run, party)
    try:
        manifest = read_manifest(folder, party)
        read_signatures(folder, party, manifest)
        part = read_part(folder, party, manifest, keys)
    except BundleError as error:
        return what, False, f"{error.what}: {error.why}"
    if manifest.bundle != bundle or manifest.parties[party].content != content_digest(part_bytes(part), keys):
        return what, False, "it is not the one that the run made"
    return what, True, f"bundle {bundle[:12]}, signed by {len(manifest.parties)} parties, opens with the party's key"


def _table(path: str, party: str, keys: Keyring, stated: str) -> Finding:
    """The table may have gone on since; that is told, and is no fault of the run's records."""
    try:
        digest = files_digest(find_files(path, party))
    except DataError:
        return "table", True, "no longer where it was"
    found = hmac.new(keys.derive("facts"), digest, hashlib.sha256).hexdigest()
    return "table", True, "the file is the one that the run read" if found == stated else "CHANGED since the run"


def _flows(entries: list[dict[str, Any]]) -> list[list[Any]]:
    """Which flows between parties the log tells of, and how often.

    Each is ``[direction, stage, kind, form, from, to, shape, count]``.
    """
    counts: Counter[str] = Counter()
    for entry in entries:
        flow = [entry.get(name) for name in ("direction", "stage", "kind", "form", "from", "to", "shape")]
        if SPU not in flow[4:6] and TERMINAL not in flow[5:6] and flow[0] != "kept":
            counts[json.dumps(flow)] += 1
    return [[*json.loads(flow), count] for flow, count in sorted(counts.items())]
