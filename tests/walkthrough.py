"""The README's walk-through for three sites, read out of the README and done as it is written there."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from faults.hosts import Host
from integration.launch import Ended, Launch
from support import PROJECT

TITLE = "## Three organisations on three hosts"
RUNNER = "python -m runner "
RUN_FOLDER = "runs/<day>/<time>-<id>"


class Block(NamedTuple):
    """A piece of the README between two lines of backticks; ``site`` says where it belongs, None: to every site."""

    language: str
    text: str
    site: str | None

    def is_typed(self) -> bool:
        """Whether it is one command of the runner's."""
        return any(line.startswith(RUNNER) for line in self.text.splitlines())


def blocks_of_walk() -> list[Block]:
    """Those of the section, in their order."""
    readme = PROJECT.joinpath("README.md").read_text(encoding="utf-8")
    section = readme.partition(f"\n{TITLE}\n")[2].partition("\n## ")[0].partition("\n### ")[0]
    found = re.findall(r"^```([a-z]+)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    assert found, f"there is no {TITLE!r} in the README"
    return [Block(language, text, _site_of(text)) for language, text in found]


def _site_of(text: str) -> str | None:
    named = re.search(r"\bat the ([a-z]+)$", text.partition("\n")[0])
    return named[1] if named else None


class Walk:
    """Three sites, each with a folder and a host of its own, in which the blocks are done one after another.

    Attributes:
        places: site → its folder.
        ended: the first words that tell a command (its task, or ``run``) → site → how it ended.
    """

    def __init__(self, folder: Path, hosts: Mapping[str, Host]) -> None:
        self._hosts = hosts
        self.places = {site: folder / site for site in hosts}
        for place in self.places.values():
            place.mkdir()
        self.ended: dict[str, dict[str, Ended]] = {}
        self._names = self._name_hosts(folder)

    def do(self, block: Block) -> None:
        """What the README says, at every site or at the one that it names; all of it must end well."""
        sites = [block.site] if block.site is not None else list(self.places)
        if block.language != "bash":
            for site in sites:
                self._write(site, block.text)
        elif block.is_typed():
            self._type(sites, block.text)
        else:
            for site in sites:
                self._shell(site, block.text)

    def run_folder(self, site: str, name: str = "run") -> Path:
        """The folder of a run, as its terminal told it, below the site's own."""
        return Path(next(x for x in self.ended[name][site].out.splitlines() if x.startswith("Run folder")).split()[-1])

    def send(self, sender: str, path: str, receiver: str, name: str) -> None:
        """One site's file goes to another by mail."""
        shutil.copy(self.places[sender] / path, self.places[receiver] / name)

    def _name_hosts(self, folder: Path) -> dict[str, str]:
        """Let the hosts know each other by name; where they are only addresses: what is written in the names' place."""
        names = {f"{site}.example.org": host for site, host in self._hosts.items()}
        if any(host.pid is None for host in names.values()):
            addresses = {f"{name}:7200": f"{host.address}:{host.port}" for name, host in names.items()}
            return addresses
        known = folder / "hosts"
        known.write_text("".join(f"{host.address} {name}\n" for name, host in names.items()))
        for host in names.values():
            host.run("mount", "--bind", str(known), "/etc/hosts")
        return {}

    def _as_here(self, site: str, text: str) -> str:
        """The text with the site's own name for ``ME``, and what the README leaves open filled in."""
        text = re.sub(r"^ME=bank\b", f"ME={site}", text, flags=re.MULTILINE)
        for name, address in self._names.items():
            text = text.replace(name, address)
        host = self._hosts[site]
        if host.pid is None:
            text = text.replace("0.0.0.0:7200", f"{host.address}:{host.port}")
        if RUN_FOLDER in text:
            text = text.replace(RUN_FOLDER, str(self.run_folder(site)))
        return text

    def _write(self, site: str, text: str) -> None:
        named = re.search(r"^# (\S+\.(?:yaml|py))[:,]", text, re.MULTILINE)
        assert named, text
        path = self.places[site] / named[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._as_here(site, text))

    def _shell(self, site: str, text: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", self._as_here(site, text)],
            cwd=self.places[site],
            env={**os.environ, "ME": site},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _type(self, sites: list[str], text: str) -> None:
        commands = {site: self._arguments(site, text) for site in sites}
        task = next((word for word in commands[sites[0]] if word.startswith("task=")), "task=run").partition("=")[2]
        with contextlib.ExitStack() as stack:
            launches = {
                site: stack.enter_context(Launch(*arguments, place=self.places[site], host=self._hosts[site].pid))
                for site, arguments in commands.items()
            }
            self.ended[task] = {site: launch.end() for site, launch in launches.items()}
        for ended in self.ended[task].values():
            assert ended.code == 0, ended.out + ended.err

    def _arguments(self, site: str, text: str) -> list[str]:
        """What the shell makes of the one command in a block."""
        words = self._shell(site, text.replace(RUNNER, "printf '%s\\n' "))
        return words.splitlines()
