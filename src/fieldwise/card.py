"""Card: what a predictor knows of its own making: data, decisions, training, figures and versions."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator

from fieldwise._version import __version__
from fieldwise.data.splits import Split, SplitMethod
from fieldwise.training.history import History


class _CardPart(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SplitRecord(_CardPart):
    """How the rows were split, so that the same table can be split in the same way again.

    method: None where the data set brought its own split or the parts were given as files.
    """

    method: SplitMethod | None
    seed: int
    valid_fraction: float
    test_fraction: float
    train_rows: int
    valid_rows: int
    test_rows: int
    test_fingerprint: str


class DataRecord(_CardPart):
    """The table that the predictor was trained on: a data set's name or a description, and a fingerprint."""

    source: str
    fingerprint: str
    rows: int
    base_rate: float
    split: SplitRecord


class ColumnRecord(_CardPart):
    """What was decided about one column, and why."""

    column: str
    decision: str
    reason: str


class Environment(_CardPart):
    """What figures depend on beside the versions: the device that trained, and the threads it had on the CPU.

    None: not recorded, as in predictors of format version 1.
    """

    device: str | None = None
    threads: int | None = Field(default=None, ge=1)


class Card(_CardPart):
    """The whole account.

    parameters: how many numbers training adjusts, `all` and `without_embeddings`.
    metrics: by part (`valid`, `test`) and name. notes: what should be known beside it.
    """

    created: str
    versions: dict[str, str]
    environment: Environment
    data: DataRecord
    columns: list[ColumnRecord]
    parameters: dict[str, int]
    history: History
    metrics: dict[str, dict[str, int | float | None]]
    notes: list[str]

    @field_validator("parameters")
    @classmethod
    def _require_both_counts(cls, parameters: dict[str, int]) -> dict[str, int]:
        if parameters.keys() != {"all", "without_embeddings"}:
            raise ValueError(f"expected the counts 'all' and 'without_embeddings', got {sorted(parameters)}")
        return parameters


def versions() -> dict[str, str]:
    """The versions that figures depend on."""
    import torch

    return {
        "fieldwise": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "pyarrow": pa.__version__,
    }


def environment(*, device: object = None) -> Environment:
    """What this process runs on.

    device: where the model was trained, such as a torch.device or its name; None: not known.
    """
    import torch

    return Environment(device=None if device is None else str(device), threads=torch.get_num_threads())


def fingerprint(columns: Sequence[str], label: npt.NDArray[np.float32]) -> str:
    """A short mark of a table, from its column names and the order of its labels."""
    digest = hashlib.sha256("\0".join(columns).encode())
    digest.update(np.packbits(label > 0).tobytes() + str(len(label)).encode())
    return digest.hexdigest()[:16]


def split_record(
    split: Split, *, method: SplitMethod | None, seed: int, valid_fraction: float, test_fraction: float
) -> SplitRecord:
    """The record of a split."""
    return SplitRecord(
        method=method,
        seed=seed,
        valid_fraction=valid_fraction,
        test_fraction=test_fraction,
        train_rows=len(split.train),
        valid_rows=len(split.valid),
        test_rows=len(split.test),
        test_fingerprint=rows_fingerprint(split.test),
    )


def rows_fingerprint(rows: npt.NDArray[np.int64]) -> str:
    """A short mark of a selection of rows."""
    return hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()[:16]


def summary_rows(card: Card) -> list[tuple[str, Any]]:
    """The few lines of a card that a person wants first."""
    rows: list[tuple[str, Any]] = [
        ("trained on", f"{card.data.source}, {card.data.split.train_rows:,} rows, {card.data.base_rate:.1%} clicks"),
        ("trained", f"{card.created}, {len(card.history.records)} epochs, best {card.history.best_epoch}"),
        ("parameters", f"{card.parameters['all']:,}, {card.parameters['without_embeddings']:,} without embeddings"),
    ]
    for part, figures in card.metrics.items():
        shown = [f"{name} {figures[name]:.5f}" for name in ("auc", "log_loss") if figures.get(name) is not None]
        rows.append((part, ", ".join(shown)))
    return rows
