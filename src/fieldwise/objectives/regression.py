"""A number to predict: squared error. The model's output is in deviations of the training labels from their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field
from torch import Tensor

from fieldwise import metrics
from fieldwise.columns.access import get_column
from fieldwise.columns.numbers import number_column
from fieldwise.errors import DataError, SchemaError
from fieldwise.objectives.base import Direction, Floats, Labels, Objective, weighted_mean
from fieldwise.schema import Schema

_STRATA = 10
_LARGEST_LABEL = 1e100
"""Sums of squares of smaller ones are finite, whatever the number of rows."""
_SPREAD_THAT_SUMS_TELL = 1e-12


class Regression(Objective):
    """A label that is any finite number; the prediction is its expected value.

    Networks begin near an output of zero and learn steps of about one, so labels are standardised for them: the
    prediction is `mean + deviation * output`.

    Attributes:
        name: `regression`.
        mean: of the training labels (weighted).
        deviation: of the training labels (weighted).

    Example:
        >>> objective = Regression.fit(np.array([1, 3], np.float32))
        >>> objective.mean, objective.deviation, objective.prediction(np.array([0.5], np.float32))
        (2.0, 1.0, array([2.5]))
    """

    prediction_name: ClassVar[str] = "prediction"
    monitors: ClassVar[Mapping[str, Direction]] = {"rmse": "min", "mae": "min"}
    separation_name: ClassVar[str] = "R²"
    rows_per_bucket: ClassVar[int] = 40
    begins_near_zero: ClassVar[bool] = True
    metrics_class: ClassVar[type[metrics.Metrics]] = metrics.RegressionMetrics

    name: Literal["regression"] = "regression"
    mean: float = 0.0
    deviation: float = Field(default=1.0, gt=0)

    @staticmethod
    def read_label(table: pa.Table, schema: Schema) -> Labels:
        """The number of each row.

        Args:
            table: rows with the label column.
            schema: names that column.

        Returns:
            float64 [N]: float32 would round times, amounts and ids that are large beside their differences.

        Raises:
            DataError: the column is missing, or a cell is empty, text, or no number between -1e100 and 1e100.
            SchemaError: the schema names a value that is a click.
        """
        name = schema.label
        if schema.positive is not None:
            raise SchemaError(
                f"'positive' ({schema.positive}) names the label value that is a click; with the objective regression "
                "every label is a number: leave it out"
            )
        try:
            numbers = number_column(get_column(table, name, role="label"))
        except DataError as error:
            if str(error).startswith("the label column"):
                raise
            raise DataError(f"label column '{name}': {error}") from error
        bad = ~(np.abs(numbers) <= _LARGEST_LABEL)
        if bad.any():
            row = int(np.argmax(bad))
            what = "is empty" if np.isnan(numbers[row]) else f"holds {numbers[row]:g}"
            wanted = f"number between {-_LARGEST_LABEL:g} and {_LARGEST_LABEL:g}"
            raise DataError(f"label column '{name}': row {row + 1} {what}; every row needs a {wanted}")
        return np.array(numbers)  # a table is not writable, and tensors must be

    @classmethod
    def fit(cls, label: Labels, weight: Labels | None = None) -> Self:
        """Takes the mean and the deviation of the labels; 1 where they do not differ."""
        if not len(label):
            return cls()
        exact = label.astype(np.float64)
        mean = float(np.average(exact, weights=weight))
        deviation = float(np.sqrt(np.average((exact - mean) ** 2, weights=weight)))
        return cls(mean=mean, deviation=deviation or 1.0)

    @staticmethod
    def require_variety(label: Labels) -> None:
        """Labels must differ."""
        if len(label) and label.min() == label.max():
            raise DataError(f"every row has the label {label[0]:g}; a model needs rows with different labels")

    def loss(self, logit: Tensor, label: Tensor, weight: Tensor | None) -> Tensor:
        """Mean squared error, in squared deviations."""
        target = (label - self.mean) / self.deviation  # as exact as the label is, and only then rounded
        return weighted_mean((logit - target.to(logit.dtype)) ** 2, weight)

    def as_label(self, logit: Tensor) -> Tensor:
        """Outputs in the unit of the labels."""
        return self.mean + self.deviation * logit

    def target(self, label: Labels) -> npt.NDArray[np.float32]:
        """Deviations of the training labels from their mean."""
        return ((label - self.mean) / self.deviation).astype(np.float32)

    def prediction(self, logit: npt.NDArray[np.floating[Any]]) -> Floats:
        """Outputs in the unit of the labels."""
        return self.mean + self.deviation * logit.astype(np.float64)

    def evaluate(
        self, label: npt.ArrayLike, prediction: npt.ArrayLike, *, weight: Any = None, group: Any = None
    ) -> metrics.RegressionMetrics:
        """RMSE, MAE, R² and bias; groups are not used."""
        return metrics.evaluate_regression(label, prediction, weight=weight)

    @staticmethod
    def strata(label: Labels) -> npt.NDArray[np.int64]:
        """Tenths of the rows by label, so that the parts share one distribution; equal labels stay together."""
        bounds = np.unique(np.quantile(label, np.arange(1, _STRATA) / _STRATA)) if len(label) else label
        return np.searchsorted(bounds, label, side="right").astype(np.int64)

    @staticmethod
    def strata_rows(rows: Floats, labels: Floats, squares: Floats) -> Sequence[Floats]:
        """One stratum, in which half of the weight is by rows and half by squared deviation from the mean label.

        So a bucket holds neither much of the rows nor, where few labels are far from all others, much of the variance.
        """
        total = rows.sum()
        mean = labels.sum() / total if total else 0.0
        deviation = np.maximum(squares - 2 * mean * labels + mean**2 * rows, 0)
        spread = deviation.sum()
        return (rows / 2 + deviation * (total / spread / 2),) if spread > 0 else (rows,)

    @staticmethod
    def separation(score: Floats, rows: Floats, labels: Floats, squares: Floats) -> float | None:
        """R² of the score as a prediction. Undefined too where labels differ by too little for sums in float64."""
        total = rows.sum()
        if not total:
            return None
        mean = labels.sum() / total
        spread = squares.sum() - mean * labels.sum()
        if spread <= _SPREAD_THAT_SUMS_TELL * squares.sum():
            return None
        # Both sums of squares from the mean, so that a large one does not drown what is left.
        off = score - mean
        error = spread + float(np.sum(off * (rows * off - 2 * (labels - mean * rows))))
        return float(1 - error / spread)

    @staticmethod
    def describe_labels(mean: float) -> str:
        """The mean label."""
        return f"mean label {mean:.6g}"
