"""Calendar parts of dates: the hour, weekday, day or month, as written in the value's own time zone."""

from __future__ import annotations

import datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.columns.tokens import BLANKS, is_missing, plain_column
from fieldwise.errors import DataError

CalendarPart = Literal["hour", "weekday", "day", "month"]

_ARROW_PARTS = {"hour": pc.hour, "weekday": pc.day_of_week, "day": pc.day, "month": pc.month}


def moment(value: Any) -> datetime.datetime | None:
    """One Python value as a date and time.

    Args:
        value: text must be in ISO form, "-" or "/" between parts.

    Returns:
        The moment; None where the value is missing.

    Raises:
        DataError: the value is no date.

    Example:
        >>> moment("2026/01/31 08:00")
        datetime.datetime(2026, 1, 31, 8, 0)
    """
    if is_missing(value):
        return None
    if isinstance(value, datetime.datetime):
        return value
    if isinstance(value, datetime.date):
        return datetime.datetime.combine(value, datetime.time())
    if isinstance(value, np.datetime64):
        return moment(value.astype("datetime64[us]").item())
    if isinstance(value, str):
        text = value.strip(BLANKS)
        if not text:
            return None
        try:
            return datetime.datetime.fromisoformat(text.replace("/", "-"))
        except ValueError:
            pass
    raise DataError(f"expected a date such as 2026-01-31 or 2026-01-31 08:00:00, got {value!r:.60}")


def part_of(value: Any, part: CalendarPart) -> str | None:
    """The calendar part of one value as a token.

    Args:
        value: a date, or text in ISO form.
        part: which part.

    Returns:
        The token; None where the value is missing.

    Raises:
        DataError: the value is no date.

    Example:
        >>> part_of("2026-01-31 08:00", "hour"), part_of("2026-01-31", "weekday")
        ('8', '5')
    """
    when = moment(value)
    if when is None:
        return None
    return str(when.weekday() if part == "weekday" else getattr(when, part))


def part_column(
    column: pa.ChunkedArray, part: CalendarPart, *, rows: npt.NDArray[np.int64] | None = None
) -> pa.ChunkedArray:
    """The calendar part of each row of a date column, or of a text column in ISO form.

    Args:
        column: N values.
        part: which part.
        rows: the rows that the values come from, int64 [N], the first is 0; None: each from its own place.

    Returns:
        The parts as integers, null where missing.

    Raises:
        DataError: a value is no date; the message has its row (the first is 1).

    Example:
        >>> part_column(pa.chunked_array([["2026-01-31", None, "2026-02-01"]]), "month").to_pylist()
        [1, None, 2]
    """
    times = column = plain_column(column)
    if not _is_date(column.type):
        try:
            # Arrow reads the common forms; offsets such as +02:00 and "/" are left to the slow path.
            texts = pc.utf8_trim(column.cast(pa.string()), characters=BLANKS)
            times = pc.if_else(pc.equal(texts, ""), None, texts).cast(pa.timestamp("us"))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return _part_column_by_value(column, part, rows)
    if part == "hour" and pa.types.is_date(times.type):
        times = times.cast(pa.timestamp("us"))
    return _ARROW_PARTS[part](times)


def time_keys(column: pa.ChunkedArray) -> npt.NDArray[np.generic]:
    """What a table can be sorted by in time.

    Args:
        column: N dates, numbers, or texts in ISO form.

    Returns:
        A sortable array [N].

    Raises:
        DataError: a value is missing or cannot be placed in time; the message has its row (the first is 1).

    Example:
        >>> time_keys(pa.chunked_array([["17", "3"]]))
        array([17,  3])
    """
    if column.null_count:
        raise _no_time(column.is_null().index(True).as_py())
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return _numbers_in_time(np.asarray(column.to_numpy()))
    if _is_date(column.type):
        return np.asarray(column.cast(pa.timestamp("us", getattr(column.type, "tz", None))).cast(pa.int64()))
    try:
        texts = pc.utf8_trim(column.cast(pa.string()), characters=BLANKS)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # such as a list, or bytes that are no text
        raise DataError(f"expected dates or numbers, got a column of type {column.type}") from None
    for target in (pa.int64(), pa.float64()):
        try:
            return _numbers_in_time(np.asarray(texts.cast(target)))
        except pa.ArrowInvalid:
            continue
    keys = np.empty(len(column))
    for row, text in enumerate(texts):
        try:
            when = moment(text.as_py())
        except DataError as error:
            raise DataError(f"row {row + 1}: {error}") from None
        if when is None:
            raise _no_time(row)
        # Moments without a zone count as UTC, so that a table sorts alike on every machine.
        keys[row] = (when if when.tzinfo else when.replace(tzinfo=datetime.UTC)).timestamp()
    return keys


def _numbers_in_time(keys: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    # NaN would be sorted behind the latest row.
    missing = np.isnan(keys)
    if missing.any():
        raise _no_time(int(np.argmax(missing)))
    return keys


def _no_time(row: int) -> DataError:
    return DataError(f"row {row + 1} has no time; a time-ordered split needs one in every row")


def _is_date(kind: pa.DataType) -> bool:
    """Whether a type holds dates, with or without a time; times of day and durations have no calendar part."""
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def _part_column_by_value(
    column: pa.ChunkedArray, part: CalendarPart, rows: npt.NDArray[np.int64] | None
) -> pa.ChunkedArray:
    parts: list[int | None] = []
    for i, value in enumerate(column):
        try:
            text = part_of(value.as_py(), part)
        except DataError as error:
            raise DataError(f"row {(i if rows is None else rows[i]) + 1}: {error}") from None
        parts.append(None if text is None else int(text))
    return pa.chunked_array([pa.array(parts, pa.int64())])
