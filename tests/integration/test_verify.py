"""Records of runs that are over: whatever was changed is found and named."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from integration.launch import PARTIES, Finished, table_path
from integration.past_runs import KEY, check, copy_here, edit
from support import Command, assert_told, flip

from runner.errors import BundleError, SpecError
from runner.files import canonical_json, write_json
from runner.keys.statement import rest_digest, signed_text
from runner.keys.store import open_keyring
from runner.policy.audit import START
from runner.provenance.manifest import run_digest
from runner.spec.model import Party
from runner.worker.attest import result_digests

pytestmark = pytest.mark.processes


@pytest.fixture
def place(main_run: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the main run (in ``RUN``), the keys and the tables; what works in this process works there."""
    return copy_here(main_run, tmp_path, monkeypatch)


def found(*overrides: str) -> BundleError:
    """What a verification that fails says."""
    with pytest.raises(BundleError) as caught:
        check(*overrides)
    error = caught.value
    assert error.code == 8
    assert all((error.what, error.where, error.why, error.fix))
    return error


def chained(entries: list[dict[str, Any]]) -> bytes:
    """A log of these lines with a chain that fits."""
    lines, previous = [], START
    for entry in entries:
        content = {**{name: value for name, value in entry.items() if name != "digest"}, "previous": previous}
        previous = hashlib.sha256(canonical_json(content)).hexdigest()
        lines.append(canonical_json({**content, "digest": previous}) + b"\n")
    return b"".join(lines)


def lines_of(log: Path) -> list[bytes]:
    return log.read_bytes().splitlines(keepends=True)


def entries_of(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines_of(log)]


def test_a_good_run_passes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check()
    told = capsys.readouterr().out
    assert "VERIFIED" in told
    assert "WRONG" not in told
    assert str(json.loads(Path("RUN/manifest.json").read_bytes())["digest"]) in told
    for party in PARTIES:
        for what in ("own copy of the manifest", "signature", "results", "audit log", "part of the model", "table"):
            assert any(line.startswith(party) and what in line for line in told.splitlines())


def change_log(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    def apply(run: Path) -> None:
        log = run / "parties" / "bob" / "audit.jsonl"
        log.write_bytes(b"".join(change(lines_of(log))))

    return apply


def change_chain(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Callable[[Path], None]:
    def apply(run: Path) -> None:
        log = run / "parties" / "bob" / "audit.jsonl"
        log.write_bytes(chained(change(entries_of(log))))

    return apply


def one_end_removed(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    (index, *_) = [number for number, entry in enumerate(entries) if entry["direction"] == "received"]
    return entries[:index] + entries[index + 1 :]


def with_line(**fields: Any) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda entries: [*entries, {**entries[-1], **fields}]


LOGS: dict[str, Callable[[Path], None]] = {
    "removed": change_log(lambda lines: lines[:3] + lines[4:]),
    "last removed": change_log(lambda lines: lines[:-1]),
    "all removed": change_log(lambda lines: []),
    "changed": change_log(lambda lines: [*lines[:-1], lines[-1].replace(b'"bob"', b'"bab"')]),
    "reordered": change_log(lambda lines: [lines[1], lines[0], *lines[2:]]),
    "twice": change_log(lambda lines: [*lines, lines[-1]]),
    "appended, chained": change_chain(with_line(kind="labels")),
    "appended, chained, without fields": change_chain(lambda entries: [*entries, {"direction": "sent"}]),
    "appended, chained, of another kind": change_chain(with_line(shape={"a": []}, to=[1])),
    "not a log": change_log(lambda lines: [b"[1]\n"]),
    "one end of a flow removed, chained again": change_chain(one_end_removed),
    "missing": lambda run: (run / "parties" / "bob" / "audit.jsonl").unlink(),
}


@pytest.mark.parametrize("case", LOGS)
def test_a_changed_audit_log_is_found(place: Path, case: str) -> None:
    LOGS[case](Path("RUN"))
    assert "RUN, bob, audit log" in found().where


def test_a_flow_of_which_one_end_is_missing_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    LOGS["one end of a flow removed, chained again"](Path("RUN"))
    found()
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "both ends" in line]
    assert "WRONG" in line
    assert "to bob" in line


RESULTS = (
    ("carol", "predictions.parquet"),
    ("carol", "metrics.json"),
    ("carol", "curve.json"),
    ("alice", "bundle/part.bin"),
    ("alice", "bundle/manifest.json"),
    ("bob", "bundle/signatures.json"),
)


@pytest.mark.parametrize(("party", "name"), RESULTS)
@pytest.mark.parametrize("missing", [False, True])
def test_a_changed_or_missing_result_is_found(place: Path, party: str, name: str, missing: bool) -> None:
    path = Path("RUN/parties") / party / name
    if missing:
        path.unlink()
    else:
        flip(path)
    error = found()
    assert error.where == f"RUN, {party}, results"
    assert name in error.why


def test_a_file_that_was_put_in_is_found(place: Path) -> None:
    Path("RUN/parties/alice/predictions.parquet").write_bytes(b"PAR1")
    assert found().where == "RUN, alice, results"


def test_a_key_of_a_part_that_was_changed_is_found(place: Path) -> None:
    """It changes with the party's key, so that no signature holds it; but the part does not open."""
    flip(Path("RUN/parties/alice/bundle/part.key"))
    assert found().where == "RUN, alice, part of the model"


def test_bundles_of_another_run_are_found(place: Path, twins: tuple[Finished, Finished]) -> None:
    """Put in at every party, so that they fit each other."""
    for party in PARTIES:
        shutil.rmtree(Path("RUN/parties", party, "bundle"))
        shutil.copytree(twins[1].own(party, "bundle"), Path("RUN/parties", party, "bundle"))
    assert found().where == "RUN, carol, results"


@pytest.mark.parametrize("name", ["spec.json", ".hydra/config.yaml", ".hydra/overrides.yaml"])
@pytest.mark.parametrize("missing", [False, True])
def test_a_changed_snapshot_is_found(place: Path, name: str, missing: bool) -> None:
    path = Path("RUN", name)
    if missing:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b"\n")
    assert name in found().where


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b'"x"', b"{}", b"[" * 5000, b'{"task": 5, "parties": []}', b"\xff"]
)
def test_a_spec_that_is_none_is_told(place: Path, content: bytes) -> None:
    Path("RUN/spec.json").write_bytes(content)
    assert found().what == "the spec of the run cannot be read"


