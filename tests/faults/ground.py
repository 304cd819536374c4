"""Three organisations, each on a host of its own (:mod:`faults.hosts`), with a folder, keys and tables of its own."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from faults.hosts import Host, Hosts
from integration.launch import PARTIES, Launch
from made_sites import credentials_of, make_sites
from warm.client import Before

from runner.data.builtin import write_builtin
from runner.keys.pki import AUTHORITY, CERTIFICATE, TLS_KEY

GRACE = 6.0  # seconds for which a connection between sites may be cut
QUICK = (f"cluster.grace={GRACE}",)


class Ground:
    """The sites and what is typed there.

    Attributes:
        places: party → the folder in which its operator types; its site's files are in ``sites/<party>`` there.
        hosts: party → its host.
    """

    def __init__(self, folder: Path, hosts: Hosts) -> None:
        self.kind = hosts.kind
        self.hosts: dict[str, Host] = hosts.by_name
        self.places = {party: folder / "sites" / party for party in PARTIES}
        make_sites(folder, PARTIES)
        for party, place in self.places.items():
            keys = self.own(party, "keys")
            keys.mkdir(mode=0o700, parents=True)
            place.joinpath("tmp").mkdir()
            for name, path in zip((CERTIFICATE, TLS_KEY, AUTHORITY), credentials_of(folder, party), strict=True):
                shutil.copy(path, keys / name)
            table = self.own(party, "data", "breast_cancer", party, "table.parquet")
            write_builtin("breast_cancer", party, table, "patient_id")

    def own(self, party: str, *names: str) -> Path:
        """A file of one site."""
        return self.places[party].joinpath("sites", party, *names)

    def command(self, party: str, alone: bool = False) -> list[str]:
        """What the operator of one site types, before what all type; ``alone``: before what asks nobody else."""
        where = [f"parties.{name}.address={host.address}:{host.port}" for name, host in self.hosts.items()]
        return [
            "cluster=remote",
            "parties=sites",
            f"site={party}",
            f"self_party={party}",
            *where,
            *(() if alone else QUICK),
        ]

    def type_at(self, party: str, *arguments: str, before: Sequence[Before] = (), alone: bool = False) -> Launch:
        """What one operator types, on the party's host; a context manager."""
        place = self.places[party]
        return Launch(
            *self.command(party, alone),
            *arguments,
            place=place,
            host=self.hosts[party].pid,
            before=before,
            TMPDIR=str(place / "tmp"),
        )

    @contextlib.contextmanager
    def type_everywhere(
        self,
        *arguments: str,
        own: Mapping[str, Sequence[str]] | None = None,
        before: Mapping[str, Sequence[Before]] | None = None,
    ) -> Iterator[dict[str, Launch]]:
        """All operators type the same at the same time.

        Args:
            own: what one of them adds.
            before: what is done in the process of one of them before it begins (:mod:`faults.inject`).
        """
        with contextlib.ExitStack() as stack:
            yield {
                party: stack.enter_context(
                    self.type_at(party, *arguments, *(own or {}).get(party, ()), before=(before or {}).get(party, ()))
                )
                for party in PARTIES
            }


@contextlib.contextmanager
def a_ground(folder: Path) -> Iterator[Ground]:
    """Hosts and sites in a new folder."""
    with Hosts(PARTIES) as hosts:
        yield Ground(folder, hosts)
