"""Do DeepFM and IPNN gain from the interactions that AIM has found? Table 10 of the AIM paper.

    FIELDWISE_DATA=... python benchmarks/aim/transfer.py --out runs/transfer [--seeds 3] [--orders 2,3,4]

AIM searches once per seed, order by order, without embedding sizes. DeepFM and IPNN are then trained from scratch with
what was found up to order 2, 3, ... in place of their own pairs: every interaction by the functions that were found for
it, each function with an embedding of its own, beside the embedding that the feed-forward network reads; no gates. The
paper does not say whether it has gates there.

Settings of training are those of examples/movielens-1m-ids/aim.toml: the best epoch is chosen by the validation rows,
the test rows are looked at once per run. What is done stays done; start it again and it goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from contenders import settings_of, small_rows
from fieldwise.architecture import Architecture
from fieldwise.comparison.results import Statistic
from fieldwise.reporting import markdown_table
from runs import Figures, Rows, data_option, kept_search, kept_training, program, write_table

BASES = ("deepfm", "ipnn")
ALONE = "none"

# AUC and log loss on Avazu.
PUBLISHED = {
    ("deepfm", ALONE): "0.7836 / 0.3776",
    ("deepfm", "order 2"): "0.7858 / 0.3762",
    ("deepfm", "up to order 3"): "0.7868 / 0.3758",
    ("deepfm", "up to order 4"): "0.7872 / 0.3755",
    ("ipnn", ALONE): "0.7868 / 0.3756",
    ("ipnn", "order 2"): "0.7893 / 0.3741",
    ("ipnn", "up to order 3"): "0.7915 / 0.3728",
    ("ipnn", "up to order 4"): "0.7921 / 0.3725",
}


def up_to(found: Architecture, order: int) -> Architecture:
    """The interactions of at most so many fields; a search up to that order would have found the same."""
    return found.with_interactions(i for i in found.interactions if i.order <= order)


def run_seed(rows: Rows, seed: int, orders: Sequence[int], out: Path, *, smoke: bool) -> dict[tuple[str, str], Figures]:
    """The trainings of one seed by model and by what it is given."""
    without_sizes = {"search.embedding_sizes": False}
    settings = settings_of(f"AIM order {orders[-1]}", seed, without_sizes, smoke=smoke)
    searched = kept_search(out / f"search_order{orders[-1]}_seed{seed}", rows, settings)
    found = Architecture.model_validate(searched["architecture"])
    figures = {}
    for base in BASES:
        given: dict[str, Architecture | None] = {ALONE: None}
        given |= {"order 2" if order == 2 else f"up to order {order}": up_to(found, order) for order in orders}
        for name, architecture in given.items():
            settings = settings_of(base, seed, {"model.architecture": architecture}, smoke=smoke)
            place = out / f"{base}_{name.replace(' ', '_')}_seed{seed}"
            figures[base, name] = {
                **kept_training(place, rows, settings),
                "interactions": None if architecture is None else len(architecture.interactions),
            }
    return figures


def table(results: Mapping[int, Mapping[tuple[str, str], Figures]], *, avazu: bool) -> list[str]:
    """The table as Markdown. avazu: whether the paper's figures shall stand beside."""
    names = ["model", "found interactions", "how many", "test AUC", "test log loss", "AUC to none", "relative"]
    cells = []
    alone = 0.0
    for base, name in next(iter(results.values())):
        runs = [figures[base, name] for figures in results.values()]
        auc, loss = (Statistic.of([run["metrics"]["test"][metric] for run in runs]) for metric in ("auc", "log_loss"))
        told = [f"{s.mean:.4f}" + ("" if s.std is None else f" ± {s.std:.4f}") for s in (auc, loss)]
        many = [run["interactions"] for run in runs if run["interactions"] is not None]
        changes = ["", ""]
        if name == ALONE:
            alone = auc.mean
        else:
            changes = [f"{auc.mean - alone:+.4f}", f"{auc.mean / alone - 1:+.2%}"]
        cells.append([base, name, ", ".join(map(str, many)), *told, *changes])
        if avazu:
            cells[-1].append(PUBLISHED.get((base, name), ""))
    return [markdown_table([*names, "the paper's, Avazu"] if avazu else names, cells)]


def main() -> None:
    """Train what is missing and print the table."""
    parser = program(__doc__, out="runs/transfer")
    data_option(parser)
    parser.add_argument("--seeds", type=int, default=3, help="searches and trainings, from seed 0 on (default: 3)")
    parser.add_argument("--orders", default="2,3,4", help="2, or 2,3, or 2,3,4 (default: 2,3,4)")
    options = parser.parse_args()
    orders = [int(order) for order in options.orders.split(",")]
    if orders != [2, 3, 4][: len(orders)]:
        parser.error(f"--orders {options.orders}: expected 2, or 2,3, or 2,3,4")
    rows = small_rows() if options.smoke else Rows.built_in(options.data)
    results = {seed: run_seed(rows, seed, orders, options.out, smoke=options.smoke) for seed in range(options.seeds)}
    write_table(options.out / "transfer.md", table(results, avazu=not options.smoke))


if __name__ == "__main__":
    main()
