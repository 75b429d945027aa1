"""AutoInt on MovieLens-1M by the fast way of taking steps and by the reference: the same accuracy, or not.

    FIELDWISE_DATA=... python benchmarks/same_accuracy.py --out runs/same_accuracy [--seeds 3]

Fast is bfloat16 products and the row-wise Adam for the embeddings; the reference is float32 and dense Adam. The
network's settings are the authors'; 12 passes with a cosine schedule, stopped after 3 without a better validation log
loss. Both without user and movie ids, as the authors have it, and with them. Runs that are done stay done, and a run
that was stopped is resumed: start the script again.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import fieldwise as fw

COMMON: dict[str, Any] = {
    "preset": "reference",
    "dropout": 0.4,
    "embedding_dropout": 0.1,
    "epochs": 12,
    "schedule": "cosine",
    "patience": 3,
}
WAYS: dict[str, dict[str, Any]] = {
    "reference": {"precision": "float32", "embedding_optimizer": "adam"},
    "fast": {"precision": "bfloat16", "embedding_optimizer": "row_adam"},
}
DATASETS = ("movielens-1m", "movielens-1m-ids")


def run(dataset: str, way: str, seed: int, out: Path) -> fw.Predictor:
    """The predictor of one run, trained, resumed or loaded."""
    place = out / f"{dataset}_{way}_seed{seed}"
    if place.exists():
        return fw.load(place)
    if place.with_name(f"{place.name}.unfinished").exists():
        return fw.resume(place)
    return fw.train(dataset, model="autoint", settings={**COMMON, **WAYS[way]}, seed=seed, out=place)


def main() -> None:
    """Train what is missing and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/same_accuracy"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--datasets", nargs="+", default=DATASETS, choices=DATASETS)
    options = parser.parse_args()
    print("| data | way | test AUC | test log loss | epochs | seconds per epoch |\n|---|---|---|---|---|---|")
    for dataset in options.datasets:
        means: dict[str, list[float]] = {}
        for way in WAYS:
            runs = [run(dataset, way, seed, options.out) for seed in range(options.seeds)]
            figures = [[float(p.card.metrics["test"][name] or 0) for p in runs] for name in ("auc", "log_loss")]
            means[way] = [statistics.mean(values) for values in figures]
            shown = [f"{statistics.mean(v):.4f} ± {statistics.stdev(v):.4f}" for v in figures]
            epochs = ", ".join(str(p.history.best_epoch) for p in runs)
            seconds = statistics.median(record.seconds for p in runs for record in p.history.records)
            print(f"| {dataset} | {way} | {' | '.join(shown)} | best {epochs} | {seconds:.0f} |", flush=True)
        auc, loss = (fast - reference for fast, reference in zip(means["fast"], means["reference"], strict=True))
        print(f"| {dataset} | fast minus reference | {auc:+.4f} | {loss:+.4f} | | |", flush=True)


if __name__ == "__main__":
    main()
