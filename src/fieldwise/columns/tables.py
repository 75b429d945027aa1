"""Reading whatever holds rows into an Arrow table: files, standard input, data frames, Python lists.

Text files (`fieldwise.columns.text_files`) are read with every column as text, Parquet and Arrow files as they are.
"""

from __future__ import annotations

import io
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

from fieldwise.columns.text_files import arrow_owned, require_distinct, text_tables
from fieldwise.columns.tokens import is_missing, plain_column, token
from fieldwise.errors import DataError, FieldwiseError, suggest
from fieldwise.storage.places import expanded

Source = Any
"""A path, "-" for standard input, a sequence of paths, a data frame (anything with the Arrow PyCapsule
interface), an Arrow table, a dict of columns, or a list of dicts."""

CHUNK_ROWS = 65_536

_LISTS = (list, tuple, set, frozenset, np.ndarray)
_CHANGED = "it changed while it was being read; wait until it is written, or read a copy"
_NOT_A_TABLE = (pa.ArrowException, TypeError, ValueError, OverflowError)


def read_table(
    source: Source,
    *,
    names: Sequence[str] | None = None,
    separator: str | None = None,
    notes: list[str] | None = None,
) -> pa.Table:
    """Read a source whole.

    Args:
        source: a path, "-" for standard input, several paths, a data frame, an Arrow table, a dict of columns or a list
            of dicts.
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
    if _is_file_list(source):
        tables = [read_table(part, names=names, separator=separator, notes=notes) for part in source]
        if not tables:
            raise DataError("no source was given")
        for path, table in zip(source, tables, strict=True):
            _require_same_columns(source[0], tables[0], path, table)
        try:
            return pa.concat_tables(tables, promote_options="permissive")
        except pa.ArrowException as error:
            raise DataError(f"{', '.join(map(str, source))} cannot be read together: {error}") from error
    if not _is_path(source):
        return _in_memory(source)
    with _reading(source) as (file, _):
        form = _form(file)
        if form == "text":
            return _checked(pa.concat_tables(text_tables(file, names, separator=separator, notes=notes)))
        with _native(file) as native:
            return _checked(pa.parquet.read_table(native) if form == "parquet" else pa.ipc.open_file(native).read_all())


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
    if _is_file_list(source):
        first: pa.Table | None = None
        for part in source:
            for table in iter_tables(part, names=names, separator=separator, notes=notes, chunk_rows=chunk_rows):
                first = table.slice(0, 0) if first is None else first
                _require_same_columns(source[0], first, part, table)
                yield table
        return
    if not _is_path(source):
        yield from _slices(_in_memory(source), chunk_rows)
        return
    with _reading(source) as (file, require_unchanged):
        form = _form(file)
        if form == "parquet":
            with _native(file) as native:
                parquet = pa.parquet.ParquetFile(native)
                if not parquet.metadata.num_rows:
                    yield _checked(parquet.read())
                for batch in parquet.iter_batches(batch_size=chunk_rows):
                    yield _checked(pa.Table.from_batches([batch]))
        elif form == "arrow":
            with _native(file) as native:
                table = pa.ipc.open_file(native).read_all()
            yield from _slices(_checked(table), chunk_rows)
        else:
            for table in text_tables(file, names, separator=separator, notes=notes):
                yield from _slices(table, chunk_rows)
                require_unchanged()  # a log that grows as fast as it is read would have no end


def _is_path(source: Source) -> bool:
    return isinstance(source, str | Path)


def _is_file_list(source: Source) -> bool:
    return isinstance(source, list | tuple) and all(_is_path(part) for part in source)


# ---- in memory


def _in_memory(source: Source) -> pa.Table:
    try:
        if isinstance(source, pa.Table):
            table = source
        elif isinstance(source, Mapping):
            table = _of_columns(source)
        elif hasattr(source, "__arrow_c_stream__"):
            table = _of_frame(source)
        elif isinstance(source, Sequence) and all(isinstance(row, Mapping) for row in source):
            table = _of_rows(source)
        else:
            raise DataError(
                f"cannot read rows from a {type(source).__name__}; expected a path, a data frame, "
                "an Arrow table, a dict of columns or a list of dicts"
            )
    except DataError:
        raise  # a ValueError too, but it says already what is wrong
    except _NOT_A_TABLE as error:
        raise DataError(f"the {type(source).__name__} cannot be read as a table: {error}") from error
    return _checked(table)


def _of_frame(frame: Any) -> pa.Table:
    try:
        table = pa.RecordBatchReader.from_stream(frame).read_all()
    except _NOT_A_TABLE:
        if not (hasattr(frame, "items") and hasattr(frame, "columns")):
            raise
        # A pandas column of Python objects may mix types, which Arrow refuses as a whole.
        columns = list(frame.items())
        require_distinct([str(name) for name, _ in columns])
        return _of_columns({str(name): column for name, column in columns})
    # pandas sends an index along that is not simply 0, 1, 2, …; it is no column of the user's.
    index = [n for n in table.column_names if re.fullmatch(r"__index_level_\d+__", n)]
    return table.drop_columns(index) if index else table


def _of_rows(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, list[Any]] = {}
    for name in names:
        try:
            columns[name] = [row[name] for row in rows]
        except KeyError:
            number, row = next((i, row) for i, row in enumerate(rows, start=1) if name not in row)
            raise DataError(
                f"row {number} has no '{name}'; give None for a missing value ({suggest(str(name), map(str, row))})"
            ) from None
    return _of_columns(columns)


def _of_columns(columns: Mapping[str, Any]) -> pa.Table:
    for name, values in columns.items():
        if not isinstance(name, str):
            raise DataError(f"column names must be text, got {name!r}")
        if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
            raise DataError(
                f"column '{name}': expected a list of values, got {values!r:.60}; a dict holds whole columns, "
                "and a single row is given as a list of one dict"
            )
    return pa.table({name: _column(name, values) for name, values in columns.items()})


def _column(name: str, values: Any) -> pa.Array | pa.ChunkedArray:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    try:
        return pa.array(values, from_pandas=True)
    except _NOT_A_TABLE:
        pass  # mixed types, or whole numbers beyond 64 bits: tokens hold them
    try:
        if all(isinstance(value, _LISTS) or is_missing(value) for value in values):
            lists = [None if is_missing(value) else [token(element) for element in value] for value in values]
            return pa.array(lists, pa.list_(pa.string()))
        row = next((i for i, value in enumerate(values, start=1) if isinstance(value, _LISTS)), None)
        if row is not None:
            raise DataError(f"row {row} holds a list and others do not; give a list, or None, in every row")
        return pa.array([token(value) for value in values], pa.string())
    except (DataError, *_NOT_A_TABLE) as error:
        raise DataError(f"column '{name}': {error}") from error


# ---- files


def _open(source: str | Path) -> io.BufferedReader:
    if str(source) == "-":
        data = sys.stdin.buffer.read()
        if not data:
            raise DataError("it is empty (it can be read only once)")
        return cast(io.BufferedReader, io.BytesIO(data))
    path = expanded(source)
    if path.is_dir():
        raise DataError("it is a directory; name the files in it")
    file = path.open("rb")
    if file.seekable():
        return file
    # Formats are told by their beginning, and some have a footer; a pipe cannot go back, so it is taken in whole.
    with file:
        return cast(io.BufferedReader, io.BytesIO(file.read()))


def _native(file: io.BufferedReader) -> pa.NativeFile:
    """The same file, opened by Arrow: its threads would give back Python's file when Python may have ended already."""
    if isinstance(file, io.BytesIO):
        return pa.BufferReader(arrow_owned(file.getbuffer()))
    # Not mapped into memory: a file that is cut short while it is read would then end the process.
    native = pa.OSFile(os.fsencode(file.name))
    if not os.path.samestat(Path(file.name).stat(), os.fstat(file.fileno())):
        native.close()
        raise DataError(_CHANGED)
    return native


