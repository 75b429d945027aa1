"""LightGBM: training, predicting, and its model text.

G. Ke et al.: "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NIPS 2017.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fieldwise.errors import PredictorFormatError, TrainingError
from fieldwise.layout import OOV
from fieldwise.recipes.boosting.library import Floats, LabelledRows, LibraryTrees, imported
from fieldwise.recipes.boosting.lightgbm_text import checked, count_numbers
from fieldwise.recipes.boosting.losses import Loss
from fieldwise.recipes.boosting.raw_columns import RawRows
from fieldwise.settings.trees import BoostingSettings, LightGBMSettings
from fieldwise.training.signals import StopRequest


class LightGBMTrees(LibraryTrees):
    """Trees as LightGBM's model text has them. The text holds every digit, and no training rows hang on it.

    Args:
        text: of the model.
    """

    def __init__(self, text: str) -> None:
        self._booster = imported("lightgbm").Booster(model_str=text)
        self._text = text
        self.rounds = int(self._booster.num_trees())
        self.parameters = count_numbers(text)

    @classmethod
    def train(
        cls,
        settings: LightGBMSettings,
        loss: Loss,
        train: LabelledRows,
        valid: LabelledRows,
        *,
        seed: int,
        threads: int,
        request: StopRequest,
    ) -> LightGBMTrees:
        """Train up to the best round on the validation rows, or `fixed_rounds` where there are none.

        Args:
            settings: all of them.
            loss: what is learned.
            train: training rows.
            valid: validation rows; there may be none.
            seed: decides all that is random.
            threads: of the library.
            request: ends training after the round under way; the best one so far is kept.

        Returns:
            The trees.

        Raises:
            TrainingError: the library gives up.
        """
        lightgbm = imported("lightgbm")
        parameters = settings.model_dump(exclude=set(BoostingSettings.model_fields)) | {
            "objective": loss.lightgbm,
            "metric": loss.lightgbm_metric,
            "bagging_freq": int(settings.bagging_fraction < 1),
            "seed": seed,
            "num_threads": threads,
            # Sums in a fixed order; without these two the numbers could depend on a timing.
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }

        def dataset(part: LabelledRows, reference: Any = None) -> Any:
            return lightgbm.Dataset(
                _matrix(part.rows),
                part.target,
                weight=part.weight,
                reference=reference,
                categorical_feature=list(range(part.rows.categorical.shape[1])),
                params=parameters,
            )

        try:
            rows = dataset(train)
            watched, callbacks = [], [_ending(request)]
            if len(valid.rows):
                watched = [dataset(valid, rows)]
                callbacks.append(lightgbm.early_stopping(settings.early_stopping_rounds, verbose=False))
            booster = lightgbm.train(
                parameters,
                rows,
                num_boost_round=settings.max_rounds if watched else settings.fixed_rounds,
                valid_sets=watched,
                callbacks=callbacks,
            )
            rounds = booster.best_iteration if watched else booster.current_iteration()
            return cls(booster.model_to_string(num_iteration=rounds))
        except lightgbm.basic.LightGBMError as error:
            raise TrainingError(f"lightgbm gave up: {str(error).splitlines()[0]}") from error

    @classmethod
    def from_bytes(cls, content: bytes, loss: Loss, *, num_columns: int) -> LightGBMTrees:
        """Read what `to_bytes` gave.

        Args:
            content: it may come from a stranger.
            loss: the one that it must have been trained with.
            num_columns: columns of its training rows.

        Returns:
            The trees.

        Raises:
            PredictorFormatError: the text is not of such trees.
            SettingsError: LightGBM is not installed.
        """
        lightgbm = imported("lightgbm")
        # The library believes what a text says, out of bounds too, so only what was checked gets there.
        text = checked(content, objective=loss.lightgbm_line, num_columns=num_columns)
        try:
            return cls(text)
        except lightgbm.basic.LightGBMError as error:
            raise PredictorFormatError(f"LightGBM cannot read the trees: {str(error)[:200]}") from error

    def predict(self, rows: RawRows, *, threads: int) -> Floats:
        """The sum of the trees for each of N >= 1 rows: float64 [N]."""
        return np.asarray(self._booster.predict(_matrix(rows), raw_score=True, num_threads=threads), dtype=np.float64)

    def to_bytes(self) -> bytes:
        """The model text."""
        return self._text.encode()


def _ending(request: StopRequest) -> Callable[[Any], None]:
    """A callback that ends training where it is wanted, at the best round up to there."""
    stopped = imported("lightgbm").callback.EarlyStopException
    best, least = 0, math.inf

    def look(state: Any) -> None:
        nonlocal best, least
        for _, _, value, greater_is_better in state.evaluation_result_list:
            loss = -value if greater_is_better else value
            if loss < least:
                best, least = state.iteration, loss
        if request.wanted:
            raise stopped(best, state.evaluation_result_list)

    return look


def _matrix(rows: RawRows) -> Floats:
    """Codes and numbers side by side; a token that training did not see is NaN, which no split lists."""
    codes = np.where(rows.categorical == OOV, np.nan, rows.categorical)
    return np.hstack([codes, rows.numbers])
