"""Peak memory of each process when a saved model is applied in pieces, by rows.

    python tests/benchmarks/predict_chunks.py [--rows 100000 1000000 10000000] [--features 12] [--shuffled] [overrides]

Made-up tables of three parties lie in Parquet files; a small model of few trees is trained on the first 20,000 rows,
and applied with ``predict.chunk_rows`` (250,000) and ``label.predict=none``. Prints, for each number of rows, wall and
CPU seconds, and the most that each process held for itself (MiB; what it maps of files is not counted). ``--shuffled``
writes rows in a random order, so that they are sorted on the disk. Where there are at most a million rows, the
predictions are compared, bit by bit, with those of all rows at once.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as parquet

PROJECT = Path(__file__).resolve().parent.parent.parent
PARTIES = ("alice", "bob", "carol")
BLOCK = 250_000
TRAINED_ON, COMPARED = 20_000, 1_000_000
MODEL = ("sgb.num_boost_round=3", "sgb.max_depth=3", "sgb.sketch_eps=0.25", "crypto=ou_2048", "report.html=false")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Peak memory of predictions in pieces.")
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--features", type=int, default=12)
    parser.add_argument("--chunk-rows", type=int, default=BLOCK)
    parser.add_argument("--shuffled", action="store_true")
    options, overrides = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_tables(place, "trained", TRAINED_ON, options.features, shuffled=False)
        model = finished(type_command(place, "data=trained", "task=train", *MODEL, *overrides))
        apply = ("task=predict", f"model={model}", "label.predict=none", "report.html=false", *overrides)
        for rows in options.rows:
            name = f"rows_{rows}"
            write_tables(place, name, rows, options.features, shuffled=options.shuffled)
            done = type_command(place, f"data={name}", *apply, f"predict.chunk_rows={options.chunk_rows}")
            print(
                f"{rows:>10,} rows: {done['seconds']:.0f} s, {done['cpu']:.0f} CPU s; MiB held: {told(done)}",
                flush=True,
            )
            if rows == min(options.rows):
                whole = finished(type_command(place, f"data={name}", *apply))
                print(f"predictions as of all rows at once: {equal(place / finished(done), place / whole)}", flush=True)
            for party in PARTIES:
                place.joinpath(f"{name}-{party}.parquet").unlink()


def write_tables(place: Path, name: str, rows: int, features: int, *, shuffled: bool) -> None:
    """Each party's table, block by block; the label depends on features of all."""
    columns = {party: [f"x{n}" for n in range(features) if n % 3 == i] for i, party in enumerate(PARTIES)}
    order = np.random.default_rng(7).permutation(rows) if shuffled else None
    files: dict[str, parquet.ParquetWriter] = {}
    for start in range(0, rows, BLOCK):
        draw = np.random.default_rng([start, features])
        end = min(start + BLOCK, rows)
        values = draw.standard_normal((end - start, features))
        numbers = np.arange(start, end) if order is None else order[start:end]
        ids = pa.array([f"S{number:09d}" for number in numbers])
        for party in PARTIES:
            table = {"id": ids, **{c: pa.array(values[:, int(c[1:])]) for c in columns[party]}}
            if party == "carol":
                table["target"] = pa.array(
                    (values.sum(axis=1) + draw.standard_normal(end - start) > 0).astype(np.int64)
                )
            if party not in files:
                schema = pa.table(table).schema
                files[party] = parquet.ParquetWriter(place / f"{name}-{party}.parquet", schema)
            files[party].write_table(pa.table(table))
    for file in files.values():
        file.close()
    place.joinpath("mine/data").mkdir(parents=True, exist_ok=True)
    tables: dict[str, Any] = {}
    for party in PARTIES:
        known: dict[str, Any] = {"id": {"dtype": "str"}}
        known |= {"target": {"dtype": "int", "isin": [0, 1]}} if party == "carol" else {}
        known |= {column: {"dtype": "float"} for column in columns[party]}
        place.joinpath(f"{party}.yaml").write_text(json.dumps({"columns": known}))
        tables[party] = {"path": f"{name}-{party}.parquet", "contract": f"{party}.yaml"}
    place.joinpath(f"mine/data/{name}.yaml").write_text(json.dumps({"name": name, "id": "id", "tables": tables}))


def type_command(place: Path, *overrides: str) -> dict[str, Any]:
    """Type a command, and look at what its processes hold until it ends."""
    command = [sys.executable, "-m", "runner", "--config-dir", "mine", *overrides]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    process = subprocess.Popen(
        command, cwd=place, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(PROJECT)}
    )
    held: dict[str, int] = defaultdict(int)
    while process.poll() is None:
        look(psutil.Process(process.pid), held)
        time.sleep(0.1)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = process.stdout.read() if process.stdout is not None else ""
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{output}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": time.monotonic() - began, "cpu": cpu, "held": held, "output": output}


def look(driver: psutil.Process, held: dict[str, int]) -> None:
    """Note what each process holds, by what it is."""
    try:
        family = [driver, *driver.children(recursive=True)]
    except psutil.Error:
        return
    for process in family:
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            command, name = process.cmdline(), process.name()
        except (OSError, psutil.Error):
            continue
        kind = json.loads(command[3])["kind"] if command[2:3] == ["runner.worker"] else "driver"
        who = f"{kind} {name}" if name in PARTIES else kind
        own = sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:")))
        held[who] = max(held[who], own)


def told(done: dict[str, Any]) -> str:
    """What each process held at most, in MiB."""
    return ", ".join(f"{who} {kib / 1024:.0f}" for who, kib in sorted(done["held"].items()))


def finished(done: dict[str, Any]) -> str:
    """The run folder of a command."""
    return next(line.split()[-1] for line in done["output"].splitlines() if line.startswith("Run folder"))


def equal(one: Path, other: Path) -> bool:
    """Whether two runs delivered the same predictions."""
    first, second = (parquet.read_table(run / "parties/carol/predictions.parquet") for run in (one, other))
    return bool(first.equals(second))


if __name__ == "__main__":
    main()
