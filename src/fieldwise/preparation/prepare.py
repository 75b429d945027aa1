"""From a source to encoded rows: read the tables, settle the schema, split, encode. All fitting begins here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fieldwise import datasets
from fieldwise.columns.access import get_column
from fieldwise.columns.counting import TableProfile
from fieldwise.columns.dates import time_keys
from fieldwise.columns.tables import Source, read_table
from fieldwise.data.dataset import Dataset
from fieldwise.data.labels import read_group, read_weight
from fieldwise.data.splits import Split, SplitMethod, split_rows
from fieldwise.encoding.encoder import Encoder
from fieldwise.errors import DataError, DataWarning, FieldwiseError, SchemaError
from fieldwise.objectives import Binary, Objective, objective_class
from fieldwise.objectives.base import Labels
from fieldwise.preparation.combinations import add_statistics
from fieldwise.preparation.leaks import Leak, find_leaks
from fieldwise.preparation.records import ColumnRecord, DataRecord, fingerprint, split_record
from fieldwise.preparation.request import DataRequest
from fieldwise.reporting import Reporter
from fieldwise.schema import Schema
from fieldwise.schema.inference import infer, remarks
from fieldwise.settings import DataSettings
from fieldwise.wording import argument


@dataclass(frozen=True)
class Tables:
    """What was read: the main table, further tables where given, and what a built-in data set brings.

    Attributes:
        source: the main table's name or description.
        table: the main table.
        valid: validation rows of their own.
        test: test rows of their own.
        schema: of a built-in data set.
        split: of a built-in data set.
        notes: of a built-in data set, for the reader of results, and on what was left out in reading.
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


def read(request: DataRequest) -> Tables:
    """Read a source, or load a built-in data set, and the validation and test rows of their own where given.

    Args:
        request: the source and its data arguments.

    Returns:
        The tables.

    Raises:
        DataError: something cannot be read.

    Example:
        >>> read(DataRequest({"user": ["ann", "bob"], "click": [0, 1]})).source
        'a dict in memory'
    """
    source, arguments = request.source, request.arguments
    names, separator = arguments.get("names"), arguments.get("separator")
    own = {part: arguments.get(part) for part in ("valid", "test")}
    given = {part: None if of is None else read_table(of, names=names, separator=separator) for part, of in own.items()}
    if datasets.is_built_in(source):
        named = datasets.load_dataset(source)
        return Tables(source, named.table, **given, schema=named.schema, split=named.split, notes=named.notes)
    notes: list[str] = []
    table = read_table(source, names=names, separator=separator, notes=notes)
    return Tables(_describe(source), table, **given, notes=tuple(dict.fromkeys(notes)))


def _describe(source: Source) -> str:
    """A source in a few words; of a path only the name, since a predictor may travel to strangers."""
    if isinstance(source, str | Path):
        return "standard input" if str(source) == "-" else Path(source).name
    if isinstance(source, list | tuple) and source and isinstance(source[0], str | Path):
        return ", ".join(Path(part).name for part in source)
    return f"a {type(source).__name__} in memory"


def settle_schema(request: DataRequest, tables: Tables, *, reporter: Reporter) -> tuple[Schema, list[ColumnRecord]]:
    """The schema to use: given, brought by the data set, or inferred; roles and fields that are named win.

    Args:
        request: the source and its data arguments.
        tables: what `read` gave.
        reporter: is told what inference decides, and of columns that tell nothing.

    Returns:
        The schema, and what inference decided about each column, if it did.

    Raises:
        SchemaError: roles or fields do not fit the table.
    """
    roles, fields = request.roles, request.arguments.get("fields") or {}
    schema = request.arguments.get("schema")
    if isinstance(schema, str | Path):
        schema = Schema.load(schema)
    schema = schema or tables.schema
    if schema is not None:
        if roles:
            schema = Schema.model_validate({**schema.model_dump(), **roles})
        schema = schema.with_fields(fields, columns=tables.table.column_names)
        for remark in remarks(tables.profiles, schema):
            reporter.warn(remark, DataWarning)
        return schema, []
    if "label" not in roles:
        raise SchemaError(
            f"which column holds the label? Name it with {argument('label', 'COLUMN')}; the columns "
            f"are {', '.join(tables.table.column_names)}"
        )
    inference = infer(tables.profiles, **roles, fields=fields)
    reporter.table("Columns", inference.COLUMNS, inference.rows(), inference.OPTIONAL)
    for doubt in inference.doubts:
        reporter.warn(doubt, DataWarning)
    columns = [ColumnRecord(column=d.column, decision=d.decision, reason=d.reason) for d in inference.decisions]
    return inference.schema, columns


