"""Click or no click: log loss from logits, the prediction being the probability of a click."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from fieldwise import metrics
from fieldwise.columns.access import get_column
from fieldwise.columns.tokens import token, token_column
from fieldwise.errors import DataError
from fieldwise.objectives.base import Direction, Floats, Labels, Objective
from fieldwise.schema import Schema
from fieldwise.wording import argument

_CLICK = {"1": 1.0, "true": 1.0, "0": 0.0, "false": 0.0}


class Binary(Objective):
    """A label of two values, of which one is the click.

    Without `schema.positive` the label column holds 0/1 or true/false; with it, two values of which it is the click.

    Attributes:
        name: `binary`.

    Example:
        >>> Binary.read_label(pa.table({"click": ["true", "0"]}), Schema(label="click", fields={"user": "categorical"}))
        array([1., 0.], dtype=float32)
        >>> Binary().prediction(np.array([-2, 0, 2], np.float32)).round(3)
        array([0.119, 0.5  , 0.881])
    """

    prediction_name: ClassVar[str] = "probability"
    monitors: ClassVar[Mapping[str, Direction]] = {"log_loss": "min", "auc": "max"}
    separation_name: ClassVar[str] = "AUC"
    rows_per_bucket: ClassVar[int] = 1
    metrics_class: ClassVar[type[metrics.Metrics]] = metrics.BinaryMetrics
    statistics_scale: ClassVar[Literal["logit", "identity"]] = "logit"

    name: Literal["binary"] = "binary"

    @staticmethod
    def read_label(table: pa.Table, schema: Schema) -> Labels:
        """1 for a click and 0 for none.

        Args:
            table: rows with the label column.
            schema: names that column, and the value that is a click.

        Returns:
            float32 [N].

        Raises:
            DataError: the column is missing or holds something else; the message names the first value or row that does
                not fit.
        """
        name = schema.label
        tokens = token_column(get_column(table, name, role="label"))
        values = tokens.values.to_pylist()
        if (tokens.codes < 0).any():
            raise DataError(
                f"label column '{name}': row {int(np.argmax(tokens.codes < 0)) + 1} is empty; every row needs a label"
            )
        if schema.positive is None:
            for code, value in enumerate(values):
                if value not in _CLICK:
                    row = int(np.argmax(tokens.codes == code)) + 1
                    raise DataError(
                        f"label column '{name}': row {row} holds {value!r:.60}; expected 0 or 1 (or true, false). "
                        f"For other labels say which value is the click: {argument('positive', 'VALUE')}; "
                        f"for numbers to predict: {argument('objective', 'regression')}"
                    )
            clicks = [_CLICK[value] for value in values]
        else:
            positive = token(schema.positive)
            if len(values) > 2 or (len(values) == 2 and positive not in values):
                shown = ", ".join(repr(value) for value in values[:5])
                raise DataError(
                    f"label column '{name}' holds {len(values)} values ({shown}); with "
                    f"{argument('positive', schema.positive)} it must hold that value and one other"
                )
            clicks = [float(value == positive) for value in values]
        return np.array(clicks, dtype=np.float32)[tokens.codes] if values else np.empty(0, np.float32)

    @classmethod
    def fit(cls, label: Labels, weight: Labels | None = None) -> Self:
        """Nothing is kept of the labels."""
        return cls()

    @staticmethod
    def require_variety(label: Labels) -> None:
        """Both classes must be there."""
        if len(label) and label.min() == label.max():
            raise DataError(f"every row has the label {label[0]:.0f}; a model needs rows with and without clicks")

    def loss(self, logit: Tensor, label: Tensor, weight: Tensor | None) -> Tensor:
        """Mean binary log loss, in nats."""
        losses = torch.nn.functional.binary_cross_entropy_with_logits(
            logit, label, weight=weight, reduction="mean" if weight is None else "sum"
        )
        return losses if weight is None else losses / weight.sum().clamp_min(torch.finfo(torch.float32).tiny)

    def as_label(self, logit: Tensor) -> Tensor:
        """Probabilities."""
        return torch.sigmoid(logit)

    def prediction(self, logit: npt.NDArray[np.floating[Any]]) -> Floats:
        """The logistic function in float64, where float32 would round probabilities near 1 to 1."""
        x = logit.astype(np.float64)
        small = np.exp(-np.abs(x))  # never overflows
        return np.where(x >= 0, 1.0, small) / (1.0 + small)

    def evaluate(
        self, label: npt.ArrayLike, prediction: npt.ArrayLike, *, weight: Any = None, group: Any = None
    ) -> metrics.BinaryMetrics:
        """AUC, log loss, calibration, and GAUC with groups."""
        return metrics.evaluate_binary(label, prediction, weight=weight, group=group)

    @staticmethod
    def strata(label: Labels) -> npt.NDArray[np.int64]:
        """Clicks, and the rest, so that the parts share one click rate."""
        return np.where(label > 0, 0, 1)

    @staticmethod
    def strata_rows(rows: Floats, labels: Floats, squares: Floats) -> Sequence[Floats]:
        """Clicks, and the rest: few clicks among many rows must not share a bucket with what is not like them."""
        return labels, rows - labels

    @staticmethod
    def separation(score: Floats, rows: Floats, labels: Floats, squares: Floats) -> float | None:
        """The AUC of the score."""
        seen = np.flatnonzero(rows)
        if not len(seen):
            return None
        clicks = np.repeat([1.0, 0.0], len(seen))
        # Rounded: rates that are equal must not be told apart by the order in which they were added up.
        rates = np.round(score[seen], 12)
        return metrics.auc(clicks, np.tile(rates, 2), weight=np.concatenate([labels[seen], (rows - labels)[seen]]))

    @staticmethod
    def describe_labels(mean: float) -> str:
        """The click rate."""
        return f"{mean:.1%} clicks"
