"""Putting a directory in the place of another so that one of the two stands there at every moment, and reading it.

Linux exchanges two names in one step. Where that cannot be (another system, or a file system such as NFS), the old
directory steps aside for a moment, to a name that readers know, so that they find it there. That also mends itself:
where the writer is killed in that moment, the old directory is still read, and the next writer puts it back.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from fieldwise.errors import FieldwiseError

_CWD, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux."""

_NOT_HERE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)
"""What is said of an exchange that a system, a file system or a sandbox does not know."""

_TRIES = 100
"""Each is spent on another writer that was quicker, so this only bounds what should not happen."""

Result = TypeVar("Result")


def put_in_place(work: Path, path: Path, *, replace: bool) -> None:
    """Rename a directory to its place. What stood there has its old name afterwards, for the caller to remove.

    Args:
        work: the directory, in the folder of `path`.
        path: the place.
        replace: whether what stands there may give way.

    Raises:
        OSError: it cannot be; what stood there still does.
    """
    if not replace and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    if not replace:
        work.rename(path)
    elif exchange(work, path):
        remove(_aside(path))  # which a writer elsewhere may have left when it was killed
    else:
        _step_aside(work, path)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names of one file system in one step.

    Args:
        one: of anything.
        other: of anything.

    Returns:
        Whether it was done; it was not where the system cannot do it, or one of the two is not there.

    Raises:
        OSError: the system refuses it.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    if rename(_CWD, os.fsencode(one), _CWD, os.fsencode(other), ctypes.c_uint(_EXCHANGE)) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOENT, *_NOT_HERE):
        return False
    raise OSError(code, os.strerror(code))


def standing(path: Path) -> Path:
    """Where the directory of a path stands: there, or aside while it is replaced.

    Args:
        path: the place.

    Returns:
        `path` also where nothing stands.

    Example:
        >>> standing(Path("model"))
        PosixPath('model')
    """
    # Looked at in turns, as a writer may be between the two looks.
    for place in (path, _aside(path)) * 3:
        if os.path.lexists(place):
            return place
    return path


def put_back(path: Path) -> None:
    """Put back what a writer that was killed has left aside, if nothing stands in its place.

    Args:
        path: the place.
    """
    if not os.path.lexists(path) and os.path.lexists(_aside(path)):
        with contextlib.suppress(OSError):
            _aside(path).rename(path)


def remove(path: Path) -> None:
    """Remove a directory with all that is in it, a link or a file. Nothing raises."""
    if path.is_symlink() or path.is_file():
        with contextlib.suppress(OSError):
            path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def read_standing(path: Path, read: Callable[[Path], Result]) -> Result:
    """Read a directory that may be replaced meanwhile; in that case once more.

    Args:
        path: the place.
        read: reads the directory that it is given, and raises a `FieldwiseError` where files are missing or do not
            belong together.

    Returns:
        What `read` returns of one and the same directory.

    Raises:
        FieldwiseError: as `read` does.
    """
    for _ in range(_TRIES):
        place = standing(path)
        with _identity(place) as before:
            try:
                return read(place)
            except FieldwiseError:
                now = standing(path)
                with _identity(now) as after:
                    if (now, after) == (place, before):
                        raise
    return read(path)


@contextmanager
def _identity(place: Path) -> Iterator[tuple[int, int] | None]:
    """What a directory is known by, whatever its name. It is held open, or a later one might be given its number."""
    handle = None
    with contextlib.suppress(OSError, ValueError):  # Windows opens no directories, and does not give numbers again
        handle = os.open(place, getattr(os, "O_PATH", os.O_RDONLY))
    try:
        try:
            status = os.stat(place if handle is None else handle)  # noqa: PTH116, of a path or a handle
        except (OSError, ValueError):
            yield None
        else:
            yield status.st_dev, status.st_ino
    finally:
        if handle is not None:
            os.close(handle)


def _aside(path: Path) -> Path:
    """The one name beside a place under which readers look, short enough whatever the place is called."""
    digest = hashlib.sha256(path.name.encode("utf-8", "surrogatepass")).hexdigest()
    return path.parent / f".old-{digest[:16]}.{path.name[-50:]}"


def _step_aside(work: Path, path: Path) -> None:
    aside = _aside(path)
    for last in (False,) * (_TRIES - 1) + (True,):
        if os.path.lexists(path):
            remove(aside)  # of a writer that was killed, or that has just put its own in place
            with contextlib.suppress(FileNotFoundError):
                path.rename(aside)
        try:
            work.rename(path)
            break
        except BaseException as error:
            # Back to where it stood; where another writer's directory stands there by now, that one replaces it.
            with contextlib.suppress(OSError):
                aside.rename(path)
            if last or not (isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST)):
                raise
    with contextlib.suppress(FileNotFoundError):
        aside.rename(work)
