"""Tables of plain text, shown alike by a terminal, a Markdown file and a notebook."""

from __future__ import annotations

import html
import io
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TextIO

from fieldwise.reporting.text import encodable

_WIDTH = 140
"""Characters where no terminal tells its width, for 80 would fold every cell; also the most that text has."""


class Section(NamedTuple):
    """A titled table.

    Attributes:
        title: above it; may be empty.
        header: the names of its columns, all empty for a table without a header line.
        rows: its cells.

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
        """Print the table; long cells are wrapped, and what the stream's encoding lacks is escaped.

        Args:
            stream: standard output by default.
            width: in characters; by default the terminal's, and 140 where there is none.
        """
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        stream = stream or sys.stdout

        def said(text: str) -> str:
            return escape(encodable(text, stream))

        title = said(self.title) or None
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_header=any(self.header))
        for name in self.header:
            table.add_column(said(name), overflow="fold")
        for row in self.rows:
            table.add_row(*map(said, row))
        if width is None and not stream.isatty():
            width = _WIDTH
        Console(file=stream, width=width, force_jupyter=False).print(table)

    def to_text(self) -> str:
        """The table as plain text, as wide as the terminal, and never wider than 140 characters."""
        page = io.StringIO()
        self.print(page, width=min(shutil.get_terminal_size((_WIDTH, 24)).columns, _WIDTH))
        return page.getvalue()

    def __str__(self) -> str:
        return self.to_text()


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
