"""Reading whatever holds rows into an Arrow table: files, standard input, data frames, Python lists.

Text files (CSV, TSV, also compressed) are read with every column as text. What a column means is the schema's
business; guessing types here would lose leading zeros and large integers.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import re
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from fieldwise.errors import DataError

Source = Any
"""A path, "-" for standard input, a sequence of paths, a data frame (anything with the Arrow PyCapsule
interface), an Arrow table, a dict of columns, or a list of dicts."""

CHUNK_ROWS = 65_536
_SNIFF_BYTES = 1 << 16
_SEPARATORS = ",\t;"


def read_table(source: Source, *, names: Sequence[str] | None = None) -> pa.Table:
    """Read a source whole. names: the column names of a text file that has no header line.

    Raises DataError, naming the file (and the line, where it is known), for anything that cannot be read.
    """
    if _is_file_list(source):
        tables = [read_table(part, names=names) for part in source]
        if not tables:
            raise DataError("no source was given")
        for path, table in zip(source, tables, strict=True):
            _require_same_columns(source[0], tables[0], path, table)
        return pa.concat_tables(tables, promote_options="permissive")
    if not _is_path(source):
        return _in_memory(source)
    with _reading(source) as file:
        form, start = _sniff(file)
        if form == "parquet":
            table = pa.parquet.read_table(file)
        elif form == "arrow":
            table = pa.ipc.open_file(file).read_all()
        else:
            table = pa.csv.read_csv(_text_stream(file), *_csv_options(start, names))
        return _checked(table)


def iter_tables(
    source: Source, *, names: Sequence[str] | None = None, chunk_rows: int = CHUNK_ROWS
) -> Iterator[pa.Table]:
    """Read a source piece by piece, with memory bounded by the piece; the pieces have one set of columns.

    Raises DataError as `read_table` does.
    """
    if _is_file_list(source):
        for part in source:
            yield from iter_tables(part, names=names, chunk_rows=chunk_rows)
        return
    if not _is_path(source):
        yield from _slices(_in_memory(source), chunk_rows)
        return
    with _reading(source) as file:
        form, start = _sniff(file)
        if form == "parquet":
            for batch in pa.parquet.ParquetFile(file).iter_batches(batch_size=chunk_rows):
                yield _checked(pa.Table.from_batches([batch]))
        elif form == "arrow":
            yield from _slices(_checked(pa.ipc.open_file(file).read_all()), chunk_rows)
        else:
            for batch in pa.csv.open_csv(_text_stream(file), *_csv_options(start, names)):
                yield from _slices(_checked(pa.Table.from_batches([batch])), chunk_rows)


def _is_path(source: Source) -> bool:
    return isinstance(source, str | Path)


def _is_file_list(source: Source) -> bool:
    return isinstance(source, list | tuple) and all(_is_path(part) for part in source)


def _in_memory(source: Source) -> pa.Table:
    try:
        if isinstance(source, pa.Table):
            table = source
        elif isinstance(source, Mapping):
            table = pa.table(dict(source))
        elif hasattr(source, "__arrow_c_stream__"):
            table = pa.RecordBatchReader.from_stream(source).read_all()
            # pandas sends an index along that is not simply 0, 1, 2, …; it is no column of the user's.
            index = [n for n in table.column_names if re.fullmatch(r"__index_level_\d+__", n)]
            table = table.drop_columns(index) if index else table
        elif isinstance(source, Sequence) and all(isinstance(row, Mapping) for row in source):
            table = pa.Table.from_pylist([dict(row) for row in source])
        else:
            raise DataError(
                f"cannot read rows from a {type(source).__name__}; expected a path, a data frame, "
                "an Arrow table, a dict of columns or a list of dicts"
            )
    except (pa.ArrowException, TypeError) as error:
        raise DataError(f"the {type(source).__name__} cannot be read as a table: {error}") from error
    return _checked(table)


def _open(source: str | Path) -> io.BufferedReader:
    if str(source) == "-":
        # Formats with a footer need to seek; a pipe cannot, so it is taken in whole.
        return cast(io.BufferedReader, io.BytesIO(sys.stdin.buffer.read()))
    path = Path(source)
    if path.is_dir():
        raise DataError("it is a directory; name the files in it")
    return path.open("rb")


def _sniff(file: io.BufferedReader) -> tuple[str, bytes]:
    """The form of a file by its first bytes, and the beginning of its text."""
    magic = file.read(6)
    file.seek(0)
    if magic[:4] == b"PAR1":
        return "parquet", b""
    if magic == b"ARROW1":
        return "arrow", b""
    start = _text_stream(file).read(_SNIFF_BYTES)
    file.seek(0)
    if not start.strip():
        raise DataError("the file is empty")
    if b"\0" in start:
        raise DataError("it is neither text nor Parquet nor Arrow (it holds zero bytes)")
    return "text", start


def _text_stream(file: io.BufferedReader) -> Any:
    magic = file.read(2)
    file.seek(0)
    if magic == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=file)
    return bz2.BZ2File(file) if magic == b"BZ" else file


def _separator(start: bytes) -> tuple[str, list[str]]:
    """The separator of a text by its first line, the most frequent candidate, and the cells of that line."""
    lines = start.decode("utf-8-sig", errors="replace").splitlines()
    first = next(line for line in lines if line.strip())
    separator = max(_SEPARATORS, key=re.sub(r'"[^"]*"', "", first).count)
    return separator, next(csv.reader([first], delimiter=separator))


def _csv_options(start: bytes, names: Sequence[str] | None) -> tuple[Any, Any, Any]:
    separator, header = _separator(start)
    if names is not None and len(names) != len(header):
        raise DataError(f"{len(names)} names are given, but the first line has {len(header)} columns")
    columns = list(names if names is not None else header)
    _require_distinct(columns)
    return (
        pa.csv.ReadOptions(column_names=columns, skip_rows=0 if names is not None else 1),
        pa.csv.ParseOptions(delimiter=separator, newlines_in_values=b'"' in start),
        pa.csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False),
    )


@contextmanager
def _reading(source: str | Path) -> Iterator[io.BufferedReader]:
    """The open file; whatever can go wrong with it becomes a DataError that names it."""
    name = "standard input" if str(source) == "-" else str(source)
    try:
        with _open(source) as file:
            try:
                yield file
            except pa.ArrowInvalid as error:
                raise DataError(_bad_line(file) or str(error).splitlines()[0]) from error
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    except FileNotFoundError as error:
        raise DataError(f"{name}: there is no such file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    except (pa.ArrowException, EOFError, zlib.error) as error:
        raise DataError(f"{name}: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from error
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}") from error


def _bad_line(file: io.BufferedReader) -> str | None:
    """The first line of a text file that is not UTF-8, or has more or fewer cells than the first; None: none has."""
    file.seek(0)
    form, start = _sniff(file)
    if form != "text":
        return None
    separator, columns = _separator(start)

    def lines() -> Iterator[str]:
        for number, line in enumerate(_text_stream(file), start=1):
            try:
                yield line.decode()
            except UnicodeDecodeError:
                raise DataError(
                    f"line {number} is not UTF-8 text; convert the file first, for example with: "
                    "iconv -f latin1 -t utf-8 IN > OUT"
                ) from None

    reader = csv.reader(lines(), delimiter=separator)
    for cells in reader:
        if cells and len(cells) != len(columns):
            return f"line {reader.line_num} has {len(cells)} columns where {len(columns)} were expected"
    return None


def _checked(table: pa.Table) -> pa.Table:
    _require_distinct(table.column_names)
    return table


def _require_distinct(columns: Sequence[str]) -> None:
    for i, column in enumerate(columns):
        if column in columns[:i]:
            raise DataError(f"two columns are called '{column}'; rename one, or give all names (--names)")
        if not column.strip():
            raise DataError(f"column {i + 1} has no name; the first line must hold the column names (or give --names)")


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
