"""libsvm and libffm files as tables.

    label          the first number of a line, in the column `label`; +1 is 1, and -1 is 0
    qid:7          the column `qid`
    libffm         `field:index:value`: for each field number k a column `field_k` with its indices and a column
                   `field_k_value` with their values, several joined by "|"
    libsvm         `index:value`: the column `features` with the indices of all values of 1, joined by "|"; zeros are
                   left out, and any other value is refused, for each such index would want a column of its own

What inference makes of them is what it makes of any text: one index per row is a category, several are a list, values
that are all 1 are ignored, other values are numbers.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from fieldwise.columns.compression import decompressed
from fieldwise.errors import DataError

ROWS = 65_536
"""Rows of a piece."""

_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_ENTRY = {"libsvm": rf"[0-9]+:{_NUMBER}", "libffm": rf"[0-9]+:[0-9]+:{_NUMBER}"}
_LINE = {
    form: re.compile(rf"{_NUMBER}(?:[ \t]+qid:[0-9]+)?(?:[ \t]+{entry})+[ \t]*(?:#.*)?")
    for form, entry in _ENTRY.items()
}
_LOOK_AT = 5

Row = dict[str, str]


def sparse_form(start: bytes) -> str | None:
    r"""Whether a text is `libsvm` or `libffm`, by its first five lines; None where it is neither.

    Example:
        >>> sparse_form(b"1 0:17:1 1:30:0.5\n0 0:3:1\n"), sparse_form(b"-1 3:1 17:1\n"), sparse_form(b"1 2 3\n")
        ('libffm', 'libsvm', None)
    """
    lines = [line.strip() for line in start.decode("utf-8", "replace").splitlines()[: _LOOK_AT + 1]]
    whole = [line for line in lines[:_LOOK_AT] if line]
    if len(lines) == 1 and not start.endswith(b"\n") and len(start) >= 1 << 16:
        return None
    return next((form for form, line in _LINE.items() if whole and all(map(line.fullmatch, whole))), None)


def sparse_tables(file: io.BufferedReader, form: str, lines: Callable[[Any], Iterator[bytes]]) -> Iterator[pa.Table]:
    r"""The rows of a libsvm or libffm file in pieces.

    The file is read twice, for the last line may have a field that no other has.

    Args:
        file: open, at any place; may be compressed.
        form: `libsvm` or `libffm`.
        lines: cuts a text into its lines.

    Yields:
        Pieces with the same columns, all text.

    Raises:
        DataError: a line is not of that form, or a libsvm value is neither 0 nor 1; the message has its number.
        OSError, EOFError, zlib.error: a decompressor cannot read the file.

    Example:
        >>> file = io.BytesIO(b"1 0:17:1 1:30:0.5\n-1 0:3:1 0:4:1\n")
        >>> [table] = sparse_tables(file, "libffm", lambda text: iter(text))
        >>> table["label"].to_pylist(), table["field_0"].to_pylist(), table["field_1_value"].to_pylist()
        (['1', '0'], ['17', '3|4'], ['0.5', None])
    """
    names: dict[str, None] = {}
    for row in _rows(file, form, lines):
        names.update(dict.fromkeys(row))
    ordered = sorted(names, key=_place)
    piece: list[Row] = []
    for row in _rows(file, form, lines):
        piece.append(row)
        if len(piece) == ROWS:
            yield _table(piece, ordered)
            piece = []
    if piece:
        yield _table(piece, ordered)


def _place(name: str) -> tuple[int, int, str]:
    digits = re.sub(r"[^0-9]", "", name)
    return ("label", "qid").index(name) if name in ("label", "qid") else 2, int(digits or 0), name


def _table(rows: list[Row], names: list[str]) -> pa.Table:
    return pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in names})


def _rows(file: io.BufferedReader, form: str, lines: Callable[[Any], Iterator[bytes]]) -> Iterator[Row]:
    for number, data in enumerate(lines(decompressed(file)), start=1):
        text = data.decode("utf-8", "replace").strip()
        if not text or text.startswith("#"):
            continue
        words = text.split("#")[0].split()
        row = {"label": {"+1": "1", "-1": "0"}.get(words[0], words[0])}
        for word in words[1:]:
            parts = word.split(":")
            if parts[0] == "qid" and len(parts) == 2:
                row["qid"] = parts[1]
            elif not re.fullmatch(_ENTRY[form], word):
                shape = "field:index:value" if form == "libffm" else "index:value"
                raise DataError(f"line {number} holds '{word[:40]}' where {shape} was expected, as in a {form} file")
            elif form == "libffm":
                name = f"field_{int(parts[0])}"
                _append(row, name, parts[1])
                _append(row, f"{name}_value", parts[2])
            elif float(parts[1]) == 1:
                _append(row, "features", parts[0])
            elif float(parts[1]) != 0:
                raise DataError(
                    f"line {number} has the value {parts[1]} at index {parts[0]}; of a libsvm file only values of 0 "
                    "and 1 are read: write numbers as columns of their own, or with their fields as libffm does"
                )
        yield row


def _append(row: Row, name: str, text: str) -> None:
    row[name] = f"{row[name]}|{text}" if name in row else text
