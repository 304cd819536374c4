"""Tables and ports that cannot be used, and a user's own tables that can, as they are met on the command line."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from integration.launch import SMALL, processes_in, table_path, write_tables
from support import Command, type_command

pytestmark = pytest.mark.processes

CANARY_NUMBER = 98765.4321
CANARY_TEXT = "P9999"  # an id that no patient has
CANARIES = (b"98765.4", CANARY_TEXT.encode(), b"canary")

Alter = Callable[[pl.DataFrame], pl.DataFrame]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with the built-in tables of both data sets."""
    place = tmp_path_factory.mktemp("tables")
    for name in ("breast_cancer", "diabetes"):
        write_tables(place, name)
    return place


@pytest.fixture
def place(tmp_path: Path, tables: Path) -> Path:
    """A folder of the test's own with tables that it may alter; commands are typed there."""
    shutil.copytree(tables / "outputs", tmp_path / "outputs")
    return tmp_path


def alter(place: Path, party: str, change: Alter, name: str = "breast_cancer") -> None:
    path = table_path(place, party, name)
    change(pl.read_parquet(path)).write_parquet(path)


def where_row(*rows: int) -> pl.Expr:
    return pl.int_range(pl.len()).is_in(rows)


def run_folder(place: Path) -> Path:
    (folder,) = place.glob("outputs/*-*-*/*")
    return folder


def assert_told(done: subprocess.CompletedProcess[str], place: Path, code: int, *words: str) -> None:
    """Four lines with these words, the run marked as failed, and no process left."""
    assert done.returncode == code, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 4, done.stderr
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["where", "why", "fix"]
    for word in words:
        assert word in done.stderr
    status = json.loads(run_folder(place).joinpath("status.json").read_bytes())
    assert (status["state"], status["exit_code"]) == ("failed", code)
    assert not run_folder(place).joinpath("manifest.json").exists()
    assert processes_in(place) == []


def assert_no_value_is_shown(done: subprocess.CompletedProcess[str], place: Path, party: str) -> None:
    """No canary of ``party``'s table on the terminal, in a log or status of all, or in another party's folder."""
    own = run_folder(place) / "parties" / party
    shown = {"terminal": (done.stdout + done.stderr).encode()}
    for path in run_folder(place).rglob("*"):
        if path.is_file() and own not in path.parents:
            shown[str(path)] = path.read_bytes()
    assert [name for name, content in shown.items() if any(canary in content for canary in CANARIES)] == []


