"""Settings of a sweep that contradict others."""

from __future__ import annotations

import pytest
from support import make_spec

from runner.errors import SpecError

PORTS = "+cluster.ports={alice: 9001, bob: 9002, carol: 9003}"


def test_jobs_at_a_time_listen_on_ports_of_their_own() -> None:
    make_spec(PORTS)
    with pytest.raises(SpecError) as caught:
        make_spec(PORTS, "sweep.parallel=2")
    assert caught.value.where == "cluster.ports"


def test_a_sites_jobs_follow_each_other() -> None:
    remote = ("cluster=remote", "parties=sites", "self_party=alice", "site=alice")
    make_spec(*remote, "sweep.retries=1")
    with pytest.raises(SpecError) as error:
        make_spec(*remote, "sweep.parallel=2")
    assert error.value.where == "sweep.parallel"
    assert "one set of ports" in error.value.why