@dataclass(frozen=True)
class Prepared:
    """Encoded rows by part (`train`, `valid`, `test`), where they stand, and what the card tells of the data.

    Attributes:
        tables: the rows as they were read.
        columns: what inference has decided.
        encoder: what was learned from the training rows.
        objective: as the training rows' labels have it.
        parts: the encoded rows of each part.
        split: rows of the main table.
        data: for the card.
        notes: what should be said of the data.
        warnings: those of the notes that a person should look at.
    """

    tables: Tables
    columns: tuple[ColumnRecord, ...]
    encoder: Encoder
    objective: Objective
    parts: dict[str, Dataset]
    split: Split
    data: DataRecord
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def schema(self) -> Schema:
        """The fields and the columns with a role."""
        return self.encoder.schema

    @cached_property
    def digest(self) -> dict[str, str]:
        """A mark of each part's encoded rows."""
        return {part: rows.digest() for part, rows in self.parts.items()}

    def raw(self, part: str) -> pa.Table:
        """The rows of a part as they were read.

        Args:
            part: `train`, `valid` or `test`.

        Returns:
            A table.
        """
        given = {"valid": self.tables.valid, "test": self.tables.test}.get(part)
        return given if given is not None else self.tables.table.take(pa.array(getattr(self.split, part)))

    def without_test(self) -> Prepared:
        """The same with no test rows, for training that must not look at them."""
        nothing = np.empty(0, np.int64)
        return replace(
            self,
            tables=replace(self.tables, test=None),
            parts={**self.parts, "test": self.parts["test"].take(nothing)},
            split=replace(self.split, test=nothing),
        )


def prepare_request(
    request: DataRequest, settings: DataSettings, *, seed: int, objective: str, reporter: Reporter
) -> Prepared:
    """Read what is asked for, settle its schema, and prepare it; what was decided is said.

    Args:
        request: rows and what their columns are.
        settings: how rows are split and tokens become ids.
        seed: decides the split.
        objective: what the label is, by name.
        reporter: is told the decisions.

    Returns:
        The encoded rows, and what was learned and decided on the way.

    Raises:
        DataError: rows cannot be read, do not fit the schema, or there is nothing to learn from.
        SchemaError: roles or fields do not fit the table.

    Example:
        >>> request = DataRequest({"user": list("abcd") * 25, "click": [0, 1, 1, 0] * 25}, {"label": "click"})
        >>> quiet = Reporter(enabled=False)
        >>> prepared = prepare_request(request, DataSettings(), seed=0, objective="binary", reporter=quiet)
        >>> {part: len(rows) for part, rows in prepared.parts.items()}
        {'train': 80, 'valid': 10, 'test': 10}
    """
    tables = read(request)
    schema, columns = settle_schema(request, tables, reporter=reporter)
    prepared = prepare(tables, schema, settings, seed=seed, objective=objective, columns=columns)
    for note in prepared.notes:
        if note in prepared.warnings:
            reporter.warn(note, DataWarning)
        else:
            reporter.say(note)
    return prepared


