"""A bank and an insurer with their own tables, as the README's five steps set them up; a label that is both's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from integration.launch import SMALL, Finish, Finished
from sklearn.metrics import roc_auc_score

pytestmark = pytest.mark.processes

ROWS = 160
OURS = ("--config-dir", "mine", "parties=ours", "data=loans", "label=ours")
CONTRACTS = """
import pandera.polars as pa


class Bank(pa.DataFrameModel):
    customer: str
    income: float = pa.Field(ge=0)
    debt: float
    loss: float
    ours: bool


class Insurer(pa.DataFrameModel):
    customer: str
    age: float
    late_payments: int = pa.Field(ge=0)
    claims: float
    ours: bool
"""
SETTINGS = {
    "parties/ours.yaml": "bank: {key_file: keys/bank.key}\ninsurer: {key_file: keys/insurer.key}\n",
    "data/loans.yaml": """
name: loans
id: customer
tables:
  bank: {path: bank.parquet, contract: "mine/contracts.py:Bank", owns: ours}
  insurer: {path: insurer.parquet, contract: "mine/contracts.py:Insurer", owns: ours}
""",
    "label/ours.yaml": "mode: joint\nholder: insurer\ninputs: {bank: loss, insurer: claims}\nrule: sum\n",
    "contracts.py": CONTRACTS,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Contracts, settings and tables, with rows in different orders."""
    place = tmp_path_factory.mktemp("ours")
    for name, text in SETTINGS.items():
        file = place / "mine" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    draw = np.random.default_rng(11)
    strain = draw.normal(size=ROWS)
    customers = [f"C{row:03d}" for row in range(ROWS)]
    bank = {
        "income": np.exp(8 - strain),
        "debt": draw.normal(size=ROWS),
        "loss": (900 * strain + draw.normal(0, 300, ROWS)).round(2),
        "ours": np.arange(ROWS) % 3 != 0,
    }
    insurer = {
        "age": draw.uniform(20, 70, ROWS),
        "late_payments": draw.poisson(np.exp(strain)),
        "claims": draw.exponential(500, ROWS).round(3),
        "ours": np.arange(ROWS) % 3 != 1,
    }
    pl.DataFrame({"customer": customers, **bank}).write_parquet(place / "bank.parquet")
    pl.DataFrame({"customer": customers, **insurer})[::-1].write_parquet(place / "insurer.parquet")
    return place


def total(place: Path) -> pl.DataFrame:
    """The plain sum of both columns, and who owns which row."""
    bank, insurer = (pl.read_parquet(place / f"{party}.parquet") for party in ("bank", "insurer"))
    both = bank.join(insurer, on="customer", suffix="_insurer")
    return both.select(
        "customer",
        pl.col("ours").alias("bank"),
        pl.col("ours_insurer").alias("insurer"),
        sum=pl.col("loss") + pl.col("claims"),
    )


@pytest.fixture(scope="module")
def summed(place: Path, finish: Finish) -> Finished:
    """Under Cheetah, which two parties take by themselves: label and scores are made there."""
    return finish(place, *OURS, *SMALL, "sgb.objective=linear", "sgb.learning_rate=1.0", "predict.mode=sealed")


@pytest.fixture(scope="module")
def sealed(place: Path, finish: Finish) -> Finished:
    """Under SEMI2K; each party gets the scores of its own customers alone, out of the SPU."""
    return finish(
        place,
        *OURS,
        *SMALL,
        "label.rule=threshold",
        "+label.threshold=450.0",
        "+label.protocol=semi2k",
        "+label.predict=none",
        "policy.predictions.recipients=[all]",
        "policy.predictions.own_rows=true",
        "predict.mode=sealed",
    )


def test_summed_label_is_the_plain_sum_in_every_row(summed: Finished) -> None:
    predictions = summed.predictions("insurer").join(total(summed.place), on="customer")
    assert predictions.height > 20
    assert float((predictions["label"] - predictions["sum"]).abs().max()) < 1e-3
    r2 = summed.json("parties", "insurer", "metrics.json")["r2"]
    error = ((predictions["score"] - predictions["sum"]) ** 2).mean()
    spread = ((predictions["sum"] - predictions["sum"].mean()) ** 2).mean()
    assert r2 == pytest.approx(1 - float(error) / float(spread), abs=1e-3)  # type: ignore[arg-type]
    assert r2 > 0, "and the model has learnt from it"


def test_sealed_scores_are_those_of_the_open_way(summed: Finished, finish: Finish) -> None:
    opened = finish(summed.place, *OURS[:-1], "task=predict", f"model={summed.folder}", "label.predict=none")
    both = summed.predictions("insurer").join(opened.predictions("insurer"), on="customer", suffix="_open")
    assert both.height == summed.predictions("insurer").height
    assert float((both["score"] - both["score_open"]).abs().max()) < 1e-3, "of amounts of some hundreds"
    assert both["score"].n_unique() > 2


def test_bank_gets_neither_label_nor_result(summed: Finished) -> None:
    assert not summed.own("bank", "predictions.parquet").exists()
    assert not summed.own("bank", "metrics.json").exists()
    received = [json.loads(line) for line in summed.own("bank", "audit.jsonl").read_text().splitlines()]
    assert {entry["kind"] for entry in received if entry["direction"] == "received"} == {"ids", "model_parts"}


def test_label_over_a_threshold_is_the_plain_one(sealed: Finished) -> None:
    predictions = sealed.predictions("insurer").join(total(sealed.place), on="customer")
    assert predictions["label"].to_list() == (predictions["sum"] >= 450).cast(pl.Float64).to_list()
    assert 0 < predictions["label"].sum() < predictions.height


def test_each_gets_the_scores_of_its_own_rows_alone_and_they_agree(sealed: Finished) -> None:
    plain = total(sealed.place)
    bank, insurer = (sealed.predictions(party).join(plain, on="customer") for party in ("bank", "insurer"))
    assert bank["bank"].all()
    assert insurer["insurer"].all()
    assert "label" not in bank.columns, "its own column is an input of the label, and no label"
    both = bank.join(insurer, on="customer", suffix="_insurer")
    assert 0 < both.height < min(bank.height, insurer.height)
    assert float((both["score"] - both["score_insurer"]).abs().max()) < 1e-6  # type: ignore[arg-type]
    assert roc_auc_score(bank["sum"] >= 450, bank["score"]) > 0.65


def test_marks_of_own_rows_enter_the_spu_and_reach_nobody(sealed: Finished) -> None:
    for party in ("bank", "insurer"):
        lines = [json.loads(line) for line in sealed.own(party, "audit.jsonl").read_text().splitlines()]
        marks = [line for line in lines if line["form"] == "which rows are its own"]
        assert [(line["direction"], line["to"]) for line in marks] == [("shared", "the SPU")]
