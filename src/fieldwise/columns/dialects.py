r"""How a text file is laid out: what separates its cells, and what its first line says.

separator     a tab, semicolon or comma with which the first line and the following ones have equally many cells,
              of several the one that makes most; else of `|`, `::`, `^A` (the byte 1) and a blank; where no
              separator fits the following lines, the tab, semicolon or comma that is most frequent in the first
sep=;         a first line of this form (Excel) names the separator and is no row
quotes        a cell in double quotes may hold separators, line ends and doubled quotes; not where cells are
              separated by `^A` or by several characters
\"            a quote within a cell, where the first such cell of the file can be read in no other way (Spark)
at the end    a separator at the end of all lines is no column
an index      a first column without a name that holds whole numbers, none twice: a data frame's, left out
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from fieldwise.errors import DataError, SettingsError
from fieldwise.wording import argument

NAMED_SEPARATORS = {
    "tab": "\t",
    "comma": ",",
    "semicolon": ";",
    "pipe": "|",
    "space": " ",
    "blank": " ",
    "^a": "\x01",
    "\\x01": "\x01",
    "\\t": "\t",
}
"""What else than the character itself a separator may be called."""

_USUAL = ("\t", ";", ",")
_OTHER = ("\x01", "|", "::", " ")
_AGREEING = 0.9
_SEPARATOR_LINE = re.compile(rb'"?sep=([^\r\n"])"?(?:\r\n|\r|\n|\Z)', re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    r"""The layout of a text file.

    Attributes:
        separator: one character or several.
        cells: of the first line that is not empty.
        begin: where that line begins, in bytes of the text.
        end: where it ends.
        found: whether the separator is one that people seldom use, and was not given but found.
        escapes: whether `\"` is a quote; None where no such cell was seen yet.
        trailing: whether every line ends with a separator too many; `cells` then has a last one without text.
    """

    separator: str
    cells: list[str]
    begin: int
    end: int
    found: bool = False
    escapes: bool | None = None
    trailing: bool = False

    @property
    def quotes(self) -> bool:
        """Whether cells may be quoted."""
        return has_quotes(self.separator)

    @property
    def index(self) -> bool:
        """Whether the first column has no name, as a data frame's index has none."""
        return len(self.cells) > 1 and not self.cells[0].strip()

    def knowing(self, data: bytes) -> Dialect:
        r"""The same, knowing what the next bytes tell of `\"`."""
        if self.escapes is not None or not self.quotes or b'\\"' not in data:
            return self
        return replace(self, escapes=_escapes(data, self.separator))


def separator_of(given: str) -> str:
    r"""The separator that a user names.

    Args:
        given: the characters themselves, or one of `NAMED_SEPARATORS`.

    Returns:
        The characters.

    Raises:
        SettingsError: there are none, or they contain a quote or a line end.

    Example:
        >>> separator_of("pipe"), separator_of("::")
        ('|', '::')
    """
    separator = NAMED_SEPARATORS.get(given.lower(), given)
    if not separator or any(c in '"\r\n\0' for c in separator):
        raise SettingsError(
            f"{argument('separator', given)}: expected a character, several, or one of {', '.join(NAMED_SEPARATORS)}"
        )
    return separator


def has_quotes(separator: str) -> bool:
    """Whether cells between such separators may be quoted."""
    return len(separator) == 1 and separator != "\x01"


def read_dialect(start: bytes, *, whole: bool, width: int | None, separator: str | None) -> Dialect:
    r"""The layout of a text file by its beginning.

    Args:
        start: the first bytes, of two lines at least where there are two; no byte order mark.
        whole: whether that is the whole file.
        width: the number of columns, where it is known.
        separator: where it is given.

    Returns:
        The layout.

    Raises:
        DataError: the first line cannot be read.

    Example:
        >>> dialect = read_dialect(b"user|price\nann|1.50\n", whole=True, width=None, separator=None)
        >>> dialect.separator, dialect.cells
        ('|', ['user', 'price'])
    """
    begin = _blank(start)
    if named := _SEPARATOR_LINE.match(start, begin):
        separator = separator or named[1].decode(errors="replace")
        begin = named.end() + _blank(start[named.end() :])
    lines = start[begin:].splitlines(keepends=True)
    if not lines:
        raise DataError("the file is empty")
    sample = [line.decode(errors="replace") for line in (lines if whole or len(lines) == 1 else lines[:-1])]
    found = False
    if separator is None:
        separator, found = _choose(sample, whole, width)
    escapes = _escapes(start, separator) if has_quotes(separator) and b'\\"' in start else None
    try:
        cells, read = _first_row(lines, separator, bool(escapes))
    except UnicodeDecodeError:
        raise not_utf8("the first line") from None
    except csv.Error as error:
        raise DataError(f"the first line cannot be read ({error}); is a quote not closed?") from None
    rows = _rows(sample, separator, whole, bool(escapes))[1:]
    # With names of its own, the first line is a row like the others; it then counts among them.
    trailing = cells[-1:] == [""] and len(cells) - 1 == (width or len(cells) - 1) and _end_empty(rows, len(cells))
    if not trailing and width is None and rows and _end_empty(rows, len(cells) + 1):
        cells, trailing = [*cells, ""], True
    end = begin + sum(map(len, lines[:read]))
    return Dialect(separator, cells, begin, end, found, escapes, trailing)


