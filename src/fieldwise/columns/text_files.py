"""Text files (CSV, TSV, also compressed) as Arrow tables in which every column is text.

    separator     comma, tab or semicolon, whichever is most frequent in the first line
    quotes        a cell in double quotes may hold separators, line ends and doubled quotes
    empty lines   are skipped, at the beginning, in between and at the end, in a file of one column too
    encoding      UTF-8, with or without a byte order mark; line ends of any system
    zero bytes    are refused: a file that holds them is not text

What a column means is the schema's business; guessing types here would lose leading zeros and large integers.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.csv

from fieldwise.errors import DataError

SEGMENT_BYTES = 1 << 22
"""How much text is parsed at a time, cut at the end of a row."""

LONGEST_ROW = 1 << 26
"""A row may be that long, in bytes; beyond it a quote was probably never closed."""

_SNIFF_BYTES = 1 << 16
_LONGEST_HEADER = 1 << 24
_SEPARATORS = ",\t;"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")


@dataclass(frozen=True)
class _Header:
    """The first line that is not empty: its cells, and where it begins and ends, in bytes of the text."""

    cells: list[str]
    separator: str
    begin: int
    end: int


def text_tables(file: io.BufferedReader, names: Sequence[str] | None) -> Iterator[pa.Table]:
    r"""The rows of a text file in pieces of a few megabytes.

    Args:
        file: open, at any place.
        names: the column names of a file without a header line.

    Yields:
        At least one piece, an empty one for a header alone; every column is text.

    Raises:
        DataError: the file is no text, or its first line does not fit `names`.
        pyarrow.ArrowInvalid, OSError, EOFError, zlib.error: Arrow or a decompressor cannot read the rows; `bad_line`
            then finds the line.

    Example:
        >>> [piece.to_pydict() for piece in text_tables(io.BytesIO(b"user,price\nann,1.50\n"), None)]
        [{'user': ['ann'], 'price': ['1.50']}]
    """
    header = _read_header(file)
    if names is not None and len(names) != len(header.cells):
        raise DataError(f"{len(names)} names are given, but the first line has {len(header.cells)} columns")
    columns = list(header.cells if names is None else names)
    require_distinct(columns)
    text = _decompressed(file)
    text.read(header.end if names is None else header.begin)
    empty = True
    for segment in _segments(file, text, header.separator):
        if segment.strip(b"\r\n"):
            empty = False
            yield _parse(segment, columns, header.separator)
    if empty:
        yield pa.table({name: pa.array([], pa.string()) for name in columns})


def arrow_owned(data: bytes | memoryview) -> pa.Buffer:
    """A copy of some bytes in memory of Arrow's own.

    Arrow's threads keep what they read for a moment longer than the call that had them read it. Where that belongs to
    Python and Python is about to end, giving it back aborts the process.

    Args:
        data: what Arrow is to read in its threads.

    Returns:
        The copy.

    Example:
        >>> arrow_owned(b"user,price").to_pybytes()
        b'user,price'
    """
    buffer = pa.allocate_buffer(len(data))
    memoryview(buffer).cast("B")[:] = data
    return buffer


def bad_line(file: io.BufferedReader) -> str | None:
    r"""What is wrong with the first bad line.

    Bad is a line that is not UTF-8, has more or fewer cells than the first, or opens a quote that is never closed.

    Args:
        file: open, at any place.

    Returns:
        A few words with the number of the line; None where no line is bad.

    Example:
        >>> bad_line(io.BytesIO(b"user,price\nann,1.50\nbob\n"))
        'line 3 has 1 columns where 2 were expected'
    """
    header = _read_header(file)

    def lines() -> Iterator[str]:
        for number, line in enumerate(_lines(_decompressed(file)), start=1):
            try:
                yield line.decode()
            except UnicodeDecodeError:
                raise _not_utf8(f"line {number}") from None

    reader = csv.reader(lines(), delimiter=header.separator, strict=True)
    before = 0
    try:
        for cells in reader:
            if cells and len(cells) != len(header.cells):
                return f"line {reader.line_num} has {len(cells)} columns where {len(header.cells)} were expected"
            before = reader.line_num
    except csv.Error as error:  # else Python's reader has limits that Arrow's has not
        return f"a quote that opens in line {before + 1} is not closed" if "end of data" in str(error) else None
    return None


def _lines(text: Any) -> Iterator[bytes]:
    """The lines of a text with line ends of any system, which a file itself would only cut at line feeds."""
    rest = b""
    while data := text.read(SEGMENT_BYTES):
        lines = (rest + data).splitlines(keepends=True)
        rest = lines.pop()  # perhaps half a line, or half a line end
        yield from lines
    if rest:
        yield rest


def require_distinct(columns: Sequence[str]) -> None:
    """Refuse columns that cannot be told apart.

    Args:
        columns: their names.

    Raises:
        DataError: a column has no name, or two have the same.
    """
    seen = set()
    for i, column in enumerate(columns):
        if column in seen:
            raise DataError(f"two columns are called '{column}'; rename one, or give all names (--names)")
        if not column.strip():
            raise DataError(f"column {i + 1} has no name; the first line must hold the column names (or give --names)")
        seen.add(column)


def _segments(file: io.BufferedReader, text: Any, separator: str) -> Iterator[bytes]:
    """The text in pieces of whole rows. Raises DataError for what Arrow would let pass: zero bytes, open quotes.

    Arrow could cut the text itself. But it would read ahead in a thread, which calls into Python while Python may be
    waiting for it; drop a line end whose two characters fall into two blocks, in quoted cells too; and refuse rows
    longer than a block.
    """
    rows = _whole_rows(separator)
    rest = b""
    while data := text.read(max(SEGMENT_BYTES, len(rest))):  # as much again, or long rows were looked through often
        _require_text(data)
        data = rest + data
        end = _end_of(rows, data) if b'"' in data else _last_line_end(data)
        if end:
            yield data[:end]
        elif len(data) > LONGEST_ROW:
            raise DataError(f"a row is longer than {LONGEST_ROW >> 20} MB; is a quote not closed?")
        rest = data[end:]
    if _end_of(rows, rest + b"\n") <= len(rest):
        # Arrow would close the quote at the end of the file, however many lines it has swallowed.
        raise DataError(bad_line(file) or "a quote is not closed")
    yield rest


def _end_of(rows: re.Pattern[bytes], data: bytes) -> int:
    """Where the last whole row of some text ends, 0 where it holds none."""
    match = rows.match(data)
    return 0 if match is None else match.end()


def _whole_rows(separator: str) -> re.Pattern[bytes]:
    """Matches as many whole rows as a text begins with. A quote opens a cell only where the cell begins."""
    end = re.escape(separator.encode())
    cell = rb'(?:"[^"]*+(?:""[^"]*+)*+"|(?!"))[^%b\r\n]*+' % end
    return re.compile(rb"(?:%b(?:%b%b)*+(?:\r\n|\n|\r(?!\n|\Z)))*+" % (cell, end, cell))


def _last_line_end(data: bytes) -> int:
    """Where the last whole line of a text without quotes ends; a carriage return at the end may be half an end."""
    return max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1


def _parse(rows: bytes, columns: list[str], separator: str) -> pa.Table:
    if rows.startswith(_BYTE_ORDER_MARK):
        rows = b"\n" + rows  # Arrow drops the mark at the very beginning, where it is part of a cell by now
    return pa.csv.read_csv(
        pa.BufferReader(arrow_owned(rows)),
        pa.csv.ReadOptions(column_names=columns, block_size=len(rows) + 1),
        pa.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        pa.csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False),
    )


def _require_text(data: bytes) -> None:
    if b"\0" in data:
        raise DataError("it is neither text nor Parquet nor Arrow (it holds zero bytes)")


def _read_header(file: io.BufferedReader) -> _Header:
    text = _decompressed(file)
    start = text.read(_SNIFF_BYTES)
    if start.startswith(_UTF_16):
        raise DataError(
            "it is UTF-16 text; convert the file first, for example with: iconv -f utf-16 -t utf-8 IN > OUT"
        )
    _require_text(start)
    while len(start.strip().splitlines()) < 2 and len(start) < _LONGEST_HEADER and (more := text.read(_SNIFF_BYTES)):
        start += more
    begin = len(_BYTE_ORDER_MARK) if start.startswith(_BYTE_ORDER_MARK) else 0
    lines = start[begin:].splitlines(keepends=True)
    while lines and not lines[0].strip():
        begin += len(lines.pop(0))
    if not lines:
        raise DataError("the file is empty")
    try:
        separator = max(_SEPARATORS, key=re.sub(r'"[^"]*"', "", lines[0].decode()).count)
        reader = csv.reader((line.decode() for line in lines), delimiter=separator)
        cells = next(reader)
    except UnicodeDecodeError:
        raise _not_utf8("the first line") from None
    except csv.Error as error:
        raise DataError(f"the first line cannot be read ({error}); is a quote not closed?") from None
    if reader.line_num == len(lines) > 1 and "\n" in cells[-1]:
        raise DataError("a quote that opens in the first line is not closed")
    return _Header(cells, separator, begin, begin + sum(map(len, lines[: reader.line_num])))


def _decompressed(file: io.BufferedReader) -> Any:
    """The text from its beginning."""
    file.seek(0)
    magic = file.read(10)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    return bz2.BZ2File(file) if _BZIP2.match(magic) else file


def _not_utf8(where: str) -> DataError:
    return DataError(
        f"{where} is not UTF-8 text; convert the file first, for example with: iconv -f latin1 -t utf-8 IN > OUT"
    )
