"""Going on from an interrupted run: its settings, and what may and may not be typed besides."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hydra import compose, initialize_config_dir
from support import make_spec

from runner.errors import SpecError
from runner.spec.compose import config_dir, to_spec
from runner.spec.identity import spec_digest, spec_values, training_digest
from runner.spec.model import Spec
from runner.spec.parse import parse
from runner.spec.resumed import settle_resumed

Changed = Callable[..., dict[str, Any]]
TYPED = ("sgb.max_depth=4", "crypto=ou_2048", "data=lenders", "train.checkpoint_every=2", "cluster=debug")
INTERRUPTED = make_spec(*TYPED, "label.column=default")


def resumed(*overrides: str) -> Spec:
    return gone_on(INTERRUPTED, *overrides)


def gone_on(interrupted: Spec, *typed: str) -> Spec:
    overrides = [*typed, "resume=RUN"]
    with initialize_config_dir(config_dir(), version_base="1.3"):
        config = compose("config", overrides)
    saved = json.loads(json.dumps(spec_values(interrupted)))  # as a run folder has it
    return to_spec(settle_resumed(config, overrides, saved))


def test_settings_are_those_of_the_interrupted_run() -> None:
    spec = resumed()
    assert spec.resume == "RUN"
    for name in ("parties", "data", "label", "sgb", "crypto", "policy", "predict", "explain", "cluster", "train"):
        assert getattr(spec, name) == getattr(INTERRUPTED, name)
    assert training_digest(spec) == training_digest(INTERRUPTED)


def test_plan_is_this_runs() -> None:
    assert resumed("task=train").stages() == ("align", "prepare", "label", "train", "save")
    assert resumed().stages()[-1] == "evaluate"
    assert resumed("outputs=elsewhere").outputs == "elsewhere"


def test_typing_the_interrupted_runs_command_again_is_no_conflict() -> None:
    assert resumed(*TYPED, "label.column=default").sgb.max_depth == 4
    assert (
        resumed("policy=label_owner", "label=single", "label.column=default", "crypto.key_bits=2048").sgb.seed == 1212
    )


@pytest.mark.parametrize(
    "typed",
    [
        ("policy=lab", "data=unaligned_clinics", "align=psi"),
        ("experiment=three_lenders_joint_default",),
        ("policy.predictions.recipients=[alice,carol]", "evaluate.thresholds=[0.3,0.5]", "data.tables.bob.ignore=[x]"),
        ("sgb=lightgbm", "privacy=label_dp", "prepare=auto"),
    ],
)
def test_so_it_is_with_settings_that_are_lists(typed: tuple[str, ...]) -> None:
    saved = make_spec(*typed)
    assert msgspec.structs.replace(gone_on(saved, *typed), resume=None) == saved


def test_checkpoints_and_timeouts_may_change() -> None:
    spec = resumed("train.checkpoint_every=5", "cluster.stage_timeout=60")
    assert spec.train.checkpoint_every == 5
    assert (spec.cluster.mode, spec.cluster.stage_timeout) == ("debug", 60)


SITE = ("cluster=remote", "parties=sites", "self_party=bob", "site=bob")


def test_site_may_come_back_elsewhere() -> None:
    moved = ("parties.bob.address=10.0.0.7:7300", "site.listen=0.0.0.0:7300", "parties.bob.key_file=new/secret.key")
    spec = gone_on(make_spec(*SITE, "sgb.max_depth=4"), *SITE, *moved, "data.tables.bob.path=new/table.parquet")
    assert spec.parties["bob"].address == "10.0.0.7:7300"
    assert spec.parties["alice"].address == make_spec(*SITE).parties["alice"].address
    assert spec.site.listen == "0.0.0.0:7300"
    assert spec.parties["bob"].key_file == "new/secret.key"
    assert spec.data.tables["bob"].path == "new/table.parquet"
    assert spec.sgb.max_depth == 4
    assert training_digest(spec) == training_digest(make_spec(*SITE, "sgb.max_depth=4"))


def test_what_nobody_typed_stays_where_it_was() -> None:
    """One address is typed now; the others, and pins and tables, were typed then."""
    pin = "7a" * 32
    then = [f"parties.{party}.address={party}.example.org:7200" for party in ("alice", "bob", "carol")]
    then += [f"parties.alice.tls_pin={pin}", "data.tables.bob.path=mine.parquet"]
    saved = make_spec(*SITE, *then)
    spec = gone_on(saved, "site=bob", "+parties.bob.address=10.0.0.7:7300")
    assert spec.parties["bob"].address == "10.0.0.7:7300"
    assert {**spec.parties, "bob": None} == {**saved.parties, "bob": None}
    assert gone_on(saved, *SITE).parties["alice"].tls_pin == pin, "the group has no other"
    assert gone_on(saved, "+parties.alice.tls_pin=null").parties["alice"].tls_pin is None
    assert gone_on(saved, *SITE, "data=breast_cancer").data == saved.data


@pytest.mark.parametrize(
    "override",
    [
        "sgb.max_depth=5",
        "sgb=fast",
        "crypto=ou",
        "data=breast_cancer",
        "data.split.key=other",
        "label=single",
        "label.holder=alice",
        "policy=lab",
        "predict.mode=sealed",
        "cluster.mode=local",
        "cluster=local",
        "experiment=breast_cancer_quick",
        "+parties.dave={key_file: x}",
        "~data.tables.bob",
    ],
)
def test_other_settings_are_refused(override: str) -> None:
    with pytest.raises(SpecError, match="differs from the interrupted run's") as error:
        resumed(override)
    assert error.value.fix.startswith("remove the override")


def test_setting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SpecError, match="unknown setting"):
        resumed("+sgb.max_dept=3")


@pytest.mark.parametrize("path", ["resume", "train.checkpoint_every"])
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"sgb.enable_early_stop": True}, "early stopping"),
        ({"label": "secret"}, "secret label"),
    ],
)
def test_training_whose_state_a_checkpoint_does_not_hold_is_refused(
    changed: Changed, path: str, changes: dict[str, Any], why: str
) -> None:
    secret = spec_values(make_spec("data=clinics", "label=secret", "label.predict=none"))
    values = secret if changes == {"label": "secret"} else changed(changes)
    parse(values)
    if path == "resume":
        values["resume"] = "RUN"
    else:
        values["train"]["checkpoint_every"] = 2
    with pytest.raises(SpecError, match=why) as error:
        parse(values)
    assert error.value.where == path


def test_prediction_resumes_nothing(changed: Changed) -> None:
    with pytest.raises(SpecError, match="has no effect"):
        parse(changed({"task.name": "predict", "model": "RUN", "resume": "RUN"}))


@pytest.mark.parametrize("value", [-1, 1.5, "often", None])
def test_number_of_trees_is_a_number(changed: Changed, value: Any) -> None:
    with pytest.raises(SpecError, match="checkpoint_every"):
        parse(changed({"train.checkpoint_every": value}))


def test_how_a_training_is_carried_out_is_not_in_its_digest() -> None:
    digest = training_digest(make_spec())
    for same in ("task=train", "train.checkpoint_every=2", "resume=RUN", "cluster=debug", "policy=lab", "outputs=x"):
        assert training_digest(make_spec(same)) == digest
    for other in ("sgb.seed=1", "label.holder=alice", "data.split.key=x", "crypto=paillier", "sgb.shuffle=shared"):
        assert training_digest(make_spec(other)) != digest


def test_one_process_or_several_counts_where_shuffles_are_shared() -> None:
    shared = "sgb.shuffle=shared"
    assert training_digest(make_spec(shared)) != training_digest(make_spec(shared, "cluster=debug"))


def test_checkpoints_are_not_part_of_a_runs_identity() -> None:
    assert spec_digest(make_spec("train.checkpoint_every=3", "resume=RUN")) == spec_digest(make_spec())
