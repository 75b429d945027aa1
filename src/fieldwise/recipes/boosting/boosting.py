"""Gradient-boosted trees as external yardsticks: LightGBM and CatBoost, each fed raw columns in its own best way.

G. Ke et al.: "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NIPS 2017.
L. Prokhorenkova et al.: "CatBoost: unbiased boosting with categorical features", NeurIPS 2018, arXiv 1706.09516.

                      LightGBM                                     CatBoost
    numeric           as it is, NaN where missing                  the same (in float32)
    categorical       codes, split into two sets of tokens         tokens; running statistics of the label per token
                                                                   and per combination of tokens
    missing token     a token of its own                           a token of its own
    unseen token      the side of a split that lists no tokens     the prior: a token that no row was seen with
    multi-valued      the set of tokens as one token; a column for each of the 64 most frequent ones; their number

What many tokens do: LightGBM gives bins to a column's most frequent tokens, out of a sample of the rows, until they
cover 99 % of it (and at least `max_bin` of them), but to none that fewer than three of these rows hold; all others are
one. A split puts at most `max_cat_threshold` of them aside. CatBoost keeps a figure for every token, and for every
combination of tokens that a tree has used, which costs memory and time, and most where fields like a user's id meet.

The number of rounds is settled by the log loss of the validation rows: training ends when it has not fallen for
`early_stopping_rounds`, and the best round is kept. Without validation rows `fixed_rounds` are trained.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fieldwise.data.labels import read_label, read_weight
from fieldwise.errors import DataError, SettingsError, TrainingError, suggest
from fieldwise.layout import OOV
from fieldwise.recipes.boosting.raw_columns import RawColumns, RawRows
from fieldwise.reporting import Reporter
from fieldwise.schema import Schema

Floats = npt.NDArray[np.float64]

NAMES = ("catboost", "lightgbm")


class _BoostingSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    max_rounds: int = Field(default=5000, ge=1)
    early_stopping_rounds: int = Field(default=100, ge=1)
    fixed_rounds: int = Field(default=300, ge=1)


class LightGBMSettings(_BoostingSettings):
    """LightGBM's parameters under its own names, but for the three of the rounds.

    max_rounds: trees at most. early_stopping_rounds: rounds without a better log loss on the validation rows before
        training ends. fixed_rounds: trees where there are no validation rows.
    learning_rate: what a tree's leaves are multiplied by. num_leaves: of a tree. min_data_in_leaf: rows of a leaf.
    feature_fraction: share of the columns that a tree may use; bagging_fraction: of the rows.
    lambda_l1, lambda_l2: penalties on the leaves' values.
    max_bin: bins per column; of tokens there may be more. bin_construct_sample_cnt: rows that they are laid out by.
    max_cat_to_onehot: up to so many tokens a split puts a single one aside. max_cat_threshold: tokens that a split
        puts aside at most. cat_smooth, cat_l2: what weakens tokens with few rows. min_data_per_group: rows behind
        each step of the search for such a split.
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


class CatBoostSettings(_BoostingSettings):
    """CatBoost's parameters under its own names, but for the three of the rounds.

    max_rounds, early_stopping_rounds, fixed_rounds: as in `LightGBMSettings`.
    learning_rate: what a tree's leaves are multiplied by. depth: of a tree, whose levels each ask one question.
    l2_leaf_reg: penalty on the leaves' values. random_strength: noise in the choice of questions.
    bagging_temperature: how unequal the random weights of rows are, 0 for equal ones. border_count: of a column.
    one_hot_max_size: up to so many tokens a column is asked for single tokens. max_ctr_complexity: fields in a
        combination of tokens at most. model_size_reg: penalty on fields and combinations of many tokens.
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


_SETTINGS: dict[str, type[_BoostingSettings]] = {"catboost": CatBoostSettings, "lightgbm": LightGBMSettings}


def settings_model(name: str) -> type[BaseModel]:
    """The settings of one of `NAMES` as a pydantic model. Raises SettingsError for another name."""
    return _settings_model(name)


def require(name: str) -> None:
    """Raise SettingsError where the library of one of `NAMES` is not installed."""
    _imported(name)


def resolve(name: str, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Complete settings, ready for JSON: the defaults, over them the given ones. Raises SettingsError as `fit` does."""
    return _validated(name, settings).model_dump()


