"""The lock that keeps two processes from working in one folder: the file `lock` in it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fieldwise.errors import StorageError
from fieldwise.storage.atomic import make_folder, remove_leftovers, storage_error

NAME = "lock"
"""What the file is called."""


@contextmanager
def hold(folder: Path, *, busy: str | None = None) -> Iterator[None]:
    """Hold a folder for this process, and clear away what a writer that was killed has left in it.

    Args:
        folder: made where it is missing.
        busy: what to say where another process holds it.

    Raises:
        StorageError: another process holds the folder, or it cannot be written to.

    Example:
        >>> with hold(Path("run")):
        ...     is_held(Path("run"))
        True
    """
    make_folder(folder)
    lock = FileLock(folder / NAME, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        message = busy or f"another process works in {folder}; wait for it or choose another place"
        raise StorageError(message, errno.EAGAIN, str(folder)) from None
    except OSError as error:
        raise storage_error(folder / NAME, error) from error
    except NotImplementedError as error:
        raise StorageError(f"cannot write {folder / NAME}: {error}", errno.ENOSYS, str(folder / NAME)) from error
    try:
        remove_leftovers(folder)
        yield
    finally:
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether a process, this one included, holds a folder."""
    lock = FileLock(folder / NAME, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False
    lock.release()
    return False
