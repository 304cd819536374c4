"""Every ready-made experiment runs to its end, on fewer and shallower trees than it asks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from integration.launch import write_tables
from support import PROJECT, make_spec, type_command

pytestmark = pytest.mark.processes

EXPERIMENTS = sorted(path.stem for path in (PROJECT / "conf" / "experiment").glob("*.yaml"))
ELSEWHERE = {"breast_cancer_accurate", "wine_multiclass"}  # test_quality.py and test_multiclass.py run them
SMALL = ("crypto=ou_2048", "sgb.num_boost_round=1", "sgb.max_depth=2", "sgb.sketch_eps=0.25", "report.html=false")


PROMISED = {
    "three_lenders_joint_default",
    "row_sharded_labels",
    "sealed_to_third_party",
    "predict_label_only_at_carol",
}


def test_promised_experiments_are_among_them() -> None:
    assert set(EXPERIMENTS) >= PROMISED


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One place for all, so that keys are made once; with tables, so that runs need not load scikit-learn."""
    home = tmp_path_factory.mktemp("experiments")
    for name in ("breast_cancer", "clinics", "diabetes"):
        write_tables(home, name)
    return home


@pytest.mark.parametrize("experiment", sorted(set(EXPERIMENTS) - ELSEWHERE))
def test_experiment_runs(experiment: str, home: Path) -> None:
    before = set(home.glob("outputs/2*/*"))
    mode = "local" if make_spec(f"experiment={experiment}").needs_processes() else "debug"
    done = type_command(f"experiment={experiment}", f"cluster={mode}", *SMALL, cwd=home)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = set(home.glob("outputs/2*/*")) - before
    spec = json.loads((folder / "spec.json").read_text())
    recipients = set(spec["policy"]["predictions"]["recipients"])
    assert {path.parent.name for path in folder.glob("parties/*/predictions.parquet")} == recipients
    assert json.loads((folder / "status.json").read_text())["state"] == "done"
