"""Whether a run folder's settings are those that its manifest states, at one machine or at a site of several."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import make_spec

from runner.files import canonical_json
from runner.provenance.manifest import stated_values
from runner.records import _findings

SITE = ("cluster=remote", "parties=sites", "self_party=alice", "site=alice")


@pytest.mark.parametrize("where", [(), SITE], ids=["one machine", "a site"])
def test_settings_are_those_that_the_manifest_states(tmp_path: Path, where: tuple[str, ...]) -> None:
    def told(*overrides: str) -> tuple[str, bool, str]:
        return next(_findings(tmp_path, manifest, make_spec(*where, *overrides)))

    manifest = {"hashed": {"spec": json.loads(canonical_json(stated_values(make_spec(*where))))}}
    assert told() == ("settings", True, "those of the manifest")
    assert told("sgb.max_depth=7")[1] is False
