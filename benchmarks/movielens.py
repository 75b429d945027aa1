"""AutoInt and AutoInt+ on MovieLens-1M with several seeds: the tables of docs/results/movielens-1m.md.

    FIELDWISE_DATA=... python benchmarks/movielens.py --out runs/movielens [--seeds 3]

Settings are the authors' (preset `reference`, keep probabilities 0.6 and 0.9). AutoInt+ has a candidate per dropout of
its feed-forward network; the best validation log loss of seed 0 chooses among them, and only the chosen one is
trained with further seeds. The test split is measured once per run, with the weights of the epoch with the best
validation log loss. Runs that are done stay done, and a run that was stopped is resumed: start the script again.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from scipy import stats

import fieldwise as fw
from fieldwise.reporting import markdown_row, markdown_table

COMMON: dict[str, Any] = {
    "preset": "reference",
    "dropout": 0.4,
    "embedding_dropout": 0.1,
    "epochs": 50,
    "patience": 5,
    "precision": "float32",
    "embedding_optimizer": "adam",
}
CANDIDATES: dict[str, dict[str, dict[str, Any]]] = {
    "autoint": {"autoint": {}},
    "autoint+": {
        "autoint+ 400-400, dropout 0.5": {"dnn_hidden": [400, 400], "dnn_dropout": 0.5},
        "autoint+ 400-400, dropout 0.2": {"dnn_hidden": [400, 400], "dnn_dropout": 0.2},
    },
}
PUBLISHED = {"autoint": (0.8456, 0.3797), "autoint+": (0.8488, 0.3753)}


def run(model: str, name: str, settings: dict[str, Any], seed: int, out: Path) -> fw.Predictor:
    """The predictor of one run, trained, resumed or loaded."""
    place = out / f"{name.replace(' ', '_').replace(',', '')}_seed{seed}"
    if place.exists():
        return fw.load(place)
    if place.with_name(f"{place.name}.unfinished").exists():
        return fw.resume(place)
    return fw.train("movielens-1m", model=model, settings={**COMMON, **settings}, seed=seed, out=place)


def figure(predictor: fw.Predictor, part: str, name: str) -> float:
    """A metric of a predictor's card."""
    value = predictor.card.metrics[part][name]
    assert value is not None
    return float(value)


def mean_and_deviation(values: list[float]) -> str:
    """Mean and sample standard deviation in words."""
    deviation = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{deviation}"


def main() -> None:
    """Train what is missing and print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/movielens"))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    test: dict[str, dict[str, list[float]]] = {}
    print(markdown_table(("candidate, seed 0", "validation AUC", "validation log loss", "best epoch"), ()))
    chosen: dict[str, str] = {}
    for model, candidates in CANDIDATES.items():
        losses = {}
        for name, settings in candidates.items():
            predictor = run(model, name, settings, 0, options.out)
            losses[name] = figure(predictor, "valid", "log_loss")
            auc = figure(predictor, "valid", "auc")
            cells = (name, f"{auc:.4f}", f"{losses[name]:.4f}", f"{predictor.history.best_epoch}")
            print(markdown_row(cells), flush=True)
        chosen[model] = min(losses, key=lambda name: losses[name])
    print(f"\n{markdown_table(('model', 'seed', 'test AUC', 'test log loss', 'best epoch'), ())}")
    for model, name in chosen.items():
        test[model] = {"auc": [], "log_loss": []}
        for seed in range(options.seeds):
            predictor = run(model, name, CANDIDATES[model][name], seed, options.out)
            for metric, values in test[model].items():
                values.append(figure(predictor, "test", metric))
            shown = [f"{values[-1]:.4f}" for values in test[model].values()]
            print(markdown_row((name, f"{seed}", *shown, f"{predictor.history.best_epoch}")), flush=True)
    rows = []
    for model, figures in test.items():
        mean_auc, mean_loss = (mean_and_deviation(figures[metric]) for metric in ("auc", "log_loss"))
        rows.append((chosen[model], mean_auc, mean_loss, f"{PUBLISHED[model][0]} / {PUBLISHED[model][1]}"))
    header = ("model", "test AUC", "test log loss", "the paper's, 7 fields, 10 runs")
    print(f"\n{markdown_table(header, rows)}")
    for metric in ("auc", "log_loss"):
        theirs, base = test["autoint+"][metric], test["autoint"][metric]
        difference = statistics.mean(theirs) - statistics.mean(base)
        if options.seeds > 1:
            interval = stats.ttest_ind(theirs, base, equal_var=False).confidence_interval(0.95)
            print(f"\n{metric}: AutoInt+ minus AutoInt {difference:+.4f}, 95 % interval ({interval.low:+.4f}, ", end="")
            print(f"{interval.high:+.4f}) (Welch, {options.seeds} seeds each)")


if __name__ == "__main__":
    main()
