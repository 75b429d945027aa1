"""The history of a training run: one record per epoch, as lines while it runs and as a table afterwards."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

_COLUMNS = (
    ("epoch", 5),
    ("train loss", 10),
    ("valid log loss", 14),
    ("valid AUC", 9),
    ("learning rate", 13),
    ("rows/s", 9),
    ("seconds", 7),
)


class EpochRecord(BaseModel):
    """One epoch. Losses and metrics are means over rows; the validation ones are None without validation rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epoch: int
    train_loss: float
    valid_log_loss: float | None
    valid_auc: float | None
    learning_rate: float
    rows_per_s: float
    seconds: float

    def line(self, *, best: bool) -> str:
        """The record as a row under `header`, marked where it is the best so far."""
        cells = (
            str(self.epoch),
            f"{self.train_loss:.5f}",
            _figure(self.valid_log_loss),
            _figure(self.valid_auc),
            f"{self.learning_rate:.2e}",
            f"{self.rows_per_s:,.0f}",
            f"{self.seconds:.1f}",
        )
        padded = (f"{cell:>{width}}" for cell, (_, width) in zip(cells, _COLUMNS, strict=True))
        return "  ".join(padded) + ("  best" if best and self.valid_log_loss is not None else "")


class History(BaseModel):
    """What a run went through.

    records: one per finished epoch. best_epoch: whose weights were kept; None where no epoch was finished.
    ended: why it stopped: all epochs done, no better epoch for `patience` of them, or Ctrl-C.
    """

    model_config = ConfigDict(extra="forbid")

    records: list[EpochRecord] = []
    best_epoch: int | None = None
    ended: Literal["", "all epochs", "early stop", "interrupted"] = ""

    def to_table(self) -> pa.Table:
        """The records as an Arrow table, one row per epoch."""
        columns = {name: [getattr(r, name) for r in self.records] for name in EpochRecord.model_fields}
        return pa.table(columns)

    def __str__(self) -> str:
        lines = [record.line(best=record.epoch == self.best_epoch) for record in self.records]
        return "\n".join([header(), *lines])


def header() -> str:
    """The column names above the lines of the records."""
    return "  ".join(f"{name:>{width}}" for name, width in _COLUMNS)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}"
