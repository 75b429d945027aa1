"""Settings of LightGBM and CatBoost: typed, under the libraries' own names, with our defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fieldwise.errors import SettingsError, suggest
from fieldwise.validation import describe

NAMES = ("catboost", "lightgbm")
"""The models of this room; each is also the name of the library that it needs."""


class BoostingSettings(BaseModel):
    """What both have: when rounds end.

    Attributes:
        max_rounds: trees at most.
        early_stopping_rounds: rounds without a better loss on the validation rows before training ends.
        fixed_rounds: trees where there are no validation rows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    max_rounds: int = Field(default=5000, ge=1)
    early_stopping_rounds: int = Field(default=100, ge=1)
    fixed_rounds: int = Field(default=300, ge=1)


class LightGBMSettings(BoostingSettings):
    """LightGBM's parameters under its own names, but for the three of the rounds.

    Attributes:
        learning_rate: what a tree's leaves are multiplied by.
        num_leaves: leaves of a tree at most.
        min_data_in_leaf: rows of a leaf at least.
        feature_fraction: share of the columns that a tree may use.
        bagging_fraction: share of the rows that a tree may use.
        lambda_l1: penalty on the leaves' values.
        lambda_l2: penalty on the squares of the leaves' values.
        max_bin: bins per column; of tokens there may be more.
        bin_construct_sample_cnt: rows that they are laid out by.
        max_cat_to_onehot: up to so many tokens a split puts a single one aside.
        max_cat_threshold: tokens that a split puts aside at most.
        cat_smooth: weakens tokens with few rows, by so many rows of the average.
        cat_l2: penalty on the values of leaves that a set of tokens leads to.
        min_data_per_group: rows behind each step of the search for such a split.

    Example:
        >>> LightGBMSettings(num_leaves=31).learning_rate
        0.05
    """

    learning_rate: float = Field(default=0.05, gt=0, le=1)
    num_leaves: int = Field(default=63, ge=2, le=131_072)
    min_data_in_leaf: int = Field(default=20, ge=0)
    feature_fraction: float = Field(default=1.0, gt=0, le=1)
    bagging_fraction: float = Field(default=1.0, gt=0, le=1)
    lambda_l1: float = Field(default=0.0, ge=0)
    lambda_l2: float = Field(default=0.0, ge=0)
    max_bin: int = Field(default=255, ge=2, le=65_535)
    bin_construct_sample_cnt: int = Field(default=200_000, ge=1)
    max_cat_to_onehot: int = Field(default=4, ge=1)
    max_cat_threshold: int = Field(default=32, ge=1)
    cat_smooth: float = Field(default=10.0, ge=0)
    cat_l2: float = Field(default=10.0, ge=0)
    min_data_per_group: int = Field(default=100, ge=1)


class CatBoostSettings(BoostingSettings):
    """CatBoost's parameters under its own names, but for the three of the rounds.

    Attributes:
        learning_rate: what a tree's leaves are multiplied by.
        depth: levels of a tree, each of which asks one question.
        l2_leaf_reg: penalty on the leaves' values.
        random_strength: noise in the choice of questions.
        bagging_temperature: how unequal the random weights of rows are, 0 for equal ones.
        border_count: into so many intervals the numbers of a column are cut, less one.
        one_hot_max_size: up to so many tokens a column is asked for single tokens.
        max_ctr_complexity: fields in a combination of tokens at most.
        model_size_reg: penalty on fields and combinations of many tokens.

    Example:
        >>> CatBoostSettings(depth=4).learning_rate
        0.1
    """

    learning_rate: float = Field(default=0.1, gt=0, le=1)
    depth: int = Field(default=6, ge=1, le=16)
    l2_leaf_reg: float = Field(default=3.0, ge=0)
    random_strength: float = Field(default=1.0, ge=0)
    bagging_temperature: float = Field(default=1.0, ge=0)
    border_count: int = Field(default=254, ge=1, le=65_535)
    one_hot_max_size: int = Field(default=2, ge=1, le=255)
    max_ctr_complexity: int = Field(default=4, ge=1, le=16)
    model_size_reg: float = Field(default=0.5, ge=0)


_SETTINGS: dict[str, type[BoostingSettings]] = {"catboost": CatBoostSettings, "lightgbm": LightGBMSettings}


def settings_model(name: str) -> type[BoostingSettings]:
    """The settings of one of `NAMES` as a pydantic model.

    Args:
        name: the model.

    Returns:
        The class.

    Raises:
        SettingsError: there is no such model.
    """
    if name not in _SETTINGS:
        raise SettingsError(f"unknown model '{name}'; {suggest(name, NAMES)}")
    return _SETTINGS[name]


def validated(name: str, settings: Mapping[str, Any] | None = None) -> BoostingSettings:
    """Complete settings: the defaults, over them the given ones.

    Args:
        name: one of `NAMES`.
        settings: single settings by name.

    Returns:
        The settings.

    Raises:
        SettingsError: an unknown model or setting, or a wrong value.

    Example:
        >>> validated("catboost", {"depth": 4}).max_rounds
        5000
    """
    model, given = settings_model(name), dict(settings or {})
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise SettingsError(describe(error, model, owner=f"model '{name}'", what="setting")) from None


def resolve(name: str, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Complete settings, ready for JSON.

    Args:
        name: one of `NAMES`.
        settings: single settings by name.

    Returns:
        Every setting by name.

    Raises:
        SettingsError: as `validated` does.
    """
    return validated(name, settings).model_dump()
