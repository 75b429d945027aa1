"""Reading files that may come from strangers: each is opened once, and every complaint names it.

A file's hash only says that it belongs to its manifest, and whoever can change the one can change the other. So
every reader here takes its input for hostile: nothing is allocated because a file says so, only because it is there.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from fieldwise.errors import FieldwiseError, PredictorFormatError
from fieldwise.validation import describe

if TYPE_CHECKING:
    import pyarrow as pa

MOST_JSON = 8 * 2**20
"""Bytes that a JSON file may have. As Python objects they may need sixty times as much."""

_PIECE = 2**22
_ARROW_MAGIC = b"ARROW1"
Model = TypeVar("Model", bound=BaseModel)


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Says every error of a block as one over a file.

    Args:
        path: the file.

    Raises:
        PredictorFormatError: the block raised something; the message begins with `path`.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise PredictorFormatError(f"{path} is missing") from error
    except OSError as error:
        raise PredictorFormatError(f"{path}: {error.strerror or error}") from error
    except MemoryError as error:
        raise PredictorFormatError(f"{path}: there is not enough memory to read it") from error
    except RecursionError as error:
        raise PredictorFormatError(f"{path}: it is nested too deeply") from error
    except Exception as error:
        # Broad on purpose: what a parser, pydantic, Arrow or torch raises over a hostile file is not known in
        # full, and whatever it is, the file is to blame and the caller can do one thing: not use it.
        kind = "" if isinstance(error, FieldwiseError) else f"{type(error).__name__}: "
        # What the file holds must not steer the terminal that shows the message.
        text = "".join(c if c.isprintable() else " " for c in _shortened(str(error)))
        raise PredictorFormatError(f"{path}: {kind}{text}") from error


def _shortened(text: str) -> str:
    return text if len(text) <= 500 else f"{text[:300]} ... {text[-150:]}"


class CheckedFile:
    """An open file that hashes what is read from it, if wanted.

    Args:
        file: open, at its beginning.
        hashed: whether what is read is hashed.

    Attributes:
        size: in bytes, of the file itself, not of its path.
        position: bytes read so far.
    """

    def __init__(self, file: io.FileIO, *, hashed: bool) -> None:
        self._file = file
        self._digest = hashlib.sha256() if hashed else None
        self.position = 0
        self.size = os.fstat(file.fileno()).st_size

    def read(self, count: int) -> bytearray:
        """The next bytes.

        Args:
            count: how many.

        Returns:
            As many.

        Raises:
            PredictorFormatError: there are fewer.
        """
        data = bytearray(count)
        self.read_into(memoryview(data))
        return data

    def read_into(self, target: memoryview) -> None:
        """Fill a piece of memory with the next bytes.

        Args:
            target: as many bytes as are wanted.

        Raises:
            PredictorFormatError: there are fewer.
        """
        while target:
            count = self._file.readinto(target[:_PIECE])
            if not count:
                raise PredictorFormatError("it became shorter while it was read")
            if self._digest is not None:
                self._digest.update(target[:count])
            self.position += count
            target = target[count:]

    def require(self, sha256: str) -> None:
        """Compare the hash of all that was read.

        Args:
            sha256: what it must be, in hexadecimal digits.

        Raises:
            PredictorFormatError: it differs.
        """
        assert self._digest is not None
        if self._digest.hexdigest() != sha256:
            raise PredictorFormatError("it is not as it was written (its SHA-256 differs)")


@contextmanager
def open_regular(path: Path, *, hashed: bool = False) -> Iterator[CheckedFile]:
    """Open a regular file, or one that a link leads to, once: what is read is of the file that was looked at.

    Args:
        path: of the file. Caches of downloads, data versioning and mounted volumes put links where files are meant, and
            whoever could lead one astray could as well put another file there.
        hashed: whether what is read is hashed, for `CheckedFile.require`.

    Yields:
        The open file.

    Raises:
        PredictorFormatError: it is no regular file, or was exchanged while it was opened.
        OSError: it is not there, or cannot be opened.
    """
    named = _kind_checked(path)
    with io.FileIO(path, opener=_open_at_once) as file:
        # The file or the link may have been exchanged since it was looked at, for a device even.
        if not os.path.samestat(named, os.fstat(file.fileno())):
            raise PredictorFormatError("it was exchanged while it was opened")
        yield CheckedFile(file, hashed=hashed)


def _kind_checked(path: Path) -> os.stat_result:
    link = "a link to " if path.is_symlink() else ""
    try:
        named = path.stat()
    except FileNotFoundError:
        if link:
            raise PredictorFormatError("expected a regular file, not a link that leads nowhere") from None
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise PredictorFormatError("expected a regular file, not a link that leads back to itself") from None
        raise
    if stat.S_ISDIR(named.st_mode):
        raise PredictorFormatError(f"expected a regular file, not {link}a directory")
    if not stat.S_ISREG(named.st_mode):
        raise PredictorFormatError(f"expected a regular file, not {link}a device or a pipe")
    return named


def _open_at_once(path: str, flags: int) -> int:
    # A pipe put there since the look at it would otherwise wait for a writer for ever.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def parse_json(data: bytes | bytearray | str) -> Any:
    """JSON, strictly: no key twice, no NaN or infinity, no number beyond 64 bits, no half characters.

    Args:
        data: text, or bytes in UTF-8.

    Returns:
        What it holds.

    Raises:
        ValueError: it is no JSON.
        PredictorFormatError: it is JSON, but not strictly.

    Example:
        >>> parse_json('{"epochs": 3, "epochs": 4}')
        Traceback (most recent call last):
        fieldwise.errors.PredictorFormatError: the key 'epochs' stands twice
    """
    text = data if isinstance(data, str) else data.decode("utf-8")
    result = json.loads(
        text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=_whole, parse_float=_fraction
    )
    if "\\u" in text:
        json.dumps(result, ensure_ascii=False).encode("utf-8")  # fails where half a surrogate pair was escaped
    return result


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise PredictorFormatError(f"the key '{name}' stands twice")
        result[name] = value
    return result


def _refuse_constant(name: str) -> Any:
    raise PredictorFormatError(f"{name} is not a number in JSON")


def _whole(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) >= 2**64:
        raise PredictorFormatError(f"the number {digits[:30]} is out of range")
    return int(digits)


def _fraction(digits: str) -> float:
    if len(digits) > 64 or not math.isfinite(float(digits)):
        raise PredictorFormatError(f"the number {digits[:30]} is out of range")
    return float(digits)


def validate(model: type[Model], data: Any) -> Model:
    """Data as a pydantic model.

    Args:
        model: the class.
        data: what was read.

    Returns:
        An object of the class.

    Raises:
        PredictorFormatError: the data are none; the message names the first entry that is wrong.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise PredictorFormatError(describe(error, model)) from error
    except FieldwiseError as error:  # of a document of ours
        raise PredictorFormatError(str(error)) from error


