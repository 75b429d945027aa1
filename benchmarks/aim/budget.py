"""AIM's search and training at order 2 beside one training of DeepFM of as many epochs (`cost.py budget`)."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from criteo_rows import criteo_layout, criteo_rows
from fieldwise.architecture import Architecture, num_tuples
from fieldwise.layers.interaction_functions import function_names
from fieldwise.layout import Layout
from fieldwise.objectives import Binary
from fieldwise.recipes.network import settle_training, train_network
from fieldwise.recipes.search import search, search_dimensions
from fieldwise.reporting import Reporter, markdown_table
from fieldwise.schema import Categorical, Schema
from fieldwise.settings import Settings, resolve_settings
from own_process import alone, peak_mb
from runs import Figures, Rows, kept

STAGES = 3
"""Of AIM: interactions, embedding sizes, the training afterwards."""

LIMIT = 6.0
VALID_SHARE = 10
"""One row in so many validates."""


@dataclass(frozen=True)
class Case:
    """Both ways are measured on the same rows.

    data: a built-in data set, or None for rows of Criteo's sizes. keep: of those, the share of all interactions that
    AIM trains with, for in such rows there is nothing to find. epochs: of each stage. preset: of both models.
    """

    data: str | None
    fields: int
    rows: int
    keep: float
    epochs: int
    preset: str | None = None
    shrink: int = 1


def prepared(case: Case) -> Rows:
    """Rows to train on and to validate."""
    if case.data is not None:
        return Rows.built_in(case.data)
    layout = criteo_layout(case.fields, shrink=case.shrink)
    rows = criteo_rows(layout, case.rows + case.rows // VALID_SHARE)
    parts = {"train": rows.take(np.arange(case.rows)), "valid": rows.take(np.arange(case.rows, len(rows)))}
    schema = Schema(label="click", fields={name: Categorical() for name in layout.names})
    parts["test"] = rows.take(np.empty(0, np.int64))
    return Rows("rows of Criteo's sizes", schema, layout, parts, seed=0)


def settings_of(case: Case, model: str, layout: Layout) -> Settings:
    """AIM's for each of its stages, or DeepFM's for as many epochs in one training."""
    epochs = case.epochs if model == "aim" else STAGES * case.epochs
    overrides: dict[str, Any] = {"model.preset": case.preset, "training.epochs": epochs, "training.patience": epochs}
    if model == "aim":
        overrides["search.epochs"] = case.epochs
        if case.data is None:
            every = num_tuples(len(layout), 2) * len(function_names())
            overrides |= {"search.threshold": 0.0, "search.dimension_threshold": 0.0}
            overrides["search.max_interactions"] = round(case.keep * every)
    return settle_training(layout, resolve_settings(model=model, overrides=overrides))


def searched(rows: Rows, settings: Settings) -> Settings:
    """The settings with what a search finds; its stages one by one, so that dimensions are those of what is kept."""
    assert settings.search is not None
    quiet = Reporter(enabled=False)
    without_sizes = settings.search.model_copy(update={"embedding_sizes": False})
    found = search(rows.parts, settings.model_copy(update={"search": without_sizes}), reporter=quiet)
    architecture = Architecture.model_validate(found.model_settings["architecture"])
    sized = search_dimensions(rows.parts, settings, architecture, reporter=quiet)
    return settings.model_copy(update={"model_settings": {**settings.model_settings, "architecture": sized}})


def measure(case: Case, model: str) -> Figures:
    """The whole way in this process, from encoded rows to a validated network: `aim` or `deepfm`."""
    rows = prepared(case)
    settings = settings_of(case, model, rows.layout)
    began = time.perf_counter()
    searching, kept_interactions = 0.0, None
    if settings.wants_search:
        settings = searched(rows, settings)
        searching = time.perf_counter() - began
        kept_interactions = len(settings.model_settings["architecture"].interactions)
    training = train_network(rows.parts, settings, objective=Binary(), reporter=Reporter(enabled=False))
    return {
        "seconds": time.perf_counter() - began,
        "search_seconds": searching,
        "interactions": kept_interactions,
        "epochs": len(training.history.records) + (STAGES - 1) * case.epochs * (model == "aim"),
        "peak_mb": peak_mb(),
    }


def measured(case: Case, repeats: int, out: Path) -> dict[str, list[Figures]]:
    """The figures of all repeats by model; both take turns."""
    runs: dict[str, list[Figures]] = {"aim": [], "deepfm": []}
    for repeat in range(repeats):
        for model, group in runs.items():
            path = out / f"budget_{model}_repeat{repeat}.json"
            group.append(kept(path, asdict(case), partial(alone, measure, case, model)))
    return runs


def table(runs: dict[str, list[Figures]]) -> tuple[list[str], bool]:
    """The table as Markdown, and whether AIM stays within its limit."""
    names = ["model", "epochs", "interactions", "seconds (median)", "from", "to", "of it searching", "peak MB"]
    cells = []
    for model, group in runs.items():
        seconds = [run["seconds"] for run in group]
        told = [f"{value:.1f}" for value in (statistics.median(seconds), min(seconds), max(seconds))]
        searching = statistics.median(run["search_seconds"] for run in group)
        cells.append(
            [
                *(model, str(group[0]["epochs"]), str(group[0]["interactions"] or ""), *told),
                f"{searching:.1f}" if searching else "",
                f"{statistics.median(run['peak_mb'] for run in group):,.0f}",
            ]
        )
    aim, deepfm = (statistics.median(run["seconds"] for run in runs[model]) for model in ("aim", "deepfm"))
    holds = aim / deepfm <= LIMIT
    verdict = "holds" if holds else "DOES NOT HOLD"
    return [
        markdown_table(names, cells),
        "",
        f"* AIM takes {aim / deepfm:.2f} times as long; at most {LIMIT:g} times: {verdict}",
    ], holds
