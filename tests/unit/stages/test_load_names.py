"""A whole model at one party: every column of its one table has one meaning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_tables import made_table

from runner.engine.site import Site
from runner.errors import BundleError
from runner.keys.keyring import Keyring
from runner.prepare.preparation import as_it_is


def test_columns_of_one_name_at_two_parties_are_refused_and_named_to_the_owner_only(
    secretflow: None, tmp_path: Path
) -> None:
    from runner.stages.load import MISMATCH_FILE, _refuse_shared_names

    nothing: Any = None
    table = made_table(np.arange(2), np.zeros((2, 2)), ["secret_age", "x"], [True, True])
    site = Site("carol", tmp_path, Keyring("carol", b"c" * 32), nothing, nothing, table)
    theirs = as_it_is(["secret_age"], ["Float64"])
    _refuse_shared_names(site, [theirs, as_it_is(["x"], ["Float64"])])
    with pytest.raises(BundleError) as caught:
        _refuse_shared_names(site, [theirs, as_it_is(["x", "secret_age"], ["Float64", "Float64"])])
    assert "secret_age" not in str(caught.value)
    assert json.loads((tmp_path / MISMATCH_FILE).read_bytes()) == {"of_several_parties": ["secret_age"]}
