"""Writing tables piece by piece into one file, in the form that its name says.

What a form has no type for is text in it: lists and other nested values are JSON, times in a zone have their offset,
bytes that are no text are hexadecimal digits.
"""

from __future__ import annotations

import gzip
import io
import json
import math
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from fieldwise.columns.native import arrow_owned
from fieldwise.errors import DataError, SettingsError

Form = Literal["csv", "csv.gz", "tsv", "parquet", "arrow", "jsonl"]

FORMS: dict[str, Form] = {
    ".csv": "csv",
    ".csv.gz": "csv.gz",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".jsonl": "jsonl",
}
"""The form of a file by the ending of its name."""


def form_of(path: Path) -> Form:
    """The form that a file's name says, in capitals or not.

    Args:
        path: of the file.

    Returns:
        The form.

    Raises:
        SettingsError: the name ends in none that is known; the message lists them.

    Example:
        >>> form_of(Path("predictions.CSV.gz"))
        'csv.gz'
    """
    name = path.name.lower()
    for ending, form in FORMS.items():
        if name.endswith(ending):
            return form
    raise SettingsError(f"{path}: the ending of the name says the form; expected one of {', '.join(FORMS)}")


class TableWriter:
    r"""Writes tables of one schema one after another; a context manager.

    Args:
        file: open to write to; it is not closed.
        form: of the file.
        empty: what is written where no table comes, so that there is a header.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> with TableWriter(file, "csv", empty=pa.table({"user": []})) as writer:
        ...     writer.write(pa.table({"user": ["ann"]}))
        >>> file.getvalue()
        b'"user"\n"ann"\n'
    """

    def __init__(self, file: IO[bytes], form: Form, *, empty: pa.Table) -> None:
        # The header of a compressed file holds neither name nor time: the same rows are the same bytes.
        self._compressed = gzip.GzipFile("", "wb", 6, file, mtime=0) if form == "csv.gz" else None
        self._file: Any = self._compressed or file
        self._form = form
        self._empty = empty
        self._writer: Any = None

    def write(self, table: pa.Table) -> None:
        """Append a table.

        Args:
            table: with the columns of the first one.
        """
        table = _held(table, self._form)
        if self._writer is None:
            self._writer = _opened(self._form, self._file, table.schema)
        self._writer.write_table(table)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is None and kind is None:
            self.write(self._empty)
        if self._writer is not None:
            self._writer.close()
        if self._compressed is not None:
            self._compressed.close()


def _opened(form: Form, file: Any, schema: pa.Schema) -> Any:
    match form:
        case "parquet":
            return pa.parquet.ParquetWriter(file, schema)
        case "arrow":
            return pa.ipc.new_file(file, schema)
        case "jsonl":
            return _JsonLines(file)
        case "tsv":
            return pa.csv.CSVWriter(file, schema, write_options=pa.csv.WriteOptions(delimiter="\t"))
        case _:
            return pa.csv.CSVWriter(file, schema)


class _JsonLines:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write_table(self, table: pa.Table) -> None:
        rows = zip(*(_values(name, table[name]) for name in table.column_names), strict=True)
        self._file.write(
            "".join(_json(dict(zip(table.column_names, row, strict=True))) + "\n" for row in rows).encode()
        )

    def close(self) -> None:
        pass


def _json(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, default=_text)


def _plain(value: Any) -> Any:
    """A value with null for numbers that JSON does not know: NaN and infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _plain(v) for name, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _text(value: Any) -> str:
    """A value as text: nested ones as JSON, bytes that are no text as hexadecimal digits."""
    if isinstance(value, list | tuple | dict):
        return _json(value)
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()


def _held(table: pa.Table, form: Form) -> pa.Table:
    """The table with columns of types that the form does not know as text, nested ones as JSON.

    The types alone decide, so that all pieces have the same columns.
    """
    for i, field in enumerate(table.schema):
        if not _holds(form, field.type):
            table = table.set_column(i, field.name, pa.array(_texts(field.name, table.column(i)), pa.string()))
    return table


@cache
def _holds(form: Form, kind: pa.DataType) -> bool:
    if form == "jsonl":
        return True
    if form in ("csv", "csv.gz", "tsv"):
        zoned = pa.types.is_timestamp(kind) and kind.tz is not None
        return not zoned and any(is_kind(kind) for is_kind in _CSV_TYPES)
    try:
        file = io.BytesIO()
        writer = _opened(form, file, pa.schema([("x", kind)]))
        writer.write_table(pa.table({"x": pa.nulls(1, kind)}))
        writer.close()
        if form == "parquet":  # old versions of Arrow write gaps among lists of one length, and cannot read them
            pa.parquet.read_table(pa.BufferReader(arrow_owned(file.getbuffer())))
    except pa.ArrowException:
        return False
    return True


_CSV_TYPES = (
    pa.types.is_null,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_float32,
    pa.types.is_float64,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_date,
    pa.types.is_time,
    pa.types.is_timestamp,
)


def _texts(name: str, column: pa.ChunkedArray) -> list[str | None]:
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        try:
            texts: list[str | None] = column.cast(pa.string()).to_pylist()
        except pa.ArrowInvalid:  # a zone that this machine does not know: the same moments in UTC
            utc = column.cast(pa.timestamp(kind.unit)).cast(pa.string())
            texts = pc.binary_join_element_wise(utc, "Z", "").to_pylist()
        return texts
    return [None if value is None else _text(value) for value in _values(name, column)]


def _values(name: str, column: pa.ChunkedArray) -> list[Any]:
    """The values as Python's."""
    kind = column.type
    if pa.types.is_duration(kind):
        column = column.cast(pa.duration("us"), safe=False)
    elif pa.types.is_timestamp(kind) and kind.tz is not None:
        return _texts(name, column)
    elif pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_timestamp(kind):
        column = column.cast(pa.string())  # Python's own know no nanoseconds, and no year before 1
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"column '{name}' holds times that cannot be written as text; write Parquet or Arrow, or leave it out"
        ) from error
    return values
