"""Recipes: procedures from prepared rows to a fitted model."""

from __future__ import annotations

from fieldwise.preparation import Prepared
from fieldwise.recipes import boosting, network
from fieldwise.recipes.fitted import FittedModel, TrainingResult
from fieldwise.recipes.run_directory import RunDirectory
from fieldwise.reporting import Reporter
from fieldwise.settings import Settings

__all__ = ["FittedModel", "RunDirectory", "TrainingResult", "train"]


def train(
    prepared: Prepared, settings: Settings, run_directory: RunDirectory | None = None, *, reporter: Reporter
) -> TrainingResult:
    """Train what the settings name, a network or boosted trees. The arguments are those of `network.train`."""
    if settings.model in boosting.NAMES:
        return boosting.train(prepared, settings, reporter=reporter)
    return network.train(prepared, settings, run_directory, reporter=reporter)
