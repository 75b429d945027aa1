"""Two trainings at once beside one alone, as `fieldwise train` runs them, each in a process of its own.

    python benchmarks/two_at_once.py [--rows 200000] [--rounds 5]

In each round, in turns: one training alone, one alone whose threads spin while they wait (OMP_WAIT_POLICY=active), and
two at once. Speeds are those that a training reports of itself, without the start of its process; the medians are
printed, how much slower sleeping threads make a training alone (goal: at most 5 %), and which part of half the speed
alone each of two has (goal: at least 0.8).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet

from fieldwise.bench.measure import measure_machine
from fieldwise.bench.report import describe_machine
from fieldwise.datasets.synthetic import make_click_log
from fieldwise.environment import versions
from fieldwise.training.execution import resolve_device


def train(data: Path, label: str, out: Path, *, policy: str | None = None) -> subprocess.Popen[str]:
    """Begin to train; the command line chooses threads and wait policy where none is given."""
    ours = ("OMP_", "GOMP_", "FIELDWISE_T")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    if policy is not None:
        environment["OMP_WAIT_POLICY"] = policy
    command = [sys.executable, "-m", "fieldwise", "train", str(data), "--label", label, "--out", str(out)]
    command += ["--overwrite", "--set", "epochs=1", "--set", "batch_size=1024", "--json", "--quiet"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def speed(process: subprocess.Popen[str]) -> float:
    """Rows per second of a training, when it has ended."""
    said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"a training ended with {process.returncode}")
    return float(json.loads(said)["rows_per_s"])


def main() -> None:
    """Run the rounds and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    alone: list[float] = []
    spinning: list[float] = []
    both: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        data, outs = Path(folder) / "rows.parquet", [Path(folder) / name for name in ("one", "other")]
        log = make_click_log(options.rows)
        pyarrow.parquet.write_table(log.table, data)
        assert log.schema.label is not None
        for _ in range(options.rounds):
            alone.append(speed(train(data, log.schema.label, outs[0])))
            spinning.append(speed(train(data, log.schema.label, outs[0], policy="active")))
            both.extend(map(speed, [train(data, log.schema.label, out) for out in outs]))
    print(describe_machine(measure_machine(device=resolve_device("cpu"))), versions(), sep="\n")
    for name, speeds in (("alone", alone), ("alone, threads that spin", spinning), ("each of two", both)):
        median = statistics.median(speeds)
        print(f"{name:<25} {median:>9,.0f} rows/s   (from {min(speeds):,.0f} to {max(speeds):,.0f})")
    print(f"alone, beside threads that spin: {statistics.median(alone) / statistics.median(spinning):.3f}")
    print(f"each of two, of half the speed alone: {2 * statistics.median(both) / statistics.median(alone):.3f}")


if __name__ == "__main__":
    main()
