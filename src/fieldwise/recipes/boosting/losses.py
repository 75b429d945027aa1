"""What the libraries call the loss of each objective: the one table of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fieldwise.errors import SettingsError
from fieldwise.objectives import Objective


@dataclass(frozen=True)
class Loss:
    """An objective in the libraries' words.

    Attributes:
        lightgbm: LightGBM's `objective`.
        lightgbm_metric: its `metric`.
        lightgbm_line: how its model files write the objective.
        catboost: CatBoost's `loss_function`, by which it also stops.
    """

    lightgbm: str
    lightgbm_metric: str
    lightgbm_line: str
    catboost: str


LOSSES: Mapping[str, Loss] = {
    "binary": Loss("binary", "binary_logloss", "binary sigmoid:1", "Logloss"),
    "regression": Loss("regression", "rmse", "regression", "RMSE"),
}
"""By the objective's name."""


def loss_of(objective: Objective, model: str) -> Loss:
    """The loss of an objective.

    Args:
        objective: what the label is.
        model: for messages.

    Returns:
        The loss.

    Raises:
        SettingsError: trees know none for it; the message names the model.

    Example:
        >>> from fieldwise.objectives import Binary
        >>> loss_of(Binary(), "lightgbm").catboost
        'Logloss'
    """
    if objective.name not in LOSSES:
        raise SettingsError(
            f"model '{model}' cannot be trained for the objective {objective.name}; it knows {', '.join(LOSSES)}"
        )
    return LOSSES[objective.name]
