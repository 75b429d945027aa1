"""What two trainings on one machine cost each other, and what threads that sleep while they wait cost one alone.

    python benchmarks/neighbours.py --out runs/neighbours [--rows 200000] [--rounds 3]

Each training is `fieldwise train` in a process of its own, on the synthetic click log, for two epochs. By turns: one
alone, and two at once; each with threads that sleep while they wait (`OMP_WAIT_POLICY=passive`, which the command line
sets) and with threads that spin for a while first. What counts are ratios of the medians of rows per second. Leave the
machine alone meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pyarrow.csv
import torch

from fieldwise.bench.measure import measure_machine
from fieldwise.bench.report import describe_machine
from fieldwise.datasets.synthetic import make_click_log
from fieldwise.environment import versions
from fieldwise.reporting import markdown_table
from fieldwise.storage.atomic import write_text

SLEEPING = {"OMP_WAIT_POLICY": "passive"}
THREADS = {"sleep": SLEEPING, "spin": {**SLEEPING, "GOMP_SPINCOUNT": "300000"}}
"""The second is what GNU's OpenMP does where nothing is said."""


def train(clicks: Path, place: Path, *, at_once: int, threads: str) -> list[float]:
    """The rows per second of so many trainings that begin together."""
    command = [sys.executable, "-m", "fieldwise", "train", str(clicks), "--label", "click", "--overwrite", "--json"]
    command += ["--quiet", "--set", "epochs=2", "--set", "patience=2"]
    environment = {**os.environ, **THREADS[threads]}
    running = [
        subprocess.Popen([*command, "--out", str(place / f"model{i}")], stdout=subprocess.PIPE, env=environment)
        for i in range(at_once)
    ]
    speeds = []
    for process in running:
        printed, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"a training ended with {process.returncode}")
        speeds.append(float(json.loads(printed)["rows_per_s"]))
    return speeds


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    machine = describe_machine(measure_machine(device=torch.device("cpu")))
    clicks = out / "clicks.csv"
    pyarrow.csv.write_csv(make_click_log(arguments.rows).table, clicks)
    cases = [(at_once, threads) for at_once in (1, 2) for threads in THREADS]
    speeds: dict[tuple[int, str], list[float]] = {case: [] for case in cases}
    for _ in range(arguments.rounds):
        for at_once, threads in cases:
            speeds[at_once, threads] += train(clicks, out, at_once=at_once, threads=threads)
    median = {case: statistics.median(measured) for case, measured in speeds.items()}
    rows = [
        (
            f"{'two at once, each' if at_once > 1 else 'one alone'}, threads that {threads}",
            f"{median[at_once, threads]:,.0f}",
            f"{min(speeds[at_once, threads]):,.0f} to {max(speeds[at_once, threads]):,.0f}",
            f"{median[at_once, threads] / median[1, threads]:.2f}",
            f"{median[at_once, threads] / median[at_once, 'spin']:.2f}",
        )
        for at_once, threads in cases
    ]
    header = ("training", "rows/s", "from, to", "of one alone", "of spinning")
    text = f"{machine}; {versions()}\n\n{markdown_table(header, rows)}"
    write_text(out / "neighbours.md", text + "\n")
    print(text)


if __name__ == "__main__":
    main()
