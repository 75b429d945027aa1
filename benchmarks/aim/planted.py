"""Does AIM's search find what was planted, without tuning? Synthetic logs of which the truth is known.

    python benchmarks/aim/planted.py --out runs/planted [--seeds 5] [--parts search,sizes,functions]

Each seed draws a world of its own (`fieldwise.datasets.synthetic.make_search_log`): 12 fields, of which 5 are noise, 4
planted pairs, 1 planted triple, 200,000 rows. All settings of search and training are the defaults.

    search      orders 2 and 3. Every planted pair is kept, and ranked by |gate| above every other pair; no kept pair
                touches a field of noise; the planted triple is ranked first
    sizes       embedding dimensions searched with ALL pairs open: a field of noise keeps at most 10 % of the dimensions
                of an informative one (any field that is not noise)
    functions   networks without a feed-forward network over the pairs that `search` has found, one function for each:
                the strongest that was found, the inner product, or one drawn at random. The mean validation log loss
                of the strongest is the lowest. All functions that were found stand beside: of the planted pairs, which
                are products, one function tells all

Figures lie as JSON beside the tables; what is done stays done, and a run that was stopped goes on where it was. The
exit status is 1 where something does not hold; with --smoke nothing can, and it is 0.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fieldwise.architecture import Architecture, Interaction
from fieldwise.datasets import SyntheticClickLog, make_search_log
from fieldwise.layers.interaction_functions import function_names
from fieldwise.reporting import markdown_table
from fieldwise.settings import Settings, resolve_settings
from runs import Figures, Rows, kept_dimensions, kept_search, kept_training, program, write_table

PARTS = ("search", "sizes", "functions")
FULL: dict[str, Any] = {"num_rows": 200_000, "num_fields": 12, "num_noise": 5, "num_pairs": 4, "num_triples": 1}
SMOKE: dict[str, Any] = {"num_rows": 3_000, "num_fields": 5, "num_noise": 1, "num_pairs": 2, "num_triples": 1}
# So few rows move no gate; low thresholds leave something to go on with.
QUICK = {"training.epochs": 1, "search.epochs": 2, "search.threshold": 0.3, "search.dimension_threshold": 0.5}
NOISE_SHARE = 0.1
WAYS = {
    "strongest": "the strongest function",
    "inner": "the inner product",
    "random": "a function at random",
    "found": "all found functions",
}


def settings_for(seed: int, **overrides: Any) -> Settings:
    """AIM's settings, at their defaults but for the orders."""
    return resolve_settings(model="aim", overrides={"search.orders": (2, 3), **overrides}, seed=seed)


def judge_search(found: Architecture, log: SyntheticClickLog) -> Figures:
    """What was kept, held against what was planted. margin: weakest planted pair / strongest other, by |gate|."""
    pairs, triples = found.strengths(2), found.strengths(3)
    planted = [pairs.get(pair, 0.0) for pair in log.planted_pairs]
    others = {pair: strength for pair, strength in pairs.items() if pair not in log.planted_pairs}
    ranks = [list(triples).index(t) + 1 if t in triples else None for t in log.planted_triples]
    return {
        "pairs": len(pairs),
        "planted": len(planted),
        "planted_kept": sum(strength > 0 for strength in planted),
        "planted_first": min(planted) > max(others.values(), default=0.0),
        "margin": min(planted) / max(others.values()) if others else None,
        "noise_pairs": sum(bool(set(pair) & set(log.noise_fields)) for pair in pairs),
        "triples": len(triples),
        "triple_rank": ranks[0],
        "seconds": sum(stage["seconds"] for stage in found.settings["stages"]),
    }


def judge_sizes(found: Architecture, log: SyntheticClickLog) -> Figures:
    """Mean dimensions over all functions: of a field of noise, of an informative one, of one in a planted pair."""
    used: dict[str, int] = dict.fromkeys(found.fields, 0)
    for function in found.functions:
        # A field that has lost its last interaction by a function needs nothing there.
        for name in {name for i in found.of(2, function) for name in i.fields}:
            used[name] += len(found.kept_dimensions(2, function, name))
    noise = [used[name] for name in log.noise_fields]
    informative = [size for name, size in used.items() if name not in log.noise_fields]
    paired = [used[name] for name in {name for pair in log.planted_pairs for name in pair}]
    means = [statistics.mean(sizes) for sizes in (noise, informative, paired)]
    return {**dict(zip(("noise", "informative", "paired"), means, strict=True)), "sizes": used}


def with_functions(found: Architecture, way: str, seed: int) -> Architecture:
    """The found pairs with all of their dimensions, by functions that are chosen in one of the ways."""
    generator, known = np.random.default_rng([seed, 11]), function_names()
    interactions = []
    for fields in sorted(found.strengths(2)):
        # By falling |gate|.
        functions = [i.function for i in found.of(2) if i.fields == fields]
        if way == "strongest":
            functions = functions[:1]
        elif way == "inner":
            functions = ["inner"]
        elif way == "random":
            functions = [known[generator.integers(len(known))]]
        interactions += [Interaction(fields=fields, function=function) for function in functions]
    return Architecture(embedding_dim=found.embedding_dim, fields=found.fields, interactions=tuple(interactions))


