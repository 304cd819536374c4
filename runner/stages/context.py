"""What a stage works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secretflow.data import FedNdarray, PartitionWay
from secretflow.device import PYU, SPU, PYUObject

from runner.engine.alignment import Alignment
from runner.engine.site import Site
from runner.engine.start import make_heu
from runner.policy.gate import Gate
from runner.spec.model import Spec


@dataclass(frozen=True)
class Context:
    """One run as one process sees it.

    Attributes:
        spec: the run's spec.
        devices: every party's device, in canonical order (label holder first).
        sites: the parties whose process this is, with their private things.
        gate: the only way out of a party.
        nonce: a random text of this run that all its parties know, and nobody else.
        bundles: party → the folder of its model part.
        connect_spu: connects the SPU, at the first call.
        connect_heu: makes the homomorphic encryption, or gives that of an earlier job of the same processes.
        pace: called with the number of trees before each tree but the first of a training; raises Stopped at every
            party where it is not to go on. None: it goes on.
        alignment: where the rows of an alignment are kept for later jobs.
        min_rows: the policy's floor under metrics, curves and common rows; min_batch: under predictions.
        sockets: the run's folder for Unix sockets between the parties' processes.
    """

    spec: Spec
    devices: Mapping[str, PYU]
    sites: Mapping[str, Site]
    gate: Gate
    nonce: str
    bundles: Mapping[str, Path]
    connect_spu: Callable[[], SPU]
    min_rows: int = 0
    min_batch: int = 0
    sockets: Path | None = None
    connect_heu: Callable[[Spec], Any] = make_heu
    pace: Callable[[int], None] | None = None
    alignment: Alignment | None = None

    @property
    def spu(self) -> SPU:
        """The device for computing on secret shares; every party's process must ask for it at the same step."""
        return self.connect_spu()

    @property
    def pieces(self) -> int:
        """The number of pieces in which the rows are predicted, the same at every party; 0: all at once."""
        pieces = next(iter(self.sites.values())).pieces
        return 0 if pieces is None else pieces.count

    @property
    def holder(self) -> PYU:
        """The label holder's device."""
        return self.devices[self.spec.label.holder]

    def at(self, party: str, work: Callable[..., Any], *arguments: Any) -> PYUObject:
        """Run ``work(site, *arguments)`` in ``party``'s process; the result stays there."""
        sites = self.sites

        def local(*values: Any) -> Any:
            return work(sites[party], *values)

        return self.devices[party](local)(*arguments)

    def everywhere(self, work: Callable[..., Any], *arguments: Any) -> dict[str, PYUObject]:
        """Run ``work(site, *arguments)`` at every party."""
        return {party: self.at(party, work, *arguments) for party in self.devices}

    def test_features(self) -> FedNdarray:
        """The features of the rows to predict; each party's columns stay at that party."""
        return self._features(self.everywhere(lambda site: site.features[site.table.test]))

    def training_features(self, present: Mapping[str, PYUObject] | None) -> FedNdarray:
        """The features of the training rows, of those with a label where ``present`` says which have one."""
        if present is None:
            return self._features(self.everywhere(lambda site: site.features[~site.table.test]))

        def select(site: Site, present: Any) -> Any:
            return site.features[~site.table.test & present]

        return self._features({party: self.at(party, select, mask) for party, mask in present.items()})

    def _features(self, columns: Mapping[str, PYUObject]) -> FedNdarray:
        return FedNdarray(
            partitions={device: columns[party] for party, device in self.devices.items()},
            partition_way=PartitionWay.VERTICAL,
        )