@dataclass(frozen=True, eq=False)
class Boosted:
    """Fitted trees.

    name: one of `NAMES`. settings: all of them. rounds: trees that are kept, up to the best round on the validation
    rows. parameters: the numbers in these trees: one per split (for a split into sets of tokens, one per token that it
    puts aside) and one per leaf. CatBoost's figures per token are not among them. seconds: that training took.
    """

    name: str
    settings: dict[str, Any]
    rounds: int
    parameters: int
    seconds: float
    _columns: RawColumns
    _predict: Callable[[RawRows], Floats]

    def predict(self, table: pa.Table) -> Floats:
        """The click probability of every row: float64 [N]. The label need not be there.

        Raises DataError, naming the column (and the row), for what cannot be read.
        """
        rows = self._columns.rows(table)
        return self._predict(rows) if len(rows) else np.empty(0)


@dataclass(frozen=True, eq=False)
class _Part:
    """Rows with labels float32 [N] and weights float32 [N] or None."""

    rows: RawRows
    label: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class _Trees:
    rounds: int
    parameters: int
    predict: Callable[[RawRows], Floats]


def fit(
    name: str,
    train: pa.Table,
    valid: pa.Table,
    schema: Schema,
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    threads: int | None = None,
    reporter: Reporter | None = None,
) -> Boosted:
    """Train one of `NAMES` on raw columns.

    train, valid: tables as they were read; only the columns that `schema` names are looked at. valid may have no rows:
        then `fixed_rounds` are trained.
    settings: single settings by name. seed: decides all that is random; the same seed and `threads` give the same
        trees. threads: None takes all cores. reporter: is told what came of it.

    Raises SettingsError for an unknown name or setting, a wrong value, or where the library is not installed;
    DataError for columns or labels that cannot be used; TrainingError where the library gives up.
    """
    chosen = _validated(name, settings)
    library = _imported(name)
    begin = time.perf_counter()
    columns = RawColumns.fit(train, schema)
    parts = {"train": _part(train, schema, columns), "valid": _part(valid, schema, columns)}
    label = parts["train"].label
    if not len(label):
        raise DataError("there are no training rows")
    if label.min() == label.max():
        raise DataError(f"every training row has the label {label[0]:.0f}; a model needs rows with and without clicks")
    seed %= 2**31  # beyond it LightGBM reads another number
    reporter = reporter or Reporter(enabled=False)
    if not valid.num_rows:
        reporter.say(f"{name}: no validation rows to stop by, so {chosen.fixed_rounds} rounds are trained")
    failures = library.CatBoostError if name == "catboost" else library.basic.LightGBMError
    try:
        if isinstance(chosen, LightGBMSettings):
            trees = _fit_lightgbm(library, chosen, parts["train"], parts["valid"], seed=seed, threads=threads)
        else:
            assert isinstance(chosen, CatBoostSettings)
            tokens = columns.tokens()
            trees = _fit_catboost(library, chosen, parts["train"], parts["valid"], tokens, seed=seed, threads=threads)
    except failures as error:
        raise TrainingError(f"{name} gave up: {str(error).splitlines()[0]}") from error
    seconds = time.perf_counter() - begin
    reporter.say(f"{name}: {trees.rounds:,} rounds, {trees.parameters:,} numbers in the trees, {seconds:,.1f} s")
    return Boosted(name, chosen.model_dump(), trees.rounds, trees.parameters, seconds, columns, trees.predict)


def _settings_model(name: str) -> type[_BoostingSettings]:
    if name not in _SETTINGS:
        raise SettingsError(f"unknown model '{name}'; {suggest(name, NAMES)}")
    return _SETTINGS[name]


def _validated(name: str, settings: Mapping[str, Any] | None) -> _BoostingSettings:
    model, given = _settings_model(name), dict(settings or {})
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            raise SettingsError(f"model '{name}' has no setting '{key}'; {suggest(key, model.model_fields)}") from None
        raise SettingsError(
            f"model '{name}': setting '{key}' cannot be {given[key]!r}: {first['msg'].lower()}"
        ) from None


