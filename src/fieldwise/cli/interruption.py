"""Ctrl-C and SIGTERM: one line that says what was kept, whatever the command was doing at that moment.

Nothing heavy is imported here, and nothing later on: a library that was interrupted while it was being imported cannot
be imported again in the same process.
"""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from fieldwise.datasets.folder import data_folder
from fieldwise.storage.places import unfinished

EXIT_CODE = 130
"""Of a command that Ctrl-C has ended, as shells have it."""

NOTHING = "nothing was written"

_PLACES = ("out", "resume", "to", "pictures")
"""The options that name a place to write to."""


class Interrupted(Exception):  # noqa: N818 (it is no error)
    """A command was ended by Ctrl-C; the text says what it has kept.

    No KeyboardInterrupt, of which typer makes an exit without a word.
    """


@contextmanager
def noticing() -> Iterator[list[signal.Signals]]:
    """Within it, Ctrl-C is noted in the list that is given, and then raises KeyboardInterrupt as it always does.

    SIGTERM, by which schedulers end what they take the machine away from, is noted too and then does what Ctrl-C does
    at that moment: a training writes down where it is. An interrupt in the midst of an import may come out as any other
    error, for compiled modules turn it into theirs. What is ignored stays so, such as Ctrl-C in the background of a
    script. Outside the main thread, where no handler can be set, nothing is done.

    Yields:
        The signals that came.
    """
    noted: list[signal.Signals] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    ignored = {each for each in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(each) is signal.SIG_IGN}

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(signal.SIGINT)
        raise KeyboardInterrupt

    def terminate(number: int, frame: FrameType | None) -> None:
        noted.append(signal.SIGTERM)
        if signal.SIGINT in ignored:
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    handlers = {signal.SIGINT: note, signal.SIGTERM: terminate}
    previous = {each: signal.signal(each, do) for each, do in handlers.items() if each not in ignored}
    try:
        yield noted
    finally:
        for each, do in previous.items():
            signal.signal(each, do)


@contextmanager
def telling(command: Sequence[str], options: Mapping[str, Any]) -> Iterator[None]:
    """Within it, Ctrl-C ends in the sentence on what the command has kept.

    Args:
        command: the words that call it, without its own options: `fieldwise`, `train`.
        options: its arguments and options by the names of its parameters.

    Raises:
        Interrupted: at Ctrl-C.
    """
    before = {place: _state(place) for place in _places(options)}
    try:
        yield
    except KeyboardInterrupt as interrupt:
        written = [place for place, state in before.items() if _state(place) != state]
        raise Interrupted(_kept(command, options, written)) from interrupt


def _kept(command: Sequence[str], options: Mapping[str, Any], written: Sequence[Path]) -> str:
    """What a command has kept. written: the places that are not as they were before it."""
    name = command[-1]
    place = options.get("resume") or options.get("out")
    if name in ("train", "search") and place is not None and unfinished(place).is_dir():
        best = f"the best model so far lies in {place}, " if place in written else ""
        return f"{best}the unfinished run lies in {unfinished(place)}; to go on: {_to_go_on(command, options, place)}"
    if name == "compare" and place is not None and (place / "rows.json").exists():
        again = "repeat the command without --overwrite" if options.get("overwrite") else "repeat the command"
        return f"what is done lies in {place}; to go on, {again}"
    if name == "predict" and place == Path("-"):
        return "no file was written; standard output has the rows up to here"
    if not written:
        return NOTHING
    return "; ".join(f"{'what is done lies in' if p.is_dir() else 'written is'} {p}" for p in written)


def _to_go_on(command: Sequence[str], options: Mapping[str, Any], place: Path) -> str:
    if "-" in (*(options.get("data") or ()), *(options.get("valid") or ()), *(options.get("test") or ())):
        return f"repeat the command, with the same rows, and --resume {shlex.quote(str(place))} for --out"
    return shlex.join([*command, "--resume", str(place)])


def _places(options: Mapping[str, Any]) -> list[Path]:
    """Where a command may write."""
    places = [options[name] for name in _PLACES if options.get(name) is not None]
    if "to" in options and not places and (folder := data_folder()) is not None:
        places.append(folder)
    return places


def _state(place: Path) -> object:
    """What changes when something is written there; temporary files, whose names begin with a dot, do not count."""
    try:
        if place.is_dir():
            shown = (path for path in place.iterdir() if not path.name.startswith("."))
            return sorted((path.name, path.lstat().st_mtime_ns, path.lstat().st_size) for path in shown)
        found = place.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size
    except (OSError, ValueError):
        return None  # it is not there
