"""When a table is predicted in pieces, and when it cannot be."""

from __future__ import annotations

import pytest
from support import make_spec

from runner.errors import SpecError
from runner.spec.identity import spec_digest
from runner.spec.pieces import MOST_AT_ONCE, USUAL_ROWS, obstacle, piece_rows
from runner.spec.shared import differences, shared_values

PREDICT = ("task=predict", "model=RUN")


def test_only_large_tables_are_cut_where_nothing_is_set() -> None:
    spec = make_spec(*PREDICT)
    assert piece_rows(spec, MOST_AT_ONCE) is None
    assert piece_rows(spec, MOST_AT_ONCE + 1) == USUAL_ROWS


def test_what_is_set_decides() -> None:
    spec = make_spec(*PREDICT, "predict.chunk_rows=100")
    assert (piece_rows(spec, 100), piece_rows(spec, 101)) == (None, 100)


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        (("task=train_predict",), "only task=predict takes pieces"),
        ((*PREDICT, "align=psi"), "align=psi has to see all ids"),
        ((*PREDICT, "policy.predictions.form=top_k", "predict.mode=open_to_label_holder"), "the highest scores"),
        ((*PREDICT, "privacy=output_dp"), "noise is drawn for all rows"),
        ((*PREDICT, "data=wine", "sgb.objective=multiclass", "label.column=cultivar"), "classes are numbered"),
    ],
)
def test_what_needs_all_rows_has_no_pieces(overrides: tuple[str, ...], why: str) -> None:
    with pytest.raises(SpecError, match="has no effect here") as told:
        make_spec(*overrides, "predict.chunk_rows=100")
    assert why in told.value.why
    assert piece_rows(make_spec(*overrides), 10 * MOST_AT_ONCE) is None


def test_a_model_on_shares_and_one_in_one_place_have_no_pieces() -> None:
    assert "secret shares" in obstacle(make_spec(*PREDICT, "label=secret", "label.predict=none"))


def test_pieces_are_no_part_of_what_is_computed_and_all_sites_have_the_same() -> None:
    spec, cut = make_spec(*PREDICT), make_spec(*PREDICT, "predict.chunk_rows=100")
    assert spec_digest(spec) == spec_digest(cut)
    assert list(differences(shared_values(spec), shared_values(cut))) == ["predict.chunk_rows"]
