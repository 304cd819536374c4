"""What a stage works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secretflow.data import FedNdarray, PartitionWay
from secretflow.device import PYU, PYUObject

from runner.engine.site import Site
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
        bundle: party → the folder of its model part.
    """

    spec: Spec
    devices: Mapping[str, PYU]
    sites: Mapping[str, Site]
    gate: Gate
    nonce: str
    bundles: Mapping[str, Path]

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

    def features(self, *, test: bool) -> FedNdarray:
        """The features of the test rows, or of the training rows; each party's columns stay at that party."""
        return FedNdarray(
            partitions={
                device: self.at(party, lambda site: site.table.features[site.table.test == test])
                for party, device in self.devices.items()
            },
            partition_way=PartitionWay.VERTICAL,
        )
