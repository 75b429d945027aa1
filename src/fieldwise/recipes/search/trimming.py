"""Trimming: the strongest part of an architecture that is small or quick enough."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from fieldwise.architecture import Architecture
from fieldwise.data.batch import PADDING, Batch
from fieldwise.errors import SettingsError
from fieldwise.explain.summary import embeddings_in_use
from fieldwise.layout import OOV, Layout
from fieldwise.models import registry

_LONGEST_LIST = 3
"""Values of a multi-valued field in a made-up row: one to so many."""


def trim(
    architecture: Architecture,
    *,
    max_interactions: int | None = None,
    max_seconds: float | None = None,
    latency: Callable[[Architecture], float] | None = None,
) -> Architecture:
    """Keep the strongest interactions, by |gate|; of equally strong ones those that stand first.

    Embedding dimensions that are no longer read are dropped (see `normalise`).

    Args:
        architecture: What to trim.
        max_interactions: How many at most.
        max_seconds: Instead of a number, the longest time that a prediction may take; the largest number of
            interactions that keeps within it is found by bisection, which trusts that fewer interactions take no
            longer. What is returned was itself measured to keep within it.
        latency: The seconds that an architecture takes; None is `measure_latency` with its defaults.

    Raises:
        SettingsError: Where both limits are given or neither, for a limit out of range, for a `latency` without
            `max_seconds`, and where the architecture is too slow without any interaction.

    >>> from fieldwise.architecture import FieldSummary, Interaction
    >>> fields = {name: FieldSummary(kind="categorical", size=9) for name in ("user", "movie", "hour")}
    >>> pairs = [(("user", "movie"), 0.9), (("user", "hour"), -0.2)]
    >>> interactions = [Interaction(fields=pair, function="inner", gate=gate) for pair, gate in pairs]
    >>> whole = Architecture(embedding_dim=4, fields=fields, interactions=interactions)
    >>> [str(interaction) for interaction in trim(whole, max_interactions=1).interactions]
    ['inner(user, movie)']
    """
    if (max_interactions is None) == (max_seconds is None):
        what = "neither is" if max_interactions is None else "both are"
        raise SettingsError(f"trim needs either max_interactions or max_seconds, but {what} given; give one of them")
    if max_interactions is not None:
        if latency is not None:
            raise SettingsError("latency is measured against max_seconds; leave it out with max_interactions")
        if max_interactions < 0:
            raise SettingsError(f"max_interactions: expected how many to keep, 0 or more; got {max_interactions}")
        return _strongest(architecture, max_interactions)
    assert max_seconds is not None
    if not (math.isfinite(max_seconds) and max_seconds > 0):
        raise SettingsError(f"max_seconds: expected a time above 0 seconds, got {max_seconds}")
    return _quick_enough(architecture, max_seconds, latency or measure_latency)


def normalise(architecture: Architecture) -> Architecture:
    """The same without embedding dimensions that nothing reads: of embeddings or fields that no interaction uses.

    What a model built from it computes stays the same.
    """
    if architecture.dimensions is None:
        return architecture
    dimensions: dict[int, dict[str, dict[str, tuple[int, ...]]]] = {}
    for (order, function), touched in embeddings_in_use(architecture).items():
        by_field = architecture.dimensions.get(order, {}).get(function, {})
        if read := {name: of_field for name, of_field in by_field.items() if name in touched}:
            dimensions.setdefault(order, {})[function] = read
    return Architecture.model_validate({**dict(architecture), "dimensions": dimensions or None})


def measure_latency(
    architecture: Architecture,
    *,
    rows: int = 256,
    repeats: int = 30,
    model_settings: Mapping[str, Any] | None = None,
) -> float:
    """Median seconds that a new model of the architecture takes to predict one batch of made-up rows, on the CPU.

    The model is `architecture.model`, built with the architecture as its setting `architecture`. It has its full
    tables, so that reading them costs what it will cost; with large vocabularies building takes longer than measuring.

    Args:
        architecture: What the model is built from.
        rows: Of the batch, ids drawn uniformly from each field's.
        repeats: Measured predictions, after one that does not count.
        model_settings: Of the model, where they are not at their defaults.

    Raises:
        SettingsError: Where rows or repeats are below 1, and where the model cannot be built.

    >>> from fieldwise.architecture import FieldSummary
    >>> fields = {name: FieldSummary(kind="categorical", size=9) for name in ("user", "movie")}
    >>> measure_latency(Architecture(embedding_dim=4, fields=fields), rows=2, repeats=1) > 0
    True
    """
    for name, value in (("rows", rows), ("repeats", repeats)):
        if value < 1:
            raise SettingsError(f"{name}: expected at least 1, got {value}")
    # Weights are random, but drawing them is not to change the random numbers of whoever asks.
    with torch.random.fork_rng(devices=[]):
        settings = {**(model_settings or {}), "architecture": architecture}
        model = registry.build(architecture.model, architecture.layout, settings).eval()
    batch = _random_batch(architecture.layout, rows)
    times = []
    with torch.inference_mode():
        model(batch)
        for _ in range(repeats):
            started = time.perf_counter()
            model(batch)
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def _strongest(architecture: Architecture, number: int) -> Architecture:
    ordered = sorted(architecture.interactions, key=lambda i: -abs(i.gate))
    return normalise(architecture.with_interactions(ordered[:number]))


def _quick_enough(
    architecture: Architecture, max_seconds: float, latency: Callable[[Architecture], float]
) -> Architecture:
    whole = _strongest(architecture, len(architecture.interactions))
    if latency(whole) <= max_seconds:
        return whole
    best = _strongest(architecture, 0)
    least = latency(best)
    if least > max_seconds:
        raise SettingsError(
            f"without any interaction a prediction already takes {least:.3g} seconds, more than the {max_seconds:.3g} "
            "allowed; allow more time, or predict fewer rows at a time"
        )
    slow = len(architecture.interactions)
    while slow - len(best.interactions) > 1:
        middle = _strongest(architecture, (slow + len(best.interactions)) // 2)
        if latency(middle) <= max_seconds:
            best = middle
        else:
            slow = len(middle.interactions)
    return best


def _random_batch(layout: Layout, rows: int) -> Batch:
    """Rows of a layout with ids drawn uniformly from each field's, numbers from N(0, 1); always the same."""
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(layout.fields[f].size, (rows,), generator=generator) for f in layout.categorical]
    lists = []
    for f in layout.multi_valued:
        size = layout.fields[f].size
        # An empty list is the one id MISSING, so no id of a longer one is.
        drawn = torch.randint(min(OOV, size - 1), size, (rows, _LONGEST_LIST), generator=generator)
        lengths = torch.randint(1, _LONGEST_LIST + 1, (rows, 1), generator=generator)
        lists.append(drawn.masked_fill(torch.arange(_LONGEST_LIST) >= lengths, PADDING))
    return Batch(
        categorical=torch.stack(ids, dim=1) if ids else torch.empty(rows, 0, dtype=torch.int64),
        numeric=torch.randn(rows, len(layout.numeric), generator=generator),
        multi_valued=tuple(lists),
    )
