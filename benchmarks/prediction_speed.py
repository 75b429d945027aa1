"""`fieldwise predict` on a large CSV beside the model alone on encoded rows: speed and memory.

    python benchmarks/prediction_speed.py --out runs/prediction [--rows 1000000]

The table looks like Criteo's: 26 categorical and 13 numeric columns, a tenth of the numbers missing. AutoInt is trained
on its first rows for one pass. `fieldwise predict` then runs in a process of its own, between two measurements of the
model alone on rows that are already encoded.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

import fieldwise as fw
from fieldwise.bench.measure import measure_machine
from fieldwise.bench.report import describe_machine
from fieldwise.data.dataset import Dataset
from fieldwise.environment import versions
from fieldwise.native.memory import keep_freed_memory
from fieldwise.recipes.network import FittedNetwork
from fieldwise.training.evaluation import predict_logits
from fieldwise.training.execution import resolve_device

CATEGORICAL, NUMERIC = 26, 13
PIECE = 100_000


def make_rows(rows: int, seed: int) -> pa.Table:
    """Made-up rows: skewed hexadecimal tokens and heavy-tailed counts."""
    generator = np.random.default_rng(seed)
    columns: dict[str, pa.Array] = {"click": pa.array((generator.random(rows) < 0.25).astype(np.int8))}
    for i in range(CATEGORICAL):
        ids = (generator.random(rows) ** 3 * 3_000 * (1 + i % 7)).astype(np.uint64) * np.uint64(2_654_435_761)
        columns[f"c{i + 1}"] = pa.array([f"{value:08x}" for value in (ids % np.uint64(1 << 32)).tolist()])
    for i in range(NUMERIC):
        counts = np.floor(generator.exponential(20.0 * (i + 1), rows)).astype(np.int64)
        columns[f"n{i + 1}"] = pa.array(counts, mask=generator.random(rows) < 0.1)
    return pa.table(columns)


def write_csv(path: Path, rows: int) -> None:
    """The table in a file, made piece by piece."""
    with pa.csv.CSVWriter(path, make_rows(1, 0).schema) as writer:
        for seed, start in enumerate(range(0, rows, PIECE)):
            writer.write(make_rows(min(PIECE, rows - start), seed))


def network_of(predictor: fw.Predictor) -> FittedNetwork:
    """The fitted network."""
    assert isinstance(predictor.model, FittedNetwork)
    return predictor.model


def in_memory(predictor: fw.Predictor, dataset: Dataset) -> float:
    """Rows per second of the model alone."""
    started = time.perf_counter()
    predict_logits(network_of(predictor).network, dataset)
    return len(dataset) / (time.perf_counter() - started)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/prediction"))
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    data, model = out / "rows.csv", out / "model"
    if not data.exists():
        write_csv(data, options.rows)
    if not model.exists():
        fw.train(make_rows(PIECE, 0), label="click", settings={"epochs": 1}, out=model, progress=False)
    keep_freed_memory()
    predictor = fw.load(model)
    table = make_rows(PIECE, 0)
    encoder = network_of(predictor).encoder
    dataset = Dataset(encoder.layout, encoder.encode(table))
    alone = [in_memory(predictor, dataset) for _ in range(4)][1:]
    command = [sys.executable, "-m", "fieldwise", "predict", str(model), str(data), "--out", str(out / "p.parquet")]
    command.append("--overwrite")
    done = subprocess.run([*command, "--json", "--quiet"], check=True, capture_output=True, text=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    alone += [in_memory(predictor, dataset) for _ in range(3)]
    streamed = json.loads(done.stdout)
    ratio = streamed["rows_per_s"] / statistics.median(alone)
    print(describe_machine(measure_machine(device=resolve_device("cpu"))), versions(), sep="\n")
    print(f"the model alone: {statistics.median(alone):,.0f} rows/s (median of {len(alone)})")
    print(f"fieldwise predict: {streamed['rows']:,} rows of {data.stat().st_size / 1e6:,.0f} MB, ", end="")
    print(f"{streamed['rows_per_s']:,.0f} rows/s, {ratio:.0%} of it; peak memory {peak:,.0f} MB")


if __name__ == "__main__":
    main()
