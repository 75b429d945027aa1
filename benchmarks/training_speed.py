"""Rows per second of `Trainer` beside a plain PyTorch loop over the same model, in one run.

    python benchmarks/training_speed.py [--rows 100000] [--rounds 5]

Both train AutoInt at the same settings on the same synthetic click log, one epoch a round, in turns; the medians
and their ratio are printed. The plain loop is what one writes by hand: tensors in memory, a random permutation,
`torch.optim.Adam`, log loss from logits; it checks and reports nothing.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time

import torch

from fieldwise.data.batch import Batch
from fieldwise.data.dataset import Dataset
from fieldwise.datasets.synthetic import make_click_log
from fieldwise.encoding.encoder import Encoder
from fieldwise.environment import versions
from fieldwise.models import registry
from fieldwise.models.base import CTRModel
from fieldwise.preparation import encode_table
from fieldwise.settings import TrainingSettings
from fieldwise.training.execution import apply_process_settings
from fieldwise.training.trainer import Trainer


def build(dataset: Dataset) -> CTRModel:
    """The same initial weights every time."""
    torch.manual_seed(0)
    return registry.build("autoint", dataset.layout, registry.resolve("autoint"))


def plain_loop(dataset: Dataset, batch_size: int) -> float:
    """One epoch by hand; rows per second."""
    model = build(dataset)
    whole = dataset.batch(slice(0, len(dataset)))
    assert whole.label is not None
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model.train()
    started = time.perf_counter()
    order = torch.randperm(len(dataset))
    for start in range(0, len(dataset), batch_size):
        rows = order[start : start + batch_size]
        batch = Batch(whole.categorical[rows], whole.numeric[rows], tuple(ids[rows] for ids in whole.multi_valued))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(batch), whole.label[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return len(dataset) / (time.perf_counter() - started)


def with_trainer(dataset: Dataset, batch_size: int) -> float:
    """One epoch of the library's Trainer; rows per second of the whole call."""
    model = build(dataset)
    settings = TrainingSettings(epochs=1, batch_size=batch_size)
    started = time.perf_counter()
    trainer = Trainer(model, settings=settings)
    apply_process_settings(trainer.settings)
    trainer.fit(dataset)
    return len(dataset) / (time.perf_counter() - started)


def main() -> None:
    """Run the rounds in turns and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=1024)
    options = parser.parse_args()
    log = make_click_log(options.rows)
    dataset = encode_table(log.table, Encoder.fit(log.table, log.schema, min_count=2))
    ways = {"plain PyTorch loop": plain_loop, "fieldwise Trainer": with_trainer}
    for way in ways.values():
        way(dataset.take(torch.arange(20 * options.batch_size).numpy()), options.batch_size)
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, way in ways.items():
            speeds[name].append(way(dataset, options.batch_size))
    print(f"AutoInt, {len(dataset.layout)} fields, batch {options.batch_size}, {torch.get_num_threads()} threads")
    print(f"{platform.processor() or platform.machine()}, {versions()}")
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    for name, values in speeds.items():
        print(f"{name:<20} {medians[name]:>8,.0f} rows/s   (from {min(values):,.0f} to {max(values):,.0f})")
    print(f"ratio of medians: {medians['fieldwise Trainer'] / medians['plain PyTorch loop']:.3f}")


if __name__ == "__main__":
    main()
