"""Training and prediction speed of AutoInt beside two other libraries, in one run, at the only shape that all have.

    python benchmarks/speed.py --out runs/speed [--vocabulary 100000,1000000,10000000] [--batch 1024,8192]

Shape: 39 categorical fields of equal size, d = width = 32, 3 layers, 2 heads; ours with the peers' equations, and in
one line with its own default of biases, ReLUs and layer normalisation. Every contender lives in a process of
its own; they take turns, and while one computes the others wait. So what the machine does at the time meets all alike,
and the ratio of the medians is what counts. Shapes that are done stay done: start the script again and it goes on. The
peers need an environment of their own: see requirements-peers.txt.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import peers
from fieldwise.bench.measure import measure_machine
from fieldwise.bench.report import describe_machine
from fieldwise.bench.workload import BATCHES, Case, Workload, field_sizes, random_rows
from fieldwise.card import versions

FIELDS, DIM, LAYERS, HEADS = 39, 32, 3, 2
LARGE = 1_000_000
TURN = 2.0
SHAPE = {"embedding_dim": DIM, "attention_dim": DIM, "num_layers": LAYERS, "num_heads": HEADS}
# The equations as printed, which is what the peers compute; our default adds biases, ReLUs and layer normalisation.
PRINTED = {
    "scale": False,
    "qkv_bias": False,
    "qkv_activation": None,
    "residual_activation": None,
    "layer_norm": False,
}
OURS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "fieldwise": (PRINTED, {}),
    "fieldwise float32": (PRINTED, {"precision": "float32"}),
    "fieldwise, default model": ({}, {}),
}

Work = dict[str, Callable[[], None]]


def build_ours(name: str, vocabulary: int, batch: int) -> tuple[Work, str]:
    """What there is to time of ours, and the plan."""
    model_settings, training = OURS[name]
    workload = Workload(Case("autoint", FIELDS, vocabulary, batch, {**SHAPE, **model_settings}, training))
    settings = workload.trainer.settings
    plan = f"{settings.precision}, {settings.kernels}, {settings.embedding_optimizer}, parts of {settings.micro_batch}"
    return {"train": workload.train_step, "predict": workload.predict}, plan


def build_peer(name: str, vocabulary: int, batch: int) -> tuple[Work, str]:
    """What there is to time of a peer: batches are prepared before, in its favour."""
    sizes = field_sizes(FIELDS, vocabulary)
    contender = peers.build(name, sizes, dim=DIM, layers=LAYERS, heads=HEADS, seed=0)
    ids, label = random_rows(sizes, BATCHES * batch)
    prepared = [
        contender.prepare(
            torch.from_numpy(ids[start : start + batch]).long(), torch.from_numpy(label[start : start + batch])
        )
        for start in range(0, len(ids), batch)
    ]
    turn = iter(range(1 << 62))

    def train() -> None:
        contender.train_step(prepared[next(turn) % BATCHES])

    def predict() -> None:
        for part in prepared:
            contender.predict(part)

    return {"train": train, "predict": predict}, contender.name


def serve(pipe: Any, name: str, vocabulary: int, batch: int) -> None:
    """A contender's process: says its plan, then answers "train" or "predict" with the seconds of each time it did so.

    It goes on for `TURN` seconds, at least three times, so that caches that others have emptied count little.
    """
    work, plan = build_ours(name, vocabulary, batch) if name in OURS else build_peer(name, vocabulary, batch)
    pipe.send(plan)
    for what in iter(pipe.recv, None):
        times: list[float] = []
        while len(times) < 3 or sum(times) < TURN:
            started = time.perf_counter()
            work[what]()
            times.append(time.perf_counter() - started)
            if what == "predict":  # many batches at once
                break
        pipe.send(times)


def compare(names: list[str], vocabulary: int, batch: int, rounds: int) -> dict[str, Any]:
    """Medians of all contenders at one shape."""
    context = multiprocessing.get_context("spawn")
    pipes, processes, plans = {}, [], {}
    for name in names:
        pipes[name], theirs = context.Pipe()
        processes.append(context.Process(target=serve, args=(theirs, name, vocabulary, batch)))
        processes[-1].start()
        plans[name] = pipes[name].recv()
    times: dict[str, dict[str, list[float]]] = {name: {"train": [], "predict": []} for name in names}
    for number in range(-1, rounds):  # the first round warms up
        for what in ("train", "predict"):
            for name in names:
                pipes[name].send(what)
                seconds = pipes[name].recv()
                if number >= 0:
                    times[name][what] += seconds
    for pipe, process in zip(pipes.values(), processes, strict=True):
        pipe.send(None)
        process.join()
    return {
        name: {
            "plan": plans[name],
            "train_rows_per_s": batch / statistics.median(each["train"]),
            "predict_rows_per_s": BATCHES * batch / statistics.median(each["predict"]),
        }
        for name, each in times.items()
    }


def table(results: list[dict[str, Any]]) -> list[str]:
    """The results as Markdown."""
    lines = [
        "| vocabulary | batch | contender | training rows/s | prediction rows/s | ours, times as fast |",
        "|---|---|---|---|---|---|",
    ]
    for result in results:
        contenders = result["contenders"]
        for name, got in contenders.items():
            ours = contenders.get(f"fieldwise beside {name}", contenders.get("fieldwise"))
            is_peer = name in peers.PEERS
            ratio = f"{ours['train_rows_per_s'] / got['train_rows_per_s']:.1f}" if is_peer else ""
            lines.append(
                f"| {result['vocabulary']:,} | {result['batch']:,} | {name} ({got['plan']}) | "
                f"{got['train_rows_per_s']:,.0f} | {got['predict_rows_per_s']:,.0f} | {ratio} |"
            )
    return lines


def main() -> None:
    """Measure every shape that is not yet measured, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/speed"))
    parser.add_argument("--vocabulary", default="100000,1000000,10000000")
    parser.add_argument("--batch", default="1024,8192")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers-up-to", type=int, default=10_000_000, help="largest vocabulary that peers are given")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    log: Path = options.out / "speed.jsonl"
    results = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    done = {(result["vocabulary"], result["batch"]) for result in results}
    machine = measure_machine(device=torch.device("cpu"))
    print(describe_machine(machine), f"{os.cpu_count()} cores", versions(), sep="\n", flush=True)
    for vocabulary in map(int, options.vocabulary.split(",")):
        for batch in map(int, options.batch.split(",")):
            if (vocabulary, batch) in done:
                continue
            rivals = [name for name in peers.PEERS if vocabulary <= options.peers_up_to]
            if vocabulary <= LARGE:
                contenders = compare([*OURS, *rivals], vocabulary, batch, options.rounds)
            else:  # several tables with dense moments do not fit side by side, so ours meets one peer after the other
                contenders = {}
                for rival in rivals:
                    met = compare(["fieldwise", rival], vocabulary, batch, options.rounds)
                    contenders[f"fieldwise beside {rival}"] = met["fieldwise"]
                    contenders[rival] = met[rival]
                if not rivals:
                    contenders = compare(["fieldwise"], vocabulary, batch, options.rounds)
            results.append({"vocabulary": vocabulary, "batch": batch, "contenders": contenders, **asdict(machine)})
            with log.open("a") as file:
                print(json.dumps(results[-1]), file=file)
            print("\n".join(table(results[-1:])), flush=True)
    (options.out / "speed.md").write_text("\n".join(table(results)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
