"""``python -m runner.tracking.job``: lists runs in MLflow; its imports take seconds, which no driver should spend.

One line of JSON in for each run, one line out: ``{"run": id}``, or ``{"error": why}``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from runner.files import write_json

STATES = {"done": "FINISHED", "failed": "FAILED"}  # any other: KILLED
PARENTS = ".tracking.json"  # in a sweep folder: store and experiment → the run that has the jobs as children
MOST = 100  # of parameters, or tags, in one request


def main() -> None:
    """Answer until the input ends."""
    for line in sys.stdin:
        try:
            answer = {"run": log(**json.loads(line))}
        except (MlflowException, OSError) as error:  # a store that is not there, or does not take it
            answer = {"error": (str(error) or type(error).__name__).splitlines()[0]}
        print(json.dumps(answer), flush=True)


def log(uri: str, experiment: str, run: dict[str, Any]) -> str:
    """List a run as :mod:`runner.tracking.content` describes it; return its id in the store."""
    client = MlflowClient(tracking_uri=uri)
    home = _experiment(client, experiment)
    tags = dict(run["tags"])
    if run["sweep"] is not None:
        tags["mlflow.parentRunId"] = _parent(client, uri, home, Path(run["sweep"]))
    began, ended = int(1000 * run["began"]), int(1000 * run["ended"])
    made = client.create_run(home, start_time=began, run_name=run["name"]).info.run_id
    params = [Param(name, value) for name, value in run["params"].items()]
    marks = [RunTag(name, value) for name, value in tags.items()]
    metrics = [Metric(name, float(value), ended, step) for name, value, step in run["metrics"]]
    for start in range(0, len(params), MOST):
        client.log_batch(made, params=params[start : start + MOST])
    for start in range(0, len(metrics), MOST):
        client.log_batch(made, metrics=metrics[start : start + MOST])
    client.log_batch(made, tags=marks)
    client.set_terminated(made, STATES.get(run["state"], "KILLED"), ended)
    return str(made)


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException:  # another process was quicker, or the store says again what is wrong
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


def _parent(client: MlflowClient, uri: str, experiment: str, sweep: Path) -> str:
    """The run of the sweep itself, made by whichever job comes first."""
    record, key = sweep / PARENTS, f"{uri} {experiment}"
    with FileLock(sweep / f"{PARENTS}.lock"):
        known: dict[str, str] = json.loads(record.read_bytes()) if record.exists() else {}
        if key in known and _is_there(client, known[key]):
            return known[key]
        tags = {"sgb.sweep_folder": sweep.as_uri()}
        made = client.create_run(experiment, run_name=f"sweep {sweep.parent.name}/{sweep.name}", tags=tags)
        client.set_terminated(made.info.run_id, "FINISHED")
        write_json(record, {**known, key: made.info.run_id})
        return str(made.info.run_id)


def _is_there(client: MlflowClient, run: str) -> bool:
    try:
        return str(client.get_run(run).info.lifecycle_stage) == "active"
    except MlflowException:
        return False


if __name__ == "__main__":
    main()
