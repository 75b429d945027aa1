"""What a column holds, counted once: its distinct values, how often each occurs, and the gaps.

Whatever is learned from a column (its kind, a vocabulary, the figures of a scaling) is learned from its
`ColumnProfile`, which grows with the distinct values and not with the rows. A profile does not tell how it was
counted (with Arrow: `fieldwise.columns.counting`); another engine that delivers the same values and counts gives the
same encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.columns.python_values import python_values

Counts = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LabelSums:
    """What the labels of the rows that hold each value come to; the last place is of the rows without a value.

    labels: sums of labels, float64 [values + 1]. squares: sums of squared labels, float64 [values + 1].
    """

    labels: Floats
    squares: Floats


@dataclass(frozen=True, eq=False)
class PartCounts:
    """How often each value of a profile occurs in some of the rows, such as the training rows.

    rows: how many rows these are. missing: those without a value. counts: int64 [values]. label_sums: of these rows;
    None where no labels were given, or values are elements of lists.
    """

    rows: int
    missing: int
    counts: Counts
    label_sums: LabelSums | None = None


@dataclass(frozen=True, eq=False)
class ColumnProfile:
    """The distinct raw values of a column in order of first appearance, and how often each occurs.

    Of a list column these are the values of the lists' elements, or whole lists where it was counted so (a label
    belongs to a row and not to an element). Values are as they are stored: texts are not trimmed, blank ones are
    values, "1" and "1.0" are two. Null, NaN and an empty list are none.

    kind: the column's type. values: Arrow array [values]. counts: int64 [values], over all rows. first: int64
    [values], the row in which a value appears first, from 0. rows: all rows. missing: rows without a value; of a list
    column, rows whose list is absent or empty. parts: the counts in some of the rows, by name (`train`, ...).
    """

    kind: pa.DataType
    values: pa.Array
    counts: Counts
    first: Rows
    rows: int
    missing: int
    parts: Mapping[str, PartCounts] = field(default_factory=dict)

    @property
    def distinct(self) -> int:
        """Different values."""
        return len(self.values)

    @property
    def present(self) -> int:
        """Values in all, each occurrence counted."""
        return int(self.counts.sum())

    @property
    def is_list(self) -> bool:
        """Whether the column holds a list in each row; the values are then elements or whole lists."""
        return is_list(self.kind)

    @property
    def is_date(self) -> bool:
        """Whether the values are dates by their type, with or without a time of day."""
        return bool(pa.types.is_date(self.values.type) or pa.types.is_timestamp(self.values.type))

    @property
    def value_type(self) -> pa.DataType:
        """The type of the single values: of the column, or of its lists' elements."""
        return self.kind.value_type if self.is_list else self.kind

    @property
    def countable(self) -> bool:
        """Whether values of this type can be counted; structs, maps and lists of lists cannot, and have no values."""
        return not pa.types.is_null(self.values.type) or pa.types.is_null(self.value_type)

    @property
    def column(self) -> pa.ChunkedArray:
        """The distinct values as a column, for what reads columns."""
        return pa.chunked_array([self.values])

    @property
    def range(self) -> tuple[Any, Any] | None:
        """The smallest and the largest value of numbers, dates and times; None for other types and without values."""
        kind = self.values.type
        ordered = (
            pa.types.is_integer,
            pa.types.is_floating,
            pa.types.is_decimal,
            pa.types.is_date,
            pa.types.is_timestamp,
            pa.types.is_time,
        )
        if not len(self.values) or not any(is_kind(kind) for is_kind in ordered):
            return None
        # Arrow does not compare half floats.
        ends = pc.min_max(self.values.cast(pa.float32()) if pa.types.is_float16(kind) else self.values)
        low, high = python_values(pa.array([ends["min"], ends["max"]]))
        return low, high

    def only(self, part: str | None) -> ColumnProfile:
        """The profile of one part alone, without the values that it lacks; of all rows where `part` is None.

        The order of the values and `first` stay those of all rows.

        Raises:
            KeyError: the part was not counted.
        """
        if part is None:
            return self
        counted = self.parts[part]
        held = counted.counts > 0
        return replace(
            self,
            values=self.values if held.all() else self.values.filter(pa.array(held)),
            counts=counted.counts[held],
            first=self.first[held],
            rows=counted.rows,
            missing=counted.missing,
            parts={},
        )


def is_list(kind: pa.DataType) -> bool:
    """Whether a column of this type holds a list in each row."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
