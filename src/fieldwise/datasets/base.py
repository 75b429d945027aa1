"""What a built-in data set brings: a table, the schema that it is published with, and its split."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from fieldwise.data.splits import Split
from fieldwise.schema import Schema


@dataclass(frozen=True)
class NamedDataset:
    """A data set that is known by name.

    Attributes:
        name: the name.
        table: all rows.
        schema: the fields and roles that it is published with.
        split: which rows train, validate and test.
        notes: what a reader of results must know, for example a field that could not be built; shown once.
    """

    name: str
    table: pa.Table
    schema: Schema
    split: Split
    notes: tuple[str, ...] = ()
