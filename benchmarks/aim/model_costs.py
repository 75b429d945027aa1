"""Parameters, training time and prediction time of AIM's final network beside others (`cost.py models`)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from criteo_rows import criteo_layout, criteo_rows
from fieldwise.architecture import Architecture, Interaction, num_tuples, summarise_fields
from fieldwise.layers.interaction_functions import function_names
from fieldwise.layout import Layout
from fieldwise.models import registry
from fieldwise.models.base import count_parameters
from fieldwise.recipes.network import build, settle_training
from fieldwise.reporting import markdown_table
from fieldwise.settings import resolve_settings
from fieldwise.training.evaluation import predict_logits
from fieldwise.training.execution import apply_process_settings
from fieldwise.training.trainer import Trainer
from growth import PER
from own_process import alone, peak_mb
from runs import Figures, kept

FI_RATIOS = {2: 0.22, 3: 0.01, 4: 0.0009}
"""AIM's on Criteo, by order (table 3 of its paper)."""

AUTOFIS_RATIO = 0.09
FUNCTIONS_EACH = 2
"""Functions of each kept tuple; the paper does not say how many there are."""

KEPT_DIMENSIONS = 1 / 3
"""Embedding dimensions that EDS leaves: table 5 of the paper has 3.1e7 parameters of 9.8e7 on Criteo."""


@dataclass(frozen=True)
class Contender:
    """A row of tables 7 and 8. order: of AIM, 0 for none. sizes: whether embedding dimensions have been removed.

    published: parameters (1e7), training minutes per epoch, seconds to predict 200,000 rows; Avazu, D = 40.
    """

    name: str
    model: str
    published: tuple[float, float, float]
    order: int = 0
    sizes: bool = False


CONTENDERS = (
    Contender("FM", "fm", (2.6, 3.3, 0.53)),
    Contender("FFM", "ffm", (6.0, 3.7, 0.25)),
    Contender("DeepFM", "deepfm", (2.9, 5.0, 0.88)),
    Contender("IPNN", "ipnn", (2.9, 5.5, 0.96)),
    Contender("AutoFIS", "autofis", (2.9, 4.1, 0.59), order=2),
    Contender("AIM without EDS", "aim", (10.6, 8.7, 0.81), order=2),
    Contender("AIM", "aim", (3.8, 9.0, 0.83), order=2, sizes=True),
    Contender("AIM order 3", "aim", (7.1, 14.8, 1.35), order=3, sizes=True),
    Contender("AIM order 4", "aim", (9.9, 19.5, 1.72), order=4, sizes=True),
)


@dataclass(frozen=True)
class Case:
    """A contender to measure. preset: of the model, None for its defaults. See `criteo_layout`."""

    contender: Contender
    fields: int
    rows: int
    preset: str | None = None
    shrink: int = 1


def drawn(layout: Layout, contender: Contender, embedding_dim: int) -> Architecture:
    """An architecture with as many interactions as the paper's have, drawn at random: what they are costs the same."""
    generator = np.random.default_rng(0)
    functions = ["inner"] if contender.model == "autofis" else function_names()
    interactions = []
    for order in range(2, contender.order + 1):
        ratio = AUTOFIS_RATIO if contender.model == "autofis" else FI_RATIOS[order]
        count = min(num_tuples(len(layout), order), max(1, round(ratio * num_tuples(len(layout), order))))
        tuples = list(combinations(layout.names, order))
        for number in sorted(generator.permutation(len(tuples))[:count].tolist()):
            chosen = sorted(generator.permutation(len(functions))[:FUNCTIONS_EACH].tolist())
            interactions += [Interaction(fields=tuples[number], function=functions[k]) for k in chosen]
    size = max(1, round(KEPT_DIMENSIONS * embedding_dim))
    dimensions = {
        order: {
            function: {
                name: tuple(sorted(generator.permutation(embedding_dim)[:size].tolist())) for name in layout.names
            }
            for function in functions
        }
        for order in range(2, contender.order + 1)
    }
    return Architecture(
        embedding_dim=embedding_dim,
        fields=summarise_fields(layout),
        interactions=tuple(interactions),
        dimensions=dimensions if contender.sizes else None,
    )


