"""What sites must have in common: the same digest at each, and every difference that matters is named."""

from __future__ import annotations

import json

import pytest
from support import make_spec

from runner.errors import PolicyError, SpecError
from runner.spec.identity import spec_digest, training_digest
from runner.spec.model import Spec
from runner.spec.shared import MOST, differences, disagreement, shared_digest, shared_values, shown

REMOTE = ("cluster=remote", "parties=sites")
OWN = (
    "outputs=elsewhere",
    "parties.alice.key_file=/secret/place/key",
    "+parties.alice.passphrase_env=SECRET_NAME",
    "data.tables.alice.path=/secret/table.csv",
    "data.tables.alice.contract=secret.py:Alice",
    "+data.tables.alice.source.rename={mean_radius: SECRET_COLUMN}",
    "+data.tables.alice.ignore=[secret_column]",
    "+data.tables.alice.owns=secret_mark",
    "data.max_memory=3",
    "site.listen=0.0.0.0:9000",
    "site.certificate=/secret/alice.crt",
    "cluster.threads=1",
    "cluster.stage_timeout=60",
    "cluster.viewer=alice",
    "report.html=false",
    "sweep.reports=none",
)


def site(party: str, *overrides: str) -> Spec:
    return make_spec(*REMOTE, f"self_party={party}", f"site={party}", *overrides)


def test_all_sites_have_one_digest_whatever_is_their_own() -> None:
    specs = [site("alice"), site("bob"), site("carol"), site("alice", *OWN)]
    for digest in (shared_digest, spec_digest, training_digest):
        assert len({digest(spec) for spec in specs}) == 1
    assert differences(shared_values(specs[0]), shared_values(specs[3])) == {}


def test_values_arrive_as_they_were_sent() -> None:
    values = shared_values(site("alice", "policy.metrics.recipients=[alice,carol]"))
    assert differences(values, json.loads(json.dumps(values))) == {}


def test_nothing_of_a_sites_own_is_shared() -> None:
    text = json.dumps(shared_values(site("alice", *OWN)))
    for private in ("secret/", "secret.", "secret_", "SECRET", "key_file", "elsewhere", "9000", "contract"):
        assert private not in text


@pytest.mark.parametrize(
    ("override", "path"),
    [
        ("sgb.max_depth=3", "sgb.max_depth"),
        ("sweep.retries=1", "sweep.retries"),
        ("sgb.seed=7", "sgb.seed"),
        ("crypto.key_bits=2048", "crypto.key_bits"),
        ("data.id=other", "data.id"),
        ("data.split.key=other", "data.split.key"),
        ("label.column=diagnosis", "label.column"),
        ("task=train", "task"),
        ("train.checkpoint_every=1", "train.checkpoint_every"),
        ("parties.bob.address=127.0.0.2:7110", "parties.bob.address"),
        (f"parties.bob.tls_pin={'ab' * 32}", "parties.bob.tls_pin"),
        ("align=psi", "align.method"),
    ],
)
def test_every_common_setting_that_differs_is_named_with_both_values(override: str, path: str) -> None:
    ours, theirs = site("alice"), site("bob", override)
    found = differences(shared_values(ours), shared_values(theirs))
    assert path in found
    assert found[path][0] != found[path][1]
    assert shared_digest(ours) != shared_digest(theirs)
    error = disagreement("alice", "bob", shared_values(ours), shared_values(theirs))
    assert error is not None
    assert f"{path} is {shown(found[path][0])} at alice, {shown(found[path][1])} at bob" in error.why


def test_address_of_a_party_is_no_part_of_what_is_computed() -> None:
    assert spec_digest(site("alice")) == spec_digest(site("alice", "parties.bob.address=127.0.0.2:7110"))


def test_model_is_shared_by_its_being_there() -> None:
    one, other = (site("alice", "task=predict", f"model={folder}") for folder in ("outputs/one", "outputs/two"))
    assert shared_values(one)["model"] is True
    assert shared_digest(one) == shared_digest(other)


def test_other_settings_are_a_matter_of_the_spec() -> None:
    error = disagreement("alice", "bob", shared_values(site("alice")), shared_values(site("bob", "sgb.seed=7")))
    assert isinstance(error, SpecError)
    assert (error.code, error.where) == (2, "sgb.seed")


def test_another_policy_is_a_matter_of_the_policy() -> None:
    theirs = shared_values(site("bob", "policy.metrics.recipients=[bob]", "sgb.max_depth=3"))
    error = disagreement("alice", "bob", shared_values(site("alice")), theirs)
    assert isinstance(error, PolicyError)
    assert error.code == 3
    assert all(path.startswith("policy.") for path in error.where.split(", "))


def test_sites_that_agree_have_no_error() -> None:
    assert disagreement("alice", "bob", shared_values(site("alice")), shared_values(site("bob"))) is None


def test_what_a_peer_sends_cannot_fill_or_forge_a_message() -> None:
    ours = shared_values(site("alice"))
    theirs = {**ours, "sgb": {**ours["sgb"], "seed": "\x1b[2J\nfix: run this" + "x" * 1000}, "data": "u:p@h://a:b@c"}
    error = disagreement("alice", "bob", ours, {**theirs, **{f"x{number}": 1 for number in range(100)}})
    assert error is not None
    text = str(error)
    assert "\x1b" not in text
    assert "\nfix: run" not in text
    assert len(error.why) < (MOST + 1) * 250
    assert "more" in error.why
    assert shown("sqlite://user:word@host") == "sqlite://…@host"


@pytest.mark.parametrize(("value", "typed"), [(None, "null"), (True, "true"), (["bob"], '["bob"]'), ("ou", "ou")])
def test_values_are_shown_as_they_are_typed(value: object, typed: str) -> None:
    assert shown(value) == typed


def test_setting_of_one_side_only_is_told() -> None:
    assert differences({"a": {"b": 1}}, {"a": {}, "c": 2}) == {
        "a": ("not there", {}),
        "a.b": (1, "not there"),
        "c": ("not there", 2),
    }
