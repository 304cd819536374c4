"""Trainings on SecretFlow's devices in one process, without encryption, on tables whose splits have no ties."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from made_tables import made_table
from numpy.typing import NDArray

from runner.keys.keyring import Keyring
from runner.policy.audit import AuditLog
from runner.policy.decide import decide
from runner.spec.parse import parse

Changed = Callable[..., dict[str, Any]]
Array = NDArray[np.float64]
ORDER = ("carol", "alice", "bob")  # the label holder first
COLUMNS = 2
PLAIN = {
    "cluster.mode": "debug",
    "crypto.scheme": "mock",
    "crypto.key_bits": 1024,
    "sgb.num_boost_round": 4,
    "sgb.max_depth": 3,
    "sgb.sketch_eps": 0.02,
    "sgb.first_tree_with_label_holder_feature": False,
    "policy.min_rows": 0,
}


class House:
    """Three parties with two columns each of ten values, and a label and weights at carol."""

    def __init__(self, place: Path, devices: dict[str, Any], changed: Changed) -> None:
        self._place = place
        self._devices = devices
        self._changed = changed
        self._runs = 0
        self.told: list[dict[str, Any]] = []  # events of the newest context

    def context(
        self,
        features: Array,
        label: Array | None,
        changes: dict[str, Any],
        *,
        test: Any = None,
        weight: Array | None = None,
        classes: Any = None,
        truth: tuple[Array, Any] | None = None,
    ) -> Any:
        """A run's context. ``features`` has carol's columns, alice's and bob's; rows of ``test`` are held out.

        ``truth`` are labels of alice's own, and their classes.
        """
        from runner.engine.site import Site
        from runner.policy.gate import Gate
        from runner.stages.context import Context
        from runner.stages.prepare import prepare_as_it_is

        self._runs += 1
        self.told.clear()
        keys = {f"parties.{party}.key_file": str(self._place / "keys" / party / "secret.key") for party in ORDER}
        spec = parse(self._changed({**PLAIN, **keys, **changes}))
        held_out = np.zeros(len(features), dtype=bool) if test is None else test
        sites = {}
        for number, party in enumerate(ORDER):
            own = self._place / str(self._runs) / "parties" / party
            own.mkdir(parents=True)
            own_columns: dict[str, Any] = {}
            if party == "carol":
                own_columns = {"label": label, "weight": weight, "classes": classes}
            elif party == "alice" and truth is not None:
                own_columns = dict(zip(("truth", "truth_classes"), truth, strict=True))
            table = made_table(
                np.arange(len(features)),
                features[:, COLUMNS * number : COLUMNS * (number + 1)],
                [f"{party}_{column}" for column in range(COLUMNS)],
                held_out,
                **own_columns,
            )
            audit = AuditLog(own / "audit.jsonl", b"audit")
            ring = Keyring(party, party.encode().ljust(32))
            sites[party] = Site(party, own, ring, audit, lambda **event: self.told.append(event), table)
            prepare_as_it_is(sites[party])
        audits = {party: site.audit for party, site in sites.items()}
        gate = Gate(decide(spec), self._devices, audits, {party: site.emit for party, site in sites.items()})
        bundles = {party: site.folder / "bundle" for party, site in sites.items()}
        return Context(spec, self._devices, sites, gate, "nonce", bundles, connect_spu=lambda: None)  # type: ignore[arg-type, return-value]

    def train(self, context: Any) -> Any:
        """The model that a context's run trains."""
        from runner.stages.labels import join_labels
        from runner.stages.train import train

        return train(context, join_labels(context))

    def scores(self, model: Any, features: Array) -> Any:
        """The model's final scores of these rows."""
        from runner.stages.score import score_openly

        several = {"sgb.objective": "multiclass"} if hasattr(model, "names") else {}
        context = self.context(features, None, several, test=np.ones(len(features), dtype=bool))
        return np.asarray(score_openly(context, model).value.data)


def draw_features(rows: int, seed: int = 5) -> Array:
    """Ten values a column, so that XGBoost and SGB choose among the same splits."""
    return np.random.default_rng(seed).integers(0, 10, (rows, COLUMNS * len(ORDER))).astype(np.float64)
