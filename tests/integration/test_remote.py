"""Three organisations on three sites: each types the same command in a folder of its own, with a key of its own."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from integration.launch import (
    PARTIES,
    SMALL,
    Ended,
    Finish,
    Finished,
    Launch,
)
from made_sites import credentials_of, make_sites

pytestmark = pytest.mark.processes

PORTS = 3  # of a site


class Sites:
    """The sites of three organisations on this machine; each has a folder, certificates and a port of its own."""

    def __init__(self, folder: Path, keys: Path) -> None:
        self.places = {party: folder / "sites" / party for party in PARTIES}
        make_sites(folder, PARTIES)
        for party, place in self.places.items():
            home = place / "sites" / party / "keys"
            home.mkdir(mode=0o700, parents=True)
            shutil.copy(keys / party / "secret.key", home)
            for name, path in zip(("tls.crt", "tls.key", "ca.crt"), credentials_of(folder, party), strict=True):
                shutil.copy(path, home / name)
        first = free_ports(PORTS * len(PARTIES))
        self.addresses = {party: f"127.0.0.1:{first + PORTS * place}" for place, party in enumerate(PARTIES)}

    def command(self, party: str) -> list[str]:
        """What the operator of one site types, before what all type."""
        common = [f"parties.{name}.address={address}" for name, address in self.addresses.items()]
        return ["cluster=remote", "parties=sites", f"site={party}", f"self_party={party}", *common]

    @contextlib.contextmanager
    def type_everywhere(self, *arguments: str, **own: list[str]) -> Iterator[dict[str, Launch]]:
        """All operators type the same; ``own`` is what one adds."""
        with contextlib.ExitStack() as stack:
            yield {
                party: stack.enter_context(
                    Launch(*self.command(party), *arguments, *own.get(party, []), place=self.places[party])
                )
                for party in PARTIES
            }


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody has."""
    while True:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            start = int(first.getsockname()[1])
            if start + count > 65535:
                continue
            with contextlib.suppress(OSError):
                for port in range(start + 1, start + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                return start


def end(launches: dict[str, Launch]) -> dict[str, Ended]:
    return {party: launch.end() for party, launch in launches.items()}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory, main_run: Finished) -> Sites:
    return Sites(tmp_path_factory.mktemp("remote"), main_run.place / "outputs" / "keys")


@pytest.fixture(scope="module")
def runs(sites: Sites) -> dict[str, Finished]:
    """One run over three sites."""
    with sites.type_everywhere(*SMALL) as launches:
        ended = end(launches)
        for one in ended.values():
            assert one.code == 0, one.out + one.err
        return {party: Finished(launch.place, launch.folder, ended[party]) for party, launch in launches.items()}


def test_predictions_are_those_of_a_run_on_one_machine(runs: dict[str, Finished], main_run: Finished) -> None:
    assert runs["carol"].predictions().equals(main_run.predictions())


def test_all_sites_sign_one_manifest(runs: dict[str, Finished]) -> None:
    manifests = [run.json("manifest.json") for run in runs.values()]
    assert len({manifest["digest"] for manifest in manifests}) == 1
    assert all(set(manifest["signatures"]) == set(PARTIES) for manifest in manifests)
    assert all(sorted(manifest["hashed"]["machine"]) == list(PARTIES) for manifest in manifests)


def test_each_site_has_its_own_partys_files_alone(runs: dict[str, Finished]) -> None:
    for party, run in runs.items():
        assert [path.name for path in run.folder.joinpath("parties").iterdir()] == [party]
        written = sorted(path.name for path in (run.place / "sites" / party / "data").rglob("*.parquet"))
        assert written == ["table.parquet"]


def test_no_site_learns_of_anothers_places_or_columns(runs: dict[str, Finished]) -> None:
    for party, run in runs.items():
        kept = [path for path in run.folder.rglob("*") if path.is_file()]
        texts = {path: path.read_bytes() for path in kept} | {Path("terminal"): run.ended.out.encode()}
        for peer in set(PARTIES) - {party}:
            table = next((runs[peer].place / "sites" / peer / "data").rglob("*.parquet"))
            secrets = [str(runs[peer].place), *(name for name in pl.read_parquet_schema(table) if " " in name)]
            found = [(path, secret) for path, text in texts.items() for secret in secrets if secret.encode() in text]
            assert not found


def test_each_site_verifies_its_own_run(sites: Sites, runs: dict[str, Finished], finish: Finish) -> None:
    for party, run in runs.items():
        verified = finish(run.place, *sites.command(party), "task=verify", f"run={run.folder}")
        assert "VERIFIED" in verified.ended.out


def test_other_settings_at_one_site_stop_all(sites: Sites) -> None:
    with sites.type_everywhere(*SMALL, bob=["sgb.max_depth=3"]) as launches:
        for party, ended in end(launches).items():
            assert ended.code == 2, ended.out + ended.err
            assert "were given different settings" in ended.err
            if party != "carol":
                assert "sgb.max_depth is" in ended.err
