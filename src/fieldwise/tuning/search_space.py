"""Ranges: which values of a setting a search may try, by the setting's dotted name as everywhere.

The ranges that nobody named come from ONE table by setting name, so that every baseline is searched as widely as our
own models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self

from pydantic import ConfigDict, StrictFloat, StrictInt, field_validator, model_validator

from fieldwise.errors import SettingsError
from fieldwise.models import registry
from fieldwise.recipes import boosting
from fieldwise.settings import TrainingSettings
from fieldwise.validation import Document

_CONFIG = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Choice(Document):
    """One of several values, in no order.

    Attributes:
        choices: the values.

    Raises:
        SettingsError: there is none, or one is there twice.

    Example:
        >>> Choice(choices=[16, 32, 64]).choices
        [16, 32, 64]
    """

    model_config = _CONFIG

    choices: list[Any]

    @field_validator("choices")
    @classmethod
    def _as_json(cls, choices: list[Any]) -> list[Any]:
        if not choices:
            raise SettingsError("a list of choices needs at least one value, got none")
        try:
            keys = [json.dumps(choice, allow_nan=False) for choice in choices]
        except (TypeError, ValueError) as error:
            raise SettingsError(f"choices must be numbers, texts, booleans, null or lists of them: {error}") from None
        for key in keys:
            if keys.count(key) > 1:
                raise SettingsError(f"a list of choices must name each value once, got {key} twice")
        # As they are read back from a record: a tuple is a list.
        return [json.loads(key) for key in keys]


class Range(Document):
    """Numbers between two ends, both included; whole ones where both ends are.

    Attributes:
        low: the smallest.
        high: the largest.
        log: small ones are drawn as often as large ones.

    Raises:
        SettingsError: the ends are not in order, or with `log` the lower one is not above 0.

    Example:
        >>> Range(low=1e-4, high=1e-2, log=True).whole, Range(low=1, high=4).whole
        (False, True)
    """

    model_config = _CONFIG

    low: StrictInt | StrictFloat
    high: StrictInt | StrictFloat
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.low < self.high:
            raise SettingsError(f"low must be below high, got low = {self.low} and high = {self.high}")
        if self.log and self.low <= 0:
            raise SettingsError(f"with log, low must be above 0, got {self.low}")
        return self


Ranges = Mapping[str, Choice | Range]


def parse_range(name: str, value: Any) -> Choice | Range:
    """A range as it is written in TOML or JSON.

    Args:
        name: the setting, for messages.
        value: a list of choices, or {low = 1e-4, high = 1e-2, log = true}.

    Returns:
        The range.

    Raises:
        SettingsError: it is something else; the message names the setting.

    Example:
        >>> parse_range("model.dropout", [0.0, 0.2])
        Choice(choices=[0.0, 0.2])
        >>> parse_range("training.learning_rate", {"low": 1e-4, "high": 1e-2})
        Range(low=0.0001, high=0.01, log=False)
    """
    if isinstance(value, Choice | Range):
        return value
    try:
        if isinstance(value, list | tuple):
            return Choice(choices=list(value))
        if isinstance(value, Mapping):
            return Range.model_validate(dict(value))
    except SettingsError as error:
        raise SettingsError(f"range of '{name}': {error}") from None
    raise SettingsError(
        f"range of '{name}': got {value!r:.60}; expected a list of choices or {{low = ..., high = ...}}"
    )


# ---- the ranges that nobody named

_SIZES = ("embedding_dim", "attention_dim")
"""Settings with a range around the model's own default, from half of it to four times: a field-aware model, which keeps
a vector per pair of fields, has another idea of small and large than the others."""

_DROPOUT = Choice(choices=[0.0, 0.1, 0.2, 0.3, 0.5])
_NETWORK: dict[str, Choice | Range] = {
    "num_layers": Range(low=1, high=4),
    "num_steps": Range(low=1, high=4),
    "num_heads": Choice(choices=[1, 2, 4]),
    "dropout": _DROPOUT,
    "embedding_dropout": _DROPOUT,
    "attention_dropout": _DROPOUT,
    "pooled_dropout": _DROPOUT,
    "dnn_hidden": Choice(choices=[[200, 200], [400, 400], [400, 400, 400], [1000, 1000]]),
    "dnn_dropout": _DROPOUT,
    "dnn_norm": Choice(choices=[None, "layer", "batch"]),
    "dnn_batch_norm": Choice(choices=[False, True]),
    "pooled_norm": Choice(choices=[None, "batch"]),
    "wide": Choice(choices=[False, True]),
    "first_order": Choice(choices=[False, True]),
    "linear": Choice(choices=["LW", "FeLV", "FiLV"]),
    "order": Choice(choices=[2, 3, 4]),
    "rank": Choice(choices=[None, 32, 128]),
    "structure": Choice(choices=["parallel", "stacked"]),
    "width": Choice(choices=[100, 200, 400]),
    "cin_widths": Choice(choices=[[100, 100], [200, 200], [100, 100, 100], [200, 200, 200]]),
    "sub_widths": Choice(choices=[[20, 5], [40, 5], [40, 10]]),
}
"""By the name of a model's setting; a model is searched over those that it has."""

