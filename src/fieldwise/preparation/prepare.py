"""From a source to encoded rows: read the tables, settle the schema, split, encode. All fitting begins here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fieldwise import datasets
from fieldwise.columns.counting import TableProfile
from fieldwise.columns.dates import time_keys
from fieldwise.columns.tables import Source, read_table
from fieldwise.data.dataset import Dataset
from fieldwise.data.labels import read_label
from fieldwise.data.splits import Split, SplitMethod, split_rows
from fieldwise.encoding.encoder import Encoder
from fieldwise.errors import DataError, FieldwiseError, SchemaError
from fieldwise.preparation.leaks import find_leaks
from fieldwise.preparation.records import ColumnRecord, DataRecord, fingerprint, split_record
from fieldwise.reporting import Reporter
from fieldwise.schema import Schema
from fieldwise.schema.inference import infer, remarks
from fieldwise.settings import DataSettings


@dataclass(frozen=True)
class Tables:
    """What was read: the main table, further tables where given, and what a built-in data set brings.

    source: the main table's name or description.
    """

    source: str
    table: pa.Table
    valid: pa.Table | None
    test: pa.Table | None
    schema: Schema | None = None
    split: Split | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def profiles(self) -> TableProfile:
        """The profiles of the main table's columns.

        They are counted once, although the kinds of fields are inferred before it is known which rows train: each
        column's values are numbered on the way, and the numbers are counted again by part (see `TableProfile`).
        """
        return TableProfile(self.table)


def read(
    source: Source,
    *,
    valid: Source | None = None,
    test: Source | None = None,
    names: Sequence[str] | None = None,
) -> Tables:
    """Read a source, or load a built-in data set, and the validation and test rows of their own where given.

    The arguments are those of `fieldwise.train`. Raises DataError where something cannot be read.
    """
    valid_table = None if valid is None else read_table(valid, names=names)
    test_table = None if test is None else read_table(test, names=names)
    if datasets.is_built_in(source):
        named = datasets.load_dataset(source)
        return Tables(source, named.table, valid_table, test_table, named.schema, named.split, named.notes)
    table = read_table(source, names=names)
    return Tables(_describe(source), table, valid_table, test_table)


def _describe(source: Source) -> str:
    """A source in a few words; of a path only the name, since a predictor may travel to strangers."""
    if isinstance(source, str | Path):
        return "standard input" if str(source) == "-" else Path(source).name
    if isinstance(source, list | tuple) and source and isinstance(source[0], str | Path):
        return ", ".join(Path(part).name for part in source)
    return f"a {type(source).__name__} in memory"


def settle_schema(
    tables: Tables,
    *,
    schema: Schema | str | Path | None,
    label: str | None,
    positive: str | None,
    weight: str | None,
    group: str | None,
    time: str | None,
    fields: Mapping[str, Any],
    reporter: Reporter,
) -> tuple[Schema, list[ColumnRecord]]:
    """The schema to use: given, brought by the data set, or inferred; roles that are named win.

    The arguments are those of `fieldwise.train`. Also gives what inference decided about each column, if it did.
    Raises SchemaError where roles or overrides do not fit the table.
    """
    if isinstance(schema, str | Path):
        schema = Schema.load(schema)
    schema = schema or tables.schema
    roles = {"label": label, "positive": positive, "weight": weight, "group": group, "time": time}
    named = {role: column for role, column in roles.items() if column is not None}
    if schema is not None:
        for remark in remarks(tables.profiles, schema):
            reporter.say(remark)
        if fields:
            raise SchemaError("single fields are overridden in an inferred schema; edit the schema itself instead")
        return Schema.model_validate({**schema.model_dump(), **named}), []
    if label is None:
        raise SchemaError(
            f"which column holds the clicks? Name it with label=... (--label on the command line); the columns "
            f"are {', '.join(tables.table.column_names)}"
        )
    inference = infer(
        tables.profiles,
        label=label,
        positive=positive,
        weight=weight,
        group=group,
        time=time,
        fields=fields,
    )
    reporter.table("Columns", inference.COLUMNS, inference.rows())
    columns = [ColumnRecord(column=d.column, decision=d.decision, reason=d.reason) for d in inference.decisions]
    return inference.schema, columns


@dataclass(frozen=True)
class Prepared:
    """Encoded rows by part (`train`, `valid`, `test`), where they stand, and what the card tells of the data.

    split: rows of the main table. notes: what should be said of the data.
    """

    encoder: Encoder
    parts: dict[str, Dataset]
    split: Split
    data: DataRecord
    notes: tuple[str, ...]


def prepare(tables: Tables, schema: Schema, settings: DataSettings, *, seed: int) -> Prepared:
    """Split by the seed and encode; the encoder learns from training rows only.

    Raises DataError where there is nothing to learn from, or where the schema does not fit the rows.
    """
    clicks = read_label(tables.table, schema)
    if not len(clicks):
        raise DataError(f"{tables.source}: there are no rows")
    if clicks.min() == clicks.max():
        raise DataError(
            f"{tables.source}: every row has the label {clicks[0]:.0f}; a model needs rows with and without clicks"
        )
    method, split = _settle_split(tables, schema, clicks, settings, seed)
    profiles = tables.profiles.by_part({"train": split.train})
    encoder = Encoder.from_profiles(profiles, schema, part="train", min_count=settings.min_count)
    tables.profiles.forget()
    everything = Dataset.from_table(tables.table, encoder)
    parts = {part: everything.take(getattr(split, part)) for part in ("train", "valid", "test")}
    for part, given in (("valid", tables.valid), ("test", tables.test)):
        if given is not None:
            parts[part] = Dataset.from_table(given, encoder)
    data = DataRecord(
        source=tables.source,
        fingerprint=fingerprint(tables.table.column_names, clicks),
        rows=len(clicks),
        base_rate=float(clicks.mean(dtype=np.float64)),
        split=split_record(
            split,
            method=method,
            seed=seed,
            valid_fraction=settings.valid_fraction if tables.valid is None else 0.0,
            test_fraction=settings.test_fraction if tables.test is None else 0.0,
        ),
    )
    notes = [*tables.notes, *everything.rows.report.infinite_lines()]
    notes += map(str, find_leaks(parts["train"], parts["valid"]))
    return Prepared(encoder, parts, split, data, tuple(notes))


def _settle_split(
    tables: Tables, schema: Schema, clicks: npt.NDArray[np.float32], settings: DataSettings, seed: int
) -> tuple[SplitMethod | None, Split]:
    """Which rows of the main table train, validate and test."""
    if tables.split is not None:
        split = tables.split
        if tables.valid is not None:
            split = replace(split, valid=split.valid[:0])
        if tables.test is not None:
            split = replace(split, test=split.test[:0])
        return None, split
    method: SplitMethod = settings.split or ("time" if schema.time else "stratified")
    time = None
    if method == "time":
        if schema.time is None:
            raise SchemaError("a time-ordered split needs a time column; name it (--time COLUMN)")
        try:
            time = time_keys(tables.table.column(schema.time))
        except KeyError:
            raise DataError(f"the time column '{schema.time}' is missing") from None
        except FieldwiseError as error:
            raise DataError(f"time column '{schema.time}': {error}") from error
    split = split_rows(
        tables.table.num_rows,
        method=method,
        valid_fraction=0.0 if tables.valid is not None else settings.valid_fraction,
        test_fraction=0.0 if tables.test is not None else settings.test_fraction,
        seed=seed,
        label=clicks,
        time=time,
    )
    return method, split
