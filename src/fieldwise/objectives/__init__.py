"""Objectives: what a label may be, how it is read, and what a model's output means.

base         what every objective says: label, loss, prediction, metrics, monitor, strata
binary       click or no click
regression   a number

A further objective is a file with a subclass of `Objective` and an entry in `OBJECTIVES`.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from fieldwise.errors import SettingsError, suggest
from fieldwise.objectives.base import Direction, Objective, weighted_mean
from fieldwise.objectives.binary import Binary
from fieldwise.objectives.regression import Regression

__all__ = [
    "OBJECTIVES",
    "AnyObjective",
    "Binary",
    "Direction",
    "Objective",
    "Regression",
    "objective_class",
    "weighted_mean",
]

OBJECTIVES: Mapping[str, type[Objective]] = {"binary": Binary, "regression": Regression}
"""By the name that settings use."""

AnyObjective = Annotated[Binary | Regression, Field(discriminator="name")]
"""A field of a document that holds an objective."""


def objective_class(name: str) -> type[Objective]:
    """The class of an objective.

    Args:
        name: `binary` or `regression`.

    Returns:
        The class; `fit` makes an objective of it.

    Raises:
        SettingsError: there is no objective of that name.

    Example:
        >>> objective_class("regression").__name__
        'Regression'
    """
    if name not in OBJECTIVES:
        raise SettingsError(f"unknown objective '{name}'; {suggest(str(name), OBJECTIVES)}")
    return OBJECTIVES[name]