def _imported(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise SettingsError(f"{name} is not installed: pip install 'fieldwise[gbdt]'") from None


def _part(table: pa.Table, schema: Schema, columns: RawColumns) -> _Part:
    return _Part(columns.rows(table), read_label(table, schema), read_weight(table, schema))


# ---- LightGBM


def _fit_lightgbm(
    lightgbm: Any, settings: LightGBMSettings, train: _Part, valid: _Part, *, seed: int, threads: int | None
) -> _Trees:
    own = settings.model_dump(exclude=set(_BoostingSettings.model_fields))
    parameters = own | {
        "objective": "binary",
        "metric": "binary_logloss",
        "bagging_freq": int(settings.bagging_fraction < 1),
        "seed": seed,
        "num_threads": threads or 0,
        # Sums in a fixed order; without these two the numbers could depend on a timing.
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    tokens = list(range(train.rows.categorical.shape[1]))

    def dataset(part: _Part, reference: Any = None) -> Any:
        return lightgbm.Dataset(
            _lightgbm_matrix(part.rows),
            part.label,
            weight=part.weight,
            reference=reference,
            categorical_feature=tokens,
            params=parameters,
        )

    rows = dataset(train)
    watched, callbacks = [], []
    if len(valid.rows):
        watched = [dataset(valid, rows)]
        callbacks = [lightgbm.early_stopping(settings.early_stopping_rounds, verbose=False)]
    booster = lightgbm.train(
        parameters,
        rows,
        num_boost_round=settings.max_rounds if watched else settings.fixed_rounds,
        valid_sets=watched,
        callbacks=callbacks,
    )
    rounds = booster.best_iteration if watched else settings.fixed_rounds

    def predict(rows: RawRows) -> Floats:
        matrix = _lightgbm_matrix(rows)
        return np.asarray(booster.predict(matrix, num_iteration=rounds, num_threads=threads or 0), dtype=np.float64)

    return _Trees(rounds, _count_lightgbm(booster.model_to_string(num_iteration=rounds)), predict)


def _lightgbm_matrix(rows: RawRows) -> Floats:
    """Codes and numbers side by side; a token that training did not see is NaN, which no split lists."""
    codes = np.where(rows.categorical == OOV, np.nan, rows.categorical)
    return np.hstack([codes, rows.numbers])


def _count_lightgbm(text: str) -> int:
    """The numbers in the trees of a model file: thresholds, tokens that splits list, and leaves."""
    count = 0
    for line in text.splitlines():
        key, _, values = line.partition("=")
        if key in ("leaf_value", "threshold"):
            count += len(values.split())
        elif key == "num_cat":
            count -= int(values)  # the threshold of a split into sets only says which set
        elif key == "cat_threshold":
            count += sum(int(word).bit_count() for word in values.split())
    return count


# ---- CatBoost


def _fit_catboost(
    catboost: Any,
    settings: CatBoostSettings,
    train: _Part,
    valid: _Part,
    tokens: list[pa.StringArray],
    *,
    seed: int,
    threads: int | None,
) -> _Trees:
    own = settings.model_dump(exclude=set(_BoostingSettings.model_fields))
    stops = bool(len(valid.rows))
    threads = threads or -1
    names = [values.to_numpy(zero_copy_only=False) for values in tokens]

    def pool(rows: RawRows, part: _Part | None = None) -> Any:
        return catboost.Pool(
            _catboost_frame(rows, names),
            None if part is None else part.label,
            weight=None if part is None else part.weight,
            cat_features=list(range(len(names))),
            thread_count=threads,
        )

    model = catboost.CatBoost(
        own
        | {
            "loss_function": "Logloss",
            "bootstrap_type": "Bayesian",
            "iterations": settings.max_rounds if stops else settings.fixed_rounds,
            "random_seed": seed,
            "thread_count": threads,
            "allow_writing_files": False,
            "logging_level": "Silent",
        }
    )
    model.fit(
        pool(train.rows, train),
        eval_set=pool(valid.rows, valid) if stops else None,
        use_best_model=stops,
        early_stopping_rounds=settings.early_stopping_rounds if stops else None,
    )
    leaves = [int(count) for count in model.get_tree_leaf_counts()]
    # A tree of depth n asks n questions, the same ones on every path, and has 2^n leaves.
    questions = sum(count.bit_length() - 1 for count in leaves)

    def predict(rows: RawRows) -> Floats:
        both = model.predict(pool(rows), prediction_type="Probability", thread_count=threads)
        return np.asarray(both[:, 1], dtype=np.float64)

    return _Trees(len(leaves), questions + sum(leaves), predict)


def _catboost_frame(rows: RawRows, names: list[npt.NDArray[np.object_]]) -> Any:
    """A data frame whose text columns hold each distinct token once, which CatBoost reads without a loop in Python."""
    import pandas as pd

    columns: dict[int, Any] = {}
    for i, tokens in enumerate(names):
        used, codes = np.unique(rows.categorical[:, i], return_inverse=True)
        # A token never begins with a blank, so these two are no token's.
        every = np.concatenate([np.array([" missing", " unseen"], dtype=object), tokens])
        columns[i] = pd.Categorical.from_codes(codes, categories=every[used].astype(object))
    for j in range(rows.numbers.shape[1]):
        columns[len(names) + j] = rows.numbers[:, j]
    return pd.DataFrame(columns)
