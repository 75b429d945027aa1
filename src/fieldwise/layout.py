"""Layout: the fields in schema order with their kinds and sizes. It is all that a model knows of the data.

Row ids within a field are the same for every kind of field:

    0   missing
    1   out-of-vocabulary (OOV): tokens that were rare in training or are unseen (categorical, multi-valued);
        the field's one value vector (numeric)
    2…  the vocabulary, most frequent token first (categorical, multi-valued)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Kind = Literal["categorical", "numeric", "multi_valued"]

MISSING = 0
OOV = 1
FIRST_TOKEN = 2


@dataclass(frozen=True)
class FieldLayout:
    """One field as a model sees it.

    Attributes:
        name: the field's name.
        kind: `categorical`, `numeric` or `multi_valued`.
        size: how many embedding rows it needs, the reserved ones included.
    """

    name: str
    kind: Kind
    size: int


@dataclass(frozen=True)
class Layout:
    """The fields of a data set in schema order; plain data, equal when all fields are equal.

    Columns of a batch's matrices follow `categorical`, `numeric` and `multi_valued`: positions into `fields`.
    `offsets[f]` is the first row of field f in a table that holds all fields one after another, behind a
    row 0 that belongs to no field and stays zero; `num_rows` is the height of such a table.

    Attributes:
        fields: one after another.
        statistics: the names of further numbers that each row has, which belong to no single field: the statistics of
            combinations of fields.

    Example:
        >>> layout = Layout((FieldLayout("user", "categorical", 10), FieldLayout("price", "numeric", 2)))
        >>> layout.names, layout.numeric, layout.offsets, layout.num_rows
        (('user', 'price'), (1,), (1, 11), 13)
    """

    fields: tuple[FieldLayout, ...]
    statistics: tuple[str, ...] = ()

    @cached_property
    def without_statistics(self) -> Layout:
        """The fields alone."""
        return Layout(self.fields) if self.statistics else self

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Field names in schema order."""
        return tuple(field.name for field in self.fields)

    @cached_property
    def categorical(self) -> tuple[int, ...]:
        """Positions of the fields with one token per row."""
        return self._positions("categorical")

    @cached_property
    def numeric(self) -> tuple[int, ...]:
        """Positions of the fields with one number per row."""
        return self._positions("numeric")

    @cached_property
    def multi_valued(self) -> tuple[int, ...]:
        """Positions of the fields with any number of tokens per row."""
        return self._positions("multi_valued")

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """First row of each field in the common table; row 0 of the table belongs to no field."""
        starts, row = [], 1
        for field in self.fields:
            starts.append(row)
            row += field.size
        return tuple(starts)

    @cached_property
    def num_rows(self) -> int:
        """Rows of a table that holds every field (V), the zero row included."""
        return 1 + sum(field.size for field in self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __iter__(self) -> Iterator[FieldLayout]:
        return iter(self.fields)

    def _positions(self, kind: Kind) -> tuple[int, ...]:
        return tuple(i for i, field in enumerate(self.fields) if field.kind == kind)
