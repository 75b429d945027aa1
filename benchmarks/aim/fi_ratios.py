"""Which share of all possible interactions the models of a comparison keep: table 3 of the AIM paper.

    fieldwise compare movielens-1m-ids --config examples/movielens-1m-ids/aim.toml --seeds 3 --out runs/aim
    python benchmarks/aim/fi_ratios.py runs/aim [runs/ablations ...] [--markdown table.md]

It reads the runs under DIRECTORY/runs, also while the comparison goes on, and trains nothing. What a run's search has
found stands in the run's settings. A row per contender, means over its seeds:

    test AUC, test log loss     mean ± standard deviation
    kept                        field tuples with at least one function, by order
    FI ratio                    of them, in percent of all C(n, p) tuples of n fields, by order
    by function                 (tuple, function) pairs, in percent of the C(n, p) * K that a search could keep, with K
                                the number of functions that it chose from

The paper does not say which of the two ratios it prints; its denominators are C(n, p).
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
from collections.abc import Sequence
from pathlib import Path

from fieldwise.architecture import Architecture, num_tuples
from fieldwise.comparison import read
from fieldwise.comparison.results import Run
from fieldwise.errors import SettingsError
from fieldwise.layers.interaction_functions import function_names
from fieldwise.reporting import markdown_table
from fieldwise.storage.atomic import write_text

HEADER = ("model", "test AUC", "test log loss", "order", "kept", "FI ratio", "by function", "seeds")


def read_runs(directory: Path) -> dict[str, list[Run]]:
    """The runs of a comparison by contender; failed ones are left out. Exits where there are none."""
    order: list[str] = []
    with contextlib.suppress(SettingsError):  # there is no table before the first run has ended
        order = read(directory).order
    runs: dict[str, list[Run]] = {name: [] for name in order}
    for path in sorted((directory / "runs").glob("*.json")):
        run = Run.model_validate_json(path.read_bytes())
        if run.error is None:
            runs.setdefault(run.contender, []).append(run)
    runs = {name: group for name, group in runs.items() if group}
    if not runs:
        raise SystemExit(
            f"{directory} holds no run of a comparison; `fieldwise compare ... --out {directory}` makes them"
        )
    return runs


def ratios(found: Architecture, order: int) -> tuple[int, float, float]:
    """Kept field tuples of an order, their share of all, and the share of (tuple, function) pairs."""
    possible = num_tuples(len(found.fields), order)
    functions = found.settings.get("search", {}).get("functions") or function_names()
    tuples, pairs = len(found.strengths(order)), len(found.of(order))
    return tuples, tuples / possible, pairs / (possible * len(functions))


def searched_orders(found: Architecture) -> list[int]:
    """The orders that were searched, also those of which nothing was kept."""
    return [int(order) for order in found.settings.get("search", {}).get("orders", found.orders)]


def rows(runs: dict[str, list[Run]]) -> list[list[str]]:
    """The cells under `HEADER`: a row per contender, and a further one for every order above the second."""
    table = []
    for name, group in runs.items():
        figures = [_told(group, metric) for metric in ("auc", "log_loss")]
        architectures = [
            Architecture.model_validate(found)
            for run in group
            if (found := run.settings.get("model_settings", {}).get("architecture")) is not None
        ]
        head, tail = [name, *figures], str(len(group))
        if not architectures:
            table.append([*head, "", "", "", "", tail])
        for order in searched_orders(architectures[0]) if architectures else []:
            kept, by_tuple, by_function = zip(*(ratios(found, order) for found in architectures), strict=True)
            shares = [f"{statistics.mean(share):.1%}" for share in (by_tuple, by_function)]
            table.append([*head, str(order), f"{statistics.mean(kept):.1f}", *shares, tail])
            head, tail = [""] * len(head), ""
    return table


def _told(runs: Sequence[Run], metric: str) -> str:
    values = [value for run in runs if (value := run.metrics["test"][metric]) is not None]
    deviation = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{deviation}" if values else ""


def main() -> None:
    """Read the runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directories", nargs="+", type=Path, metavar="DIRECTORY", help="the --out of a comparison")
    parser.add_argument("--markdown", type=Path, help="a file to write the table to as well")
    options = parser.parse_args()
    text = "\n\n".join(markdown_table(HEADER, rows(read_runs(directory))) for directory in options.directories)
    print(text)
    if options.markdown is not None:
        write_text(options.markdown, text + "\n")


if __name__ == "__main__":
    main()