def test_port_that_is_taken_is_named_with_its_party(command: Command, place: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = command(*SMALL, f"+cluster.ports.alice={port}")
    assert_told(done, place, 5, str(port), "alice", "cluster.ports.alice", "taken")


def test_truncated_file(command: Command, place: Path) -> None:
    path = table_path(place, "bob")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = command(*SMALL)
    assert_told(done, place, 4, "bob's table cannot be read", "data.tables.bob.path")


BROKEN: dict[str, tuple[str, Alter, tuple[str, ...], tuple[bytes, ...]]] = {
    "NaN and infinity": (
        "bob",
        lambda frame: frame.with_columns(
            texture_error=pl.when(where_row(1, 5, 7)).then(float("nan")).otherwise("texture_error"),
            radius_error=pl.when(where_row(4)).then(float("inf")).otherwise("radius_error"),
            area_error=pl.when(where_row(2)).then(CANARY_NUMBER).otherwise("area_error"),
        ),
        (
            "texture_error: finite_number fails 3 times",
            "radius_error: finite_number fails 1 time",
            "area_error: less_than fails 1 time",
        ),
        (b"98765.4321",),
    ),
    "text in a column of numbers, an id twice, a missing column": (
        "bob",
        lambda frame: frame.drop("compactness_error").with_columns(
            texture_error=pl.lit("canary"),
            patient_id=pl.when(where_row(3, 4)).then(pl.lit(CANARY_TEXT)).otherwise("patient_id"),
        ),
        (
            "texture_error: dtype fails 1 time",
            "patient_id: field_uniqueness fails 2 times",
            "compactness_error: the contract has it, and it is missing",
        ),
        (b"String", CANARY_TEXT.encode(), b"compactness_error"),
    ),
    "a label that is always the same, and nulls": (
        "carol",
        lambda frame: frame.with_columns(
            target=pl.lit(1, dtype=pl.Int64),
            worst_radius=pl.when(where_row(5, 6)).then(None).otherwise("worst_radius"),
            worst_area=pl.when(where_row(2)).then(CANARY_NUMBER).otherwise("worst_area"),
        ),
        (
            "target: label_not_constant",
            "worst_radius: not_nullable fails 2 times",
            "worst_area: less_than fails 1 time",
        ),
        (b"98765.4321",),
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_contract(command: Command, place: Path, what: str) -> None:
    """Party, column, check and count on the terminal; the cases themselves in the party's own folder only."""
    party, change, words, reported = BROKEN[what]
    alter(place, party, change)
    done = command(*SMALL)
    report = run_folder(place) / "parties" / party / "data_failures.json"
    named = str(report.relative_to(place))
    assert_told(done, place, 4, f"{party}'s table breaks its contract", f"data.tables.{party}", named, *words)
    assert "None" not in done.stderr
    assert_no_value_is_shown(done, place, party)
    assert all(case in report.read_bytes() for case in reported)
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert [path for path in run_folder(place).rglob("data_failures.json") if path != report] == []


def test_check_of_a_contract_that_raises_shows_no_value(command: Command, place: Path) -> None:
    """The text of an exception in a user's own code may hold data."""
    place.joinpath("careless.py").write_text(
        "import pandera.polars as pa\n"
        "class Bob(pa.DataFrameModel):\n"
        "    patient_id: str\n"
        "    area_error: float\n"
        "    @pa.check('area_error')\n"
        "    def positive(cls, data):\n"
        "        worst = data.lazyframe.collect()['area_error'].max()\n"
        "        raise ValueError(f'the largest value is {worst}')\n"
    )
    alter(
        place,
        "bob",
        lambda frame: frame.with_columns(
            area_error=pl.when(where_row(2)).then(CANARY_NUMBER).otherwise("area_error"),
        ),
    )
    done = command(*SMALL, "data.tables.bob.contract=careless.py:Bob")
    assert_told(done, place, 4, "bob", "area_error")
    assert_no_value_is_shown(done, place, "bob")


def test_row_that_one_party_lacks(command: Command, place: Path) -> None:
    alter(place, "bob", lambda frame: frame.head(-1))
    done = command(*SMALL)
    assert_told(done, place, 4, "ids do not match", "patient_id", "bob has 568", "alice has 569", "carol has 569")


def test_ids_written_in_another_way(command: Command, place: Path) -> None:
    """As many ids at every party, but bob's are in lower case."""
    alter(
        place,
        "bob",
        lambda frame: frame.with_columns(patient_id=pl.col("patient_id").str.to_lowercase()),
        name="diabetes",
    )
    done = command("experiment=diabetes_regression", *SMALL[1:])
    assert_told(done, place, 4, "ids do not match", "patient_id", "bob has 442", "written alike")
    ids = pl.read_parquet(table_path(place, "alice", "diabetes"))["patient_id"]
    told = done.stdout + done.stderr + "".join(path.read_text() for path in run_folder(place).rglob("*.log"))
    assert not any(patient in told for patient in ids)


CONTRACTS = """\
import pandera.polars as pa


class Bank(pa.DataFrameModel):
    customer: str
    income: float = pa.Field(ge=0)
    debt: float = pa.Field(ge=0)


class Insurer(pa.DataFrameModel):
    customer: str
    late_payments: int = pa.Field(ge=0)
    default: int = pa.Field(isin=[0, 1])
"""
PARTIES_FILE = """\
bank: {key_file: keys/bank/secret.key}
insurer: {key_file: keys/insurer/secret.key}
"""
DATA_FILE = """\
name: NAME
id: customer
tables:
  bank: {path: tables/bank.parquet, contract: "mine/contracts.py:Bank"}
  insurer: {path: tables/insurer.parquet, contract: "mine/contracts.py:CONTRACT"}
"""


@pytest.fixture(scope="module")
def own_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bank's and an insurer's tables and files, as the README describes them."""
    place = tmp_path_factory.mktemp("own")
    files = {
        "contracts.py": CONTRACTS,
        "parties/ours.yaml": PARTIES_FILE,
        "data/loans.yaml": DATA_FILE.replace("NAME", "loans").replace("CONTRACT", "Insurer"),
    }
    for name, content in files.items():
        path = place / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    random = np.random.default_rng(0)
    rows = 300
    income, debt, late = random.gamma(5, 700, rows), random.gamma(2, 900, rows), random.poisson(1.0, rows)
    risk = debt / income + 0.5 * late + random.normal(0, 0.2, rows)
    customers = np.array([f"customer-{number}" for number in range(rows)])
    place.joinpath("tables").mkdir()
    shuffled = random.permutation(rows)
    bank = pl.DataFrame({"customer": customers, "income": income, "debt": debt, "branch": ["north"] * rows})
    bank[shuffled].write_parquet(place / "tables" / "bank.parquet")
    insurer = {
        "customer": customers,
        "default": (risk > np.median(risk)).astype(np.int64),
        "late_payments": late,
    }
    pl.DataFrame(insurer).write_parquet(place / "tables" / "insurer.parquet")
    return place


OWN = ("--config-dir", "mine", "parties=ours", "label.holder=insurer", "crypto=ou_2048", "sgb.max_depth=3")


def own_run(place: Path, *arguments: str) -> tuple[Path, str]:
    done = type_command(*OWN, *arguments, cwd=place)
    assert done.returncode == 0, done.stderr
    (line,) = {line for line in done.stdout.splitlines() if line.startswith("Run folder")}
    return place / line.split()[-1], done.stdout


def test_own_tables_with_a_yes_or_no_label(own_place: Path) -> None:
    """The README's example; and the command that its last line proposes can be typed as it stands."""
    folder, out = own_run(own_place, "data=loans", "label.column=default", "sgb.num_boost_round=4")
    found = pl.read_parquet(folder / "parties" / "insurer" / "predictions.parquet")
    assert found.columns == ["customer", "score", "label"]
    assert found["score"].is_between(0, 1).all()
    assert json.loads((folder / "parties" / "insurer" / "metrics.json").read_bytes())["auc"] > 0.8
    assert not (folder / "parties" / "bank" / "predictions.parquet").exists()
    last = out.strip().splitlines()[-1]
    assert last.startswith("Next ")
    proposed = shlex.split(last.partition("python -m runner")[2])
    assert "task=predict" in proposed
    applied = type_command(*proposed, cwd=own_place)
    assert applied.returncode == 0, applied.stderr
    assert "300 rows" in applied.stdout
