"""Gradient-boosted trees: LightGBM and CatBoost on raw columns."""

from fieldwise.recipes.boosting.boosting import NAMES, Boosted, fit, require, resolve, settings_model

__all__ = ["NAMES", "Boosted", "fit", "require", "resolve", "settings_model"]
