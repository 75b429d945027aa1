"""Places as people name them: `~` is their home, and what must not be lost there is not written over."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fieldwise.errors import StorageError
from fieldwise.storage.atomic import require_writable
from fieldwise.storage.replacing import standing
from fieldwise.wording import argument

MANIFEST = "manifest.json"
"""The file by which the directory of a predictor is known."""


def expanded(path: str | Path) -> Path:
    """A path with a leading `~` or `~user` replaced by that home, where there is such a home.

    A shell does this for words that begin with `~`, but not in `--out=~/model`, nor in Python or a settings file.

    Args:
        path: as it was given.

    Returns:
        The path.

    Example:
        >>> expanded("~/model") == Path.home() / "model", expanded("clicks~.csv")
        (True, PosixPath('clicks~.csv'))
    """
    text, path = os.fspath(path), Path(path)
    if not text.startswith("~"):
        return path
    try:
        home = Path(path.parts[0]).expanduser()
    except RuntimeError:
        return path  # there is no such user
    return home.joinpath(*path.parts[1:]) if home.is_dir() else path


def place(path: str | Path) -> Path:
    """A path to write to, `expanded`.

    Args:
        path: as it was given.

    Returns:
        The path.

    Raises:
        StorageError: it is empty text, which as a path would be the working directory.

    Example:
        >>> place("")
        Traceback (most recent call last):
        fieldwise.errors.StorageError: the name of the place to write to is empty; name a file or a directory
    """
    if not os.fspath(path).strip():
        raise StorageError(
            "the name of the place to write to is empty; name a file or a directory", errno.ENOENT, os.fspath(path)
        )
    return expanded(path)


def is_predictor(path: str | Path) -> bool:
    """Whether a path leads to a directory that was written as a predictor, be it whole or not.

    Args:
        path: any text; nothing raises.

    Returns:
        False too where the path cannot be read.

    Example:
        >>> is_predictor("clicks.csv")
        False
    """
    return os.path.isfile(standing(expanded(path)) / MANIFEST)  # noqa: PTH113, of which no name makes an error


def unfinished(model: Path) -> Path:
    """Where a training run lies while it lasts.

    Args:
        model: the place of the predictor to be.

    Returns:
        The path of a directory beside it.

    Example:
        >>> unfinished(Path("runs/model"))
        PosixPath('runs/model.unfinished')
    """
    return model.with_name(f"{model.name}.unfinished")


def require_new_file(path: Path, *, overwrite: bool, inputs: Iterable[Any] = ()) -> None:
    """Refuse, before any work is done, to write a file that cannot be written or would replace what is still needed.

    Args:
        path: of the file.
        overwrite: whether a file that is there may be replaced.
        inputs: what is read, whose files are not replaced in any case, whatever links lead to them; what names no file
            is passed over.

    Raises:
        StorageError: it is refused; the message says why. Nothing is left behind.

    Example:
        >>> Path("old.csv").touch()
        >>> require_new_file(Path("old.csv"), overwrite=False)
        Traceback (most recent call last):
        fieldwise.errors.StorageError: old.csv exists already; choose another name, or replace it with overwrite=True
    """
    for source in inputs:
        if isinstance(source, str | Path) and str(source) and _is_same_file(path, expanded(source)):
            raise StorageError(
                f"{path} is the file that is read ({source}); write to another one", errno.EEXIST, str(path)
            )
    require_writable(path)
    if os.path.lexists(path) and not overwrite:
        raise StorageError(
            f"{path} exists already; choose another name, or replace it with {argument('overwrite', True)}",
            errno.EEXIST,
            str(path),
        )


def _is_same_file(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except (OSError, ValueError):
        return False  # one of the two is not there