def forge(change: Callable[[dict[str, Any]], Any], *, copies: bool) -> None:
    """Change the run's manifest and its digest, and every party's copy if wanted, as one without keys can."""

    def apply(manifest: dict[str, Any]) -> None:
        change(manifest)
        manifest["digest"] = run_digest(manifest["hashed"])

    edit(Path("RUN/manifest.json"), apply)
    forged = json.loads(Path("RUN/manifest.json").read_bytes())
    for party in PARTIES if copies else ():
        edit(
            Path("RUN/parties", party, "manifest.json"),
            lambda own: own.update(hashed=forged["hashed"], digest=forged["digest"]),
        )


FORGERIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "rows": lambda manifest: manifest["hashed"]["rows"].update(alice=9),
    "a digest of a result": lambda manifest: manifest["hashed"]["stages"]["predict"]["carol"].update(score="0" * 64),
    "a version": lambda manifest: manifest["hashed"]["versions"].update(numpy="9.9.9"),
    "the policy": lambda manifest: manifest["hashed"]["policy"][0].update(allowed=False),
    "ciphertexts sent": lambda manifest: manifest["observed"]["encryption"]["ciphertexts_sent"].update(alice=1),
    "traffic": lambda manifest: manifest["observed"]["sent"]["alice"]["bob"].update(messages=1),
    "metrics on the terminal": lambda manifest: manifest["observed"]["shown"]["evaluate"][0].update(auc=1.0),
    "digest of the spec": lambda manifest: manifest["observed"]["files"].update({"spec.json": "0"}),
    "what was typed": lambda manifest: manifest["typed"]["overrides"].append("crypto=paillier"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("copies", [False, True])
def test_a_forged_manifest_with_its_digest_is_found(
    place: Path, capsys: pytest.CaptureFixture[str], forgery: str, copies: bool
) -> None:
    forge(FORGERIES[forgery], copies=copies)
    found()
    wrong = [line for line in capsys.readouterr().out.splitlines() if "WRONG" in line]
    for party in PARTIES:
        assert any(line.startswith(party) and "signature" in line for line in wrong), wrong


def test_a_digest_that_was_not_recomputed_is_found_at_once(place: Path) -> None:
    edit(Path("RUN/manifest.json"), lambda manifest: manifest["hashed"]["rows"].update(alice=9))
    assert "the manifest of the run was altered" in found().what


@pytest.mark.parametrize("name", ["hashed", "digest", "signature", "files", "audit", "key", "rest"])
def test_a_changed_copy_of_the_manifest_is_found(place: Path, name: str) -> None:
    edit(Path("RUN/parties/bob/manifest.json"), lambda own: own.update({name: "0"}))
    assert found().where == "RUN, bob, own copy of the manifest"


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 5000, b"{}"])
def test_a_copy_that_is_none_is_found(place: Path, content: bytes) -> None:
    Path("RUN/parties/bob/manifest.json").write_bytes(content)
    assert found().where == "RUN, bob, own copy of the manifest"


SIGNATURES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "one bit": lambda signatures: signatures["bob"].update(signature=flipped(signatures["bob"]["signature"])),
    "another party's": lambda signatures: signatures.update(bob=signatures["alice"]),
    "missing": lambda signatures: signatures.pop("bob"),
    "no number": lambda signatures: signatures["bob"].update(signature="x" * 128),
    "key of another": lambda signatures: signatures["bob"].update(key=signatures["alice"]["key"]),
}


def flipped(digits: str) -> str:
    return digits[:-1] + ("0" if digits[-1] != "0" else "1")


