"""CatBoost: training, predicting, and its binary model file (.cbm), which holds its figures per token too.

L. Prokhorenkova et al.: "CatBoost: unbiased boosting with categorical features", NeurIPS 2018, arXiv 1706.09516.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fieldwise.errors import PredictorFormatError, TrainingError
from fieldwise.recipes.boosting.catboost_file import check
from fieldwise.recipes.boosting.library import Floats, LabelledRows, LibraryTrees, imported
from fieldwise.recipes.boosting.losses import Loss
from fieldwise.recipes.boosting.raw_columns import RawRows, missing_row
from fieldwise.settings.trees import BoostingSettings, CatBoostSettings
from fieldwise.training.signals import StopRequest

Names = list[npt.NDArray[np.object_]]
"""The tokens of each categorical column in the order of their ids."""


class CatBoostTrees(LibraryTrees):
    """A CatBoost model of trees that ask one question per level.

    Args:
        model: the library's.
        names: the tokens of each categorical column.
    """

    def __init__(self, model: Any, names: Names) -> None:
        self._model, self._names = model, names
        leaves = [int(count) for count in model.get_tree_leaf_counts()]
        self.rounds = len(leaves)
        # A tree of depth n asks n questions, the same ones on every path, and has 2^n leaves.
        self.parameters = sum(count.bit_length() - 1 for count in leaves) + sum(leaves)

    @classmethod
    def train(
        cls,
        settings: CatBoostSettings,
        loss: Loss,
        train: LabelledRows,
        valid: LabelledRows,
        tokens: list[pa.StringArray],
        *,
        seed: int,
        threads: int,
        request: StopRequest,
    ) -> CatBoostTrees:
        """Train up to the best round on the validation rows, or `fixed_rounds` where there are none.

        Args:
            settings: all of them.
            loss: what is learned.
            train: training rows.
            valid: validation rows; there may be none.
            tokens: of each categorical column, in the order of their ids.
            seed: decides all that is random.
            threads: of the library.
            request: ends training after the round under way; the best one so far is kept.

        Returns:
            The trees.

        Raises:
            TrainingError: the library gives up.
        """
        catboost = imported("catboost")
        stops = bool(len(valid.rows))
        names = _names(tokens)
        model = catboost.CatBoost(
            settings.model_dump(exclude=set(BoostingSettings.model_fields))
            | {
                "loss_function": loss.catboost,
                "bootstrap_type": "Bayesian",
                "iterations": settings.max_rounds if stops else settings.fixed_rounds,
                "random_seed": seed,
                "thread_count": threads,
                "allow_writing_files": False,
                "logging_level": "Silent",
            }
        )
        try:
            model.fit(
                _pool(catboost, train.rows, names, threads, train),
                eval_set=_pool(catboost, valid.rows, names, threads, valid) if stops else None,
                use_best_model=stops,
                early_stopping_rounds=settings.early_stopping_rounds if stops else None,
                callbacks=[_Ending(request)],
            )
        except catboost.CatBoostError as error:
            raise TrainingError(f"catboost gave up: {str(error).splitlines()[0]}") from error
        return cls(model, names)

    @classmethod
    def from_bytes(cls, content: bytes, loss: Loss, tokens: list[pa.StringArray], *, num_columns: int) -> CatBoostTrees:
        """Read what `to_bytes` gave.

        Args:
            content: a .cbm file.
            loss: the one that it must have been trained with.
            tokens: of each categorical column, in the order of their ids.
            num_columns: columns of its training rows.

        Returns:
            The trees.

        Raises:
            PredictorFormatError: the bytes are not of such trees.
            SettingsError: CatBoost is not installed.
        """
        catboost = imported("catboost")
        # The library believes what a file says, out of bounds too, so only what was checked gets there.
        check(content, loss=loss.catboost, num_categorical=len(tokens), num_columns=num_columns)
        try:
            trees = cls(catboost.CatBoost().load_model(blob=content), _names(tokens))
            # A prediction tells what the library itself does not find to fit.
            trees.predict(missing_row(len(tokens), num_columns - len(tokens)), threads=1)
            return trees
        except Exception as error:
            # Broad on purpose: what the library raises over bytes that are no model of its own is not known in full.
            raise PredictorFormatError(f"CatBoost cannot read the trees: {str(error)[:200]}") from error

    def predict(self, rows: RawRows, *, threads: int) -> Floats:
        """The sum of the trees for each of N >= 1 rows: float64 [N]."""
        pool = _pool(imported("catboost"), rows, self._names, threads)
        predicted = self._model.predict(pool, prediction_type="RawFormulaVal", thread_count=threads)
        return np.asarray(predicted, dtype=np.float64)

    def to_bytes(self) -> bytes:
        """The .cbm file."""
        with tempfile.TemporaryDirectory() as folder:  # the library writes to files only
            path = Path(folder) / "trees.cbm"
            self._model.save_model(str(path), format="cbm")
            return path.read_bytes()


class _Ending:
    """A callback that ends training where it is wanted."""

    def __init__(self, request: StopRequest) -> None:
        self._request = request

    def after_iteration(self, state: Any) -> bool:
        """Whether to go on; its name is the library's."""
        return not self._request.wanted


def _names(tokens: list[pa.StringArray]) -> Names:
    return [values.to_numpy(zero_copy_only=False) for values in tokens]


def _pool(catboost: Any, rows: RawRows, names: Names, threads: int, labelled: LabelledRows | None = None) -> Any:
    return catboost.Pool(
        _frame(rows, names),
        None if labelled is None else labelled.target,
        weight=None if labelled is None else labelled.weight,
        cat_features=list(range(len(names))),
        thread_count=threads,
    )


def _frame(rows: RawRows, names: Names) -> Any:
    """A data frame whose text columns hold each distinct token once, which CatBoost reads without a loop in Python."""
    import pandas as pd

    columns: dict[int, Any] = {}
    for i, tokens in enumerate(names):
        used, codes = np.unique(rows.categorical[:, i], return_inverse=True)
        # A token never begins with a blank, so these two are no token's.
        every = np.concatenate([np.array([" missing", " unseen"], dtype=object), tokens])
        columns[i] = pd.Categorical.from_codes(codes, categories=every[used].astype(object))
    numbers = rows.numbers
    for j in range(numbers.shape[1]):
        columns[len(names) + j] = numbers[:, j]
    return pd.DataFrame(columns)
