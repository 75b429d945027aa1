"""What AIM costs: its search along fields and orders, its final network beside others, and the whole beside DeepFM.

    python benchmarks/aim/cost.py search --out runs/cost   # seconds and memory at 10, 20, 39 fields, orders 2, 3, 4
    python benchmarks/aim/cost.py models --out runs/cost   # tables 7 to 9: parameters, training and prediction time
    python benchmarks/aim/cost.py budget --out runs/cost   # search and training within 6 times one DeepFM training

Rows are made up at Criteo's sizes (998,960 tokens over 26 of 39 fields, 13 numeric; fewer fields in the same
proportion), tokens by Zipf's law; nothing is read. Nothing can be learnt from them either, so where the number of kept
interactions matters it is set, not found:

    search   no gate closes, neither of interactions nor of dimensions: the most that a search can cost
    models   as many interactions as the paper keeps on Criteo (22 % of the pairs, 1 % of the triples, 0.09 % of the
             quadruples, AutoFIS 9 % of the pairs), drawn at random, each by two of AIM's functions; a third of the
             dimensions
    budget   the strongest --keep of all interactions go on to the search of dimensions, which keeps all of them, and
             to the training. AIM goes --epochs times over the rows in each of these three stages, DeepFM three times
             as often. With --data the rows are real, and the search decides what is kept

Every measurement has a process of its own, whose highest memory is told; models that are compared take turns, and
medians are shown. Let nothing else run beside. What is done stays done: start it again and it goes on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

import budget
import growth
import model_costs
from criteo_rows import MOST_FIELDS
from fieldwise import datasets
from fieldwise.bench.measure import measure_machine
from fieldwise.bench.report import describe_machine
from runs import write_table

PAPER = "aim-criteo"
DEFAULTS = "none"
SHRINK = 1_000
"""What vocabularies are divided by at smoke size."""


def search(options: argparse.Namespace) -> tuple[list[str], bool]:
    """`cost.py search`."""
    sizes = [4, 6] if options.smoke else [int(fields) for fields in options.fields.split(",")]
    orders = [3] if options.smoke else [int(order) for order in options.orders.split(",")]
    results = {}
    for order in orders:
        for fields in sizes:
            case = growth.Case(fields, order, options.rows, options.preset, options.shrink, options.kernels)
            results[order, fields] = growth.measured(case, options.repeats, options.out)
    return growth.table(results)


def models(options: argparse.Namespace) -> tuple[list[str], bool]:
    """`cost.py models`."""
    fields = 6 if options.smoke else MOST_FIELDS
    contenders = [c for c in model_costs.CONTENDERS if c.name in ("DeepFM", "AIM") or not options.smoke]
    cases = [model_costs.Case(c, fields, options.rows, options.preset, options.shrink) for c in contenders]
    results = model_costs.measured(cases, options.repeats, options.out)
    searches = {}
    for order in (2,) if options.smoke else (2, 3, 4):
        case = growth.Case(fields, order, options.rows, options.preset, options.shrink)
        searches[order] = growth.measured(case, options.repeats, options.out)
    return [*model_costs.table(results), "", *model_costs.stages_table(searches, results)], True


def within_budget(options: argparse.Namespace) -> tuple[list[str], bool]:
    """`cost.py budget`."""
    fields = 6 if options.smoke else MOST_FIELDS
    case = budget.Case(options.data, fields, options.rows, options.keep, options.epochs, options.preset, options.shrink)
    return budget.table(budget.measured(case, options.repeats, options.out))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run, preset, rows, told in (
        ("search", search, PAPER, 50_000, "what a search costs along fields and orders"),
        ("models", models, PAPER, 50_000, "parameters, training and prediction time beside other models"),
        ("budget", within_budget, DEFAULTS, 100_000, "search and training beside DeepFM"),
    ):
        command = commands.add_parser(name, help=told, description=told)
        command.set_defaults(run=run, kernels="auto")
        command.add_argument("--out", type=Path, default=Path("runs/cost"), help="default: runs/cost")
        command.add_argument("--smoke", action="store_true", help="so small that it only shows that everything runs")
        command.add_argument("--rows", type=int, default=rows, help=f"rows to train on (default: {rows:,})")
        command.add_argument("--repeats", type=int, default=3, help="how often each is measured (default: 3)")
        command.add_argument(
            "--preset",
            default=preset,
            help=f"of the models: {PAPER} has the paper's sizes for Criteo (D = 20, five layers of 700), {DEFAULTS} "
            f"the library's defaults (default: {preset})",
        )
        if name == "search":
            command.add_argument("--fields", default="10,20,39", help="default: 10,20,39")
            command.add_argument("--orders", default="2,3,4", help="highest orders (default: 2,3,4)")
            command.add_argument(
                "--kernels", choices=("auto", "torch"), help="torch: without compiled kernels (default: auto)"
            )
        if name == "budget":
            command.add_argument("--epochs", type=int, default=1, help="over the rows in each stage (default: 1)")
            command.add_argument("--keep", type=float, default=0.2, help="share of all interactions (default: 0.2)")
            command.add_argument("--data", choices=datasets.names(), help="a built-in data set instead")
    options = parser.parse_args()
    options.preset = None if options.preset == DEFAULTS else options.preset
    options.shrink = SHRINK if options.smoke else 1
    if options.smoke:
        options.rows, options.repeats = 2_000, 1
    return options


def main() -> None:
    """Measure what is missing and print the tables; exit status 1 where a claim does not hold."""
    options = parse()
    lines, holds = options.run(options)
    if not options.smoke:
        lines += ["", describe_machine(measure_machine(device=torch.device("cpu")))]
    write_table(options.out / f"{options.command}{'_torch' if options.kernels == 'torch' else ''}.md", lines)
    if not holds and not options.smoke:
        sys.exit(1)


if __name__ == "__main__":
    main()
