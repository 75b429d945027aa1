"""Gradient-boosted trees: LightGBM and CatBoost on raw columns.

settings         their settings
raw_columns      a table as trees take it
losses           the objectives in the libraries' words
lightgbm_trees, lightgbm_text, catboost_trees      one library each, behind `library`
trees            training, FittedTrees, saving and loading
"""

from fieldwise.recipes.boosting.trees import FittedTrees, TreesState, fit, require, train
from fieldwise.settings.trees import NAMES, resolve, settings_model

__all__ = ["NAMES", "FittedTrees", "TreesState", "fit", "require", "resolve", "settings_model", "train"]
