"""Training and prediction speed of AutoInt beside two other libraries, in one run, at the only shape that all have.

    python benchmarks/speed.py --out runs/speed [--vocabulary 100000,1000000,10000000] [--batch 1024,8192] [--fields 39]
    python benchmarks/speed.py --out runs/speed --sweeps

Shape: categorical fields of equal size, d = width = 32, 3 layers, 2 heads; ours with the peers' equations, and in
one line with its own default of biases, ReLUs and layer normalisation. Every contender lives in a process of
its own; they take turns, and while one computes the others wait. So what the machine does at the time meets all alike,
and the ratio of the medians is what counts. `--sweeps` measures ours and the peers along the table's rows, the
fields and the batch. Shapes that are done stay done: start the script again and it goes on. Pictures are drawn where
matplotlib is there. The peers need an environment of their own: see requirements-peers.txt.
"""

from __future__ import annotations

import argparse
import itertools
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
from fieldwise.environment import versions
from fieldwise.reporting import markdown_table
from fieldwise.reporting.figures import can_draw, new_figure, save_figure
from fieldwise.storage.atomic import write_text
from fieldwise.training.execution import apply_process_settings

DIM, LAYERS, HEADS = 32, 3, 2
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
    "fieldwise, torch kernels": (PRINTED, {"kernels": "torch"}),
    "fieldwise float32": (PRINTED, {"precision": "float32"}),
    "fieldwise, default model": ({}, {}),
}

# Shapes of --sweeps: fields, rows of the embedding table, batch.
SWEEPS = [
    *((39, vocabulary, 1024) for vocabulary in (10_000, 100_000, 1_000_000, 10_000_000, 30_000_000)),
    *((fields, 100_000, 1024) for fields in (10, 20, 80)),
    *((39, 100_000, batch) for batch in (256, 512, 2048, 4096, 8192, 16_384)),
    *((39, vocabulary, 8192) for vocabulary in (1_000_000, 10_000_000)),
]

Shape = tuple[int, int, int]
Work = dict[str, Callable[[], None]]


def build_ours(name: str, shape: Shape) -> tuple[Work, str]:
    """What there is to time of ours, and the plan."""
    fields, vocabulary, batch = shape
    model_settings, training = OURS[name]
    workload = Workload(Case("autoint", fields, vocabulary, batch, {**SHAPE, **model_settings}, training))
    settings = workload.trainer.settings
    apply_process_settings(settings)
    plan = f"{settings.precision}, {settings.kernels}, {settings.embedding_optimizer}, parts of {settings.micro_batch}"
    return {"train": workload.train_step, "predict": workload.predict}, plan


def build_peer(name: str, shape: Shape) -> tuple[Work, str]:
    """What there is to time of a peer: batches are prepared before, in its favour."""
    fields, vocabulary, batch = shape
    sizes = field_sizes(fields, vocabulary)
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


def serve(pipe: Any, name: str, shape: Shape) -> None:
    """A contender's process: says its plan, then answers "train" or "predict" with the seconds of each time it did so.

    It goes on for `TURN` seconds, at least three times, so that caches that others have emptied count little.
    """
    work, plan = build_ours(name, shape) if name in OURS else build_peer(name, shape)
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


def compare(names: list[str], shape: Shape, rounds: int, *, predict: bool = True) -> dict[str, Any]:
    """Medians of all contenders at one shape."""
    kinds = ("train", "predict") if predict else ("train",)
    context = multiprocessing.get_context("spawn")
    pipes, processes, plans = {}, [], {}
    for name in names:
        pipes[name], theirs = context.Pipe()
        processes.append(context.Process(target=serve, args=(theirs, name, shape)))
        processes[-1].start()
        plans[name] = pipes[name].recv()
    times: dict[str, dict[str, list[float]]] = {name: {"train": [], "predict": []} for name in names}
    for number in range(-1, rounds):  # the first round warms up
        for what in kinds:
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
            "train_rows_per_s": shape[2] / statistics.median(each["train"]),
            "predict_rows_per_s": BATCHES * shape[2] / statistics.median(each["predict"]) if predict else None,
        }
        for name, each in times.items()
    }


HEADER = (
    "fields",
    "vocabulary",
    "batch",
    "contender",
    "training rows/s",
    "prediction rows/s",
    "ours, times as fast",
)