_TRAINING: dict[str, Choice | Range] = {
    "learning_rate": Range(low=1e-4, high=1e-2, log=True),
    "batch_size": Choice(choices=["auto", 512, 2048, 4096]),
    "embedding_l2": Choice(choices=[0.0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3]),
}
"""How networks are trained."""

_BOOSTING: dict[str, Choice | Range] = {
    "learning_rate": Range(low=0.02, high=0.3, log=True),
    "num_leaves": Range(low=15, high=511, log=True),
    "min_data_in_leaf": Range(low=5, high=500, log=True),
    "feature_fraction": Range(low=0.4, high=1.0),
    "bagging_fraction": Range(low=0.5, high=1.0),
    "lambda_l2": Range(low=1e-3, high=100.0, log=True),
    "max_cat_threshold": Range(low=16, high=1024, log=True),
    "cat_smooth": Range(low=0.1, high=100.0, log=True),
    "cat_l2": Range(low=0.1, high=100.0, log=True),
    "min_data_per_group": Range(low=5, high=200, log=True),
    "depth": Range(low=4, high=10),
    "l2_leaf_reg": Range(low=0.5, high=30.0, log=True),
    "random_strength": Range(low=0.1, high=10.0, log=True),
    "bagging_temperature": Range(low=0.0, high=1.0),
    "one_hot_max_size": Choice(choices=[2, 10, 50, 255]),
    "max_ctr_complexity": Choice(choices=[1, 2, 3]),
}
"""By the name of a setting of LightGBM or CatBoost."""


def default_ranges(model: str) -> dict[str, Choice | Range]:
    """Ranges for a model, those of the shared table that it has a setting for.

    Settings of a feed-forward network are among them only where the model has one by default.

    Args:
        model: a registered model, or one of `boosting.NAMES`.

    Returns:
        Ranges by dotted setting name.

    Raises:
        SettingsError: there is no such model.

    Example:
        >>> default_ranges("lr")
        {'training.batch_size': ..., 'training.learning_rate': ..., 'training.embedding_l2': ...}
    """
    if model in boosting.NAMES:
        return {
            f"model.{name}": _BOOSTING[name]
            for name in boosting.settings_model(model).model_fields
            if name in _BOOSTING
        }
    settings = registry.settings_model(model).model_fields
    # A network that is empty by default belongs to another registered model: autoint+ beside autoint.
    has_network = "dnn_hidden" not in settings or bool(settings["dnn_hidden"].default)
    ranges: dict[str, Choice | Range] = {}
    for name, field in settings.items():
        if name in _SIZES:
            ranges[f"model.{name}"] = Choice(
                choices=[max(1, field.default // 2), *(field.default * n for n in (1, 2, 4))]
            )
        elif name in _NETWORK and (has_network or not name.startswith("dnn_")):
            ranges[f"model.{name}"] = _NETWORK[name]
    return ranges | {f"training.{name}": _TRAINING[name] for name in TrainingSettings.model_fields if name in _TRAINING}
