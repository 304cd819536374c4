"""Whose keys are made: those of the party that is named, or of this site."""

from __future__ import annotations

import pytest
from omegaconf import DictConfig, OmegaConf

from runner.certificates import make_keys
from runner.errors import SpecError
from runner.spec.request import Keygen, Request


def config(self_party: str | None) -> DictConfig:
    return OmegaConf.create({"parties": {"bank": {}, "broker": {}}, "self_party": self_party})


def test_nobodys_keys_are_made_where_nobody_is_named() -> None:
    with pytest.raises(SpecError) as error:
        make_keys(config(None), Request())
    assert error.value.where == "keygen.party"
    assert "bank, broker" in error.value.fix


@pytest.mark.parametrize(
    ("self_party", "request_"), [("bnk", Request()), ("bank", Request(keygen=Keygen(party="bnk")))]
)
def test_the_site_is_meant_unless_a_party_is_named(self_party: str, request_: Request) -> None:
    with pytest.raises(SpecError, match="'bnk' is no party"):
        make_keys(config(self_party), request_)
