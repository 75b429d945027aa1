"""Reading whatever holds rows into an Arrow table: files, standard input, data frames, Python lists.

Text files (`fieldwise.columns.text_files`) are read with every column as text, Parquet and Arrow files as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

from fieldwise.columns.access import why_unreadable, with_unreadable
from fieldwise.columns.directories import DataFile, find_files
from fieldwise.columns.files import form_of, opened_file
from fieldwise.columns.in_memory import table_in_memory
from fieldwise.columns.native import native_file
from fieldwise.columns.text_files import text_tables
from fieldwise.columns.tokens import plain_column
from fieldwise.wording import argument

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
    return _concatenated(files, [_read_file(file, names, separator, notes) for file in files])


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
            yield table if file is files[0] else _with_columns_of(files[0], first, file, table)


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
                if form == "parquet":  # Arrow's own `read_table` refuses columns of one name, wanted or not
                    table = pa.parquet.ParquetFile(native).read()
                else:
                    table = _opened_arrow(native, form).read_all()
        return source.with_partitions(_checked(table, source))


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
                yield from _slices(source.with_partitions(_checked(table, source)), chunk_rows)
                require_unchanged()  # a log that grows as fast as it is read would have no end
        elif form == "parquet":
            with native_file(file) as native:
                parquet = pa.parquet.ParquetFile(native)
                if not parquet.metadata.num_rows:
                    yield source.with_partitions(_checked(parquet.read(), source))
                for batch in parquet.iter_batches(batch_size=chunk_rows):
                    yield source.with_partitions(_checked(pa.Table.from_batches([batch]), source))
        else:
            with native_file(file) as native:
                table = _opened_arrow(native, form).read_all()
            yield from _slices(source.with_partitions(_checked(table, source)), chunk_rows)


def _opened_arrow(native: pa.NativeFile, form: str) -> Any:
    return pa.ipc.open_file(native) if form == "arrow" else pa.ipc.open_stream(native)


def _checked(table: pa.Table, source: DataFile | None = None) -> pa.Table:
    """The table with ordinary columns, of which each has a name of its own or cannot be read."""
    where = "" if source is None else f"{source.path}: "
    reasons: dict[str, str] = {}
    before = ""
    for i, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if not name.strip():
            place = f"the column after '{before}'" if i else "the first column"
            reasons[name] = f"{where}{place} has no name; the first line must hold the column names, or {_all_names()}"
        try:
            plain = plain_column(column)
        except MemoryError:
            raise
        except pa.ArrowException as error:
            reasons[name] = f"{where}column '{name}' of type {column.type} cannot be read: {str(error).splitlines()[0]}"
            continue
        if plain is not column:
            table = table.set_column(i, pa.field(name, plain.type), plain)
        before = name
    twice = [name for name, count in Counter(table.column_names).items() if count > 1 and name not in reasons]
    reasons |= {n: f"{where}two columns are called '{n}'; rename one, or {_all_names()}" for n in twice}
    return with_unreadable(table, reasons)


def _with_columns_of(first: DataFile, expected: pa.Table, file: DataFile, table: pa.Table) -> pa.Table:
    """A table of a further file with the columns of the first: others are left out, those that it lacks have no
    values.
    """
    names = dict.fromkeys(expected.column_names)
    if list(names) == table.column_names:
        return table
    there = set(table.column_names)
    lacking = {name: _lacks(file, name, first) for name in names if name not in there}
    return with_unreadable(table.select([name for name in names if name in there]), lacking).select(list(names))


def _concatenated(files: Sequence[DataFile], tables: Sequence[pa.Table]) -> pa.Table:
    """The tables of several files as one; a column that they do not share cannot be read."""
    if len(tables) == 1:
        return tables[0]
    names = [dict.fromkeys(table.column_names) for table in tables]
    reasons: dict[str, str] = {}
    for name in dict.fromkeys(name for own in names for name in own):
        there = next(file for file, own in zip(files, names, strict=True) if name in own)
        lacking = next((file for file, own in zip(files, names, strict=True) if name not in own), None)
        if lacking is not None:
            reasons[name] = _lacks(lacking, name, there)
            continue
        kinds = dict.fromkeys(table.schema.field(name) for table in tables)
        if unreadable := [reason for field in kinds if (reason := why_unreadable(field)) is not None]:
            reasons[name] = unreadable[0]
            continue
        try:
            pa.unify_schemas([pa.schema([field]) for field in kinds], promote_options="permissive")
        except pa.ArrowException:
            types = " and ".join(dict.fromkeys(str(field.type) for field in kinds))
            reasons[name] = f"column '{name}' is of types that cannot be read together: {types}"
    whole = [table.select([name for name in table.column_names if name not in reasons]) for table in tables]
    return with_unreadable(pa.concat_tables(whole, promote_options="permissive"), reasons)


def _lacks(file: DataFile, name: str, other: DataFile) -> str:
    return f"{file.path} lacks column '{name}' of {other.path}; files that are read together need the same columns"


def _slices(table: pa.Table, rows: int) -> Iterator[pa.Table]:
    # An empty table is one piece, so that its columns are still seen.
    for start in range(0, max(table.num_rows, 1), rows):
        yield table.slice(start, rows)


def _all_names() -> str:
    return f"give all names: {argument('names', ['A', 'B', '...'])}"
