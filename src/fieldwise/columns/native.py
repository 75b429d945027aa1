"""Files and bytes that belong to Arrow alone, for what Arrow's threads and streams hold on to.

They may give back what they read when Python has ended already; giving back Python's own would abort the process.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import pyarrow as pa

from fieldwise.errors import DataError

CHANGED = "it changed while it was being read; wait until it is written, or read a copy"


def native_file(file: io.BufferedReader) -> pa.NativeFile:
    """The same file, opened by Arrow: its threads would give back Python's file when Python may have ended already.

    Args:
        file: open.

    Returns:
        The file.

    Raises:
        DataError: another file has taken its name meanwhile.
    """
    if isinstance(file, io.BytesIO):
        return pa.BufferReader(arrow_owned(file.getbuffer()))
    # Not mapped into memory: a file that is cut short while it is read would then end the process.
    native = pa.OSFile(os.fsencode(file.name))
    if not os.path.samestat(Path(file.name).stat(), os.fstat(file.fileno())):
        native.close()
        raise DataError(CHANGED)
    return native


def arrow_owned(data: bytes | memoryview) -> pa.Buffer:
    """A copy of some bytes in memory of Arrow's own.

    Arrow's threads keep what they read for a moment longer than the call that had them read it. Where that belongs to
    Python and Python is about to end, giving it back aborts the process.

    Args:
        data: what Arrow is to read in its threads.

    Returns:
        The copy.

    Example:
        >>> arrow_owned(b"user,price").to_pybytes()
        b'user,price'
    """
    buffer = pa.allocate_buffer(len(data))
    memoryview(buffer).cast("B")[:] = data
    return buffer
