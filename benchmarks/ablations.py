"""Draws what ablations have found: test AUC and log loss of a model against one of its settings, a panel for each.

    python benchmarks/ablations.py runs/residual runs/heads runs/layers runs/dimension --out docs/images/...png

Each directory is one that `fieldwise compare` has written from a settings file in examples/movielens-1m
(autoint-layers, autoint-dimension, ...); its contenders stand in the order of that file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fieldwise.comparison import read
from fieldwise.reporting.figures import new_figure, save_figure


def draw(directories: list[Path], out: Path) -> None:
    """One column of panels per comparison, test AUC above and test log loss below."""
    figure = new_figure(3.6 * len(directories), 5)
    panels = figure.subplots(2, len(directories), squeeze=False, sharey="row")
    for column, directory in enumerate(directories):
        summaries = read(directory).summaries()
        names = [summary.name for summary in summaries]
        for row, (label, metric) in enumerate((("test AUC", "auc"), ("test log loss", "log_loss"))):
            figures = [summary.figures.get(metric) for summary in summaries]
            axes = panels[row][column]
            means = [float("nan") if figure is None else figure.mean for figure in figures]
            spread = [0.0 if figure is None else figure.std or 0.0 for figure in figures]
            axes.errorbar(range(len(names)), means, yerr=spread, marker="o", capsize=3)
            axes.set_xticks(range(len(names)), names if row else [])
            axes.grid(alpha=0.3)
            axes.margins(x=0.15)
            if not column:
                axes.set_ylabel(label)
    save_figure(figure, out.with_suffix(""), kinds=["svg" if out.suffix == ".svg" else "png"])


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directories", nargs="+", type=Path, metavar="DIR", help="what `fieldwise compare --out` wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .png or .svg file")
    words = parser.parse_args()
    draw(words.directories, words.out)


if __name__ == "__main__":
    main()
