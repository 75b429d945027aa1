"""Dataset: encoded rows with their labels, from which batches are taken by row number."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fieldwise.data.batch import PADDING, Batch
from fieldwise.data.splits import Rows
from fieldwise.encoding.encoded import EncodedRows, Ragged
from fieldwise.layout import Layout


@dataclass(frozen=True)
class Dataset:
    """N encoded rows in memory, with what is known of them.

    Attributes:
        layout: the fields.
        rows: ids and numbers.
        label: None where it is not known.
        weight: None where all rows count alike.
        group: of each row, a negative number where it has none; None without groups.

    Shape:
        label: as the objective reads it, float32 or float64 [N].
        weight: float32 [N].
        group: int32 [N].

    Example:
        >>> import pyarrow as pa
        >>> from fieldwise.encoding.encoder import Encoder
        >>> from fieldwise.schema import Schema
        >>> table = pa.table({"user": ["ann", "bob", "ann"]})
        >>> encoder = Encoder.fit(table, Schema(label="click", fields={"user": "categorical"}))
        >>> dataset = Dataset(encoder.layout, encoder.encode(table))
        >>> dataset.batch(np.array([2, 1])).categorical
        tensor([[2],
                [3]])
    """

    layout: Layout
    rows: EncodedRows
    label: npt.NDArray[np.floating[Any]] | None = None
    weight: npt.NDArray[np.float32] | None = None
    group: npt.NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Rows) -> Dataset:
        """The data set of some rows.

        Args:
            rows: by number, int64 [n].

        Returns:
            These rows, in that order.
        """
        return Dataset(
            self.layout,
            self.rows.take(rows),
            label=None if self.label is None else self.label[rows],
            weight=None if self.weight is None else self.weight[rows],
            group=None if self.group is None else self.group[rows],
        )

    def without_statistics(self) -> Dataset:
        """The same rows without the statistics of combinations."""
        rows = replace(self.rows, statistics=None)
        return replace(self, layout=self.layout.without_statistics, rows=rows)

    def batch(self, rows: Rows | slice) -> Batch:
        """The batch of some rows.

        Args:
            rows: by number, int64 [B], or as a slice.

        Returns:
            These rows as tensors, in that order.
        """
        return Batch(
            categorical=as_tensor(self.rows.categorical[rows]).long(),
            numeric=as_tensor(self.rows.numeric[rows]),
            multi_valued=self.lists(rows),
            label=None if self.label is None else as_tensor(self.label[rows]),
            weight=None if self.weight is None else as_tensor(self.weight[rows]),
            statistics=None if self.rows.statistics is None else as_tensor(self.rows.statistics[rows]),
        )

    def lists(self, rows: Rows | slice) -> tuple[Tensor, ...]:
        """The ids of each multi-valued field for some rows, padded.

        Args:
            rows: by number, int64 [B], or as a slice.

        Returns:
            int64 [B, N] per field, N its longest list among these rows.
        """
        if self.rows.multi_valued and isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        return tuple(_padded(ragged.take(rows)) for ragged in self.rows.multi_valued)  # type: ignore[arg-type]

    def digest(self) -> str:
        """A mark of the rows: equal for equal ids, numbers, labels and weights in the same order."""
        mark = hashlib.blake2b(digest_size=16)
        parts: list[npt.NDArray[np.generic] | None] = [
            self.rows.categorical,
            self.rows.numeric,
            self.label,
            self.weight,
            self.rows.statistics,
        ]
        for ragged in self.rows.multi_valued:
            parts += [ragged.values, ragged.offsets]
        for part in parts:
            mark.update(b"" if part is None else np.ascontiguousarray(part).data)
            mark.update(str(None if part is None else part.shape).encode())
        return mark.hexdigest()

    def id_counts(self) -> Tensor:
        """How often each row of a common table occurs in the data (see `Layout.offsets`).

        Returns:
            int64 [V].
        """
        counts = np.zeros(self.layout.num_rows, dtype=np.int64)
        columns: dict[int, npt.NDArray[np.int32]] = dict(
            zip(self.layout.categorical, self.rows.categorical.T, strict=True)
        )
        columns.update(
            (f, ragged.values) for f, ragged in zip(self.layout.multi_valued, self.rows.multi_valued, strict=True)
        )
        for f, ids in columns.items():
            start, size = self.layout.offsets[f], self.layout.fields[f].size
            counts[start : start + size] = np.bincount(ids, minlength=size)
        return torch.from_numpy(counts)


def as_tensor(array: npt.NDArray[np.generic]) -> Tensor:
    """A NumPy array as a tensor, without a copy where its memory is in one piece.

    Example:
        >>> as_tensor(np.array([1, 2]))
        tensor([1, 2])
    """
    return torch.from_numpy(np.ascontiguousarray(array))


def _padded(ragged: Ragged) -> Tensor:
    lengths = np.diff(ragged.offsets)
    width = int(lengths.max(initial=1))
    ids = np.full((len(lengths), width), PADDING, dtype=np.int64)
    ids[np.arange(width) < lengths[:, None]] = ragged.values
    return torch.from_numpy(ids)
