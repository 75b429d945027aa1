"""What a search costs along the number of fields and the highest order (`cost.py search`)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from criteo_rows import criteo_layout, criteo_rows
from fieldwise.recipes.network import settle_training
from fieldwise.recipes.search import search
from fieldwise.reporting import Reporter, markdown_table
from fieldwise.settings import Settings, resolve_settings
from own_process import alone, peak_mb
from runs import Figures, kept

PER = 100_000
"""Rows that seconds are told for."""

MOST_EXPONENT = 2.1
"""What still counts as n^2: C(n, 2) itself grows as n^2.06 from 10 to 39 fields."""


@dataclass(frozen=True)
class Case:
    """A search over so many fields up to an order. preset: of the model, None for its defaults. kernels: as the setting
    of training. See `criteo_layout`.
    """

    fields: int
    order: int
    rows: int
    preset: str | None = None
    shrink: int = 1
    kernels: str = "auto"


def costliest(case: Case) -> Settings:
    """Settings of a search that goes once over the rows in each stage and closes no gate."""
    return resolve_settings(
        model="aim",
        overrides={
            "model.preset": case.preset,
            "training.kernels": case.kernels,
            "search.orders": tuple(range(2, case.order + 1)),
            "search.epochs": 1,
            "search.threshold": 0.0,
            "search.dimension_threshold": 0.0,
        },
    )


def measure(case: Case) -> Figures:
    """Search in this process. start_mb: its memory with the rows in it, before the search."""
    layout = criteo_layout(case.fields, shrink=case.shrink)
    parts = {"train": criteo_rows(layout, case.rows)}
    settings = settle_training(layout, costliest(case))
    start = peak_mb()
    found = search(parts, settings, reporter=Reporter(enabled=False)).model_settings["architecture"]
    return {"stages": found["settings"]["stages"], "start_mb": start, "peak_mb": peak_mb()}


def measured(case: Case, repeats: int, out: Path) -> Figures:
    """Medians over repeats, each in a process of its own and kept there.

    gates: by stage. seconds: by stage, per `PER` rows. peak_mb, search_mb: of the process, and without what it had
    before the search.
    """
    runs = []
    for repeat in range(repeats):
        kernels = "" if case.kernels == "auto" else f"_{case.kernels}"
        path = out / f"search_{case.fields}_fields_order{case.order}{kernels}_repeat{repeat}.json"
        runs.append(kept(path, asdict(case), partial(alone, measure, case)))
    stages = [stage["stage"] for stage in runs[0]["stages"]]
    seconds = [
        statistics.median(PER * run["stages"][i]["seconds"] / (case.rows * run["stages"][i]["epochs"]) for run in runs)
        for i in range(len(stages))
    ]
    return {
        "gates": dict(zip(stages, (stage["gates"] for stage in runs[0]["stages"]), strict=True)),
        "seconds": dict(zip(stages, seconds, strict=True)),
        "peak_mb": statistics.median(run["peak_mb"] for run in runs),
        "search_mb": statistics.median(run["peak_mb"] - run["start_mb"] for run in runs),
    }


def exponent(fields: Sequence[int], values: Sequence[float]) -> float:
    """The p of values that grow as fields^p, by least squares of the logarithms; not a number for a single point."""
    if len(fields) < 2 or min(values) <= 0:
        return math.nan
    return float(np.polyfit(np.log(fields), np.log(values), 1)[0])


def table(results: Mapping[tuple[int, int], Figures]) -> tuple[list[str], bool]:
    """The table and the exponents as Markdown, from figures by order and fields; whether no exponent is too large."""
    names = ["orders", "fields", "gates by stage", f"seconds by stage per {PER:,} rows", "together"]
    names += ["peak MB", "of the search"]
    cells = []
    for (order, fields), figures in results.items():
        cells.append(
            [
                *(_orders(order), str(fields), ", ".join(f"{n:,}" for n in figures["gates"].values())),
                ", ".join(f"{seconds:.1f}" for seconds in figures["seconds"].values()),
                f"{sum(figures['seconds'].values()):.1f}",
                *(f"{figures['peak_mb']:,.0f}", f"{figures['search_mb']:,.0f}"),
            ]
        )
    lines = [markdown_table(names, cells), "", "Growth as n^p in the number of fields n, p by least squares:", ""]
    growth, verdicts = [], []
    for order in dict.fromkeys(order for order, _ in results):
        group = {fields: figures for (o, fields), figures in results.items() if o == order}
        series = [
            [sum(f["gates"].values()) for f in group.values()],
            [sum(f["seconds"].values()) for f in group.values()],
            [f["search_mb"] for f in group.values()],
        ]
        exponents = [exponent(list(group), values) for values in series]
        verdicts.append(not any(p > MOST_EXPONENT for p in exponents[1:]))
        told = "" if math.isnan(sum(exponents)) else "holds" if verdicts[-1] else "DOES NOT HOLD"
        growth.append([_orders(order), *(f"{p:.2f}" for p in exponents), told])
    header = ["orders", "gates", "seconds", "memory of the search", f"seconds and memory at most n^{MOST_EXPONENT}"]
    return [*lines, markdown_table(header, growth)], all(verdicts)


def _orders(order: int) -> str:
    return ", ".join(map(str, range(2, order + 1)))
