"""What a search with a time budget can afford: rows of a stage, and epochs of the training after it."""

from __future__ import annotations

import time

import numpy as np

from fieldwise.architecture import Architecture
from fieldwise.data.dataset import Dataset
from fieldwise.models import registry
from fieldwise.objectives import Objective
from fieldwise.reporting import Reporter
from fieldwise.settings import Settings
from fieldwise.training.trainer import Trainer


def seconds_searched(architecture: Architecture) -> float:
    """How long the stages of the search that found it have trained.

    >>> from fieldwise.architecture import FieldSummary
    >>> fields = {"user": FieldSummary(kind="categorical", size=9)}
    >>> stages = [{"stage": "order 2", "seconds": 1.5}, {"stage": "dimensions", "seconds": 2.0}]
    >>> seconds_searched(Architecture(embedding_dim=4, fields=fields, settings={"stages": stages}))
    3.5
    """
    return float(sum(stage["seconds"] for stage in architecture.settings.get("stages", [])))


def affordable_rows(trainer: Trainer, train: Dataset, seconds: float) -> int:
    """How many rows all epochs of a training can go over in the time. The trainer's network is trained by it."""
    per_row = seconds_per_row(trainer, train, most=seconds / 4) * trainer.settings.epochs
    return int(seconds / per_row)


def affordable_epochs(
    train: Dataset, settings: Settings, objective: Objective, architecture: Architecture, reporter: Reporter
) -> int:
    """As many epochs as the time budget leaves after the search, at least one and at most those of the settings."""
    assert settings.search is not None
    assert settings.search.time_budget is not None
    left = settings.search.time_budget - seconds_searched(architecture)
    network = registry.build(settings.model, train.layout, settings.model_settings)
    trainer = Trainer(network, settings=settings.training, objective=objective, seed=settings.seed)
    # Validation after each epoch takes about a tenth of its time.
    epoch = 1.1 * len(train) * seconds_per_row(trainer, train, most=max(left, 0.0) / 20)
    epochs = min(settings.training.epochs, max(1, int(left / epoch)))
    if epochs < settings.training.epochs:
        reporter.say(
            f"epochs at most: {epochs}, of {epoch:,.1f} s each; the time budget leaves {max(left, 0.0):,.0f} s"
        )
    return epochs


def seconds_per_row(trainer: Trainer, train: Dataset, *, most: float) -> float:
    """How long a row takes in training: the median of up to a dozen steps, after `most` seconds of fewer.

    The trainer's network is trained by it; take one that is thrown away afterwards.
    """
    size, times = trainer.settings.rows_per_step, []
    order = np.random.default_rng(0).permutation(len(train))
    trainer.model.train()
    for start in range(0, min(len(order), 12 * size), size):
        rows = order[start : start + size]
        began = time.perf_counter()
        trainer.step(train.batch(rows).to(trainer.device), trainer.settings.learning_rate).item()
        times.append((time.perf_counter() - began) / len(rows))
        if sum(times) * size > most:
            break
    return float(np.median(times[1:] or times))
