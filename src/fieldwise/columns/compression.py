"""Compressed files: what they are is told by their first bytes, not by their names."""

from __future__ import annotations

import bz2
import gzip
import io
import re
from typing import Any

_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")


def decompressed(file: io.BufferedReader) -> Any:
    """The content of a file from its beginning: decompressed where it is compressed, else as it is."""
    file.seek(0)
    magic = file.read(10)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    return bz2.BZ2File(file) if _BZIP2.match(magic) else file
