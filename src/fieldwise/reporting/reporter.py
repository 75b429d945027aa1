"""Reporter: what the library says while it works, through `logging`, and the bars that it shows.

    fw.train("clicks.csv", label="click", progress=False)   # nothing on the screen
    logging.getLogger("fieldwise").setLevel("WARNING")      # only warnings
    logging.basicConfig(filename="run.log", level="INFO")   # all of it in a file, also with progress=False

See `fieldwise.reporting.console` for what happens where handlers of one's own are there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TextIO

from fieldwise.errors import FieldwiseWarning
from fieldwise.reporting.console import LOGGER, SAID_ON, ConsoleHandler, close_console, open_console
from fieldwise.reporting.progress import NoProgress, Progress, has_bars, is_notebook
from fieldwise.reporting.tables import Section, text_width


class Reporter:
    """Says things through the logger `fieldwise`, and shows them, and bars, on a stream.

    As a context manager it also shows what else comes through that logger and those below it, until the block ends.

    Args:
        stream: None is standard output in a notebook and standard error elsewhere, so that figures which a command
            prints on standard output stay clean. Bars move where it is a terminal or a notebook cell that is watched.
        enabled: False shows nothing at all; what is said still goes to `logging`.

    Example:
        >>> with Reporter(sys.stdout) as reporter:
        ...     reporter.say("8 fields are categorical")
        ...     with reporter.rows(1_000, "encoding") as progress:
        ...         progress.update(1_000)
        8 fields are categorical
    """

    def __init__(self, stream: TextIO | None = None, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self.stream = stream or (sys.stdout if is_notebook(sys.stdout) else sys.stderr)
        self.shows_bars = enabled and has_bars(self.stream)
        self._is_detail = False
        self._consoles: list[ConsoleHandler | None] = []

    @classmethod
    def of(cls, progress: bool | Reporter) -> Reporter:
        """What an argument `progress` means.

        Args:
            progress: a Reporter of the caller's own, or whether to show anything.

        Returns:
            A Reporter.
        """
        return progress if isinstance(progress, Reporter) else cls(enabled=progress)

    def __enter__(self) -> Self:
        shown = self.enabled or self.shows_bars
        self._consoles.append(open_console(self.stream, speaks=self.enabled) if shown else None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        console = self._consoles.pop()
        if console is not None:
            close_console(console, speaks=self.enabled)

    def bars_only(self) -> Reporter:
        """The same bars without words, for work of which the caller says what there is to say.

        What is said there is logged at DEBUG.
        """
        quiet = Reporter(self.stream, enabled=False)
        quiet.shows_bars = self.shows_bars
        quiet._is_detail = True
        return quiet

    def say(self, text: str = "") -> None:
        """Log a line at INFO; it is shown above the bar if there is one."""
        self._log(logging.INFO, text)

    def warn(self, text: str, category: type[FieldwiseWarning] = FieldwiseWarning) -> None:
        """Log a line at WARNING: something that may not be what the user wants.

        Where nothing is shown, it is a Python warning too, at the line that called the library.

        Args:
            text: a sentence.
            category: of that warning.
        """
        self._log(logging.WARNING, text)
        if not self.enabled and not self._is_detail:
            warnings.warn(text, category, stacklevel=_levels_to_the_caller())

    def table(
        self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]], optional: Sequence[str] = ()
    ) -> None:
        """Log a table at INFO, without a header line where all its names are empty.

        Args:
            title: above it.
            header: the names of its columns.
            rows: its cells.
            optional: as in `Section`.
        """
        self._log(logging.INFO, Section(title, tuple(header), [tuple(row) for row in rows], tuple(optional)))

    @property
    def width(self) -> int:
        """How many characters of a line are seen whole."""
        if not self.stream.isatty():
            return text_width()
        with contextlib.suppress(OSError, ValueError):
            return os.get_terminal_size(self.stream.fileno()).columns or text_width()
        return text_width()

    @contextmanager
    def rows(self, total: int | None, what: str, *, done: int = 0) -> Iterator[Progress]:
        """A bar over rows with rows per second and the time left; it vanishes when it is done.

        Args:
            total: rows in all, None where unknown.
            what: its name.
            done: rows that were done before (after a resume).

        Yields:
            The bar, to be told of further rows.
        """
        if not self.shows_bars:
            yield NoProgress()
            return
        with self:
            console = self._consoles[-1]
            assert console is not None
            with console.screen.bar(total, what, done=done) as bar:
                yield bar

    def _log(self, level: int, message: str | Section) -> None:
        with self:
            LOGGER.log(
                logging.DEBUG if self._is_detail else level,
                message,
                stacklevel=3,
                extra={SAID_ON: id(self.stream) if self.enabled else 0},
            )


def _levels_to_the_caller() -> int:
    """How many calls lie between `warnings.warn` and the code that called the library."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "fieldwise":
        frame, level = frame.f_back, level + 1
    return level
