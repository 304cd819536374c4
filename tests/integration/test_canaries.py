"""Nothing of a party's data, and none of its secrets, is in what others have of a run: planted values are searched."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from integration.launch import NO_REPORT, PARTIES, SMALL, Ended, Finished, Launch
from integration.test_remote import Sites
from made_canaries import (
    Canaries,
    changed_since,
    contents,
    database,
    make_canaries,
    table_settings,
    write_data_settings,
)

from runner.engine.unpickle import loads

pytestmark = pytest.mark.processes

OTHERS = ("bob", "carol")
RUN = (
    *("data=canaries", "align=psi", "prepare=auto", "label.holder=alice", "label.column=outcome"),
    *("sgb.objective=linear", *SMALL[:-1], "log.level=debug"),
)
CHATTER = r"\[(info|warning|error)\]|\.(cc|cpp|h):\d+|WARNING:"
TEMPORARY = [Path(tempfile.gettempdir()), Path("/dev/shm")]


class Left(NamedTuple):
    """What a command has left: where it was typed, its run folder, and how it ended."""

    place: Path
    folder: Path
    ended: Ended

    def terminal(self) -> tuple[str, bytes]:
        return "terminal", (self.ended.out + self.ended.err).encode()

    def structured(self, folder: str = ".") -> list[dict[str, Any]]:
        paths = sorted(self.folder.joinpath(folder).rglob("*.jsonl"))
        lines = [line for path in paths if path.parent.name == "logs" for line in path.read_text().splitlines()]
        return [json.loads(line) for line in lines]


class World(NamedTuple):
    """Three sites, alice's canaries, and what two runs left at each: one that succeeded, and one that failed."""

    canaries: Canaries
    good: dict[str, Left]
    failed: dict[str, Left]
    began: float


@contextlib.contextmanager
def uri_of(tables: Path, mark: str) -> Iterator[None]:
    """The variable with the URI of alice's database, for a command that is typed meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANARY_URI", f"sqlite://{database(tables, mark)}")
        yield


def made_keys(folder: Path) -> Path:
    for party in PARTIES:
        path = folder / party / "secret.key"
        path.parent.mkdir(mode=0o700, parents=True)
        path.write_text(secrets.token_hex(32))
        path.chmod(0o600)
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    began = time.time()
    folder = tmp_path_factory.mktemp("sites")
    keys = made_keys(folder / "keys")
    sites = Sites(folder, keys)
    tables = {party: sites.places[party] / "tables" for party in PARTIES}
    canaries = make_canaries(tables["alice"], bytes.fromhex((keys / "alice" / "secret.key").read_text()))
    pem = (sites.places["alice"] / "sites/alice/keys/tls.key").read_text().splitlines()
    canaries.keys["TLS key"] = pem[1].encode()
    for party in PARTIES:
        write_data_settings(sites.places[party] / "common")
    for party in OTHERS:
        tables[party].mkdir()
        for name in (f"{party}.parquet", f"{party}.yaml"):
            (tables["alice"] / name).rename(tables[party] / name)
    common = ("--config-dir", "common", *RUN)

    def everywhere(contract: str, *arguments: str) -> dict[str, Left]:
        with contextlib.ExitStack() as stack:
            launches = {}
            for party in PARTIES:
                own = table_settings(tables[party], party, contract if party == "alice" else None)
                command = [*sites.command(party), *common, *arguments, *own]
                with uri_of(tables["alice"], canaries.mark) if party == "alice" else contextlib.nullcontext():
                    launches[party] = stack.enter_context(Launch(*command, place=sites.places[party]))
            ended = {party: launch.end() for party, launch in launches.items()}
            return {party: Left(launch.place, launch.folder, ended[party]) for party, launch in launches.items()}

    good = everywhere("alice.yaml", "cluster.keep_messages=true")
    for left in good.values():
        assert left.ended.code == 0, left.ended.out + left.ended.err
    failed = everywhere("raising.py:Alice")
    return World(canaries, good, failed, began)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> tuple[Canaries, Left]:
    """All parties on one machine; alice cannot prepare a row of the test rows, which her process finds out last."""
    place = tmp_path_factory.mktemp("local")
    keys = made_keys(place / "outputs" / "keys")
    tables = place / "tables"
    canaries = make_canaries(tables, bytes.fromhex((keys / "alice" / "secret.key").read_text()))
    write_data_settings(place / "common")
    own = [
        setting
        for party in PARTIES
        for setting in table_settings(tables, party, "strict.yaml" if party == "alice" else None)
    ]
    with uri_of(tables, canaries.mark), Launch("--config-dir", "common", *RUN, NO_REPORT, *own, place=place) as launch:
        ended = launch.end()
        return canaries, Left(place, launch.folder, ended)


def test_search_finds_each_kind_where_it_is(world: World) -> None:
    found = world.canaries.found_in(contents([world.good["alice"].place]))
    assert {kind for _, kind in found} == set(world.canaries.all()) - {"password"}


def test_other_sites_have_none_of_it(world: World) -> None:
    for party in OTHERS:
        for left in (world.good[party], world.failed[party]):
            assert world.canaries.found_in([*contents([left.place]), left.terminal()]) == []


def test_no_message_that_reached_another_party_holds_one_of_the_numbers(world: World) -> None:
    read = 0
    for party in OTHERS:
        for path in world.good[party].folder.joinpath("parties", party, "messages").iterdir():
            for array in arrays_in(loads(path.read_bytes(), "anybody")):
                assert not world.canaries.are_among(array), path
                read += array.size
    assert read > 100


def arrays_in(value: Any) -> Iterator[np.ndarray]:
    """All numbers that a message holds, but for ciphertexts."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from arrays_in(item)
    elif isinstance(value, dict):
        yield from arrays_in([*value.keys(), *value.values()])
    elif isinstance(value, (np.ndarray, np.generic, int, float)):
        yield np.asarray(value)


