"""Objective: what a label may be, and what a model's output means. Nothing else in the package knows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from fieldwise.metrics import Metrics
from fieldwise.schema import Schema

Direction = Literal["min", "max"]
"""Whether less or more of a metric is better."""

Labels = npt.NDArray[np.floating[Any]]
Floats = npt.NDArray[np.float64]


class Objective(BaseModel, ABC):
    """The meaning of labels and of a model's output. Plain data: it is saved with the model that it trained.

    An objective is made from the labels of the training rows (`fit`), of which it may keep a few figures.

    Attributes:
        name: what settings call it.
        prediction_name: what a table calls a column of predictions.
        monitors: the metrics that may decide on the best epoch and that a comparison shows, each with its better
            direction, the most important first.
        separation_name: what `separation` measures.
        rows_per_bucket: of how many rows a bucket of numbers should have its mean label, so that this tells something.
        begins_near_zero: whether a network's first outputs must be small beside 1 (`CTRModel.begin_near_zero`).
        metrics_class: of what `evaluate` gives.
        statistics_scale: of the statistics of field combinations (`fieldwise.encoding.combinations`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    prediction_name: ClassVar[str]
    monitors: ClassVar[Mapping[str, Direction]]
    separation_name: ClassVar[str]
    rows_per_bucket: ClassVar[int]
    begins_near_zero: ClassVar[bool] = False
    metrics_class: ClassVar[type[Metrics]]
    statistics_scale: ClassVar[Literal["logit", "identity"]] = "identity"

    name: str

    @staticmethod
    @abstractmethod
    def read_label(table: pa.Table, schema: Schema) -> Labels:
        """The label of each row.

        Args:
            table: rows with the label column.
            schema: names that column.

        Returns:
            float32 or float64 [N], whatever holds every digit that counts.

        Raises:
            DataError: the column is missing, or a row has no label of this kind; the message names the row.
        """

    @classmethod
    @abstractmethod
    def fit(cls, label: Labels, weight: Labels | None = None) -> Self:
        """The objective for some training rows.

        Args:
            label: their labels.
            weight: their weights; None: all 1.

        Returns:
            The objective.

        Shape:
            label: as `read_label` gives it, [N].
            weight: float32 [N].
        """

    @staticmethod
    @abstractmethod
    def require_variety(label: Labels) -> None:
        """Refuse labels of which there is nothing to learn.

        Args:
            label: of all rows, [N].

        Raises:
            DataError: they are all the same.
        """

    @abstractmethod
    def loss(self, logit: Tensor, label: Tensor, weight: Tensor | None) -> Tensor:
        """The mean loss of a batch, in which weighted rows count in proportion to their weight.

        Args:
            logit: a model's outputs.
            label: what they should come to.
            weight: of the rows; None: all 1.

        Returns:
            A scalar with a gradient.

        Shape:
            logit, weight: float32 [B].
            label: as `read_label` gives it, [B].
        """

    @abstractmethod
    def as_label(self, logit: Tensor) -> Tensor:
        """The labels that logits stand for, such as one between 0 and 1: what one part of a model can teach another.

        Args:
            logit: a model's outputs.

        Returns:
            Labels as `loss` takes them.

        Shape:
            float32 [B] -> float32 [B].
        """

    def target(self, label: Labels) -> npt.NDArray[np.float32]:
        """What a model's outputs are to come to, where a library of its own learns them: float32 [N].

        Args:
            label: as `read_label` gives it, [N].
        """
        return label.astype(np.float32, copy=False)

    @abstractmethod
    def prediction(self, logit: npt.NDArray[np.floating[Any]]) -> Floats:
        """What a user sees for each of a model's outputs.

        Args:
            logit: the outputs, float32 or float64 [N].

        Returns:
            float64 [N].
        """

    @abstractmethod
    def evaluate(
        self, label: npt.ArrayLike, prediction: npt.ArrayLike, *, weight: Any = None, group: Any = None
    ) -> Metrics:
        """The metrics of predictions.

        Args:
            label: of each row.
            prediction: as `prediction` gives them.
            weight: row weights, at least 0; None: all 1.
            group: the group of each row, for metrics within groups; None: no such metrics.

        Returns:
            Metrics of the class `metrics_class`.

        Raises:
            DataError: as the functions of `fieldwise.metrics` do.

        Shape:
            label, prediction, weight, group: [N].
        """

    @staticmethod
    @abstractmethod
    def strata(label: Labels) -> npt.NDArray[np.int64]:
        """The stratum of each row for a stratified split, of which every part gets its share.

        Args:
            label: of all rows, [N].

        Returns:
            int64 [N].
        """

    @staticmethod
    @abstractmethod
    def strata_rows(rows: Floats, labels: Floats, squares: Floats) -> Sequence[Floats]:
        """What buckets of numbers should be filled with equally, so that none hides what matters.

        Args:
            rows: how many rows hold each of the numbers [G].
            labels: sums of their labels [G].
            squares: sums of their squared labels [G].

        Returns:
            By stratum, how many rows each number stands for: float64 [G] each.
        """

    @staticmethod
    @abstractmethod
    def separation(score: Floats, rows: Floats, labels: Floats, squares: Floats) -> float | None:
        """How well a score alone tells the labels, measured on groups of rows that share one score.

        Args:
            score: of each group [G].
            rows: how many rows it has [G].
            labels: the sum of their labels [G].
            squares: the sum of their squared labels [G].

        Returns:
            From what chance gives up to 1; None where it is undefined (there are no rows, or all labels are the same).
        """

    @staticmethod
    @abstractmethod
    def describe_labels(mean: float) -> str:
        """The mean label in words, such as `12.3% clicks`."""

    @property
    def default_monitor(self) -> str:
        """The metric that decides on the best epoch where nobody names one."""
        return next(iter(self.monitors))


def weighted_mean(losses: Tensor, weight: Tensor | None) -> Tensor:
    """The mean of a batch's losses; the smallest number stands for a sum of weights that is zero.

    Args:
        losses: of each row.
        weight: of each row; None: all 1.

    Returns:
        A scalar.

    Shape:
        losses, weight: float32 [B].

    Example:
        >>> import torch
        >>> weighted_mean(torch.tensor([1.0, 4.0]), torch.tensor([2.0, 1.0]))
        tensor(2.)
    """
    import torch

    if weight is None:
        return losses.mean()
    return (losses * weight).sum() / weight.sum().clamp_min(torch.finfo(torch.float32).tiny)
