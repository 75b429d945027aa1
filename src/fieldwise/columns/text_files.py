"""Text files (CSV, TSV and their like, also compressed) as Arrow tables in which every column is text.

    separators, quotes    see `fieldwise.columns.dialects`
    empty lines           are skipped, at the beginning, in between and at the end, in a file of one column too
    encoding              UTF-8, with or without a byte order mark; line ends of any system
    zero bytes            are refused: a file that holds them is not text
    other forms           JSON, libsvm and libffm are told by their first lines

What a column means is the schema's business; guessing types here would lose leading zeros and large integers.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from fieldwise.columns.compression import decompressed
from fieldwise.columns.dialects import (
    Dialect,
    doubled_quotes,
    names_separator,
    not_utf8,
    read_dialect,
    separator_of,
    whole_rows,
)
from fieldwise.columns.json_lines import begins_like_json, json_tables
from fieldwise.columns.native import arrow_owned
from fieldwise.columns.sparse_text import sparse_form, sparse_tables
from fieldwise.errors import DataError
from fieldwise.wording import argument

SEGMENT_BYTES = 1 << 22
"""How much text is parsed at a time, cut at the end of a row."""

LONGEST_ROW = 1 << 26
"""A row may be that long, in bytes; beyond it a quote was probably never closed."""

_SNIFF_BYTES = 1 << 16
_LONGEST_HEADER = 1 << 24
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_INDEX_LEFT_OUT = "the first column has no name and numbers the rows, as a data frame's index does: it is left out"


def text_tables(
    file: io.BufferedReader,
    names: Sequence[str] | None,
    *,
    separator: str | None = None,
    notes: list[str] | None = None,
) -> Iterator[pa.Table]:
    r"""The rows of a text file in pieces of a few megabytes.

    Args:
        file: open, at any place.
        names: the column names of a file without a header line.
        separator: what separates cells; None: it is found.
        notes: takes in what was left out.

    Yields:
        At least one piece, an empty one for a header alone; every column is text.

    Raises:
        DataError: the file is no text, its first line does not fit `names`, or a line does not fit the first.
        SettingsError: `separator` is none.
        OSError, EOFError, zlib.error: a decompressor cannot read the rows.

    Example:
        >>> [piece.to_pydict() for piece in text_tables(io.BytesIO(b"user,price\nann,1.50\n"), None)]
        [{'user': ['ann'], 'price': ['1.50']}]
    """
    if names is None and separator is None:
        start = decompressed(file).read(_SNIFF_BYTES)
        if begins_like_json(start):
            yield from json_tables(file)
            return
        if (form := sparse_form(start)) is not None:
            yield from sparse_tables(file, form, text_lines)
            return
    dialect = _sniff(file, names, separator)
    columns = _columns(dialect, names)
    text = decompressed(file)
    text.read(dialect.end if names is None else dialect.begin)
    index: bool | None = None if dialect.index and names is None else False
    empty = True
    for segment, known in _segments(file, text, dialect):
        if segment.strip(b"\r\n"):
            empty = False
            try:
                table = _parse(segment, columns, known)
            except pa.ArrowInvalid as error:
                raise DataError(_bad_line(file, known) or str(error).splitlines()[0]) from error
            if index is None:  # by the first piece alone: a whole column of numbers would have to be remembered
                index = _is_index(table[0])
                if index and notes is not None:
                    notes.append(_INDEX_LEFT_OUT)
            elif index and not _is_index(table[0]):
                raise DataError("the first column has no name; the first line must hold the column names")
            yield _only_wanted(table, index=index, trailing=dialect.trailing)
    if empty:
        nothing = pa.Table.from_arrays([pa.array([], pa.string())] * len(columns), names=columns)
        yield _only_wanted(nothing, index=dialect.index and names is None, trailing=dialect.trailing)


def _columns(dialect: Dialect, names: Sequence[str] | None) -> list[str]:
    """The names of all columns; what is behind the last separator gets a number."""
    named = dialect.cells[: len(dialect.cells) - dialect.trailing]
    if names is not None and len(names) != len(named):
        raise DataError(f"{len(names)} names are given, but the first line has {len(named)} columns")
    columns = list(named if names is None else names)
    return [*columns, _free_name(columns)] if dialect.trailing else columns


def _free_name(names: Sequence[str]) -> str:
    return next(name for name in map(str, range(len(names) + 1)) if name not in names)


def _is_index(cells: pa.ChunkedArray) -> bool:
    numbers: bool = pc.all(pc.match_substring_regex(cells, r"^[0-9]+$")).as_py()
    return numbers and len(pc.unique(cells)) == len(cells)


def _only_wanted(table: pa.Table, *, index: bool, trailing: bool) -> pa.Table:
    """The table without an index, and without what is behind a last separator; an error where that is not empty."""
    if trailing:
        if pc.any(pc.not_equal(table[-1], "")).as_py():
            last = table.column_names[-2]
            raise DataError(f"the column after '{last}' has no name; the first line must hold the column names")
        table = table.remove_column(table.num_columns - 1)
    return table.remove_column(0) if index else table


def _bad_line(file: io.BufferedReader, dialect: Dialect) -> str | None:
    """What is wrong with the first bad line, with its number; None where no line is bad.

    Bad is a line that is not UTF-8, has more or fewer cells than the first, or opens a quote that is never closed.
    """

    def lines() -> Iterator[str]:
        for number, line in enumerate(text_lines(decompressed(file)), start=1):
            try:
                text = line.decode()
            except UnicodeDecodeError:
                raise not_utf8(f"line {number}") from None
            yield "\n" if number == 1 and names_separator(line.removeprefix(_BYTE_ORDER_MARK)) else text

    expected = len(dialect.cells)
    hint = f" (cells seem to be separated by {dialect.separator!r}; if not, give {argument('separator', 'CHAR')})"
    hint = hint if dialect.found else ""
    if not dialect.quotes:
        for number, line in enumerate(lines(), start=1):
            text = line.rstrip("\r\n")
            if text and (count := len(text.split(dialect.separator))) != expected:
                return f"line {number} has {count} columns where {expected} were expected{hint}"
        return None
    escape = "\\" if dialect.escapes else None
    reader = csv.reader(lines(), delimiter=dialect.separator, escapechar=escape, strict=True)
    before = 0
    try:
        for cells in reader:
            if cells and len(cells) != expected:
                return f"line {reader.line_num} has {len(cells)} columns where {expected} were expected{hint}"
            before = reader.line_num
    except csv.Error as error:  # else Python's reader has limits that Arrow's has not
        return f"a quote that opens in line {before + 1} is not closed" if "end of data" in str(error) else None
    return None


def text_lines(text: Any) -> Iterator[bytes]:
    """The lines of a text with line ends of any system, which a file itself would only cut at line feeds."""
    rest = b""
    while data := text.read(SEGMENT_BYTES):
        lines = (rest + data).splitlines(keepends=True)
        rest = lines.pop()  # perhaps half a line, or half a line end
        yield from lines
    if rest:
        yield rest


def _segments(file: io.BufferedReader, text: Any, dialect: Dialect) -> Iterator[tuple[bytes, Dialect]]:
    """The text in pieces of whole rows, with what is known of its layout by then.

    Raises DataError for what Arrow would let pass: zero bytes, open quotes.

    Arrow could cut the text itself. But it would read ahead in a thread, which calls into Python while Python may be
    waiting for it; drop a line end whose two characters fall into two blocks, in quoted cells too; and refuse rows
    longer than a block.
    """
    rows = whole_rows(dialect)
    rest = b""
    while data := text.read(max(SEGMENT_BYTES, len(rest))):  # as much again, or long rows were looked through often
        _require_text(data)
        data = rest + data
        if (known := dialect.knowing(data)) is not dialect:
            dialect, rows = known, whole_rows(known)
        end = _end_of(rows, data) if dialect.quotes and b'"' in data else _last_line_end(data)
        if end:
            yield data[:end], dialect
        elif len(data) > LONGEST_ROW:
            raise DataError(f"a row is longer than {LONGEST_ROW >> 20} MB; is a quote not closed?")
        rest = data[end:]
    if dialect.quotes and _end_of(rows, rest + b"\n") <= len(rest):
        # Arrow would close the quote at the end of the file, however many lines it has swallowed.
        raise DataError(_bad_line(file, dialect) or "a quote is not closed")
    yield rest, dialect


def _end_of(rows: re.Pattern[bytes], data: bytes) -> int:
    """Where the last whole row of some text ends, 0 where it holds none."""
    match = rows.match(data)
    return 0 if match is None else match.end()


def _last_line_end(data: bytes) -> int:
    """Where the last whole line of a text without quotes ends; a carriage return at the end may be half an end."""
    return max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1


def _parse(rows: bytes, columns: list[str], dialect: Dialect) -> pa.Table:
    separator = dialect.separator
    if dialect.escapes:
        rows = doubled_quotes(rows, separator)
    if len(separator) > 1 or not separator.isascii():  # Arrow knows separators of one byte
        stand_in = next(c for c in (b"\x1f", b"\x1e", b"\x1d", b"\x1c") if c not in rows)
        rows, separator = rows.replace(separator.encode(), stand_in), stand_in.decode()
    if rows.startswith(_BYTE_ORDER_MARK):
        rows = b"\n" + rows  # Arrow drops the mark at the very beginning, where it is part of a cell by now
    quotes = '"' if dialect.quotes else False
    return pa.csv.read_csv(
        pa.BufferReader(arrow_owned(rows)),
        pa.csv.ReadOptions(column_names=columns, block_size=len(rows) + 1),
        pa.csv.ParseOptions(delimiter=separator, quote_char=quotes, newlines_in_values=dialect.quotes),
        pa.csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False),
    )


def _require_text(data: bytes) -> None:
    if b"\0" in data:
        raise DataError("it is neither text nor Parquet nor Arrow (it holds zero bytes)")


def _sniff(file: io.BufferedReader, names: Sequence[str] | None, separator: str | None) -> Dialect:
    text = decompressed(file)
    start = text.read(_SNIFF_BYTES)
    if start.startswith(_UTF_16):
        raise DataError(
            "it is UTF-16 text; convert the file first, for example with: iconv -f utf-16 -t utf-8 IN > OUT"
        )
    _require_text(start)
    while len(start.strip().splitlines()) < 2 and len(start) < _LONGEST_HEADER and (more := text.read(_SNIFF_BYTES)):
        start += more
    mark = len(_BYTE_ORDER_MARK) if start.startswith(_BYTE_ORDER_MARK) else 0
    dialect = read_dialect(
        start[mark:],
        whole=not text.read(1),
        width=None if names is None else len(names),
        separator=None if separator is None else separator_of(separator),
    )
    return replace(dialect, begin=dialect.begin + mark, end=dialect.end + mark)
