"""Reporter: what the library says while it works. One place decides where it goes and whether bars move."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.markup import escape
from tqdm.std import tqdm


class Progress(Protocol):
    """A bar in motion."""

    def update(self, n: float = 1) -> object:
        """Say that `n` more rows are done."""


class _NoProgress:
    def update(self, n: float = 1) -> None:
        pass


class Reporter:
    """Says things on a stream, and shows bars where the stream is a terminal or a notebook cell.

    stream: None is standard output in a notebook and standard error elsewhere, so that figures which a command
        prints on standard output stay clean. enabled: False says nothing at all.
    """

    def __init__(self, stream: TextIO | None = None, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self.stream = stream or (sys.stdout if _is_notebook(sys.stdout) else sys.stderr)
        self.shows_bars = enabled and (self.stream.isatty() or _is_notebook(self.stream))

    def bars_only(self) -> Reporter:
        """The same without words: for work of which the caller says what there is to say."""
        quiet = Reporter(self.stream, enabled=False)
        quiet.shows_bars = self.shows_bars
        return quiet

    def say(self, text: str = "") -> None:
        """Print a line, above the bar if one is shown."""
        if self.enabled:
            tqdm.write(text, file=self.stream)

    @contextmanager
    def rows(self, total: int | None, what: str, *, done: int = 0) -> Iterator[Progress]:
        """A bar over rows with rows per second and the time left; it vanishes when it is done.

        total: rows in all, None where unknown. done: rows that were done before (after a resume).
        """
        if not self.shows_bars:
            yield _NoProgress()
            return
        with tqdm(
            total=total,
            initial=done,
            desc=what,
            unit=" rows",
            unit_scale=True,
            leave=False,
            file=self.stream,
            dynamic_ncols=True,
        ) as bar:
            yield bar

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table, without a header line where all its names are empty; long cells are wrapped."""
        if not self.enabled:
            return
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table

        table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, show_header=any(header))
        for name in header:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*map(escape, row))
        # Where no terminal tells its width, 80 columns would fold every cell.
        width = None if self.stream.isatty() else 140
        Console(file=self.stream, width=width, force_jupyter=False).print(table)


def _is_notebook(stream: TextIO) -> bool:
    # A notebook's stream is no terminal, but it draws bars all the same.
    return type(stream).__module__.startswith("ipykernel.")