def _form(file: io.BufferedReader) -> str:
    """The form of a file by its first bytes."""
    magic = file.read(8)
    file.seek(0)
    if magic[:4] == b"PAR1":
        return "parquet"
    return "arrow" if magic == b"ARROW1\0\0" else "text"


@contextmanager
def _reading(source: str | Path) -> Iterator[tuple[io.BufferedReader, Callable[[], None]]]:
    """The open file, and what checks that nobody has changed it; all that can go wrong becomes a DataError."""
    name = "standard input" if str(source) == "-" else str(source)
    try:
        with _open(source) as file:
            before = _state(file)

            def require_unchanged() -> None:
                if _state(file) != before:
                    raise DataError(_CHANGED)

            try:
                yield file, require_unchanged
            except FieldwiseError:
                require_unchanged()
                raise
            except (pa.ArrowException, OSError, EOFError, zlib.error) as error:
                require_unchanged()
                raise DataError(_complaint(file, error)) from error
            require_unchanged()
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    except FileNotFoundError as error:
        raise DataError(f"{name}: there is no such file") from error
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}") from error


def _complaint(file: io.BufferedReader, error: BaseException) -> str:
    """What is wrong with a file that could not be read, as one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = (str(error) or type(error).__name__).splitlines()[0]
    if _start_of(file) == "parquet":
        text = re.sub(r"^Could not open Parquet input source '.*?': ", "", text)
        return f"it begins like a Parquet file, but cannot be read as one: {text}"
    return text


def _start_of(file: io.BufferedReader) -> str:
    file.seek(0)
    return _form(file)


def _state(file: io.BufferedReader) -> tuple[int, int] | None:
    """Size and time of the last change of an open file, None for what was taken in from a pipe."""
    if isinstance(file, io.BytesIO):
        return None
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _checked(table: pa.Table) -> pa.Table:
    require_distinct(table.column_names)
    for i, column in enumerate(table.columns):
        plain = plain_column(column)
        if plain is not column:
            table = table.set_column(i, table.column_names[i], plain)
    return table


def _require_same_columns(first: Any, expected: pa.Table, path: Any, table: pa.Table) -> None:
    missing = [c for c in expected.column_names if c not in table.column_names]
    added = [c for c in table.column_names if c not in expected.column_names]
    if missing or added:
        what = f"lacks column '{missing[0]}' of" if missing else f"has column '{added[0]}', which is not in"
        raise DataError(f"{path} {what} {first}; files that are read together need the same columns")


def _slices(table: pa.Table, rows: int) -> Iterator[pa.Table]:
    # An empty table is one piece, so that its columns are still seen.
    for start in range(0, max(table.num_rows, 1), rows):
        yield table.slice(start, rows)
