"""Are the pairs that a search ranks first worth more than those with the best click statistics? AIM, section 4.4.2.

    FIELDWISE_DATA=... python benchmarks/aim/top_pairs.py --out runs/top-pairs [--seeds 3] [--top 3,6,10]

A factorisation machine is trained with the inner products of N pairs of fields alone. Which pairs:

    |gate|           the N strongest that AIM's search among the inner products of all pairs finds, a search per seed
    statistics_AUC   the N pairs whose click rates, counted on the training rows, order the VALIDATION rows best; the
                     paper takes the test rows, but those must not choose anything here

A search that keeps fewer than N pairs gives its seed fewer of both kinds. All pairs and no pair stand beside.

Settings of training are those of `fm` in examples/movielens-1m-ids/aim.toml: the best epoch is chosen by the validation
rows, the test rows are looked at once per run. What is done stays done; start it again and it goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from scipy import stats

from contenders import settings_of, small_rows
from fieldwise.architecture import Architecture, Interaction
from fieldwise.comparison.results import Statistic
from fieldwise.explain import ClickStatistics
from fieldwise.reporting import markdown_table
from runs import Figures, Rows, data_option, kept, kept_search, kept_training, program, write_table

Pairs = list[tuple[str, ...]]
BY = ("by gate", "by statistics_AUC")


def with_pairs(rows: Rows, pairs: Sequence[tuple[str, ...]], *, embedding_dim: int) -> Architecture:
    """The inner products of some pairs, all of one embedding, as a factorisation machine has them."""
    nothing = Architecture.everything(rows.layout, functions=[], embedding_dim=embedding_dim)
    return nothing.with_interactions(Interaction(fields=pair, function="inner") for pair in pairs)


def rank_by_statistics(rows: Rows, place: Path) -> Figures:
    """statistics_AUC of every pair, the largest first."""

    def measure() -> Figures:
        statistics = ClickStatistics(rows.parts["train"], rows.parts["valid"])
        found = [(pair, statistics.auc(pair)) for pair in combinations(rows.layout.names, 2)]
        return {"pairs": sorted(found, key=lambda entry: -entry[1])}

    return kept(place, {"rows": rows.mark}, measure)


def run_seed(
    rows: Rows, seed: int, tops: Sequence[int], ranked: Pairs, out: Path, *, smoke: bool
) -> dict[str, Figures]:
    """The trainings of one seed by name: `all`, `none`, and `N by ...` for every N and both rankings."""
    inner_alone = {"search.functions": ("inner",), "search.embedding_sizes": False}
    settings = settings_of("AIM order 2", seed, inner_alone, smoke=smoke)
    found = Architecture.model_validate(kept_search(out / f"search_seed{seed}", rows, settings)["architecture"])
    by_gate = list(found.strengths(2))
    sets: dict[str, tuple[str, Pairs]] = {
        "all": ("all", list(combinations(rows.layout.names, 2))),
        "none": ("none", []),
    }
    for top in tops:
        count = min(top, len(by_gate))
        sets[f"{top} {BY[0]}"] = f"top{top}_gate", by_gate[:count]
        sets[f"{top} {BY[1]}"] = f"top{top}_statistics", ranked[:count]
    figures = {}
    for name, (file, pairs) in sets.items():
        architecture = with_pairs(rows, pairs, embedding_dim=found.embedding_dim)
        settings = settings_of("fm", seed, {"model.architecture": architecture}, smoke=smoke)
        figures[name] = {**kept_training(out / f"{file}_seed{seed}", rows, settings), "pairs": pairs}
    return figures


def change(ours: Statistic, theirs: Statistic) -> str:
    """The difference of two means, with its 95 % interval (Welch) where there are several seeds."""
    told = f"{ours.mean - theirs.mean:+.4f}"
    if len(ours.values) > 1:
        interval = stats.ttest_ind(ours.values, theirs.values, equal_var=False).confidence_interval(0.95)
        told += f" ({interval.low:+.4f} to {interval.high:+.4f})"
    return told


def table(results: Mapping[int, Mapping[str, Figures]], tops: Sequence[int]) -> list[str]:
    """The table as Markdown, and the pairs of each choice."""
    found: dict[str, tuple[Statistic, Statistic]] = {}
    cells, lines = [], []
    for name in next(iter(results.values())):
        runs = [figures[name] for figures in results.values()]
        auc, loss = (Statistic.of([run["metrics"]["test"][metric] for run in runs]) for metric in ("auc", "log_loss"))
        found[name] = auc, loss
        told = [f"{s.mean:.4f}" + ("" if s.std is None else f" ± {s.std:.4f}") for s in (auc, loss)]
        counts = sorted({len(run["pairs"]) for run in runs})
        cells.append([name, " or ".join(map(str, counts)), *told])
    for top in tops:
        better, lower = (change(*each) for each in zip(*(found[f"{top} {by}"] for by in BY), strict=True))
        lines.append(f"* {top} pairs, {BY[0]} minus {BY[1]}: AUC {better}, log loss {lower}")
    lines += ["* the paper (Avazu): AUC 0.7831 and 0.7804, +0.0027; log loss 0.3778 and 0.3794, -0.0016", ""]
    for seed, figures in results.items():
        for by in BY:
            pairs = figures[f"{max(tops)} {by}"]["pairs"]
            lines.append(f"* seed {seed}, {by}: {', '.join(' x '.join(pair) for pair in pairs)}")
    return [markdown_table(["pairs", "how many", "test AUC", "test log loss"], cells), "", *lines]


def main() -> None:
    """Train what is missing and print the table."""
    parser = program(__doc__, out="runs/top-pairs")
    data_option(parser)
    parser.add_argument("--seeds", type=int, default=3, help="searches and trainings, from seed 0 on (default: 3)")
    parser.add_argument("--top", default="3,6,10", help="how many pairs, one or several numbers (default: 3,6,10)")
    options = parser.parse_args()
    tops = [int(number) for number in options.top.split(",")]
    rows = small_rows() if options.smoke else Rows.built_in(options.data)
    ranking = rank_by_statistics(rows, options.out / "statistics.json")["pairs"]
    ranked = [tuple(pair) for pair, _ in ranking]
    results = {s: run_seed(rows, s, tops, ranked, options.out, smoke=options.smoke) for s in range(options.seeds)}
    write_table(options.out / "top-pairs.md", table(results, tops))


if __name__ == "__main__":
    main()
