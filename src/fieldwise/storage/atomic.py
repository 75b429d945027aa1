"""The only writer of files: under another name in the same folder, flushed to disk, then renamed to its own.

So a file is there whole or not at all, and so is a directory; what stood there before stays until the new one is
complete, also where the process is killed or the machine loses its power on the way. A link that stands in the place
is replaced; what it leads to is never written to. Whatever the system refuses is a `StorageError`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from fieldwise.errors import FieldwiseError, StorageError
from fieldwise.storage.replacing import put_back, put_in_place, remove

if TYPE_CHECKING:
    from torch import Tensor

_PREFIX = ".new-"
_NO_SYNC_OF_FOLDERS = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)


def write_text(path: str | Path, text: str) -> Path:
    r"""Write a text file in UTF-8, with the line ends as they are in `text`.

    Args:
        path: where; missing folders are made.
        text: what.

    Returns:
        The path.

    Raises:
        StorageError: it cannot be written; what stood there before is untouched.

    Example:
        >>> write_text("notes/today.txt", "all is well\n").read_text()
        'all is well\n'
    """
    return write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | Path, data: bytes | bytearray | memoryview, *, mode: int = 0o666) -> Path:
    """Write a file of these bytes.

    Args:
        path: where; missing folders are made.
        data: what.
        mode: who may do what with it, less what the umask takes away.

    Returns:
        The path.

    Raises:
        StorageError: it cannot be written; what stood there before is untouched.

    Example:
        >>> write_bytes("rows.bin", b"1234").read_bytes()
        b'1234'
    """
    with open_new(path, mode=mode) as file:
        file.write(data)
    return Path(path)


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
    """Write a safetensors file.

    Args:
        path: where; missing folders are made.
        tensors: by name, on any device.
        metadata: texts for the file's header.

    Returns:
        The path.

    Raises:
        StorageError: it cannot be written; what stood there before is untouched.

    Example:
        >>> import torch
        >>> from safetensors.torch import load_file
        >>> load_file(write_tensors("weights.safetensors", {"bias": torch.zeros(2)}))
        {'bias': tensor([0., 0.])}
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with new_file(path) as work:
        try:
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, work, metadata)
        except SafetensorError as error:
            # The system's error is told in its text only.
            code = re.search(r"os error (\d+)|code: (\d+)", str(error))
            number = int(code[1] or code[2]) if code else errno.EIO
            raise OSError(number, os.strerror(number) if code else str(error)) from error
    return Path(path)


