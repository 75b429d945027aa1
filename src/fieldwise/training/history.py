"""The history of a training run: one record per epoch, as lines while it runs and as a table afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from fieldwise.metrics import LABELS
from fieldwise.reporting.frames import data_frame

if TYPE_CHECKING:
    import pandas as pd


class EpochRecord(BaseModel):
    """One epoch.

    Attributes:
        epoch: Its number, from 1.
        train_loss: Mean over the training rows.
        valid: The objective's monitored metrics on the validation rows by name, None for one that is undefined there;
            empty without validation rows.
        learning_rate: Of the last step.
        rows_per_s: Training rows per second.
        seconds: Spent on the training rows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epoch: int
    train_loss: float
    valid: dict[str, float | None] = {}
    learning_rate: float
    rows_per_s: float
    seconds: float

    def line(self, monitors: Sequence[str], *, best: bool, room: int | None = None) -> str:
        """The record as a row under `header`.

        Args:
            monitors: Names of the validation metrics to show.
            best: Marks it as the best so far.
            room: As in `header`.
        """
        cells = {
            "epoch": str(self.epoch),
            "train loss": f"{self.train_loss:.5f}",
            **{_title(name): _figure(self.valid.get(name)) for name in monitors},
            "learning rate": f"{self.learning_rate:.2e}",
            "rows/s": f"{self.rows_per_s:,.0f}",
            "seconds": f"{self.seconds:.1f}",
        }
        padded = (f"{cells[name]:>{width}}" for name, width in _columns(monitors, room).items())
        return "  ".join(padded) + (_BEST if best and self.valid else "")


class History(BaseModel):
    """What a run went through; `print` shows it as a table.

    Attributes:
        records: One per finished epoch.
        best_epoch: Whose weights were kept; None where no epoch was finished.
        ended: Why it stopped: all epochs done, no better epoch for `patience` of them, or Ctrl-C; empty before the end.

    Example:
        >>> times = {"rows_per_s": 9.0, "seconds": 2.0}
        >>> record = EpochRecord(epoch=1, train_loss=0.5, valid={"auc": 0.7}, learning_rate=1e-3, **times)
        >>> History(records=[record], best_epoch=1).to_table().column_names
        ['epoch', 'train_loss', 'valid_auc', 'learning_rate', 'rows_per_s', 'seconds']
    """

    model_config = ConfigDict(extra="forbid")

    records: list[EpochRecord] = []
    best_epoch: int | None = None
    ended: Literal["", "all epochs", "early stop", "interrupted"] = ""

    @property
    def monitors(self) -> tuple[str, ...]:
        """The names of the validation metrics that were recorded."""
        return tuple(dict.fromkeys(name for record in self.records for name in record.valid))

    def to_table(self) -> pa.Table:
        """The records as an Arrow table, one row per epoch; validation metrics as columns `valid_NAME`."""
        columns: dict[str, list[Any]] = {}
        for name in EpochRecord.model_fields:
            if name == "valid":
                columns |= {f"valid_{m}": [r.valid.get(m) for r in self.records] for m in self.monitors}
            else:
                columns[name] = [getattr(r, name) for r in self.records]
        return pa.table(columns)

    def to_pandas(self) -> pd.DataFrame:
        """The same as a data frame.

        Raises:
            SettingsError: pandas is not installed.

        Example:
            >>> times = {"rows_per_s": 9.0, "seconds": 2.0}
            >>> record = EpochRecord(epoch=1, train_loss=0.5, valid={"auc": 0.7}, learning_rate=1e-3, **times)
            >>> History(records=[record], best_epoch=1).to_pandas()[["epoch", "valid_auc"]].values.tolist()
            [[1.0, 0.7]]
            >>> list(History().to_pandas().columns)
            ['epoch', 'train_loss', 'learning_rate', 'rows_per_s', 'seconds']
        """
        return data_frame(self.to_table().to_pydict())

    def __str__(self) -> str:
        lines = [record.line(self.monitors, best=record.epoch == self.best_epoch) for record in self.records]
        return "\n".join([header(self.monitors), *lines])


_BEST = "  best"
_OPTIONAL = ("learning rate", "seconds", "rows/s")
"""What narrow lines leave out, the first of them first."""


def header(monitors: Sequence[str], *, room: int | None = None) -> str:
    """The column names above the lines of the records.

    Args:
        monitors: Names of the validation metrics.
        room: Characters of a line; where they do not suffice, learning rate, seconds and speed are left out in this
            order. None shows all.
    """
    return "  ".join(f"{name:>{width}}" for name, width in _columns(monitors, room).items())


def _columns(monitors: Sequence[str], room: int | None) -> dict[str, int]:
    """Names and widths."""
    columns = {
        "epoch": 5,
        "train loss": 10,
        **{title: max(9, len(title)) for title in map(_title, monitors)},
        "learning rate": 13,
        "rows/s": 9,
        "seconds": 7,
    }
    for name in _OPTIONAL:
        if room is not None and sum(columns.values()) + 2 * (len(columns) - 1) + len(_BEST) > room:
            del columns[name]
    return columns


def _title(monitor: str) -> str:
    return f"valid {LABELS.get(monitor, monitor)}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}"
