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
    """Train what the settings name, a network or boosted trees.

    Args:
        prepared: rows by part. The best epoch, or round, is chosen on `valid`; `valid` and `test` are measured at the
            end.
        settings: all of them; what is `auto` in them is settled here.
        run_directory: keeps the state of a network's run, which goes on from what is there.
        reporter: is told what happens.

    Returns:
        The fitted model, and the account of how it was made.

    Raises:
        KeyboardInterrupt: Ctrl-C during a search.
        FieldwiseError: as `network.train` and `boosting.train` do.
    """
    if settings.model in boosting.NAMES:
        return boosting.train(prepared, settings, reporter=reporter)
    return network.train(prepared, settings, run_directory, reporter=reporter)
