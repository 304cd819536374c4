"""What a site must have before it meets the others."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path

import pytest
from made_sites import make_sites
from support import make_spec

from runner.cluster.site import require_own_certificate, soon_to_renew
from runner.cluster.sites import require_same_time
from runner.errors import ClusterError
from runner.keys import pki
from runner.spec.model import Spec


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    """That of alice's site, whose certificate is good."""
    make_sites(tmp_path, ("alice", "bob"))
    own = [f"site.authority={tmp_path}/ca/ca.crt", f"parties.alice.key_file={tmp_path}/alice/secret.key"]
    return make_spec("cluster=remote", "parties=sites", "self_party=alice", "site=alice", *own)


def refused(spec: Spec) -> ClusterError:
    with pytest.raises(ClusterError) as raised:
        require_own_certificate(spec)
    return raised.value


def test_good_certificate_may_begin(spec: Spec) -> None:
    require_own_certificate(spec)
    assert soon_to_renew(spec) is None


def test_certificate_that_ends_soon_is_told(spec: Spec, tmp_path: Path) -> None:
    pki.make_request("alice", tmp_path / "again")
    pki.sign_request(tmp_path / "ca", tmp_path / "again" / pki.REQUEST, days=9)
    shutil.copy(tmp_path / "again" / pki.CERTIFICATE, tmp_path / "alice" / pki.CERTIFICATE)
    word = soon_to_renew(spec)
    assert word is not None
    assert "alice/tls.crt, ends in 8 days" in word


@pytest.mark.parametrize("missing", ["alice/tls.crt", "alice/tls.key", "ca/ca.crt"])
def test_site_without_certificate_is_told_how_to_get_one(spec: Spec, tmp_path: Path, missing: str) -> None:
    (tmp_path / missing).unlink()
    error = refused(spec)
    assert error.what.startswith("alice cannot show who it is")
    assert error.where == str(tmp_path / missing)
    assert "task=keygen keygen.party=alice" in error.fix
    assert "task=pki" in error.fix


def test_key_that_others_can_read_is_a_matter_of_permissions(spec: Spec, tmp_path: Path) -> None:
    (tmp_path / "alice" / "tls.key").chmod(0o644)
    assert refused(spec).fix.startswith("chmod 600")


def test_certificate_of_another_is_told_with_its_faults(spec: Spec, tmp_path: Path) -> None:
    (tmp_path / "alice" / "tls.crt").write_bytes((tmp_path / "bob" / "tls.crt").read_bytes())
    error = refused(spec)
    assert error.what == "alice's own certificate would be refused by the others"
    assert "it is for bob.party.internal, not for alice.party.internal; it is of another key than" in error.why
    assert "tls.csr signed" in error.fix


def test_expired_certificate_is_told_with_the_time_here(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pki, "SKEW", datetime.timedelta(days=3))
    pki.sign_request(tmp_path / "ca", tmp_path / "alice" / pki.REQUEST, days=-1)
    error = refused(spec)
    assert "it expired on" in error.why
    assert f"the clock here says {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}" in error.why


def test_clocks_that_differ_are_told_with_how_far() -> None:
    require_same_time("alice", {"bob": -59.0, "carol": 60.0}, most=60)
    with pytest.raises(ClusterError) as raised:
        require_same_time("alice", {"carol": 3600.4, "bob": -61.0}, most=60)
    assert raised.value.what == "the clocks of alice and bob and carol differ"
    assert raised.value.why == "bob's is 61 s behind alice's; carol's is 3,600 s ahead of alice's"
