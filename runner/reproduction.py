"""Running a finished run again, from its snapshot alone, and proving that it came to the same bits."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from runner.cluster.offline import ask_parties
from runner.errors import BundleError, ReproductionError, SpecError
from runner.execution import carry_out
from runner.keys.store import PRIVATE_SNAPSHOT
from runner.policy.decide import decide, require
from runner.policy.grants import load_grants
from runner.provenance.compare import compare
from runner.provenance.folder import CONFIG
from runner.provenance.manifest import read_run
from runner.report.records import describe_verdict
from runner.spec.compose import config_dir, to_spec
from runner.spec.identity import spec_digest
from runner.spec.model import Cluster, Spec
from runner.spec.request import OF_REQUEST, Condition, Request
from runner.spec.sweep import Tracking

# Where a run is carried out, and where keys are kept, is no part of what was run.
NO_CHANGE = ("outputs=", "parties.", "cluster.", "report.", "log.")


def reproduce_run(overrides: Sequence[str], request: Request) -> None:
    """Run again under the same and then under each varied condition; print a verdict each time.

    Raises:
        ReproductionError: where a repetition came to other bits.
        SpecError: for overrides, unless they are allowed.
    """
    folder = Path(str(request.run))
    original = read_run(folder)
    config = _snapshot(folder)
    _require_same(folder, original, to_spec(config))
    whose = _whose_site(to_spec(config))
    own = original["typed"]["overrides"]  # to type them again changes nothing
    changed = [o for o in overrides if o not in own and not o.lstrip("+~").startswith((*OF_REQUEST, *whose))]
    for override in changed:
        _apply(config, override, request)
    spec = msgspec.structs.replace(to_spec(config), resume=None, tracking=Tracking())  # from the first tree on
    typed = {**original["typed"], "overrides": [*original["typed"]["overrides"], *changed]}
    conditions: tuple[Condition | None, ...] = request.reproduce.vary or (None,)
    for condition in conditions:
        if condition is not None:
            print(f"\nVaried       {CONDITIONS[condition]}")
        repeated = _repeat(folder, _varied(spec, condition), config, typed)
        _judge(folder, repeated, original, spec)


CONDITIONS: dict[Condition, str] = {
    "ports": "ports: each party listens on another, chosen beforehand",
    "hashseed": "hashseed: Python orders sets of texts in another way",
    "threads": "threads: one thread for each of the libraries' pools",
    "row_order": "row_order: the rows of every table in another order",
    "cluster": "cluster: one process for all parties in place of one each, or the other way",
}


def _whose_site(spec: Spec) -> tuple[str, ...]:
    """How overrides begin that say whose site this is, as the snapshot of its run does."""
    return ("site=", f"self_party={spec.self_party}", "cluster=remote") if spec.is_remote() else ()


def _varied(spec: Spec, condition: Condition | None) -> Spec:
    cluster = spec.cluster
    if spec.is_remote() and condition in ("ports", "cluster"):
        raise SpecError(
            f"a run over several sites is not repeated with other {condition}",
            where="reproduce.vary",
            why="its ports are those that the others know" if condition == "ports" else "its parties are elsewhere",
            fix=f"leave {condition} out of reproduce.vary",
        )
    match condition:
        case "ports":
            cluster = msgspec.structs.replace(cluster, ports=_free_ports(spec))
        case "hashseed":
            cluster = msgspec.structs.replace(cluster, hash_seed=1 + secrets.randbelow(2**32 - 1))
        case "threads":
            cluster = msgspec.structs.replace(cluster, threads=1)
        case "row_order":
            cluster = msgspec.structs.replace(cluster, shuffle_rows=True)
        case "cluster":
            cluster = _other_cluster(spec)
    return msgspec.structs.replace(spec, cluster=cluster)


def _free_ports(spec: Spec) -> dict[str, int]:
    """A free port for each party; all are held until all are known."""
    sockets = {party: socket.socket() for party in spec.parties}
    try:
        for held in sockets.values():
            held.bind(("127.0.0.1", 0))
        return {party: held.getsockname()[1] for party, held in sockets.items()}
    finally:
        for held in sockets.values():
            held.close()


def _other_cluster(spec: Spec) -> Cluster:
    if spec.needs_processes():
        raise SpecError(
            "this run cannot be repeated in one process",
            where="reproduce.vary",
            why="secret shares and private set intersection need a process for each party",
            fix="leave cluster out of reproduce.vary",
        )
    mode = "debug" if spec.cluster.mode == "local" else "local"
    return msgspec.structs.replace(spec.cluster, mode=mode)


def _require_same(folder: Path, original: dict[str, Any], spec: Spec) -> None:
    """Never run a snapshot that somebody changed as if it were the run."""
    if original["hashed"]["spec_digest"] != spec_digest(spec):
        raise BundleError(
            "the snapshot of the run was altered",
            where=str(folder / CONFIG),
            why="it gives other settings than those that the run's manifest states",
            fix="restore it from a copy; to change a setting, type it, with allow_overrides=true",
        )


def _repeat(folder: Path, spec: Spec, config: DictConfig, typed: dict[str, Any]) -> Path:
    decisions = decide(spec, load_grants(spec, spec.parties_here()))
    require(decisions)
    config = config.copy()
    config.cluster = msgspec.to_builtins(spec.cluster)  # as varied
    return carry_out(spec, decisions, config, typed, original=folder)


def _judge(folder: Path, repeated: Path, original: dict[str, Any], spec: Spec) -> None:
    comparison = compare(original["hashed"], read_run(repeated)["hashed"])
    print("\n" + describe_verdict(comparison, _shared(folder, spec)))
    if comparison.first is None:
        return
    stage, party, what = comparison.first
    places = _compare_parts(folder, repeated, spec)
    raise ReproductionError(
        f"stage {stage} came to other bits",
        where=f"{repeated}, party {party}, {what}",
        why="; ".join(comparison.causes[:3]) or "settings, data, code and versions are the same; it may be the machine",
        fix=f"undo the change, or take the new run as another one{places}",
    )


def _compare_parts(folder: Path, repeated: Path, spec: Spec) -> str:
    """Let each party write down, for itself, where its part of the model differs."""
    parties = [p for p in spec.parties if all((run / "parties" / p / "bundle").is_dir() for run in (folder, repeated))]
    if not parties:
        return ""
    orders = {
        party: {
            "order": "compare",
            "party": party,
            "settings": msgspec.to_builtins(spec.parties[party]),
            "original": str(folder),
            "repeated": str(repeated),
        }
        for party in parties
    }
    answers = ask_parties(orders, Cluster())
    different = [party for party, answer in answers.items() if answer["different"]]
    if not different:
        return ""
    return f"; {', '.join(different)} can see which tree and node in differences.json in the own folder"


def _shared(folder: Path, spec: Spec) -> str:
    """What the repetition took over from the parties' private snapshots."""
    here = spec.parties_here()
    parties = [party for party in here if (folder / "parties" / party / PRIVATE_SNAPSHOT).exists()]
    text = f"shuffle seeds and digest keys of {', '.join(parties) or 'nobody'}, from their private snapshots"
    missing = sorted(set(here) - set(parties))
    if missing:
        text += f"; {', '.join(missing)} ran with the present key, so that digests differ unless it is the same"
    return text