def run_seed(seed: int, sizes: Mapping[str, Any], parts: list[str], out: Path, *, smoke: bool) -> dict[str, Figures]:
    """All figures of one world, by part."""
    log = make_search_log(seed=seed, **sizes)
    rows = Rows.in_memory(log.table, log.schema, source=f"search log of seed {seed}", seed=seed)
    quick: dict[str, Any] = QUICK if smoke else {}
    figures: dict[str, Figures] = {}
    if "search" in parts or "functions" in parts:
        settings = settings_for(seed, **quick)
        found = Architecture.model_validate(kept_search(out / f"search_seed{seed}", rows, settings)["architecture"])
        figures["search"] = judge_search(found, log)
    if "sizes" in parts:
        everything = Architecture.everything(rows.layout, functions=function_names(), embedding_dim=16)
        sized = kept_dimensions(out / f"sizes_seed{seed}", rows, settings_for(seed, **quick), everything)
        figures["sizes"] = judge_sizes(Architecture.model_validate(sized["architecture"]), log)
    if "functions" in parts:
        figures["functions"] = {}
        for way in WAYS:
            chosen = with_functions(found, way, seed)
            settings = settings_for(seed, **{"model.architecture": chosen, "model.dnn_hidden": (), **quick})
            trained = kept_training(out / f"functions_{way}_seed{seed}", rows, settings)
            figures["functions"][way] = trained["metrics"]["valid"]["log_loss"]
    return figures


def tables(results: Mapping[int, Mapping[str, Figures]], parts: list[str]) -> tuple[list[str], bool]:
    """The tables as Markdown, and whether all that is claimed holds."""
    lines: list[str] = []
    verdicts: dict[str, bool] = {}
    if "search" in parts:
        names = [
            *("seed", "planted pairs kept", "above all others", "weakest planted / strongest other"),
            *("pairs kept", "of them with noise", "triples kept", "rank of the planted triple", "seconds"),
        ]
        found = {seed: figures["search"] for seed, figures in results.items()}
        cells = [
            [
                *(str(seed), f"{f['planted_kept']} of {f['planted']}", "yes" if f["planted_first"] else "no"),
                *("no other" if f["margin"] is None else f"{f['margin']:.2f}", str(f["pairs"]), str(f["noise_pairs"])),
                *(str(f["triples"]), str(f["triple_rank"] or "not kept"), f"{f['seconds']:.0f}"),
            ]
            for seed, f in found.items()
        ]
        lines += ["Search, orders 2 and 3:", "", markdown_table(names, cells), ""]
        verdicts["every planted pair is kept"] = all(f["planted_kept"] == f["planted"] for f in found.values())
        verdicts["planted pairs are ranked above all others"] = all(f["planted_first"] for f in found.values())
        verdicts["no kept pair touches a field of noise"] = not any(f["noise_pairs"] for f in found.values())
        verdicts["the planted triple is ranked first"] = all(f["triple_rank"] == 1 for f in found.values())
    if "sizes" in parts:
        names = ["seed", "noise", "informative", "in a planted pair", "noise / informative"]
        sizes = {seed: figures["sizes"] for seed, figures in results.items()}
        shares = {seed: f["noise"] / f["informative"] if f["informative"] else None for seed, f in sizes.items()}
        cells = [
            [
                *(str(seed), f"{f['noise']:.1f}", f"{f['informative']:.1f}", f"{f['paired']:.1f}"),
                "" if shares[seed] is None else f"{shares[seed]:.1%}",
            ]
            for seed, f in sizes.items()
        ]
        lines += ["Embedding dimensions per field with all pairs open:", "", markdown_table(names, cells), ""]
        verdicts[f"fields of noise keep at most {NOISE_SHARE:.0%} of the dimensions of informative ones"] = all(
            share is not None and share <= NOISE_SHARE for share in shares.values()
        )
    if "functions" in parts:
        losses = {way: [figures["functions"][way] for figures in results.values()] for way in WAYS}
        cells = [[str(seed), *(f"{losses[way][i]:.5f}" for way in WAYS)] for i, seed in enumerate(results)]
        means = {way: statistics.mean(losses[way]) for way in WAYS}
        cells.append(["mean", *(f"{means[way]:.5f}" for way in WAYS)])
        lines += ["Validation log loss over the found pairs:", "", markdown_table(["seed", *WAYS.values()], cells), ""]
        for way in ("inner", "random"):
            claim = f"the strongest function is no worse than {WAYS[way]}"
            verdicts[claim] = means["strongest"] <= means[way]
    lines += [f"* {claim}: {'holds' if holds else 'DOES NOT HOLD'}" for claim, holds in verdicts.items()]
    return lines, all(verdicts.values())


def main() -> None:
    """Measure what is missing, print the tables, and say whether all claims hold."""
    parser = program(__doc__, out="runs/planted")
    parser.add_argument("--seeds", type=int, default=5, help="worlds, from seed 0 on (default: 5)")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"which of {', '.join(PARTS)} (default: all)")
    options = parser.parse_args()
    parts = options.parts.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"unknown part '{unknown[0]}'; known: {', '.join(PARTS)}")
    sizes = SMOKE if options.smoke else FULL
    results = {seed: run_seed(seed, sizes, parts, options.out, smoke=options.smoke) for seed in range(options.seeds)}
    lines, holds = tables(results, parts)
    if options.smoke:
        lines.append("\nFrom so few rows the figures mean nothing.")
    write_table(options.out / "planted.md", lines)
    if not holds and not options.smoke:
        sys.exit(1)


if __name__ == "__main__":
    main()
