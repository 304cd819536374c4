"""The model is the same, bit for bit, however it was computed: by hand, in one process, under another scheme."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from integration.launch import DEEP, PARTIES, Finish, Finished, table_path

from runner.keys.keyring import Keyring

pytestmark = pytest.mark.processes

PROGRAM = Path(__file__).with_name("handwritten.py")
ORDER = ("carol", "alice", "bob")  # the label holder first


@pytest.fixture(scope="module")
def place(deep_run: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place of this file's own with the tables and keys of the deep run."""
    place = tmp_path_factory.mktemp("bits")
    deep_run.copy(place)
    return place


@pytest.fixture(scope="module")
def shared_run(finish: Finish, place: Path) -> Finished:
    """Deep trees with stock SecretFlow's shuffles."""
    return finish(place, *DEEP, "sgb.shuffle=shared")


@pytest.fixture(scope="module")
def debug_run(finish: Finish, place: Path) -> Finished:
    """Deep trees, all parties in one process."""
    return finish(place, *DEEP, "cluster=debug")


@pytest.fixture(scope="module")
def by_hand(deep_run: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the handwritten program makes of the same tables and parameters: a folder for each kind of shuffle."""
    folder = tmp_path_factory.mktemp("by_hand")
    for shuffle in ("shared", "private"):
        folder.joinpath(shuffle).mkdir()
    spec = deep_run.json("spec.json")
    settings = {
        "order": ORDER,
        "ports": free_ports(),
        "job": secrets.token_hex(16),
        "folder": str(folder),
        "tables": {party: str(table_path(deep_run.place, party)) for party in PARTIES},
        "id": spec["data"]["id"],
        "label": spec["label"]["column"],
        "split_key": spec["data"]["split"]["key"],
        "test_fraction": spec["data"]["split"]["test_fraction"],
        "scheme": spec["crypto"]["scheme"],
        "key_bits": spec["crypto"]["key_bits"],
        "parameters": {name: value for name, value in spec["sgb"].items() if name != "shuffle"},
        "shuffle_seeds": {party: shuffle_seed(deep_run, party, spec["sgb"]["seed"]) for party in PARTIES},
    }
    settings_file = folder / "settings.json"
    settings_file.write_text(json.dumps(settings))
    log = folder / "all.log"
    with log.open("wb") as output:
        command = [sys.executable, str(PROGRAM), str(settings_file), *PARTIES]
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, start_new_session=True)
    try:
        code = process.wait(timeout=150)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert code == 0, log.read_text()
    return folder


def free_ports() -> dict[str, int]:
    probes = {party: socket.socket() for party in PARTIES}
    for probe in probes.values():
        probe.bind(("127.0.0.1", 0))
    ports = {party: probe.getsockname()[1] for party, probe in probes.items()}
    for probe in probes.values():
        probe.close()
    return ports


def shuffle_seed(run: Finished, party: str, seed: int) -> list[int]:
    """The party's private shuffle seed, from its key file."""
    secret = bytes.fromhex(run.place.joinpath("outputs", "keys", party, "secret.key").read_text())
    key = Keyring(party, secret).derive(f"shuffle/{seed}")
    return np.frombuffer(key, dtype=">u4").tolist()


def assert_same_model(run: Finished, made_by_hand: Path) -> None:
    def read(*names: str) -> Any:
        return json.loads(made_by_hand.joinpath(*names).read_text())

    for party in PARTIES:
        trees = [dict(tree) for tree in run.part(party)["trees"]]
        for tree in trees:
            assert len(tree.pop("split_gains")) == len(tree["split_features"]), "SecretFlow's files lose them"
        assert trees == read(party, "split_tree.json"), f"{party}'s trees"
    assert run.part("carol")["leaf_weights"] == read("carol", "leaf_weight.json")
    scores = np.load(made_by_hand / "scores.npy").reshape(-1)
    assert scores.dtype == np.float32
    assert run.predictions()["score"].to_numpy().tobytes() == scores.tobytes()


def test_every_party_splits_in_some_tree(deep_run: Finished) -> None:
    """Without this, parts would be compared that hold nothing."""
    for party in PARTIES:
        assert any(feature != -1 for tree in deep_run.part(party)["trees"] for feature in tree["split_features"])


def test_these_trees_depend_on_the_shuffles(deep_run: Finished, shared_run: Finished) -> None:
    """Without this, the tests of this file would pass whatever the shuffles do."""
    assert [deep_run.part(party)["trees"] for party in PARTIES] != [
        shared_run.part(party)["trees"] for party in PARTIES
    ]


def test_one_process_gives_the_same_bits_as_one_per_party(debug_run: Finished, deep_run: Finished) -> None:
    for party in PARTIES:
        assert debug_run.part(party) == deep_run.part(party)
    assert debug_run.predictions().equals(deep_run.predictions())
    assert debug_run.json("parties", "carol", "metrics.json") == deep_run.json("parties", "carol", "metrics.json")
    assert debug_run.json("manifest.json")["hashed"] == deep_run.json("manifest.json")["hashed"]


def test_paillier_gives_the_same_trees_as_ou(paillier_run: Finished, main_run: Finished) -> None:
    assert paillier_run.json("manifest.json")["observed"]["encryption"]["scheme"] == "paillier"
    assert main_run.json("manifest.json")["observed"]["encryption"]["scheme"] == "ou"
    for party in PARTIES:
        assert paillier_run.part(party) == main_run.part(party)
    assert paillier_run.predictions().equals(main_run.predictions())


def test_shared_shuffles_are_stock_secretflows(shared_run: Finished, by_hand: Path) -> None:
    assert_same_model(shared_run, by_hand / "shared")


def test_private_shuffles_change_the_generator_and_nothing_else(deep_run: Finished, by_hand: Path) -> None:
    assert_same_model(deep_run, by_hand / "private")
