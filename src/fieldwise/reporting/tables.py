"""Tables of plain text, shown alike by a terminal, a Markdown file and a notebook."""

from __future__ import annotations

import html
import io
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TextIO

from fieldwise.reporting.text import encodable

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 140
"""Characters where neither a terminal nor COLUMNS tells a width; also the most that text has."""
_PADDING = 3
"""Characters that a column takes beside its cells; the table has one more at its left edge."""
_PROSE = 24
"""Characters; a longer text with blanks is prose, which may go on in the next line. Figures and names never do."""
_LEAST_PROSE = 16
"""Characters of a column of prose, below which it would be a tower of words."""


class Section(NamedTuple):
    """A titled table.

    Attributes:
        title: above it; may be empty.
        header: the names of its columns, all empty for a table without a header line.
        rows: its cells.
        optional: columns that are left out, the first of them first, where the table would be too wide; that is said.

    Example:
        >>> print(Section("Models", ["model", "AUC"], [["lr", "0.77"]]).to_markdown())
        **Models**
        <BLANKLINE>
        | model | AUC |
        | --- | --- |
        | lr | 0.77 |
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    optional: Sequence[str] = ()

    def to_markdown(self) -> str:
        """The title in bold and the table below it."""
        table = markdown_table(self.header, self.rows)
        return f"**{_in_line(self.title)}**\n\n{table}" if self.title else table

    def to_html(self) -> str:
        """An HTML table; its title is the caption."""
        parts = ["<table>"]
        if self.title:
            parts.append(f"<caption>{html.escape(self.title)}</caption>")
        if any(self.header):
            names = "".join(f"<th>{html.escape(name)}</th>" for name in self.header)
            parts.append(f"<thead><tr>{names}</tr></thead>")
        parts.append("<tbody>")
        parts += [f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in self.rows]
        return "\n".join([*parts, "</tbody>", "</table>"])

    def _repr_html_(self) -> str:
        return self.to_html()

    def print(self, stream: TextIO | None = None, *, width: int | None = None) -> None:
        """Print the table as wide as the place is; what the stream's encoding lacks is escaped.

        Figures and names stay whole, sentences are wrapped between words. Where there is no room for that, `optional`
        columns are left out; where that is not enough, every row becomes a block of lines, `column: cell`.

        Args:
            stream: standard output by default.
            width: in characters; by default that of the terminal, or as COLUMNS says, and 140 where neither does.
        """
        from rich.console import Console

        stream = stream or sys.stdout
        if width is None and not stream.isatty():
            width = text_width()
        console = Console(file=stream, width=width, force_jupyter=False, highlight=False)
        shown = Section(
            encodable(self.title, stream),
            [encodable(name, stream) for name in self.header],
            [[encodable(cell, stream) for cell in row] for row in self.rows],
            [encodable(name, stream) for name in self.optional],
        )
        left_out: list[str] = []
        for name in ("", *(name for name in shown.optional if name in shown.header)):
            if name:
                left_out.append(name)
            fewer = shown._without(left_out)
            widths = fewer._widths(console.width)
            if widths is not None:
                fewer._print_table(console, widths)
                break
        else:
            left_out = []
            shown._print_blocks(console)
        if left_out:
            console.print(f"no room for: {', '.join(left_out)}", markup=False)

    def to_text(self) -> str:
        """The table as plain text, as wide as the terminal, and never wider than 140 characters."""
        page = io.StringIO()
        self.print(page)
        return page.getvalue()

    def __str__(self) -> str:
        return self.to_text()

    def _without(self, names: Sequence[str]) -> Section:
        kept = [number for number, name in enumerate(self.header) if name not in names]
        rows = [[row[number] for number in kept] for row in self.rows]
        return Section(self.title, [self.header[number] for number in kept], rows)

    def _widths(self, room: int) -> list[int] | None:
        """The width of each column, so that nothing is broken that must not be; None where there is no room."""
        columns = [[name, *(row[number] for row in self.rows)] for number, name in enumerate(self.header)]
        widths = [max(_longest_word(column[:1]), *map(_least_width, column[1:]), 1) for column in columns]
        wanted = [max(map(_width, column)) for column in columns]
        spare = room - sum(widths) - _PADDING * len(widths) - 1
        if spare < 0:
            return None
        for _ in range(spare):
            number = max(range(len(widths)), key=lambda number: wanted[number] / widths[number])
            if wanted[number] <= widths[number]:
                break
            widths[number] += 1
        return widths

    def _print_table(self, console: Console, widths: Sequence[int]) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        title = Text(self.title) if self.title else None
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_header=any(self.header))
        for name, width in zip(self.header, widths, strict=True):
            table.add_column(Text(name), width=width, overflow="fold")
        for row in self.rows:
            table.add_row(*map(Text, row))
        console.print(table)

    def _print_blocks(self, console: Console) -> None:
        from rich.padding import Padding
        from rich.text import Text

        def say(text: str, *, indent: int = 0) -> None:
            console.print(Padding(Text(text, overflow="fold"), (0, 0, 0, indent), expand=False))

        if self.title:
            say(self.title)
        for row in self.rows:
            console.print()
            say(row[0])
            for name, cell in zip(self.header[1:], row[1:], strict=True):
                if cell:
                    say(f"{name}: {cell}" if name else cell, indent=2)
        console.print()


def text_width() -> int:
    """How wide text may be that is not written to a terminal: as COLUMNS says, else as wide as the terminal there is.

    Returns:
        Characters, at most 140.
    """
    return min(shutil.get_terminal_size((_WIDTH, 24)).columns, _WIDTH)


def _width(text: str) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, text.splitlines()), default=0)


def _longest_word(texts: Iterable[str]) -> int:
    return max((_width(word) for text in texts for word in text.split()), default=0)


def _least_width(cell: str) -> int:
    """Of a column with this cell: prose may be wrapped between words."""
    whole = _width(cell)
    return whole if whole <= _PROSE else max(_longest_word([cell]), min(whole, _LEAST_PROSE))


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown.

    Args:
        header: the names of its columns.
        rows: its cells, which may hold anything: what would end a cell or a line is escaped.

    Returns:
        Its lines.

    Example:
        >>> print(markdown_table(["model", "AUC"], [["lr", "0.77"]]))
        | model | AUC |
        | --- | --- |
        | lr | 0.77 |
    """
    return "\n".join(markdown_row(line) for line in (header, ("---",) * len(header), *rows))


def markdown_row(cells: Sequence[str]) -> str:
    r"""One line of such a table, for tables that grow while one looks at them.

    Example:
        >>> markdown_row(["a|b", "2"])
        '| a\\|b | 2 |'
    """
    return f"| {' | '.join(map(_in_line, cells))} |"


def to_markdown(sections: Iterable[Section]) -> str:
    """Sections one below the other."""
    return "\n\n".join(section.to_markdown() for section in sections) + "\n"


def _in_line(text: str) -> str:
    """Names of columns, and messages of errors, may hold what would end a cell or a line."""
    return " ".join(text.replace("|", "\\|").splitlines())
