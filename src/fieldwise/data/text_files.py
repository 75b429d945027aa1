"""Text files (CSV, TSV, also compressed) as Arrow batches in which every column is text.

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
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.csv

from fieldwise.errors import DataError

BLOCK_SIZES = (1 << 20, 1 << 26)
"""Bytes that Arrow parses at a time. A row must fit into one block; the second size is for rows that do not."""

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


def text_batches(file: io.BufferedReader, names: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    """The rows of a text file, at least one batch (an empty one for a header alone).

    names: the column names of a file without a header line. Raises DataError, or what Arrow and the decompressors
    raise; `bad_line` then finds the line.
    """
    header = _read_header(file)
    if names is not None and len(names) != len(header.cells):
        raise DataError(f"{len(names)} names are given, but the first line has {len(header.cells)} columns")
    columns = list(header.cells if names is None else names)
    require_distinct(columns)
    seen = 0
    for block_size in BLOCK_SIZES:
        try:
            for batch in _parse(file, header, columns, has_header=names is None, block_size=block_size, skip=seen):
                seen += batch.num_rows
                yield batch
            return
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error):
                raise
    raise DataError(f"a row is longer than {BLOCK_SIZES[-1] >> 20} MB; is a quote not closed?")


def bad_line(file: io.BufferedReader) -> str | None:
    """What is wrong with the first bad line, None where none is found.

    Bad is a line that is not UTF-8, has more or fewer cells than the first, or opens a quote that is never closed.
    """
    header = _read_header(file)

    def lines() -> Iterator[str]:
        for number, line in enumerate(_decompressed(file), start=1):
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


def require_distinct(columns: Sequence[str]) -> None:
    """Raise DataError where a column has no name or two have the same."""
    seen = set()
    for i, column in enumerate(columns):
        if column in seen:
            raise DataError(f"two columns are called '{column}'; rename one, or give all names (--names)")
        if not column.strip():
            raise DataError(f"column {i + 1} has no name; the first line must hold the column names (or give --names)")
        seen.add(column)


class _Text:
    """What Arrow reads from: the text, looked through for what Arrow lets pass: zero bytes and a quote left open.

    No piece ends within the two characters of a Windows line end: Arrow would drop the second, in quoted cells too.
    Arrow reads ahead in a thread of its own, which may go on when its reader has failed: `end` stops it, so that the
    file can be read anew.
    """

    closed = False

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.quotes = 0
        self.held = b""
        self.ended = False
        self.lock = threading.Lock()

    def read(self, size: int) -> bytes:
        with self.lock:
            data: bytes = b"" if self.ended else self.held + self.stream.read(size - len(self.held))
        self.held = b"\r" if data.endswith(b"\r") and len(data) > 1 else b""
        data = data.removesuffix(self.held)
        if b"\0" in data:
            raise DataError("it is neither text nor Parquet nor Arrow (it holds zero bytes)")
        self.quotes += data.count(b'"')
        return data

    def end(self) -> None:
        with self.lock:
            self.ended = True

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        pass  # the file is its opener's to close


def _parse(
    file: io.BufferedReader, header: _Header, columns: list[str], *, has_header: bool, block_size: int, skip: int
) -> Iterator[pa.RecordBatch]:
    """The batches of the rows from number `skip` on."""
    text = _Text(_decompressed(file))
    text.read(header.end if has_header else header.begin)
    rows, last = 0, pa.record_batch([pa.array([], pa.string())] * len(columns), names=columns)
    try:
        reader = pa.csv.open_csv(
            text,
            pa.csv.ReadOptions(column_names=columns, block_size=block_size),
            # A quoted line end may come late in the file, where looking at its beginning does not tell.
            pa.csv.ParseOptions(delimiter=header.separator, newlines_in_values=True),
            pa.csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False),
        )
        for batch in reader:
            rows += batch.num_rows
            last = batch if batch.num_rows else last
            if rows > skip:
                yield batch.slice(max(0, skip - (rows - batch.num_rows)))
    except pa.ArrowInvalid as error:
        if "Empty CSV file" not in str(error):
            raise
    finally:
        text.end()
    if not rows:
        yield last
    # Arrow closes an open quote at the end of the file, however many lines it has swallowed.
    elif text.quotes % 2 and "\n" in last.column(len(columns) - 1)[-1].as_py() and (wrong := bad_line(file)):
        raise DataError(wrong)


def _read_header(file: io.BufferedReader) -> _Header:
    text = _Text(_decompressed(file))
    start = text.stream.read(_SNIFF_BYTES)
    if start.startswith(_UTF_16):
        raise DataError(
            "it is UTF-16 text; convert the file first, for example with: iconv -f utf-16 -t utf-8 IN > OUT"
        )
    if b"\0" in start:
        raise DataError("it is neither text nor Parquet nor Arrow (it holds zero bytes)")
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
