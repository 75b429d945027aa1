"""Bars over rows, drawn by rich: rows per second, the time left, and no trace when they are done.

An update costs two additions and a look at the clock; what is shown is drawn anew ten times a second, by the thread
that does the work. Bars that run at the same time stand below each other.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from fieldwise.reporting.text import encodable

if TYPE_CHECKING:
    from rich.live import Live
    from rich.progress import Progress as Tasks
    from rich.progress import Task, TaskID

_INTERVAL = 0.1
"""Seconds between two drawings."""
_NOTEBOOK_WIDTH = 100
"""Characters; a notebook does not tell its width."""
_KERNEL = "JPY_PARENT_PID"
"""The variable that Jupyter sets for its kernels, and that these hand down to what they start."""


class Progress(Protocol):
    """A bar in motion."""

    def update(self, n: float = 1) -> object:
        """Say that `n` more rows are done."""


class NoProgress:
    """A bar where none is shown."""

    def update(self, n: float = 1) -> None:
        """Nothing."""


class Screen:
    """A stream with lines, and bars below them.

    Only a terminal and a notebook cell that is watched have bars; elsewhere nothing but what is written reaches the
    stream.

    Args:
        stream: where.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._lock = threading.RLock()
        self._tasks: Tasks | None = None
        self._live: Live | None = None
        self._is_notebook = is_notebook(stream)
        self._line_length = 0  # of the line that a notebook shows

    @contextmanager
    def above(self) -> Iterator[TextIO]:
        """The stream, to write whole lines to while no bar stands there."""
        with self._lock:
            self.clear()
            yield self.stream
            self.stream.flush()
            self._draw()

    def clear(self) -> None:
        """Take the bars away until one moves again: somebody else writes to the same place."""
        with self._lock:
            if self._live is not None:
                self._live.stop()
                self._live = None
            if self._line_length:
                self.stream.write(f"\r{' ' * self._line_length}\r")
                self.stream.flush()
                self._line_length = 0

    @contextmanager
    def bar(self, total: int | None, what: str, *, done: int = 0) -> Iterator[Progress]:
        """A bar over rows, for the length of a block.

        Args:
            total: rows in all, None where unknown.
            what: its name.
            done: rows that were done before.

        Yields:
            The bar, to be told of further rows.
        """
        with self._lock:
            if self._tasks is None:
                self._tasks = _make_tasks(self.stream)
            task = self._tasks.add_task(encodable(what, self.stream), total=total, completed=done, done_before=done)
            self._draw()
        try:
            yield _Bar(self, task, done)
        finally:
            with self._lock:
                if len(self._tasks.tasks) == 1:
                    self.clear()  # while there is a bar: rich would leave an empty line in the place of none
                    self._tasks = None
                else:
                    self._tasks.remove_task(task)
                    self._draw()

    def move(self, task: TaskID, done: float) -> None:
        """Draw the bars with one of them at `done` rows."""
        with self._lock:
            if self._tasks is not None:
                self._tasks.update(task, completed=done)
                self._draw()

    def _draw(self) -> None:
        if self._tasks is None:
            return
        if self._is_notebook:
            self._draw_line(self._tasks)
            return
        if self._live is None:
            from rich.live import Live

            # A new one each time: one that is started again would erase the lines that were written in between.
            self._live = Live(
                get_renderable=self._tasks.get_renderable,
                console=self._tasks.console,
                auto_refresh=False,  # a thread of its own would cost more than the bar
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        self._live.refresh()

    def _draw_line(self, tasks: Tasks) -> None:
        """Notebooks know the carriage return, but no codes that move the cursor: the newest bar in one line."""
        from rich.console import Console

        console = Console(file=io.StringIO(), width=_NOTEBOOK_WIDTH, force_jupyter=False, force_terminal=False)
        with console.capture() as text:
            console.print(tasks.make_tasks_table(tasks.tasks[-1:]))
        line = text.get().splitlines()[0].rstrip()
        self.stream.write(f"\r{line.ljust(self._line_length)}")
        self.stream.flush()
        self._line_length = len(line)


class _Bar:
    def __init__(self, screen: Screen, task: TaskID, done: float) -> None:
        self._screen, self._task, self._done = screen, task, done
        self._due = time.monotonic() + _INTERVAL

    def update(self, n: float = 1) -> None:
        self._done += n
        now = time.monotonic()
        if now >= self._due:
            self._screen.move(self._task, self._done)
            self._due = time.monotonic() + _INTERVAL


def is_notebook(stream: TextIO) -> bool:
    """Whether a stream is a notebook cell: it is no terminal, but it can draw bars all the same."""
    return type(stream).__module__.startswith("ipykernel.")


def has_bars(stream: TextIO) -> bool:
    """Whether bars can move on a stream, and vanish from it afterwards."""
    if is_notebook(stream):
        return _is_watched()
    # A command that a cell starts, `!fieldwise train ...`, has a terminal whose every drawing the notebook may keep.
    return stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown") and _KERNEL not in os.environ


def _is_watched() -> bool:
    """Whether the running cell can ask for input, as Jupyter's execute request says.

    nbconvert, papermill and their like have nobody who could answer. They store what is written as it is, with every
    bar that a carriage return should have overwritten.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    kernel = getattr(shell, "kernel", None)
    request = {} if kernel is None else kernel.get_parent("shell")
    return bool(request.get("content", {}).get("allow_stdin"))


def _make_tasks(stream: TextIO) -> Tasks:
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, TextColumn
    from rich.progress import Progress as Tasks
    from rich.table import Column
    from rich.text import Text

    class Figures(ProgressColumn):
        """Rows that are done, rows per second, time left."""

        def render(self, task: Task) -> Text:
            return Text(_describe(task), no_wrap=True)

    size = shutil.get_terminal_size((_NOTEBOOK_WIDTH, 24))
    console = Console(
        file=stream,
        width=None if stream.isatty() else size.columns,
        force_terminal=not is_notebook(stream),
        force_jupyter=False,
        highlight=False,
    )
    bar = BarColumn(bar_width=None, table_column=Column(ratio=1))  # what the texts leave of the line
    columns = (TextColumn("{task.description}", markup=False), bar, Figures())
    return Tasks(*columns, console=console, auto_refresh=False, expand=True)


def _describe(task: Task) -> str:
    """For example `410k/1.23M rows, 52.1k rows/s, 0:16 left`."""
    text = f"{_short(task.completed)}{'' if task.total is None else f'/{_short(task.total)}'} rows"
    elapsed = task.elapsed or 0.0
    # Over the last half minute where rich has seen as much, else over all.
    rate = task.speed or ((task.completed - task.fields["done_before"]) / elapsed if elapsed > 0 else 0.0)
    if rate <= 0:
        return f"{text}, - rows/s"
    text += f", {_short(rate)} rows/s"
    if task.total is None:
        return text
    minutes, seconds = divmod(round(max(task.total - task.completed, 0.0) / rate), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{text}, {f'{hours}:{minutes:02}' if hours else minutes}:{seconds:02} left"


def _short(number: float) -> str:
    """A number in three digits: 999, 1.00k, 12.3M."""
    units = iter(("", "k", "M", "G", "T"))
    unit = next(units)
    while number >= 999.5 and unit != "T":
        number, unit = number / 1000.0, next(units)
    digits = 0 if not unit or number >= 99.95 else 1 if number >= 9.995 else 2
    return f"{number:.{digits}f}{unit}"