def test_temporary_places_have_none_of_it(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    tests = tmp_path_factory.getbasetemp()
    there = [path for folder in TEMPORARY for path in folder.iterdir() if path not in (tests, *tests.parents)]
    places = changed_since(world.began, there)
    assert world.canaries.found_in(contents(places, since=world.began)) == []


def test_own_logs_have_no_secret_and_structured_ones_no_data_either(world: World) -> None:
    own = [world.good["alice"], world.failed["alice"]]
    for left in own:
        logs = [path for path in left.folder.rglob("*") if path.suffix in (".log", ".jsonl")]
        assert world.canaries.found_in([*contents(logs), left.terminal()], secrets_only=True) == []
        structured = [path for path in logs if path.parent.name == "logs"]
        assert structured
        assert world.canaries.found_in([*contents(structured), left.terminal()]) == []


def test_failure_is_told_to_others_without_its_text(world: World) -> None:
    for party, left in world.failed.items():
        assert left.ended.code == 4, left.ended.err
        assert "alice's table could not be checked" in left.ended.err, party
        assert "Traceback" not in left.ended.err
    assert "cannot handle" in (world.failed["alice"].folder / "parties/alice/check.log").read_text()


def test_all_sites_call_a_run_by_one_name(world: World) -> None:
    for runs in (world.good, world.failed):
        names = {line["run"] for left in runs.values() for line in left.structured()}
        (name,) = names - {None}
        assert all(f"this run is {name} in the logs of all sites" in left.ended.out for left in runs.values())
    manifests = [json.loads((left.folder / "manifest.json").read_bytes()) for left in world.good.values()]
    assert len({manifest["observed"]["run"] for manifest in manifests}) == 1


def test_every_process_of_a_run_writes_what_it_does(world: World) -> None:
    for party, left in world.good.items():
        lines = left.structured()
        processes = {line["process"] for line in lines}
        assert processes == {"driver", "template of check", "template of work", "check", "worker", "psi"}
        assert {line["party"] for line in lines} == {party, None}
        stages = {line["stage"] for line in lines if line["process"] == "worker"}
        assert {"open", "align", "train", "predict"} <= stages
        (ended,) = [line for line in lines if line["event"] == "ended"]
        assert ended["state"] == "done"


def test_words_of_the_libraries_are_in_the_log_and_not_on_the_terminal(world: World) -> None:
    for party, left in world.good.items():
        said = (left.folder / "parties" / party / "worker.log").read_text()
        assert re.search(CHATTER, said)
        assert not re.search(CHATTER, left.ended.out + left.ended.err)


def test_failed_run_says_where_its_logs_are(world: World) -> None:
    for left in world.failed.values():
        assert "\nLogs         " in left.ended.out
        failed = [line for line in left.structured() if line["event"] == "failed"]
        assert {line["level"] for line in failed} == {"error"}
        assert "driver" in {line["process"] for line in failed}


def test_failure_on_one_machine_leaves_it_with_its_owner(local: tuple[Canaries, Left]) -> None:
    canaries, left = local
    assert left.ended.code == 4, left.ended.out + left.ended.err
    own = left.folder / "parties" / "alice"
    shown = [path for path in left.folder.rglob("*") if path.is_file() and own not in path.parents]
    assert canaries.found_in([*contents(shown), left.terminal()]) == []
    assert canaries.found_in(contents([own]), secrets_only=True) == []
    assert canaries.found_in(contents([own / "logs"])) == []


def secrets_of_part(run: Finished, party: str) -> dict[str, list[bytes]]:
    """What nobody else may read of a party's model: names, split values and leaf weights, in every form."""
    part = run.part(party)
    numbers = {
        number
        for tree in part["trees"]
        for number in numbers_in(tree)
        if isinstance(number, float) and abs(number) not in (0.0, 1.0) and number == number and abs(number) < 1e300
    }
    numbers |= {number for weights in part.get("leaf_weights", []) for number in numbers_in(weights)}
    forms = [struct.pack(form, number) for form in ("<d", ">d", "<f", ">f") for number in sorted(numbers)]
    texts = [text.encode() for number in sorted(numbers) for text in (repr(number), f"{number:.8g}") if len(text) > 6]
    return {"names": [name.encode() for name in part["features"]], "numbers": [*forms, *texts]}


def numbers_in(value: Any) -> list[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in numbers_in(item)]
    return [float(value)] if isinstance(value, float) else []


@pytest.mark.parametrize("owner", PARTIES)
def test_all_files_of_a_run_give_away_nothing_of_a_part(deep_run: Finished, owner: str) -> None:
    """To one who has everything but the owner's key: the owner's predictions and metrics are another matter."""
    secret = secrets_of_part(deep_run, owner)
    assert len(secret["names"]) == 10
    assert len(secret["numbers"]) >= 4
    results = {deep_run.own(owner, name) for name in ("predictions.parquet", "metrics.json", "curve.json")}
    contents = {path: path.read_bytes() for path in deep_run.folder.rglob("*") if path.is_file()}
    searched = {path: content for path, content in contents.items() if path not in results}
    assert any(path.name == "part.bin" for path in searched)
    for form in (*secret["names"], *secret["numbers"]):
        assert [path for path, content in searched.items() if form in content] == [], form
