"""Section: a titled table of plain text, which a terminal and a Markdown file show alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Section(NamedTuple):
    """A table. header: the names of its columns, all empty for a table without a header line."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def to_markdown(self) -> str:
        """The title in bold and the table below it."""
        lines = [self.header, ("---",) * len(self.header), *self.rows]
        table = "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)
        return f"**{self.title}**\n\n{table}" if self.title else table


def to_markdown(sections: Iterable[Section]) -> str:
    """Sections one below the other."""
    return "\n\n".join(section.to_markdown() for section in sections) + "\n"


def _cell(text: str) -> str:
    """Column names of a table may hold what would end a cell."""
    return text.replace("|", "\\|").replace("\n", " ")
