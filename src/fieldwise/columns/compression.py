"""Compressed files: what they are is told by their first bytes, not by their names.

gzip, bzip2, xz, Zstandard    one file, or several written one behind the other
zip                           an archive of one file
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from typing import Any

import pyarrow as pa

from fieldwise.columns.native import native_file
from fieldwise.errors import DataError

_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}
DECOMPRESSION_ERRORS = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""What decompressors raise beside OSError."""

_OF_SYSTEM = {"__MACOSX", ".DS_Store"}
"""What macOS puts into archives beside the files that it was asked to."""


def compression(file: io.BufferedReader) -> str | None:
    """How a file is compressed, by its first bytes.

    Args:
        file: open; it is then at its beginning.

    Returns:
        `gzip`, `bzip2`, `xz`, `zstd` or `zip`; None where it is not.

    Example:
        >>> compression(io.BytesIO(gzip.compress(b"user,price")))
        'gzip'
    """
    file.seek(0)
    start = file.read(10)
    file.seek(0)
    if _BZIP2.match(start):
        return "bzip2"
    return next((form for magic, form in _MAGIC.items() if start.startswith(magic)), None)


def decompressed(file: io.BufferedReader) -> Any:
    """The content of a file from its beginning: decompressed where it is compressed, else as it is.

    Args:
        file: open, at any place.

    Returns:
        A binary stream, which lasts as long as the file does.

    Raises:
        DataError: it is an archive of no file or of several.

    Example:
        >>> decompressed(io.BytesIO(gzip.compress(b"user,price"))).read()
        b'user,price'
    """
    match compression(file):
        case "gzip":
            return gzip.GzipFile(fileobj=file)
        case "bzip2":
            return bz2.BZ2File(file)
        case "xz":
            return lzma.LZMAFile(file)
        case "zstd":
            return pa.CompressedInputStream(native_file(file), "zstd")
        case "zip":
            return _only_member(file)
    return file


def damage(file: io.BufferedReader, error: BaseException) -> str | None:
    """What is wrong with a compressed file that cannot be decompressed, as one line.

    Args:
        file: what was decompressed.
        error: what came of it.

    Returns:
        The line; None where the file is not compressed.
    """
    form = compression(file)
    if form is None:
        return None
    what = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
    return f"it begins like a {form} file, but is cut short or damaged: {what}"


def _only_member(file: io.BufferedReader) -> Any:
    archive = zipfile.ZipFile(file)
    members = [m for m in archive.infolist() if not m.is_dir() and not _OF_SYSTEM & set(m.filename.split("/"))]
    if len(members) != 1:
        names = ", ".join(m.filename for m in members[:5]) + (", …" if len(members) > 5 else "")
        raise DataError(f"it is a zip archive of {len(members)} files ({names}); unpack it and name the files")
    try:
        return archive.open(members[0])
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or packed in a way that Python does not know
        raise DataError(f"it is a zip archive that cannot be unpacked here: {error}") from error