@contextmanager
def open_new(path: str | Path, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """An open file to write to, which takes its place when the block ends without an error.

    Args:
        path: the place; missing folders are made.
        mode: who may do what with it, less what the umask takes away.

    Yields:
        The file.

    Raises:
        StorageError: it cannot be written, or the block raised an OSError of its own; what stood there before is
            untouched, and nothing is left behind.

    Example:
        >>> with open_new("rows.bin") as file:
        ...     Path("rows.bin").exists(), file.write(b"1234")
        (False, 4)
        >>> Path("rows.bin").read_bytes()
        b'1234'
    """
    with new_file(path, mode=mode) as work, work.open("r+b") as file:
        yield file


@contextmanager
def new_file(path: str | Path, *, mode: int = 0o666) -> Iterator[Path]:
    """A name to write a file under, which takes its place when the block ends without an error.

    For writers that want a name of a file, such as matplotlib's. Under it lies an empty file, which may be replaced; it
    ends as `path` ends, for the sake of writers that look there for the format.

    Args:
        path: the place; missing folders are made.
        mode: who may do what with the file, less what the umask takes away.

    Yields:
        The name.

    Raises:
        StorageError: it cannot be written, or the block raised an OSError of its own; what stood there before is
            untouched, and nothing is left behind.
    """
    path = Path(path)
    with _storage_errors(path), _made_parents(path):
        _refuse_devices(path)
        work = _beside(path)
        # Exclusively: not even a link that somebody has put there is followed.
        os.close(os.open(work, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_CLOEXEC", 0), mode))
        try:
            permissions = stat.S_IMODE(work.stat().st_mode)
            yield work
            if stat.S_IMODE(work.stat().st_mode) != permissions:
                work.chmod(permissions)  # safetensors hides its files from everybody else
            _sync_file(work)
            work.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                work.unlink()
            raise
        _sync_folder(path.parent)


@contextmanager
def new_directory(path: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """An empty directory to fill, which takes its place when the block ends without an error.

    Errors of the block pass unchanged, apart from a `StorageError` over something in the directory, which then names
    `path`. Where another process puts something in the place meanwhile, one of the two wins as a whole. Whoever reads
    the directory while it is replaced does so by `fieldwise.storage.replacing.read_standing`.

    Args:
        path: the place; missing folders are made.
        replace: whether what stands there, a directory or a link to one, may give way.

    Yields:
        The directory, under another name.

    Raises:
        StorageError: it cannot be written, or something stands there that may not give way; it is then untouched, and
            nothing is left behind.

    Example:
        >>> with new_directory("model") as work:
        ...     _ = write_text(work / "card.json", "{}")
        >>> [path.name for path in Path("model").iterdir()]
        ['card.json']
    """
    path = Path(path)
    with _made_parents(path):
        with _storage_errors(path):
            put_back(path)
            work = _beside(path)
            work.mkdir()
        try:
            try:
                yield work
            except StorageError as error:
                if error.filename is None or not Path(error.filename).is_relative_to(work):
                    raise
                raise storage_error(path, error) from error
            with _storage_errors(path):
                _sync_tree(work)
                put_in_place(work, path, replace=replace)
                _sync_folder(path.parent)
        finally:
            remove(work)  # or what stood there before, now that the new one is on disk


def make_folder(path: str | Path) -> Path:
    """Make a folder, and those that it lies in, where they are missing.

    Args:
        path: the folder.

    Returns:
        The path.

    Raises:
        StorageError: it cannot be made.
    """
    with _storage_errors(Path(path)):
        _make(Path(path))
    return Path(path)


def require_writable(path: Path, *, directory: bool = False) -> None:
    """Find out, before any work is done, whether something can be written. Nothing is left behind.

    Args:
        path: the file or directory to be.
        directory: whether it is a directory, in which files are written; it may be there.

    Raises:
        StorageError: it cannot be written; the message says why.

    Example:
        >>> write_text("notes.txt", "").exists()
        True
        >>> require_writable(Path("notes.txt/model"), directory=True)
        Traceback (most recent call last):
        fieldwise.errors.StorageError: cannot write notes.txt/model: Not a directory; nothing was written
    """
    with _storage_errors(path):
        with contextlib.suppress(FileNotFoundError):
            path.lstat()  # also tells of names that are too long, and of a file in place of a folder
        if not directory:
            _refuse_devices(path)
        # Only the nearest folder that is there is tried: one made here might go while another process writes to it.
        places = (path, *path.parents) if directory else path.parents
        folder = next(place for place in places if os.path.lexists(place))
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        work = _beside(folder / "place")
        work.mkdir()
        work.rmdir()


def is_leftover(path: Path) -> bool:
    """Whether a path is what a writer writes under, so that where none is at work it is what one has left.

    Example:
        >>> is_leftover(Path("model/.new-0123abcd.card.json")), is_leftover(Path("model/card.json"))
        (True, False)
    """
    return re.match(rf"{re.escape(_PREFIX)}[0-9a-f]{{8}}\.", path.name) is not None


def remove_leftovers(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder and below. Nobody else may be writing there."""
    for left in filter(is_leftover, list(folder.rglob(f"{_PREFIX}*"))):
        remove(left)


def storage_error(path: Path, error: OSError) -> StorageError:
    """What the system says of a path that cannot be written, as the error to raise.

    Args:
        path: that was to be written.
        error: the system's.

    Returns:
        The error.
    """
    reason = error.strerror or str(error)
    if error.errno == errno.EISDIR:
        return StorageError(f"cannot write {path}: it is a directory; name a file in it", error.errno, str(path))
    return StorageError(f"cannot write {path}: {reason}; nothing was written", error.errno, str(path))


# ---- how


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    """Says every OSError of a block as a StorageError over a path."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FieldwiseError):
            raise
        raise storage_error(path, error) from error


@contextmanager
def _made_parents(path: Path) -> Iterator[None]:
    """The folders that a path lies in, made where they are missing; gone again where the block fails."""
    absent: list[Path] = []
    try:
        with _storage_errors(path):
            absent += [parent for parent in path.parents if not parent.exists()]
            _make(path.parent)
            for parent in absent:
                _sync_folder(parent.parent)
        yield
    except BaseException:
        for parent in absent:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None


def _beside(path: Path) -> Path:
    """A new name in the same folder. Its end is that of `path`, cut where both together would be too long."""
    return path.with_name(f"{_PREFIX}{secrets.token_hex(4)}.{path.name[-50:]}")


def _refuse_devices(path: Path) -> None:
    """Refuse to put a file in place of a directory, or of something like /dev/null, which many others need."""
    try:
        kind = path.stat().st_mode
    except OSError:
        return  # nothing is there, or a link that leads nowhere
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(kind):
        raise OSError(errno.EEXIST, "it is a device or a pipe, not a file")


def _sync_file(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """Have the names in a folder written to disk. Not every system can, and one may write where one cannot look."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC_OF_FOLDERS:
            raise
    finally:
        os.close(handle)


def _sync_tree(folder: Path) -> None:
    for place, _, names in os.walk(folder):
        for name in names:
            if not Path(place, name).is_symlink():
                _sync_file(Path(place, name))
        _sync_folder(Path(place))
