"""Writing tables piece by piece into one file, in the form that its name says."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from fieldwise.errors import SettingsError

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
        if self._form in ("csv", "csv.gz", "tsv"):
            table = _as_text(table)
        if self._writer is None:
            self._writer = self._opened(table.schema)
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

    def _opened(self, schema: pa.Schema) -> Any:
        match self._form:
            case "parquet":
                return pa.parquet.ParquetWriter(self._file, schema)
            case "arrow":
                return pa.ipc.new_file(self._file, schema)
            case "jsonl":
                return _JsonLines(self._file)
            case "tsv":
                return pa.csv.CSVWriter(self._file, schema, write_options=pa.csv.WriteOptions(delimiter="\t"))
            case _:
                return pa.csv.CSVWriter(self._file, schema)


class _JsonLines:
    """One JSON object a line; what JSON has no form for, such as dates, as text."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write_table(self, table: pa.Table) -> None:
        lines = [json.dumps(_plain(row), ensure_ascii=False, default=str) + "\n" for row in table.to_pylist()]
        self._file.write("".join(lines).encode("utf-8"))

    def close(self) -> None:
        pass


def _plain(value: Any) -> Any:
    """A value with null for numbers that JSON does not know: NaN and infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _plain(v) for name, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list) else value


def _as_text(table: pa.Table) -> pa.Table:
    """Columns that CSV has no form for, such as lists, as their Python text."""
    for i, column in enumerate(table.columns):
        if pa.types.is_nested(column.type):
            text = pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())
            table = table.set_column(i, table.column_names[i], text)
    return table