def prepare(
    tables: Tables,
    schema: Schema,
    settings: DataSettings,
    *,
    seed: int,
    objective: str = "binary",
    columns: Sequence[ColumnRecord] = (),
) -> Prepared:
    """Split by the seed and encode; encoder and objective learn from training rows only.

    Args:
        tables: what `read` gave.
        schema: the fields and the columns with a role.
        settings: how rows are split and tokens become ids.
        seed: decides the split.
        objective: what the label is, by name.
        columns: what inference has decided, for the record.

    Returns:
        The encoded rows, and what was learned on the way.

    Raises:
        DataError: there is nothing to learn from, or the schema does not fit the rows.
    """
    kind = objective_class(objective)
    label = kind.read_label(tables.table, schema)
    if not len(label):
        raise DataError(f"{tables.source}: there are no rows")
    try:
        kind.require_variety(label)
    except DataError as error:
        raise DataError(f"{tables.source}: {error}") from error
    method, split, time = _settle_split(tables, schema, kind.strata(label), settings, seed)
    weight = read_weight(tables.table, schema)
    fitted = kind.fit(label[split.train], None if weight is None else weight[split.train])
    profiles = tables.profiles.by_part({"train": split.train})
    encoder = Encoder.from_profiles(profiles, schema, part="train", min_count=settings.min_count)
    # Rows are encoded before leaks are looked for: an error then names the row of the table that it is in.
    everything = encode_table(tables.table, encoder, fitted)
    given = {"valid": tables.valid, "test": tables.test}
    own = {part: encode_table(table, encoder, fitted) for part, table in given.items() if table is not None}
    leaks = _find_leaks(tables, split, label, own.get("valid"), encoder, fitted)
    tables.profiles.forget()
    parts = {part: everything.take(getattr(split, part)) for part in ("train", "valid", "test")} | own
    time = None if time is None else time[split.train]
    encoder, parts, decisions = add_statistics(encoder, parts, fitted, settings.combinations, time=time, seed=seed)
    data = DataRecord(
        source=tables.source,
        fingerprint=fingerprint(label),
        rows=len(label),
        mean_label=float(label.mean(dtype=np.float64)),
        split=split_record(
            split,
            method=method,
            seed=seed,
            valid_fraction=settings.valid_fraction if tables.valid is None else 0.0,
            test_fraction=settings.test_fraction if tables.test is None else 0.0,
        ),
    )
    warnings = (*everything.rows.report.reading_lines(), *map(str, leaks))
    notes = (*tables.notes, *warnings, *decisions)
    return Prepared(tables, tuple(columns), encoder, fitted, parts, split, data, notes, warnings)


def encode_table(table: pa.Table, encoder: Encoder, objective: Objective | None = None) -> Dataset:
    """Encode a table that has labels, by what `encoder` has learned.

    Args:
        table: raw rows.
        encoder: what reads its fields.
        objective: reads its label; default: clicks.

    Returns:
        The encoded rows, with labels, and weights and groups where the schema has them.

    Raises:
        DataError: a column or a value does not fit.
    """
    schema = encoder.schema
    return Dataset(
        encoder.layout,
        encoder.encode(table),
        label=(objective or Binary()).read_label(table, schema),
        weight=read_weight(table, schema),
        group=read_group(table, schema),
    )


def _find_leaks(
    tables: Tables, split: Split, label: Labels, valid: Dataset | None, encoder: Encoder, objective: Objective
) -> list[Leak]:
    """Leaks on the validation rows, which may have a table of their own (`valid`: as encoded)."""
    if tables.valid is None or valid is None:
        profiles = tables.profiles.by_part({"train": split.train, "valid": split.valid}, label=label)
        return find_leaks(encoder, objective, profiles, profiles)
    train = tables.profiles.by_part({"train": split.train}, label=label)
    held_out = TableProfile(tables.valid).by_part({"valid": np.arange(len(valid))}, label=valid.label)
    return find_leaks(encoder, objective, train, held_out)


def _settle_split(
    tables: Tables, schema: Schema, strata: npt.NDArray[np.int64], settings: DataSettings, seed: int
) -> tuple[SplitMethod | None, Split, npt.NDArray[np.generic] | None]:
    """Which rows of the main table train, validate and test, and the time of each where that decides."""
    if tables.split is not None:
        split = tables.split
        if tables.valid is not None:
            split = replace(split, valid=split.valid[:0])
        if tables.test is not None:
            split = replace(split, test=split.test[:0])
        return None, split, None
    method: SplitMethod = settings.split or ("time" if schema.time else "stratified")
    time = _time(tables, schema) if method == "time" else None
    split = split_rows(
        tables.table.num_rows,
        method=method,
        valid_fraction=0.0 if tables.valid is not None else settings.valid_fraction,
        test_fraction=0.0 if tables.test is not None else settings.test_fraction,
        seed=seed,
        strata=strata,
        time=time,
    )
    return method, split, time


def _time(tables: Tables, schema: Schema) -> npt.NDArray[np.generic]:
    """When each row of the main table was, as what can be sorted: [N]."""
    if schema.time is None:
        raise SchemaError(f"a time-ordered split needs a time column; name it: {argument('time', 'COLUMN')}")
    column = get_column(tables.table, schema.time, role="time")
    try:
        return time_keys(column)
    except FieldwiseError as error:
        raise DataError(f"time column '{schema.time}': {error}") from error