def parse_table(data: bytearray, schema: pa.Schema) -> pa.Table:
    """An Arrow file as a table that lies in `data`.

    Args:
        data: the whole file.
        schema: what it must have.

    Returns:
        The table, checked in full.

    Raises:
        PredictorFormatError: it is no Arrow file, of another schema, or compressed.
        pyarrow.ArrowInvalid: it is damaged; so other errors of Arrow's.
    """
    import pyarrow as pa
    import pyarrow.ipc

    if not (data.startswith(_ARROW_MAGIC) and data.endswith(_ARROW_MAGIC)):
        raise PredictorFormatError("this is not an Arrow file")
    # Behind its magic, filled up to 8 bytes, an Arrow file is an Arrow stream; the index at its end is not needed.
    stream = pa.py_buffer(data).slice(8)
    with pa.ipc.open_stream(stream) as reader:
        if reader.schema != schema:
            raise PredictorFormatError(f"expected the columns {_columns(schema)}; got {_columns(reader.schema)}")
        for message in pa.ipc.MessageReader.open_stream(stream):
            if message.type != "schema" and not (message.type == "record batch" and _is_plain(message.metadata)):
                raise PredictorFormatError("compressed and dictionary-encoded columns are not read")
        table = reader.read_all()
    table.validate(full=True)
    return table


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def _is_plain(metadata: pa.Buffer) -> bool:
    """Whether a record batch has no compression.

    Arrow decompresses as it reads, a few bytes may stand for gigabytes, and no option forbids it. So the two places
    that can ask for it are looked up in the message, a flatbuffer that Arrow has verified: `RecordBatch.compression`,
    and the message's own metadata, where the first Arrow versions put it.
    """

    def slot(table: int, number: int) -> int:
        vtable = table - struct.unpack_from("<i", metadata, table)[0]
        place = 4 + 2 * number
        size = struct.unpack_from("<H", metadata, vtable)[0]
        return int(struct.unpack_from("<H", metadata, vtable + place)[0]) if place < size else 0

    message = struct.unpack_from("<I", metadata, 0)[0]
    header = message + slot(message, 2)
    batch = header + struct.unpack_from("<I", metadata, header)[0]
    return not slot(batch, 3) and not slot(message, 4)