def measure(case: Case) -> Figures:
    """Train for one epoch and predict the same rows, in this process."""
    layout = criteo_layout(case.fields, shrink=case.shrink)
    overrides: dict[str, Any] = {"model.preset": case.preset, "training.epochs": 1}
    if case.contender.order:
        dim = registry.resolve(case.contender.model, preset=case.preset)["embedding_dim"]
        overrides["model.architecture"] = drawn(layout, case.contender, dim)
    elif case.contender.model == "ffm":
        overrides["model.embedding_dim"] = 4  # the paper's; every field has one vector per other field
    settings = settle_training(layout, resolve_settings(model=case.contender.model, overrides=overrides))
    rows = criteo_rows(layout, case.rows)
    network = build(layout, settings)
    apply_process_settings(settings.training)
    history = Trainer(network, settings=settings.training).fit(rows)
    predict_logits(network, rows.take(np.arange(min(len(rows), 4096))))  # the first time is slower
    began = time.perf_counter()
    predict_logits(network, rows)
    predicting = time.perf_counter() - began
    return {
        "parameters": count_parameters(network),
        "without_embeddings": count_parameters(network, embeddings=False),
        "train_seconds": PER * history.records[0].seconds / len(rows),
        "predict_seconds": PER * predicting / len(rows),
        "peak_mb": peak_mb(),
    }


def measured(cases: Sequence[Case], repeats: int, out: Path) -> dict[str, Figures]:
    """Medians over repeats by contender. All take turns, so that what the machine does at the time meets all alike."""
    runs: dict[str, list[Figures]] = {case.contender.name: [] for case in cases}
    for repeat in range(repeats):
        for case in cases:
            name = case.contender.name
            path = out / f"model_{name.replace(' ', '_')}_repeat{repeat}.json"
            runs[name].append(kept(path, asdict(case), partial(alone, measure, case)))
    return {
        name: {key: statistics.median(run[key] for run in group) for key in group[0]} for name, group in runs.items()
    }


def table(results: Mapping[str, Figures]) -> list[str]:
    """Tables 7 and 8 as Markdown, times also as multiples of DeepFM's."""
    names = ["model", "parameters", "without embeddings", f"training, s per {PER:,}", "to DeepFM"]
    names += [f"prediction, s per {PER:,}", "to DeepFM", "peak MB", "the paper's to DeepFM (Avazu, GPU)"]
    base, cells = results["DeepFM"], []
    theirs = next(contender.published for contender in CONTENDERS if contender.name == "DeepFM")
    for contender in [c for c in CONTENDERS if c.name in results]:
        figures = results[contender.name]
        parameters, training, predicting = (
            published / other for published, other in zip(contender.published, theirs, strict=True)
        )
        cells.append(
            [
                *(contender.name, f"{figures['parameters']:,.0f}", f"{figures['without_embeddings']:,.0f}"),
                *(f"{figures['train_seconds']:.2f}", f"{figures['train_seconds'] / base['train_seconds']:.2f}"),
                *(f"{figures['predict_seconds']:.2f}", f"{figures['predict_seconds'] / base['predict_seconds']:.2f}"),
                f"{figures['peak_mb']:,.0f}",
                f"parameters {parameters:.2f}, training {training:.2f}, prediction {predicting:.2f}",
            ]
        )
    return [markdown_table(names, cells)]


def stages_table(searches: Mapping[int, Figures], results: Mapping[str, Figures]) -> list[str]:
    """Table 9 as Markdown: the stages of a search up to an order, and the training afterwards."""
    published = {2: "13.0 / 9.2 / 9.0", 3: "20.5 / 17.1 / 14.8", 4: "29.4 / 22.2 / 19.5"}
    cells = []
    for order, figures in searches.items():
        seconds = figures["seconds"]
        sizes = seconds["dimensions"]
        retrain = results["AIM" if order == 2 else f"AIM order {order}"]["train_seconds"]
        told = [f"{sum(seconds.values()) - sizes:.2f}", f"{sizes:.2f}", f"{retrain:.2f}"]
        cells.append([f"AIM order {order}", *told, published[order]])
    names = ["model", "search interactions", "search embedding sizes", "retrain", "the paper's minutes (Avazu, GPU)"]
    return [
        f"Seconds per {PER:,} rows and epoch of each stage; the searches close no gate:",
        "",
        markdown_table(names, cells),
    ]