def whole_rows(dialect: Dialect) -> re.Pattern[bytes]:
    """Matches as many whole rows as a text begins with. A quote opens a cell only where the cell begins."""
    end = re.escape(dialect.separator.encode())
    quoted = rb'"(?:[^"\\]|\\.|"")*+"' if dialect.escapes else rb'"[^"]*+(?:""[^"]*+)*+"'
    cell = rb'(?:%b|(?!"))[^%b\r\n]*+' % (quoted, end)
    return re.compile(rb"(?:%b(?:%b%b)*+(?:\r\n|\n|\r(?!\n|\Z)))*+" % (cell, end, cell), re.DOTALL)


def doubled_quotes(rows: bytes, separator: str) -> bytes:
    r"""The same rows with every `\"` within a quoted cell written as two quotes, which every reader of CSV knows."""
    quoted = re.compile(rb'(?<![^%b\r\n])"(?:[^"\\]|\\.|"")*+"' % re.escape(separator.encode()), re.DOTALL)
    return quoted.sub(lambda cell: cell[0][:-1].replace(b'\\"', b'""') + b'"', rows)


def names_separator(line: bytes) -> bool:
    """Whether a line is no row, but says what the separator is."""
    return _SEPARATOR_LINE.fullmatch(line) is not None


def not_utf8(where: str) -> DataError:
    """The error for a text in another encoding."""
    return DataError(
        f"{where} is not UTF-8 text; convert the file first, for example with: iconv -f latin1 -t utf-8 IN > OUT"
    )


def _blank(start: bytes) -> int:
    """How many bytes of empty lines a text begins with."""
    lines = start.splitlines(keepends=True)
    return sum(map(len, itertools.takewhile(lambda line: not line.strip(b" \t\r\n\v\f"), lines)))


def _first_row(lines: Sequence[bytes], separator: str, escapes: bool) -> tuple[list[str], int]:
    """The cells of the first row, and how many lines it takes."""
    if not has_quotes(separator):
        return lines[0].decode().rstrip("\r\n").split(separator), 1
    reader = csv.reader((line.decode() for line in lines), delimiter=separator, escapechar="\\" if escapes else None)
    cells = next(reader)
    if reader.line_num == len(lines) > 1 and "\n" in cells[-1]:
        raise DataError("a quote that opens in the first line is not closed")
    return cells, reader.line_num


def _rows(lines: Sequence[str], separator: str, whole: bool, escapes: bool = False) -> list[list[str]]:
    """The rows of a sample; the last may be half a row where there is more to the file."""
    if not has_quotes(separator):
        return [text.split(separator) for line in lines if (text := line.rstrip("\r\n"))]
    rows: list[list[str]] = []
    with suppress(csv.Error):  # what cannot be read tells nothing
        rows.extend(filter(None, csv.reader(lines, delimiter=separator, escapechar="\\" if escapes else None)))
    return rows if whole or len(rows) < 2 else rows[:-1]


def _choose(lines: Sequence[str], whole: bool, width: int | None) -> tuple[str, bool]:
    """The separator, and whether it is one of the less usual."""
    samples = {separator: _rows(lines, separator, whole) for separator in (*_USUAL, *_OTHER)}
    cells = {separator: len(rows[0]) if rows else 1 for separator, rows in samples.items()}
    split = [separator for separator in samples if cells[separator] > 1]
    if width is not None:
        split = [s for s in split if cells[s] == width or (cells[s] == width + 1 and samples[s][0][-1] == "")] or split
    agreeing = [separator for separator in split if _agreement(samples[separator]) >= _AGREEING]
    for usual in (True, False):
        fitting = [separator for separator in agreeing if (separator in _USUAL) == usual]
        if " " in fitting and len(samples[" "]) < 2 and width is None:
            fitting.remove(" ")  # one line may be a name of two words
        if fitting:
            return max(fitting, key=lambda separator: cells[separator]), not usual
    return max(reversed(_USUAL), key=lambda separator: cells[separator]), False


def _agreement(rows: Sequence[Sequence[str]]) -> float:
    """The share of the rows that have as many cells as the first, or an empty one more."""
    width, rest = len(rows[0]), rows[1:]
    return sum(len(r) == width or (len(r) == width + 1 and r[-1] == "") for r in rest) / len(rest) if rest else 1.0


def _end_empty(rows: Sequence[Sequence[str]], width: int) -> bool:
    return all(len(row) == width and row[-1] == "" for row in rows)


def _escapes(data: bytes, separator: str) -> bool | None:
    r"""Whether `\"` is a quote, by the first quoted cell that tells: elsewhere a quote within a cell is doubled."""
    end = rb"[%b\r\n]" % re.escape(separator.encode())
    first = rb'(?<![^%b\r\n])"[^"]*\\"' % re.escape(separator.encode())
    told = re.search(rb'%b(?:(?P<spark>(?!%b|"|\Z)|"(?=%b|\Z))|"")' % (first, end, end), data)
    return None if told is None else told["spark"] is not None
