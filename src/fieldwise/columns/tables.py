"""Reading whatever holds rows into an Arrow table: files, standard input, data frames, Python lists.

Text files (`fieldwise.columns.text_files`) are read with every column as text, Parquet and Arrow files as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

from fieldwise.columns.directories import DataFile, find_files
from fieldwise.columns.files import form_of, native_file, opened_file
from fieldwise.columns.in_memory import table_in_memory
from fieldwise.columns.text_files import require_distinct, text_tables
from fieldwise.columns.tokens import plain_column
from fieldwise.errors import DataError

Source = Any
"""A path, a directory, a pattern such as "clicks/*.csv", "-" for standard input, a sequence of these, a data frame
(anything with the Arrow PyCapsule interface), an Arrow table, a dict of columns, or a list of dicts."""

CHUNK_ROWS = 65_536


def read_table(
    source: Source,
    *,
    names: Sequence[str] | None = None,
    separator: str | None = None,
    notes: list[str] | None = None,
) -> pa.Table:
    """Read a source whole.

    Args:
        source: a path, a directory, a pattern, "-" for standard input, several of these, a data frame, an Arrow table,
            a dict of columns or a list of dicts.
        names: the column names of a text file that has no header line.
        separator: what separates the cells of a text file, such as "|" or "tab"; by default it is found.
        notes: takes in sentences on what was left out.

    Returns:
        The table.

    Raises:
        DataError: something cannot be read, or a file changes while it is read; the message names the file (and the
            line, where it is known).

    Example:
        >>> read_table([{"user": "ann", "price": 1.5}, {"user": "bob", "price": None}]).to_pydict()
        {'user': ['ann', 'bob'], 'price': [1.5, None]}
    """
    if not _is_path(source) and not _is_path_list(source):
        return _checked(table_in_memory(source))
    files = find_files(source)
    tables = [_read_file(file, names, separator, notes) for file in files]
    for file, table in zip(files, tables, strict=True):
        _require_same_columns(files[0], tables[0], file, table)
    try:
        return pa.concat_tables(tables, promote_options="permissive") if len(tables) > 1 else tables[0]
    except pa.ArrowException as error:
        raise DataError(f"{', '.join(str(f.path) for f in files)} cannot be read together: {error}") from error


def iter_tables(
    source: Source,
    *,
    names: Sequence[str] | None = None,
    separator: str | None = None,
    notes: list[str] | None = None,
    chunk_rows: int = CHUNK_ROWS,
) -> Iterator[pa.Table]:
    """Read a source piece by piece, with memory bounded by the piece.

    Args:
        source: as in `read_table`.
        names: as in `read_table`.
        separator: as in `read_table`.
        notes: as in `read_table`.
        chunk_rows: rows of a piece at most.

    Yields:
        At least one piece, all with the same columns.

    Raises:
        DataError: as `read_table` does; for a file that changes while it is read, after the piece in which it did.

    Example:
        >>> [piece.num_rows for piece in iter_tables({"user": ["ann", "bob", "cyd"]}, chunk_rows=2)]
        [2, 1]
    """
    if not _is_path(source) and not _is_path_list(source):
        yield from _slices(_checked(table_in_memory(source)), chunk_rows)
        return
    if isinstance(source, list | tuple) and not source:  # no rows are no pieces
        return
    files = find_files(source)
    first: pa.Table | None = None
    for file in files:
        for table in _iter_file(file, names, separator, notes, chunk_rows):
            first = table.slice(0, 0) if first is None else first
            _require_same_columns(files[0], first, file, table)
            yield table


def _is_path(source: Source) -> bool:
    return isinstance(source, str | Path)


def _is_path_list(source: Source) -> bool:
    return isinstance(source, list | tuple) and all(_is_path(part) for part in source)


def _read_file(
    source: DataFile, names: Sequence[str] | None, separator: str | None, notes: list[str] | None
) -> pa.Table:
    with opened_file(source.path) as (file, _):
        form = form_of(file)
        if form == "text":
            table = pa.concat_tables(text_tables(file, names, separator=separator, notes=notes))
        else:
            with native_file(file) as native:
                table = pa.parquet.read_table(native) if form == "parquet" else _opened_arrow(native, form).read_all()
        return source.with_partitions(_checked(table))


def _iter_file(
    source: DataFile,
    names: Sequence[str] | None,
    separator: str | None,
    notes: list[str] | None,
    chunk_rows: int,
) -> Iterator[pa.Table]:
    with opened_file(source.path) as (file, require_unchanged):
        form = form_of(file)
        if form == "text":
            for table in text_tables(file, names, separator=separator, notes=notes):
                yield from _slices(source.with_partitions(_checked(table)), chunk_rows)
                require_unchanged()  # a log that grows as fast as it is read would have no end
        elif form == "parquet":
            with native_file(file) as native:
                parquet = pa.parquet.ParquetFile(native)
                if not parquet.metadata.num_rows:
                    yield source.with_partitions(_checked(parquet.read()))
                for batch in parquet.iter_batches(batch_size=chunk_rows):
                    yield source.with_partitions(_checked(pa.Table.from_batches([batch])))
        else:
            with native_file(file) as native:
                table = _opened_arrow(native, form).read_all()
            yield from _slices(source.with_partitions(_checked(table)), chunk_rows)


def _opened_arrow(native: pa.NativeFile, form: str) -> Any:
    return pa.ipc.open_file(native) if form == "arrow" else pa.ipc.open_stream(native)


def _checked(table: pa.Table) -> pa.Table:
    require_distinct(table.column_names)
    for i, column in enumerate(table.columns):
        plain = plain_column(column)
        if plain is not column:
            table = table.set_column(i, table.column_names[i], plain)
    return table


def _require_same_columns(first: DataFile, expected: pa.Table, file: DataFile, table: pa.Table) -> None:
    ours, theirs = dict.fromkeys(expected.column_names), dict.fromkeys(table.column_names)
    if ours.keys() != theirs.keys():
        missing, added = ([name for name in a if name not in b] for a, b in ((ours, theirs), (theirs, ours)))
        what = f"lacks column '{missing[0]}' of" if missing else f"has column '{added[0]}', which is not in"
        raise DataError(f"{file.path} {what} {first.path}; files that are read together need the same columns")


def _slices(table: pa.Table, rows: int) -> Iterator[pa.Table]:
    # An empty table is one piece, so that its columns are still seen.
    for start in range(0, max(table.num_rows, 1), rows):
        yield table.slice(start, rows)