def table(results: list[dict[str, Any]]) -> str:
    """The results as Markdown."""
    rows = []
    for result in results:
        contenders = result["contenders"]
        for name, got in contenders.items():
            ours = contenders.get(f"fieldwise beside {name}", contenders.get("fieldwise"))
            is_peer = name in peers.PEERS
            ratio = f"{ours['train_rows_per_s'] / got['train_rows_per_s']:.1f}" if is_peer else ""
            predicting = "" if got["predict_rows_per_s"] is None else f"{got['predict_rows_per_s']:,.0f}"
            sizes = [f"{result[name]:,}" for name in ("fields", "vocabulary", "batch")]
            training = f"{got['train_rows_per_s']:,.0f}"
            rows.append([*sizes, f"{name} ({got['plan']})", training, predicting, ratio])
    return markdown_table(HEADER, rows)


def draw(results: list[dict[str, Any]], out: Path) -> None:
    """Training rows per second along each axis of the sweeps, ours beside the peers."""
    if not can_draw():
        return
    axes_of = {"vocabulary": "rows of the embedding table", "fields": "fields", "batch": "batch size"}
    middle = {"fields": 39, "vocabulary": 100_000, "batch": 1024}
    figure = new_figure(14, 4.5)
    for axes, (varied, label) in zip(figure.subplots(1, 3), axes_of.items(), strict=True):
        points: dict[str, dict[int, float]] = {}
        for result in results:
            if all(result[name] == value for name, value in middle.items() if name != varied):
                for name, got in result["contenders"].items():
                    who = name.partition(" beside ")[0]
                    if who == "fieldwise" or who in peers.PEERS:
                        points.setdefault(who, {})[result[varied]] = got["train_rows_per_s"]
        for who, found in points.items():
            xs = sorted(found)
            axes.plot(xs, [found[x] for x in xs], marker="o", label=who)
        ticks = sorted({x for found in points.values() for x in found})
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks], rotation=45)
        axes.set_xticks([], minor=True)
        axes.set_xlabel(label)
        axes.set_ylabel("training rows per second")
        axes.grid(alpha=0.3)
        axes.legend()
    save_figure(figure, out / "speed", kinds=["png"], dpi=110)


def main() -> None:
    """Measure every shape that is not yet measured, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/speed"))
    parser.add_argument("--vocabulary", default="100000,1000000,10000000")
    parser.add_argument("--batch", default="1024,8192")
    parser.add_argument("--fields", default="39")
    parser.add_argument("--sweeps", action="store_true", help="ours and the peers along vocabulary, fields and batch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers-up-to", type=int, default=10_000_000, help="largest vocabulary that peers are given")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    log: Path = options.out / "speed.jsonl"
    results = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    done = {(result["fields"], result["vocabulary"], result["batch"]) for result in results}
    fields, sizes, batches = (map(int, text.split(",")) for text in (options.fields, options.vocabulary, options.batch))
    shapes = SWEEPS if options.sweeps else list(itertools.product(fields, sizes, batches))
    machine = measure_machine(device=torch.device("cpu"))
    print(describe_machine(machine), f"{os.cpu_count()} cores", versions(), sep="\n", flush=True)
    for shape in shapes:
        if shape in done:
            continue
        _, vocabulary, _ = shape
        rivals = [name for name in peers.PEERS if vocabulary <= options.peers_up_to]
        if vocabulary <= LARGE:
            ours = ["fieldwise"] if options.sweeps else list(OURS)
            contenders = compare([*ours, *rivals], shape, options.rounds, predict=not options.sweeps)
        else:  # several tables with dense moments do not fit side by side, so ours meets one peer after the other
            contenders = {}
            for rival in rivals:
                met = compare(["fieldwise", rival], shape, options.rounds, predict=not options.sweeps)
                contenders[f"fieldwise beside {rival}"] = met["fieldwise"]
                contenders[rival] = met[rival]
            if not rivals:
                contenders = compare(["fieldwise"], shape, options.rounds, predict=not options.sweeps)
        measured = dict(zip(("fields", "vocabulary", "batch"), shape, strict=True))
        results.append({**measured, "contenders": contenders, **asdict(machine)})
        with log.open("a") as file:
            print(json.dumps(results[-1]), file=file)
        print(table(results[-1:]), flush=True)
    write_text(options.out / "speed.md", table(results) + "\n")
    draw(results, options.out)


if __name__ == "__main__":
    main()
