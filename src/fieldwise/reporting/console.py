"""The handler that shows what is logged, while somebody wants it shown, and is gone afterwards.

Everything that the library says is a record of the logger `fieldwise` or one below it: decisions and progress at INFO,
warnings at WARNING, what happens within a larger piece of work at DEBUG. The library itself gives that logger nothing
but a NullHandler. A `Reporter` adds a `ConsoleHandler` for the length of a call, under these rules:

* There is at most one per stream, however many calls run at a time, so that no line comes twice.
* A line that a handler of the user's own (on `fieldwise` or on the root logger) writes to the screen is left to that
  handler. One that writes to a file takes nothing away from the screen.
* While one is there, `fieldwise` has the level INFO, unless the user has given it a level; the user's level holds.
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import TextIO

from fieldwise.reporting.progress import Screen
from fieldwise.reporting.tables import Section
from fieldwise.reporting.text import encodable

LOGGER = logging.getLogger("fieldwise")

SAID_ON = "fieldwise_stream"
"""The attribute of a record that a Reporter has made: the id of its stream, 0 where it says nothing on one."""

_lock = threading.Lock()


class ConsoleHandler(logging.Handler):
    """Writes records as plain lines on a stream, above its bars. A table is drawn."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.screen = Screen(stream)
        self.holders = 0
        self.speakers = 0
        self.sets_level = False

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record; what a Reporter of another stream, or a silent one, says is not for this place."""
        said_on = getattr(record, SAID_ON, None)
        if said_on != id(self.screen.stream) if said_on is not None else not self.speakers:
            return
        if _is_shown_elsewhere(record):
            self.screen.clear()
            return
        with self.screen.above() as stream:
            if isinstance(record.msg, Section):
                record.msg.print(stream)
            else:
                stream.write(encodable(self.format(record), stream) + "\n")


def open_console(stream: TextIO, *, speaks: bool) -> ConsoleHandler:
    """The handler of a stream, installed where it is not there yet.

    Args:
        stream: where lines and bars are shown.
        speaks: whether lines are wanted, not only bars.

    Returns:
        The handler, for `close_console`.
    """
    with _lock:
        installed = [handler for handler in LOGGER.handlers if isinstance(handler, ConsoleHandler)]
        console = next((handler for handler in installed if handler.screen.stream is stream), None)
        if console is None:
            console = ConsoleHandler(stream)
            LOGGER.addHandler(console)
        console.holders += 1
        console.speakers += speaks
        if speaks and LOGGER.level == logging.NOTSET and LOGGER.getEffectiveLevel() > logging.INFO:
            LOGGER.setLevel(logging.INFO)
            console.sets_level = True
        return console


def close_console(console: ConsoleHandler, *, speaks: bool) -> None:
    """Give back what `open_console` gave; with the last one the handler goes, and the level that it set.

    Args:
        console: what `open_console` gave.
        speaks: as it was said there.
    """
    with _lock:
        console.holders -= 1
        console.speakers -= speaks
        if console.holders:
            return
        LOGGER.removeHandler(console)
        if not console.sets_level:
            return
        others = [h for h in LOGGER.handlers if isinstance(h, ConsoleHandler) and h.speakers]
        if others:
            others[0].sets_level = True
        elif LOGGER.level == logging.INFO:
            LOGGER.setLevel(logging.NOTSET)


def _is_shown_elsewhere(record: logging.LogRecord) -> bool:
    """Whether a handler that is not ours writes the record to the screen."""
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None:
        for handler in logger.handlers:
            if not isinstance(handler, ConsoleHandler) and record.levelno >= handler.level and _is_on_screen(handler):
                return True
        logger = logger.parent if logger.propagate else None
    return False


def _is_on_screen(handler: logging.Handler) -> bool:
    # A StreamHandler has a stream, rich's handler a console with a file.
    stream = getattr(handler, "stream", None) or getattr(getattr(handler, "console", None), "file", None)
    if stream is None:
        return False
    screens = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return any(stream is one for one in screens) or bool(getattr(stream, "isatty", bool)())