@pytest.mark.parametrize("case", SIGNATURES)
def test_a_changed_signature_is_found(place: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    edit(Path("RUN/manifest.json"), lambda manifest: SIGNATURES[case](manifest["signatures"]))
    assert "RUN, bob" in found().where
    assert any("signature  " in line and "WRONG" in line for line in capsys.readouterr().out.splitlines())


def test_a_signature_of_a_stranger_is_found(place: Path) -> None:
    edit(
        Path("RUN/manifest.json"),
        lambda manifest: manifest["signatures"].update(dave=manifest["signatures"]["alice"]),
    )
    assert "dave" in found().why


def test_a_run_that_is_signed_anew_with_keys_of_the_forgers_own_is_found(place: Path) -> None:
    """All records fit each other, and spec.json says that these are the parties' keys: the command knows better."""
    spec = json.loads(Path("RUN/spec.json").read_bytes())
    for party in PARTIES:
        spec["parties"][party]["key_file"] = f"forged/{party}.key"
    write_json(Path("RUN/spec.json"), spec)
    digest = hashlib.sha256(Path("RUN/spec.json").read_bytes()).hexdigest()
    manifest = json.loads(Path("RUN/manifest.json").read_bytes())
    manifest["hashed"]["rows"]["alice"] = 9
    manifest["digest"] = run_digest(manifest["hashed"])
    manifest["observed"]["files"]["spec.json"] = digest
    for party in PARTIES:
        keys = open_keyring(party, Party(key_file=f"forged/{party}.key"))
        folder = Path("RUN/parties", party)
        shutil.rmtree(folder / "bundle")
        write_json(folder / "private_snapshot.json", {"run_secret": keys.run_secret.hex()})
        signed = {**manifest["signatures"][party], "digest": manifest["digest"], "files": result_digests(folder, keys)}
        signed["rest"] = rest_digest(manifest)
        signed |= {"key": keys.public, "signature": keys.sign(signed_text(signed))}
        manifest["signatures"][party] = signed
        write_json(folder / "manifest.json", {"hashed": manifest["hashed"], **signed})
    write_json(Path("RUN/manifest.json"), manifest)
    assert found().where == "RUN, carol, signature"
    check(*(f"parties.{party}.key_file=forged/{party}.key" for party in PARTIES))  # that was the only thing wrong


def test_a_party_without_its_folder_is_named(place: Path) -> None:
    shutil.rmtree(Path("RUN/parties/bob"))
    assert "RUN, bob" in found().where


def test_no_key_is_made_to_verify(place: Path) -> None:
    Path(KEY.format("bob")).unlink()
    with pytest.raises(BundleError, match="no key of bob"):
        check()
    assert not Path(KEY.format("bob")).exists()


def test_parties_that_the_command_does_not_know_are_told(place: Path) -> None:
    with pytest.raises(SpecError, match="bob of the run"):
        check("~parties.bob")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"run_secret": 5}', b'{"run_secret": "zz"}'])
def test_a_private_snapshot_that_is_none_is_told(place: Path, content: bytes) -> None:
    Path("RUN/parties/bob/private_snapshot.json").write_bytes(content)
    with pytest.raises(BundleError, match="bob's private snapshot"):
        check()


def test_a_table_that_went_on_is_told_and_no_fault(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = table_path(place, "alice")
    pl.read_parquet(path).head(5).write_parquet(path)
    table_path(place, "bob").unlink()
    check()
    told = capsys.readouterr().out
    assert "CHANGED since the run" in told
    assert "no longer where it was" in told


def test_the_command_verifies_each_party_in_a_process_of_its_own(command: Command, place: Path) -> None:
    done = command("task=verify", "run=RUN", warm=False)
    assert done.returncode == 0, done.stderr
    assert "VERIFIED" in done.stdout
    flip(Path("RUN/parties/carol/predictions.parquet"))
    done = command("task=verify", "run=RUN")
    assert_told(done, 8, "carol, results", "predictions.parquet")
    assert "WRONG" in done.stdout
    assert sorted(path.name for path in place.iterdir()) == ["RUN", "outputs"]


def test_a_run_that_failed_is_no_finished_run(command: Command, place: Path) -> None:
    Path("RUN/manifest.json").unlink()
    assert_told(command("task=verify", "run=RUN"), 8, "there is no finished run")


def test_a_key_is_changed_and_the_run_still_verifies(command: Command, place: Path) -> None:
    done = command("task=rekey", "rekey.party=alice", "rekey.models=[RUN]", "rekey.passphrase_env=PASS", PASS="secret")
    assert done.returncode == 0, done.stderr
    assert "1 protected with it" in done.stdout
    assert "++parties.alice.passphrase_env=PASS" in done.stdout
    assert_told(command("task=verify", "run=RUN"), 4, "locked with a passphrase")
    done = command("task=verify", "run=RUN", "++parties.alice.passphrase_env=PASS", PASS="secret")
    assert done.returncode == 0, done.stdout + done.stderr
    old = ("parties.alice.key_file=outputs/keys/alice/secret.key.former-1",)
    assert_told(command("task=verify", "run=RUN", *old), 8, "alice, part of the model", "does not open it")