def _snapshot(folder: Path) -> DictConfig:
    path = folder / CONFIG
    try:
        config = OmegaConf.load(path)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise BundleError(
            "the snapshot of the run cannot be read",
            where=str(path),
            why=str(error).splitlines()[0],
            fix="restore the run folder from a copy",
        ) from None
    if not isinstance(config, DictConfig):
        raise BundleError("the snapshot is no configuration", where=str(path), why="it has no keys", fix="restore it")
    return config


def _apply(config: DictConfig, typed: str, request: Request) -> None:
    """Change the snapshot by an override, if that was allowed."""
    (override,) = OverridesParser.create().parse_overrides([typed])
    if not request.allow_overrides and not typed.lstrip("+").startswith(NO_CHANGE):
        raise SpecError(
            f"{typed!r} would change the run",
            where=override.key_or_group,
            why="a reproduction runs what was run",
            fix="remove it, or add allow_overrides=true: the verdict then says what changed",
        )
    name = override.key_or_group
    if Path(config_dir(), name).is_dir() or override.is_sweep_override() or override.is_delete():
        raise SpecError(
            f"{typed!r} cannot be applied to a snapshot",
            where=name,
            why="a snapshot holds settings: no choices of groups, nothing to sweep or to leave out",
            fix="write single settings, such as sgb.max_depth=4",
        )
    try:
        OmegaConf.update(config, name, override.value(), merge=False)
    except OmegaConfBaseException as error:
        raise SpecError(
            f"{typed!r} cannot be applied", where=name, why=str(error).splitlines()[0], fix="name a setting that exists"
        ) from None
