"""Kill trainings at random moments, resume them, and compare the saved weights with those of an undisturbed run.

    python benchmarks/kill_and_resume.py --out runs/kill [--kills 100]

Every round starts `fieldwise train` on 100,000 rows like the demo's in a process of its own, sends SIGKILL after a
random time (uniform over the length of a whole run, start-up included), resumes with `fieldwise train --resume`, and
compares `weights.safetensors` byte for byte. A checkpoint is written every second, so most kills fall into the
middle of an epoch. Rounds that are done stay done: start the script again and it goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.csv

from fieldwise.datasets.synthetic import make_click_log
from fieldwise.environment import versions

SETTINGS = ("epochs=2", "num_layers=1", "attention_dim=16", "dropout=0.1", "checkpoint_minutes=0.0166")
COMMAND = [sys.executable, "-m", "fieldwise", "train"]


def start(data: Path, model: Path) -> list[str]:
    """The command of a run from its beginning."""
    options = [f"--set={setting}" for setting in SETTINGS]
    return [*COMMAND, str(data), "--label", "click", "--out", str(model), "--quiet", *options]


def weights(model: Path) -> str:
    """A mark of the saved weights."""
    return hashlib.sha256((model / "weights.safetensors").read_bytes()).hexdigest()


def remove(model: Path) -> None:
    """Remove a model and what an unfinished run left beside it."""
    shutil.rmtree(model, ignore_errors=True)
    shutil.rmtree(model.with_name(f"{model.name}.unfinished"), ignore_errors=True)


def kill_once(data: Path, model: Path, seconds: float) -> str:
    """Start, kill after `seconds`, bring to an end; which way it went."""
    remove(model)
    with subprocess.Popen(start(data, model), stdout=subprocess.DEVNULL) as process:
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
    if model.exists():
        return "was done already"
    unfinished = model.with_name(f"{model.name}.unfinished")
    if not (unfinished / "run.json").exists():
        shutil.rmtree(unfinished, ignore_errors=True)
        subprocess.run(start(data, model), check=True, stdout=subprocess.DEVNULL)
        return "killed before training, started anew"
    where = "mid-run" if (unfinished / "state.safetensors").exists() else "before the first checkpoint"
    subprocess.run([*COMMAND, "--resume", str(model), "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return f"killed {where}, resumed"


def main() -> None:
    """Run the rounds and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/kill"))
    parser.add_argument("--kills", type=int, default=100)
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    data, model, log = out / "clicks.csv", out / "model", out / "rounds.jsonl"
    pyarrow.csv.write_csv(make_click_log(100_000).table, data)
    began = time.monotonic()
    remove(out / "whole")
    subprocess.run(start(data, out / "whole"), check=True, stdout=subprocess.DEVNULL)
    length, expected = time.monotonic() - began, weights(out / "whole")
    rounds = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for number in range(len(rounds), options.kills):
        seconds = random.Random(number).uniform(0.0, length)
        way = kill_once(data, model, seconds)
        rounds.append({"round": number, "seconds": seconds, "way": way, "equal": weights(model) == expected})
        with log.open("a") as file:
            print(json.dumps(rounds[-1]), file=file)
        print(rounds[-1], flush=True)
    ways = {way: sum(r["way"] == way for r in rounds) for way in sorted({str(r["way"]) for r in rounds})}
    equal = sum(bool(r["equal"]) for r in rounds)
    print(f"{len(rounds)} kills, {equal} bit-equal: {ways}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, {versions()}")
    if equal < len(rounds):
        sys.exit(1)


if __name__ == "__main__":
    main()
