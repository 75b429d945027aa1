"""Reading FlatBuffers, the form that CatBoost writes, within their bounds: whatever lies outside is an error.

A table is a place in the buffer. Where it begins stands how far back its list of fields lies (int32). That list holds
its own size and the table's (uint16 each), then for each field how far behind the table's beginning its value stands,
0 for one that is left out. Values are numbers in place, or how far ahead (uint32) a vector or a further table begins.
A vector begins with its length (uint32).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fieldwise.errors import PredictorFormatError


class FlatBuffer:
    """The bytes of one buffer. Vectors together may be as long as the buffer, for none is written twice.

    Args:
        content: all its bytes.
    """

    def __init__(self, content: memoryview) -> None:
        self.content = content
        self._left = len(content)

    def number(self, form: str, place: int) -> int:
        """The whole number that stands at a place.

        Args:
            form: as `struct` calls it.
            place: in bytes.

        Returns:
            The number.

        Raises:
            PredictorFormatError: the place is outside the buffer.
        """
        if not 0 <= place <= len(self.content) - struct.calcsize(form):
            raise PredictorFormatError("it points outside itself")
        (value,) = struct.unpack_from(f"<{form}", self.content, place)
        return int(value)

    def root(self) -> Table:
        """The table that holds everything."""
        return self.table_at(self.number("I", 0))

    def table_at(self, place: int) -> Table:
        """The table at a place."""
        fields = place - self.number("i", place)
        size = self.number("H", fields)
        return Table(self, place, fields, size)

    def spend(self, count: int) -> None:
        """Take note that so many bytes of vectors were read."""
        self._left -= count
        if self._left < 0:
            raise PredictorFormatError("it is shorter than what it is said to hold")


@dataclass(frozen=True)
class Table:
    """A table of a buffer; fields are numbered as in CatBoost's schema files.

    Attributes:
        buffer: that it lies in.
        place: where it begins.
        fields: where the list of its fields begins.
        size: of that list, in bytes.
    """

    buffer: FlatBuffer
    place: int
    fields: int
    size: int

    def whole(self, field: int, form: str = "i", default: int = 0) -> int:
        """A field that is a whole number, of a form of `struct`."""
        place = self._place(field)
        return default if place is None else self.buffer.number(form, place)

    def has(self, field: int) -> bool:
        """Whether a field is there."""
        return self._place(field) is not None

    def table(self, field: int) -> Table:
        """A field that is a table.

        Args:
            field: its number.

        Returns:
            The table.

        Raises:
            PredictorFormatError: it is left out, or lies outside the buffer.
        """
        place = self._place(field)
        if place is None:
            raise PredictorFormatError("a part of it is left out")
        return self.buffer.table_at(place + self.buffer.number("I", place))

    def tables(self, field: int) -> list[Table]:
        """A field that is a vector of tables, empty where it is left out."""
        start, count = self._vector(field, 4)
        places = [start + 4 * i for i in range(count)]
        return [self.buffer.table_at(place + self.buffer.number("I", place)) for place in places]

    def array(self, field: int, dtype: Any) -> npt.NDArray[Any]:
        """A field that is a vector of numbers or of structures: [count], empty where it is left out."""
        start, count = self._vector(field, np.dtype(dtype).itemsize)
        return np.frombuffer(self.buffer.content, dtype, count, start) if count else np.empty(0, dtype)

    def text(self, field: int) -> bytes:
        """A field that is a text."""
        return self.array(field, np.uint8).tobytes()

    def texts(self, field: int) -> list[bytes]:
        """A field that is a vector of texts."""
        start, count = self._vector(field, 4)
        texts = []
        for place in range(start, start + 4 * count, 4):
            begin = place + self.buffer.number("I", place)
            length = self.buffer.number("I", begin)
            self.buffer.spend(length)
            if begin + 4 + length > len(self.buffer.content):
                raise PredictorFormatError("it points outside itself")
            texts.append(bytes(self.buffer.content[begin + 4 : begin + 4 + length]))
        return texts

    def _place(self, field: int) -> int | None:
        entry = 4 + 2 * field
        if entry + 2 > self.size:
            return None
        offset = self.buffer.number("H", self.fields + entry)
        return self.place + offset if offset else None

    def _vector(self, field: int, item: int) -> tuple[int, int]:
        """Where the first item stands, and how many there are."""
        place = self._place(field)
        if place is None:
            return 0, 0
        start = place + self.buffer.number("I", place)
        count = self.buffer.number("I", start)
        self.buffer.spend(count * item)
        if start + 4 + count * item > len(self.buffer.content):
            raise PredictorFormatError("it points outside itself")
        return start + 4, count
