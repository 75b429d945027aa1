"""What every recipe makes: a `FittedModel`, and the account of how it was made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fieldwise.columns.tables import read_table
from fieldwise.data.labels import read_group, read_weight
from fieldwise.encoding.encoded import EncodingReport
from fieldwise.metrics import Metrics
from fieldwise.objectives import Objective
from fieldwise.preparation import Prepared
from fieldwise.reporting import Progress
from fieldwise.schema import Schema
from fieldwise.settings import Settings
from fieldwise.training.history import History

Predictions = npt.NDArray[np.float64]


class FittedModel(ABC):
    """Predicts from raw rows. It holds all that this takes, and nothing changes in it from call to call.

    Attributes:
        schema: the columns that it reads.
        objective: what its labels were and its predictions are.
    """

    schema: Schema
    objective: Objective

    @abstractmethod
    def predict(
        self, table: pa.Table, *, report: EncodingReport | None = None, progress: Progress | None = None
    ) -> Predictions:
        """The prediction of every row.

        Args:
            table: raw rows; columns that no field reads are left alone, and the label need not be there.
            report: takes in the account of unseen and missing values.
            progress: is told of rows as they are done.

        Returns:
            float64 [N], such as click probabilities.

        Raises:
            DataError: a column is missing or holds a value of the wrong kind; the message names it.
        """

    def predict_rows(self, rows: Sequence[Mapping[str, Any]], *, report: EncodingReport | None = None) -> Predictions:
        """The predictions of a few rows, by the quickest way.

        Args:
            rows: dicts of Python values, column name to value.
            report: takes in the account of unseen and missing values.

        Returns:
            float64 [N].

        Raises:
            DataError: as `predict` does.
        """
        return self.predict(read_table(list(rows)), report=report) if rows else np.empty(0)

    def evaluate(
        self, table: pa.Table, *, report: EncodingReport | None = None, progress: Progress | None = None
    ) -> Metrics:
        """The objective's metrics over rows that have labels.

        Args:
            table: raw rows; without the schema's weight column every row counts 1.
            report: as in `predict`.
            progress: as in `predict`.

        Returns:
            The metrics.

        Raises:
            DataError: as `predict` does, and for labels.
        """
        label = self.objective.read_label(table, self.schema)
        group = read_group(table, self.schema)
        is_weighted = self.schema.weight in table.column_names
        return self.objective.evaluate(
            label,
            self.predict(table, report=report, progress=progress),
            weight=read_weight(table, self.schema) if is_weighted else None,
            group=None if group is None else pa.array(group, mask=group < 0),
        )

    def predict_part(self, prepared: Prepared, part: str) -> Predictions:
        """The predictions of a part of prepared rows; a network need not encode them again.

        Args:
            prepared: the rows.
            part: `train`, `valid` or `test`.

        Returns:
            float64 [N].
        """
        return self.predict(prepared.raw(part))

    def evaluate_part(self, prepared: Prepared, part: str) -> Metrics:
        """The objective's metrics of a part of prepared rows.

        Args:
            prepared: the rows.
            part: `train`, `valid` or `test`.

        Returns:
            The metrics.
        """
        rows = prepared.parts[part]
        assert rows.label is not None
        return self.objective.evaluate(
            rows.label,
            self.predict_part(prepared, part),
            weight=rows.weight,
            group=None if rows.group is None else pa.array(rows.group, mask=rows.group < 0),
        )

    @property
    @abstractmethod
    def parameters(self) -> dict[str, int]:
        """How many numbers training has adjusted: `all` and, of networks, `without_embeddings`."""


@dataclass(frozen=True)
class TrainingResult:
    """A fitted model and how it came about.

    Attributes:
        model: what was fitted.
        settings: as they were settled, with the architecture where a search came to one.
        history: of a network, by epoch; empty for trees.
        metrics: by part, `valid` and `test`, where the part was measured and has rows.
        epochs: passes over the training rows, or boosting rounds.
        best_epoch: the one that is kept.
        seconds: of training, and of the search where there was one.
        rows_per_s: training rows, median over epochs; of trees rows times rounds.
        device: where it was trained.
        notes: what should be said of it.
    """

    model: FittedModel
    settings: Settings
    history: History
    metrics: dict[str, Metrics]
    epochs: int
    best_epoch: int | None
    seconds: float
    rows_per_s: float
    device: str = "cpu"
    notes: list[str] = field(default_factory=list)
