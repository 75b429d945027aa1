"""Opening files of rows: their form is told by their content, and all that can go wrong is one line."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, cast

import pyarrow as pa

from fieldwise.columns.compression import DECOMPRESSION_ERRORS, compression, damage, decompressed
from fieldwise.columns.native import CHANGED
from fieldwise.errors import DataError, FieldwiseError
from fieldwise.storage.places import expanded

Form = Literal["parquet", "arrow", "arrow stream", "text"]

_MAGIC: dict[bytes, Form] = {b"PAR1": "parquet", b"ARROW1\0\0": "arrow", b"\xff\xff\xff\xff": "arrow stream"}


@contextmanager
def opened_file(source: str | Path) -> Iterator[tuple[io.BufferedReader, Callable[[], None]]]:
    """Opens a file of rows.

    Args:
        source: a path, or "-" for standard input.

    Yields:
        The file, which can go back to its beginning, and what checks that nobody has changed it meanwhile.

    Raises:
        DataError: it cannot be opened, or the block could not read it; the message names it.
    """
    name = "standard input" if str(source) == "-" else str(source)
    try:
        with _open(source) as file:
            before = _state(file)

            def require_unchanged() -> None:
                if _state(file) != before:
                    raise DataError(CHANGED)

            try:
                yield _unpacked(file), require_unchanged
            except FieldwiseError:
                require_unchanged()
                raise
            except MemoryError:  # Arrow's is an ArrowException too, but not the file's fault
                raise
            except (pa.ArrowException, OSError, *DECOMPRESSION_ERRORS) as error:
                require_unchanged()
                raise DataError(_complaint(file, error)) from error
            require_unchanged()
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    except FileNotFoundError as error:
        raise DataError(f"{name}: there is no such file") from error
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}") from error


def form_of(file: io.BufferedReader) -> Form:
    """The form of a file by its first bytes.

    Args:
        file: open; it is then at its beginning.

    Returns:
        The form; `text` for all that is no other, compressed or not.

    Example:
        >>> form_of(io.BytesIO(b"user,price"))
        'text'
    """
    file.seek(0)
    start = file.read(8)
    file.seek(0)
    if start == b"ARROW1":  # and nothing more
        return "arrow"
    return next((form for magic, form in _MAGIC.items() if start.startswith(magic)), "text")


def _open(source: str | Path) -> io.BufferedReader:
    if str(source) == "-":
        data = sys.stdin.buffer.read()
        if not data:
            raise DataError("it is empty (it can be read only once)")
        return cast(io.BufferedReader, io.BytesIO(data))
    file = expanded(source).open("rb")
    if file.seekable():
        return file
    # Formats are told by their beginning, and some have a footer; a pipe cannot go back, so it is taken in whole.
    with file:
        return cast(io.BufferedReader, io.BytesIO(file.read()))


def _unpacked(file: io.BufferedReader) -> io.BufferedReader:
    """The file itself, or what it holds where that is compressed and no text: what has a footer must go back."""
    if compression(file) is not None:
        start = decompressed(file).read(8)
        if form_of(cast(io.BufferedReader, io.BytesIO(start))) != "text":
            return cast(io.BufferedReader, io.BytesIO(decompressed(file).read()))
    file.seek(0)
    return file


def _complaint(file: io.BufferedReader, error: BaseException) -> str:
    """What is wrong with a file that could not be read, as one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if text := damage(file, error):
        return text
    text = (str(error) or type(error).__name__).splitlines()[0]
    form = form_of(file)
    if form == "text":
        return text
    text = re.sub(r"^Could not open Parquet input source '.*?': ", "", text)
    kind = "a Parquet" if form == "parquet" else "an Arrow"
    return f"it begins like {kind} file, but cannot be read as one: {text}"


def _state(file: io.BufferedReader) -> tuple[int, int] | None:
    """Size and time of the last change of an open file, None for what was taken in from a pipe."""
    if isinstance(file, io.BytesIO):
        return None
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns
