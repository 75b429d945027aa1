r"""JSON as tables: one object a line, or one list of objects.

columns     the names of all objects, in order of first appearance; what an object lacks is missing
scalars     are text, as in a CSV file, numbers with the digits that are written
objects     within objects give columns of their own: {"user": {"id": 7}} has the column `user.id`
lists       of scalars are lists; any other list is its JSON text
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from fieldwise.columns.compression import decompressed
from fieldwise.errors import DataError

ROWS = 65_536
"""Rows of a piece."""

Cell = str | list[str | None] | None
Record = dict[str, Cell]


def begins_like_json(start: bytes) -> bool:
    """Whether a text begins with an object, or with a list of objects.

    Example:
        >>> begins_like_json(b'{"user": 1}'), begins_like_json(b'[ {"user": 1}]'), begins_like_json(b"user,item")
        (True, True, False)
    """
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    return (text[:1] == b"{" and text[1:].lstrip()[:1] in (b'"', b"}")) or (
        text[:1] == b"[" and text[1:].lstrip()[:1] == b"{"
    )


def json_tables(file: io.BufferedReader) -> Iterator[pa.Table]:
    r"""The objects of a file in pieces.

    The file is read twice, for the last line may have a name that no other has.

    Args:
        file: open, at any place; may be compressed.

    Yields:
        At least one piece, all with the same columns: text, or lists of text.

    Raises:
        DataError: a line is no object; the message has its number.
        OSError, EOFError, zlib.error: a decompressor cannot read the file.

    Example:
        >>> file = io.BytesIO(b'{"user": "ann", "tags": ["a", "b"]}\n{"user": 7}\n')
        >>> [piece.to_pydict() for piece in json_tables(file)]
        [{'user': ['ann', '7'], 'tags': [['a', 'b'], None]}]
    """
    lists: dict[str, bool] = {}
    for record in _records(file):
        for name, cell in record.items():
            lists[name] = lists.get(name, False) or isinstance(cell, list)
    if not lists:
        raise DataError("its objects are empty: there are no columns")
    piece: list[Record] = []
    empty = True
    for record in _records(file):
        piece.append(record)
        if len(piece) == ROWS:
            yield _table(piece, lists)
            piece, empty = [], False
    if piece or empty:
        yield _table(piece, lists)


def _table(records: list[Record], lists: dict[str, bool]) -> pa.Table:
    columns = {}
    for name, is_list in lists.items():
        cells: Iterable[Any] = (record.get(name) for record in records)
        if is_list:
            cells = [[cell] if isinstance(cell, str) else cell for cell in cells]
        columns[name] = pa.array(list(cells), pa.list_(pa.string()) if is_list else pa.string())
    return pa.table(columns)


def _records(file: io.BufferedReader) -> Iterator[Record]:
    text = decompressed(file)
    lines = io.TextIOWrapper(io.BufferedReader(_Unclosed(text)), encoding="utf-8-sig", errors="strict")
    number = 0
    try:
        for number, line in enumerate(lines, start=1):
            if number == 1 and line.lstrip()[:1] == "[":
                yield from _of_list(line + lines.read())
                return
            if line.strip():
                yield _record(_parse(line, f"line {number}"), f"line {number}")
    except UnicodeDecodeError:
        raise DataError(f"line {number + 1} or one soon after it is not UTF-8 text") from None


def _of_list(text: str) -> Iterator[Record]:
    for number, element in enumerate(_parse(text, "it"), start=1):
        yield _record(element, f"element {number}")


def _parse(text: str, where: str) -> Any:
    try:
        # Numbers keep their digits, as in a CSV file.
        return json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is no JSON: {error}") from None


def _record(value: Any, where: str) -> Record:
    if not isinstance(value, dict):
        raise DataError(f"{where} is no JSON object; expected one object with the columns' names per line")
    record: Record = {}
    _flatten(value, "", record)
    return record


def _flatten(value: dict[str, Any], prefix: str, record: Record) -> None:
    for name, inner in value.items():
        if isinstance(inner, dict) and inner:
            _flatten(inner, f"{prefix}{name}.", record)
        else:
            record[prefix + name] = _cell(inner)


def _cell(value: Any) -> Cell:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and not any(isinstance(element, list | dict) for element in value):
        return [_text(element) for element in value]
    return json.dumps(value, ensure_ascii=False) if value else None


def _text(value: Any) -> str | None:
    cell = _cell(value)
    return None if isinstance(cell, list) else cell


class _Unclosed(io.RawIOBase):
    """A file for `TextIOWrapper`, which would close it in the end."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data: bytes = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
