"""What is written down of the data that a model was made of: columns, split, and marks to know the table again by."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from fieldwise.data.splits import Split, SplitMethod

_OF_LABELS = "labels:"
"""What marks begin with that are not of the columns as well."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SplitRecord(_Record):
    """How the rows were split, so that the same table can be split in the same way again.

    Attributes:
        method: None where the data set brought its own split or the parts were given as files.
        seed: decided which rows.
        valid_fraction: share of the rows.
        test_fraction: share of the rows.
        train_rows: how many train.
        valid_rows: how many validate.
        test_rows: how many test.
        test_fingerprint: a mark of the test rows.
    """

    method: SplitMethod | None
    seed: int
    valid_fraction: float
    test_fraction: float
    train_rows: int
    valid_rows: int
    test_rows: int
    test_fingerprint: str


class DataRecord(_Record):
    """The table that the predictor was trained on.

    Attributes:
        source: a data set's name or a description.
        fingerprint: a mark of the rows and their order.
        rows: how many.
        mean_label: over all rows; of clicks the click rate.
        split: how they were split.
    """

    source: str
    fingerprint: str
    rows: int
    mean_label: float
    split: SplitRecord

    def is_of(self, columns: Sequence[str], label: npt.NDArray[np.floating[Any]]) -> bool:
        """Whether this is the record of a table, whose columns may have been reordered or be other ones.

        Args:
            columns: the table's. Marks of earlier versions were of these too, in their order.
            label: of each row, [N].
        """
        return self.fingerprint == fingerprint(label, None if self.fingerprint.startswith(_OF_LABELS) else columns)

    def may_be_of(self, label: npt.NDArray[np.floating[Any]]) -> bool:
        """Whether a table could have the same rows in another order: it has as many, and labels of the same sum.

        Args:
            label: of each row, [N].
        """
        return len(label) == self.rows and math.isclose(label.mean(dtype=np.float64), self.mean_label, rel_tol=1e-12)


class ColumnRecord(_Record):
    """What was decided about one column, and why.

    Attributes:
        column: its name.
        decision: as in `fieldwise.schema.inference.ColumnDecision`.
        reason: the rule that decided.
    """

    column: str
    decision: str
    reason: str


def fingerprint(label: npt.NDArray[np.floating[Any]], columns: Sequence[str] | None = None) -> str:
    """A short mark of a table, from the order of its labels.

    Args:
        label: of each row, [N].
        columns: their names as well, as earlier versions had it.

    Returns:
        `labels:` and 16 hexadecimal digits; with columns only the digits.
    """
    digest = hashlib.sha256("\0".join(columns or ()).encode())
    bits = np.packbits(label > 0) if np.isin(label, (0.0, 1.0)).all() else label.astype(label.dtype.newbyteorder("<"))
    digest.update(bits.tobytes() + str(len(label)).encode())
    return ("" if columns else _OF_LABELS) + digest.hexdigest()[:16]


def split_record(
    split: Split, *, method: SplitMethod | None, seed: int, valid_fraction: float, test_fraction: float
) -> SplitRecord:
    """The record of a split.

    Args:
        split: which rows.
        method: how they were split.
        seed: decided which rows.
        valid_fraction: share of the rows.
        test_fraction: share of the rows.

    Returns:
        The record.
    """
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
    """A short mark of a selection of rows.

    Args:
        rows: by number, int64 [n].

    Returns:
        16 hexadecimal digits.
    """
    return hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()[:16]
