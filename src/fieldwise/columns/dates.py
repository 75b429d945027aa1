"""Moments: reading them from dates, texts and numbers, and the parts of the calendar that they fall into.

A column is read by one `DateReading`, since single values may be doubtful where the column is not: 03/04/2024 is in
March or in April. `fieldwise.columns.date_forms` finds the form of a column.

    texts       with the year first (2026-01-31, 2026/1/31 8:05, 2026.01.31 08, 20260131T080500) or with the name of the
                month (Jan 31, 2026; 31-Jan-26; 31/Jan/2026:08:05:00 +0000; Sat Jan 31 08:05:00 2026) in every reading;
                31/1/2026, 31.01.2026 and 1/31/2026 by the order of day and month; 8:05 and 8:05 pm as times of day
    clock       behind the date, with or without seconds, a fraction, am or pm, and a zone (Z, UTC, +02:00, +0200, +02)
    numbers     Unix time in four units (0 and less is missing), or digits such as 20260131 or 14102100 (Avazu's hours)
    missing     null, and the words of `fieldwise.columns.missing`
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.columns.missing import is_missing_word, missing_words
from fieldwise.columns.numbers import Unreadable
from fieldwise.columns.tokens import BLANKS, is_missing, plain_column
from fieldwise.errors import DataError

CalendarPart = Literal["hour", "weekday", "day", "month"]
UnixUnit = Literal["seconds", "milliseconds", "microseconds", "nanoseconds"]
DigitForm = Literal["yyyymmdd", "yyyymmddhh", "yyyymmddhhmm", "yyyymmddhhmmss", "yymmddhh"]
TextForm = Literal["year_first", "day_first", "month_first", "time_of_day"]
DateForm = TextForm | UnixUnit | DigitForm

UNIX_UNITS: dict[str, int] = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
"""How many of each make a second."""
DIGIT_FORMS: tuple[DigitForm, ...] = ("yyyymmdd", "yyyymmddhh", "yyyymmddhhmm", "yyyymmddhhmmss", "yymmddhh")
TEXT_FORMS: tuple[TextForm, ...] = ("year_first", "day_first", "month_first", "time_of_day")
UNITS: tuple[UnixUnit, ...] = ("seconds", "milliseconds", "microseconds", "nanoseconds")
DATE_FORMS: tuple[DateForm, ...] = (*TEXT_FORMS, *UNITS, *DIGIT_FORMS)

NAIVE, MIXED = "none", "mixed"

_PARTS = {"hour": pc.hour, "weekday": pc.day_of_week, "day": pc.day, "month": pc.month}
_SECOND = 1_000_000
_FIXED_ZONE = re.compile(r"[+-][0-9]{2}:[0-9]{2}")
_NO_OFFSET = np.iinfo(np.int64).min
_EPOCH = datetime.datetime(1970, 1, 1)
_LAST_CENTURY = 69  # as POSIX has it, years of two digits from here on are of the last century


@dataclass(frozen=True)
class DateReading:
    """How a column is read as moments.

    Attributes:
        form: of texts and numbers; a column of dates needs none.
        zone: whose clock tells the hour, such as "Europe/Berlin" or "+02:00"; moments that are written in another zone
            are converted. `mixed`, several zones, and `none`: the clock as it is written. None: the same.
        unreadable: what a value that is no date is: an `error`, or `missing`.
    """

    form: DateForm = "year_first"
    zone: str | None = None
    unreadable: Unreadable = "error"


ISO = DateReading()


@dataclass(frozen=True, eq=False)
class Moments:
    """N moments as the clock of a zone shows them.

    Attributes:
        local: Arrow array of timestamps without a zone, null where missing.
        zone: that the values are written in: its name, `none` or `mixed`.
        unreadable: rows with a value that is no date, counted as missing.

    Shape:
        local: [N].
        unreadable: int64, ascending.
    """

    local: pa.Array
    zone: str
    unreadable: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


# ---- single values


def moment(value: Any, reading: DateReading = ISO) -> datetime.datetime | None:
    """One Python value as a date and time.

    Args:
        value: a date, text or a number.
        reading: how it is read.

    Returns:
        The moment on the clock of the reading's zone; without one as it is written, with its zone where it has one.
        None where the value is missing.

    Raises:
        DataError: the value is no date.

    Example:
        >>> moment("2026/01/31 08:00"), moment("31.1.26", DateReading("day_first"))
        (datetime.datetime(2026, 1, 31, 8, 0), datetime.datetime(2026, 1, 31, 0, 0))
    """
    if is_missing(value) or (isinstance(value, str) and is_missing_word(value)):
        return None
    when = _value_moment(value, reading.form)
    if when is None:
        if reading.unreadable == "missing" or _is_no_time(value, reading.form):
            return None
        raise _no_date(value, reading.form)
    zone = _zone_info(reading.zone)
    return when.astimezone(zone) if zone is not None and when.tzinfo is not None else when


def part_of(value: Any, part: CalendarPart, reading: DateReading = ISO) -> str | None:
    """The calendar part of one value as a token.

    Args:
        value: a date, text or a number.
        part: which part.
        reading: how the value is read.

    Returns:
        The token; None where the value is missing.

    Raises:
        DataError: the value is no date.

    Example:
        >>> part_of("2026-01-31 08:00", "hour"), part_of("2026-01-31", "weekday")
        ('8', '5')
    """
    when = moment(value, reading)
    if when is None:
        return None
    return str(when.weekday() if part == "weekday" else getattr(when, part))


def is_zone(name: str) -> bool:
    """Whether a name is one of a time zone, such as Europe/Berlin, UTC or +02:00.

    Example:
        >>> is_zone("Europe/Berlin"), is_zone("-05:30"), is_zone("Berlin")
        (True, True, False)
    """
    try:
        return _zone_info(name) is not None
    except ValueError:
        return False


# ---- columns


def moments(
    column: pa.ChunkedArray, reading: DateReading = ISO, *, rows: npt.NDArray[np.int64] | None = None
) -> Moments:
    """A whole column as moments.

    Args:
        column: N dates, texts or numbers.
        reading: how they are read.
        rows: the rows that the values come from, int64 [N], the first is 0; None: each from its own place.

    Returns:
        The moments.

    Raises:
        DataError: a value is no date; the message has its row (the first is 1).

    Example:
        >>> moments(pa.chunked_array([["31/01/2026 8:00", None]]), DateReading("day_first")).local.to_pylist()
        [datetime.datetime(2026, 1, 31, 8, 0), None]
    """
    _zone_info(reading.zone)  # a zone that is not known is said before anything is read
    column = plain_column(column)
    kind = column.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return _typed(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column, reading)
    if pa.types.is_null(kind):
        return Moments(pa.nulls(len(column), pa.timestamp("us")), NAIVE)
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    try:
        clock = read_numbers(array, reading.form) if _is_number(reading.form) else read_texts(array, reading.form)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # such as a list, or bytes that are no text
        clock = None
    if clock is None:
        row = 0 if rows is None else int(rows[0])
        raise DataError(f"row {row + 1}: {_no_date(array[0].as_py(), reading.form)}")
    unreadable = np.flatnonzero(~(clock.readable | clock.missing))
    if len(unreadable) and reading.unreadable == "error":
        i = int(unreadable[0])
        raise DataError(f"row {(i if rows is None else int(rows[i])) + 1}: {_no_date(array[i].as_py(), reading.form)}")
    local = _to_zone(clock, reading.zone)
    return Moments(pa.array(local.view("datetime64[us]"), mask=~clock.readable), clock.zone, unreadable)


def part_column(
    column: pa.ChunkedArray,
    part: CalendarPart,
    reading: DateReading = ISO,
    *,
    rows: npt.NDArray[np.int64] | None = None,
) -> pa.ChunkedArray:
    """The calendar part of each row of a column.

    Args:
        column: N dates, texts or numbers.
        part: which part.
        reading: how they are read.
        rows: as in `moments`.

    Returns:
        The parts as integers, null where missing.

    Raises:
        DataError: a value is no date; the message has its row (the first is 1).

    Example:
        >>> part_column(pa.chunked_array([["2026-01-31", None, "2026-02-01"]]), "month").to_pylist()
        [1, None, 2]
    """
    return part_of_moments(moments(column, reading, rows=rows).local, part)


def part_of_moments(local: pa.Array, part: CalendarPart) -> pa.ChunkedArray:
    """The calendar part of each of N timestamps without a zone, as integers, null where they are null.

    Example:
        >>> part_of_moments(pa.array([datetime.datetime(2026, 1, 31)]), "weekday").to_pylist()
        [5]
    """
    return pa.chunked_array([_PARTS[part](local)])


@dataclass(frozen=True, eq=False)
class Clock:
    """N values as read, whatever the zone.

    Attributes:
        micros: what the clock shows, in microseconds since 1970.
        offsets: how far the clock is ahead of UTC, in seconds; the least int64 where no zone is told.
        readable: whether the value is a moment.
        missing: whether there is none.

    Shape:
        micros, offsets: int64 [N].
        readable, missing: bool [N].
    """

    micros: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    readable: npt.NDArray[np.bool_]
    missing: npt.NDArray[np.bool_]

    @property
    def zone(self) -> str:
        """The zone that the values are written in, as in `Moments`."""
        offsets = self.offsets[self.readable]
        if not len(offsets) or (offsets == _NO_OFFSET).all():
            return NAIVE
        return _offset_name(int(offsets[0])) if (offsets == offsets[0]).all() else MIXED

    @property
    def instants(self) -> npt.NDArray[np.int64]:
        """Microseconds since 1970 in UTC; a moment without a zone counts as UTC."""
        return np.asarray(self.micros - np.where(self.offsets == _NO_OFFSET, 0, self.offsets) * _SECOND, np.int64)


def read_texts(texts: pa.Array, form: DateForm) -> Clock:
    """Texts as moments.

    Args:
        texts: an Arrow array of N values that can be cast to text.
        form: which of `TEXT_FORMS`.

    Returns:
        What was read.

    Raises:
        pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError: they cannot be cast to text.
    """
    texts = pc.utf8_trim(texts.cast(pa.large_string()), characters=BLANKS)
    missing = pc.or_(texts.is_null(), pc.fill_null(missing_words(texts), False)).to_numpy(zero_copy_only=False)
    if form == "year_first" and (quick := _iso(texts, missing)) is not None:
        return quick
    micros = np.zeros(len(texts), np.int64)
    offsets = np.full(len(texts), _NO_OFFSET, np.int64)
    readable = np.zeros(len(texts), bool)
    left = np.flatnonzero(~missing)
    for pattern in _patterns(form):
        if not len(left):
            break
        rest = texts if len(left) == len(texts) else texts.take(pa.array(left))
        parts = pc.extract_regex(rest, pattern=f"^(?:{pattern})$")
        fits = pc.is_valid(parts).to_numpy(zero_copy_only=False)
        if fits.any():
            at = left[fits]
            micros[at], offsets[at], readable[at] = _assemble(parts.filter(pa.array(fits)), form)
        left = left[~fits]
    return Clock(micros, offsets, readable, missing)


def read_numbers(values: pa.Array, form: DateForm) -> Clock:
    """Numbers, or texts of digits, as moments.

    Args:
        values: an Arrow array of N numbers or texts.
        form: one of `UNIX_UNITS` or `DIGIT_FORMS`.

    Returns:
        What was read; moments of Unix time are in UTC, those of digits have no zone.

    Raises:
        pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError: they are neither.
    """
    whole, missing, readable = _whole_numbers(values, UNIX_UNITS.get(form, 0))
    if form in UNIX_UNITS:
        micros = whole
        offset = 0
        missing |= readable & (whole <= 0)
        readable &= whole > 0
    else:
        micros, real = _of_digits(whole, form)
        readable &= real
        offset = _NO_OFFSET
    return Clock(np.where(readable, micros, 0), np.full(len(whole), offset, np.int64), readable, missing)


def time_keys(column: pa.ChunkedArray, reading: DateReading | None = None) -> npt.NDArray[np.generic]:
    """What a table can be sorted by in time.

    Args:
        column: N dates, numbers or texts.
        reading: how texts are read; None: as dates with the year first or the name of the month.

    Returns:
        A sortable array [N].

    Raises:
        DataError: a value is missing or cannot be placed in time; the message has its row (the first is 1).

    Example:
        >>> time_keys(pa.chunked_array([["17", "3"]]))
        array([17,  3])
    """
    column = plain_column(column)
    if column.null_count:
        raise _no_time(column.is_null().index(True).as_py())
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _numbers_in_time(np.asarray(column.to_numpy()))
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return np.asarray(column.cast(pa.timestamp("us", getattr(kind, "tz", None))).cast(pa.int64()))
    if pa.types.is_duration(kind):
        return np.asarray(column.cast(pa.int64()))
    try:
        texts = pc.utf8_trim(column.cast(pa.string()), characters=BLANKS)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # such as a list, or bytes that are no text
        raise DataError(f"expected dates or numbers, got a column of type {kind}") from None
    for target in (pa.int64(), pa.float64()):
        try:
            return _numbers_in_time(np.asarray(texts.cast(target)))
        except pa.ArrowInvalid:
            continue
    form = ISO.form if reading is None or _is_number(reading.form) else reading.form
    array = texts.combine_chunks()
    clock = read_texts(array, form)
    # Moments without a zone count as UTC, so that a table sorts alike on every machine.
    for wrong, complaint in ((clock.missing, _no_time), (~clock.readable, None)):
        if wrong.any():
            row = int(np.argmax(wrong))
            raise complaint(row) if complaint else DataError(f"row {row + 1}: {_no_date(array[row].as_py(), form)}")
    return clock.instants


def _numbers_in_time(keys: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    # NaN would be sorted behind the latest row.
    missing = np.isnan(keys)
    if missing.any():
        raise _no_time(int(np.argmax(missing)))
    return keys


def _no_time(row: int) -> DataError:
    return DataError(f"row {row + 1} has no time; a time-ordered split needs one in every row")


def _no_date(value: Any, form: DateForm) -> DataError:
    example = {
        "day_first": "31/01/2026 or 31/01/2026 08:00:00",
        "month_first": "01/31/2026 or 01/31/2026 08:00:00",
        "time_of_day": "08:00 or 08:00:00",
        "yyyymmdd": "20260131",
        "yyyymmddhh": "2026013108",
        "yyyymmddhhmm": "202601310800",
        "yyyymmddhhmmss": "20260131080000",
        "yymmddhh": "26013108",
    }.get(form, f"the {form} since 1970" if form in UNIX_UNITS else "2026-01-31 or 2026-01-31 08:00:00")
    what = "a time of day such as" if form == "time_of_day" else "" if form in UNIX_UNITS else "a date such as"
    return DataError(f"expected {what} {example}, got {value!r:.60}".replace("  ", " "))


def _is_number(form: DateForm) -> bool:
    return form in UNIX_UNITS or form in DIGIT_FORMS


# ---- what texts look like, for Python's and Arrow's regular expressions alike

_ZONE = r"(?P<zone>[Zz]|(?:UTC|GMT)?[+-][0-9]{2}(?::?[0-9]{2})?|UTC|GMT)"
_CLOCK = (
    r"(?P<hour>[0-9]{1,2})(?::(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?)?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?"
    rf"(?: ?{_ZONE})?(?: \([^)]*\))?"
)
_YEAR_FIRST = (
    r"(?P<year>[0-9]{4})(?P<mark>[-/.])(?P<month>[0-9]{1,2})(?P<mark2>[-/.])(?P<day>[0-9]{1,2})"
    rf"(?:(?:T|,? +){_CLOCK})?"
)
_COMPACT = (
    r"(?P<year>[0-9]{4})-?(?P<month>[0-9]{2})-?(?P<day>[0-9]{2})[T ](?P<hour>[0-9]{2}):?(?P<minute>[0-9]{2})"
    rf"(?::?(?P<second>[0-9]{{2}})(?:\.(?P<fraction>[0-9]{{1,9}}))?)?(?: ?{_ZONE})?"
)
_NUMBERED = (
    r"(?P<first>[0-9]{1,2})(?P<mark>[-/.])(?P<next>[0-9]{1,2})(?P<mark2>[-/.])(?P<year>[0-9]{4}|[0-9]{2})"
    rf"(?:(?:T|,? +){_CLOCK})?"
)
_WEEKDAY = r"(?:(?i:mon|tue|tues|wed|thu|thur|thurs|fri|sat|sun)[a-z]*\.?,? +)?"
_NAME = r"(?P<name>(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[A-Za-z]{0,6})\.?"
_DAY = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_NAME_FIRST = rf"{_WEEKDAY}{_NAME} +{_DAY},? +(?P<year>[0-9]{{4}})(?:,?(?: at)? +{_CLOCK})?"
_NAME_SECOND = (
    rf"{_WEEKDAY}{_DAY}(?: +of)?[- /.]+{_NAME}[- /,.]+(?P<year>[0-9]{{4}}|[0-9]{{2}})(?:(?:[:T]|,?(?: at)? +){_CLOCK})?"
)
_YEAR_LAST = rf"{_WEEKDAY}{_NAME} +{_DAY} +{_CLOCK} +(?P<year>[0-9]{{4}})"
_DIGITS = r"(?P<year>[0-9]{4})(?P<month>[0-9]{2})(?P<day>[0-9]{2})"

_DATED = (_YEAR_FIRST, _COMPACT, _NAME_FIRST, _NAME_SECOND, _YEAR_LAST, _DIGITS)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def _patterns(form: DateForm) -> tuple[str, ...]:
    if form == "time_of_day":
        return (_CLOCK,)
    return _DATED if form == "year_first" else (_NUMBERED, *_DATED)


_COMPILED = {pattern: re.compile(pattern) for pattern in (*_DATED, _NUMBERED, _CLOCK)}


def _assemble(parts: pa.StructArray, form: DateForm) -> tuple[Any, Any, Any]:
    """What the clock shows, the offset from UTC, and whether there is such a moment, of texts that fit a pattern."""
    names = [parts.type.field(i).name for i in range(parts.type.num_fields)]
    texts = dict(zip(names, parts.flatten(), strict=True))
    size = len(parts)

    def whole(name: str, otherwise: int = 0) -> npt.NDArray[np.int64]:
        if name not in texts:
            return np.full(size, otherwise, np.int64)
        digits = pc.if_else(pc.equal(texts[name], ""), str(otherwise), texts[name])
        return np.asarray(digits.cast(pa.int64()).to_numpy(zero_copy_only=False))

    year = whole("year", 1970)
    if "year" in texts:
        short_year = pc.equal(pc.utf8_length(texts["year"]), 2).to_numpy(zero_copy_only=False)
        year = np.where(short_year, year + np.where(year < _LAST_CENTURY, 2000, 1900), year)
    month, day = whole("month", 1), whole("day", 1)
    if "first" in texts:
        first, next_ = whole("first"), whole("next")
        day, month = (first, next_) if form == "day_first" else (next_, first)
    if "name" in texts:
        short = pc.utf8_lower(pc.utf8_slice_codeunits(texts["name"], 0, 3))
        month = 1 + np.asarray(
            pc.index_in(short, value_set=pa.array(_MONTHS, short.type)).to_numpy(zero_copy_only=False)
        )
    hour, minute, second = whole("hour"), whole("minute"), whole("second")
    real = np.ones(size, bool)
    if "mark" in texts:
        real &= pc.equal(texts["mark"], texts["mark2"]).to_numpy(zero_copy_only=False)
    if "half" in texts:
        half = pc.utf8_lower(texts["half"]).to_numpy(zero_copy_only=False)
        twelve = half != ""
        real &= ~twelve | ((hour >= 1) & (hour <= 12))
        hour = np.where(twelve, hour % 12 + 12 * (half == "p"), hour)
    if form == "time_of_day":
        real &= pc.or_(pc.not_equal(texts["minute"], ""), pc.not_equal(texts["half"], "")).to_numpy(
            zero_copy_only=False
        )
    days, exist = _days(year, month, day)
    real &= exist & (hour < 24) & (minute < 60) & (second < 60)
    micros = ((days * 24 + hour) * 60 + minute) * 60 * _SECOND + second * _SECOND
    if "fraction" in texts:
        digits = pc.utf8_slice_codeunits(pc.utf8_rpad(texts["fraction"], 6, "0"), 0, 6)
        micros = micros + np.asarray(digits.cast(pa.int64()).to_numpy(zero_copy_only=False))
    offsets = np.full(size, _NO_OFFSET, np.int64)
    if "zone" in texts:
        distinct = texts["zone"].dictionary_encode()
        known = np.array([_offset_of(text) for text in distinct.dictionary.to_pylist()], np.int64)
        offsets = known[distinct.indices.to_numpy(zero_copy_only=False)]
    return micros, offsets, real


def _iso(texts: pa.Array, missing: npt.NDArray[np.bool_]) -> Clock | None:
    """Texts that all have the one form that Arrow reads, which is far quicker; None where others are among them."""
    try:
        times = pc.if_else(pa.array(missing), None, texts).cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        return None
    micros = np.asarray(times.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False))
    return Clock(micros, np.full(len(texts), _NO_OFFSET, np.int64), ~missing, missing)


def _days(
    year: npt.NDArray[np.int64], month: npt.NDArray[np.int64], day: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Days since 1970, and whether there is such a day."""
    real = (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31) & (year >= 1) & (year <= 9999)
    months = np.where(real, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    dates = months.astype("datetime64[D]") + np.where(real, day - 1, 0)
    real &= dates.astype("datetime64[M]") == months  # else the 31st of a short month
    return dates.astype(np.int64), real


def _offset_of(text: str) -> int:
    """How far a zone is ahead of UTC, in seconds."""
    if not text:
        return int(_NO_OFFSET)
    digits = text.upper().removeprefix("UTC").removeprefix("GMT").replace(":", "")
    if not digits or digits == "Z":
        return 0
    seconds = int(digits[1:3]) * 3600 + int(digits[3:5] or 0) * 60
    return -seconds if digits[0] == "-" else seconds


def _offset_name(seconds: int) -> str:
    if not seconds:
        return "UTC"
    hours, rest = divmod(abs(seconds), 3600)
    return f"{'-' if seconds < 0 else '+'}{hours:02}:{rest // 60:02}"


# ---- digits and Unix time


def _whole_numbers(
    values: pa.Array, per_second: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Numbers as whole ones (of Unix time: as microseconds), which are missing, and which are numbers at all."""
    kind = values.type
    text = not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
    if text:
        texts = pc.utf8_trim(values.cast(pa.large_string()), characters=BLANKS)
        missing = pc.or_(texts.is_null(), pc.fill_null(missing_words(texts), False))
        number = pc.match_substring_regex(texts, r"^-?[0-9]{1,19}(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,2})?$").fill_null(
            False
        )
        texts = pc.if_else(number, texts, None)
        try:
            values = pc.replace_substring_regex(texts, pattern=r"\.0*$", replacement="").cast(pa.int64())
        except pa.ArrowInvalid:
            values = texts.cast(pa.float64())
        absent = missing.to_numpy(zero_copy_only=False)
    else:
        absent = values.is_null().to_numpy(zero_copy_only=False)
        if pa.types.is_decimal(kind):
            values = values.cast(pa.float64())
    if pa.types.is_integer(values.type):
        given = values.is_valid().to_numpy(zero_copy_only=False)
        whole = np.asarray(values.cast(pa.int64(), safe=False).fill_null(0).to_numpy(zero_copy_only=False))
        if per_second:
            whole = whole // (per_second // _SECOND) if per_second > _SECOND else whole * (_SECOND // per_second)
        return whole, absent, given & ~absent
    numbers = np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False))
    if not text:
        absent = absent | np.isnan(numbers)
    scaled = numbers * (_SECOND / per_second) if per_second else numbers
    given = np.isfinite(scaled) & (np.abs(scaled) < 2**62) & ~absent
    if not per_second:
        given &= np.where(given, scaled, 0) % 1 == 0
    return np.floor(np.where(given, scaled, 0)).astype(np.int64), absent, given


def _of_digits(whole: npt.NDArray[np.int64], form: DateForm) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """What the clock shows, and whether there is such a moment, of numbers whose digits are a date."""
    widths = {"yyyymmdd": 0, "yyyymmddhh": 1, "yyyymmddhhmm": 2, "yyyymmddhhmmss": 3, "yymmddhh": 1}[form]
    rest, clock = whole.copy(), []
    for _ in range(widths):
        clock.append(rest % 100)
        rest = rest // 100
    hour, minute, second = ([np.zeros_like(whole)] * 3 if not clock else [*clock[::-1], *[np.zeros_like(whole)] * 2])[
        :3
    ]
    day, month, year = rest % 100, rest // 100 % 100, rest // 10_000
    century = (year >= 0) & (year < 100) if form == "yymmddhh" else (year >= 1000) & (year <= 9999)
    days, real = _days(np.where(year < 100, year + 2000, year), month, day)
    real &= century & (hour < 24) & (minute < 60) & (second < 60)
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * _SECOND, real


# ---- zones


def _typed(column: pa.Array, reading: DateReading) -> Moments:
    zone = getattr(column.type, "tz", None)
    wanted = reading.zone if reading.zone not in (None, NAIVE, MIXED) else None
    if zone:
        column = local_times(column, wanted or zone)
    # A plain cast cuts fractions towards 1970, which is upwards before it.
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = pc.floor_temporal(column, unit="microsecond")
    return Moments(column.cast(pa.timestamp("us"), safe=False), zone or NAIVE)


def _to_zone(clock: Clock, zone: str | None) -> npt.NDArray[np.int64]:
    """What the clock of a zone shows at the moments whose own zone is told, in microseconds since 1970."""
    if zone in (None, NAIVE, MIXED) or (clock.offsets == _NO_OFFSET).all():
        return clock.micros
    local = local_times(pa.array(clock.instants, pa.timestamp("us", "UTC")), str(zone)).cast(pa.int64())
    return np.where(clock.offsets == _NO_OFFSET, clock.micros, local.to_numpy(zero_copy_only=False))


def local_times(times: pa.Array, zone: str | None = None) -> pa.Array:
    """What the clock of a zone shows.

    Args:
        times: N timestamps with a zone.
        zone: whose clock; None: of their own.

    Returns:
        N timestamps without a zone, in the same unit.

    Example:
        >>> noon = pa.array([datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)], pa.timestamp("us", "UTC"))
        >>> local_times(noon, "+02:00")[0].as_py()
        datetime.datetime(2026, 1, 31, 14, 0)
    """
    unit, name = times.type.unit, zone or times.type.tz
    if not _FIXED_ZONE.fullmatch(name):
        return pc.local_timestamp(times.cast(pa.timestamp(unit, name)))
    # Older versions of Arrow look for fixed offsets in the database of zones.
    ahead = _offset_of(name) * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    return pc.add(times.cast(pa.int64()), ahead).cast(pa.timestamp(unit))


def _zone_info(name: str | None) -> datetime.tzinfo | None:
    if name is None or name in (NAIVE, MIXED):
        return None
    try:
        if _FIXED_ZONE.fullmatch(name):
            return datetime.timezone(datetime.timedelta(seconds=_offset_of(name)))
        return datetime.UTC if name == "UTC" else zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise DataError(f"there is no time zone '{name:.60}' on this machine") from None


# ---- one value


def _value_moment(value: Any, form: DateForm) -> datetime.datetime | None:
    if isinstance(value, datetime.datetime):
        return value
    if isinstance(value, datetime.date):
        return datetime.datetime.combine(value, datetime.time())
    if isinstance(value, np.datetime64):
        whole = value.astype("datetime64[us]").item()
        return whole if isinstance(whole, datetime.datetime) else datetime.datetime.combine(whole, datetime.time())
    if _is_number(form):
        return _one_number(value, form)
    return _one_text(value.strip(BLANKS), form) if isinstance(value, str) else None


def _one_text(text: str, form: DateForm) -> datetime.datetime | None:
    for pattern in _patterns(form):
        if (match := _COMPILED[pattern].fullmatch(text)) is not None:
            return _one_match({name: part or "" for name, part in match.groupdict().items()}, form)
    return None


def _one_match(parts: Mapping[str, str], form: DateForm) -> datetime.datetime | None:
    if parts.get("mark") != parts.get("mark2"):
        return None
    if form == "time_of_day" and not (parts["minute"] or parts["half"]):
        return None
    year = int(parts.get("year") or 1970)
    if len(parts.get("year", "")) == 2:
        year += 2000 if year < _LAST_CENTURY else 1900
    month, day = parts.get("month") or "1", parts.get("day") or "1"
    if "first" in parts:
        day, month = (parts["first"], parts["next"]) if form == "day_first" else (parts["next"], parts["first"])
    if "name" in parts:
        month = str(1 + _MONTHS.index(parts["name"][:3].lower()))
    hour = int(parts.get("hour") or 0)
    if half := parts.get("half"):
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (half.lower() == "p")
    fraction = int((parts.get("fraction") or "").ljust(6, "0")[:6])
    offset = _offset_of(parts.get("zone") or "")
    zone = None if offset == _NO_OFFSET else datetime.timezone(datetime.timedelta(seconds=offset))
    try:
        clock = int(parts.get("minute") or 0), int(parts.get("second") or 0), fraction
        return datetime.datetime(year, int(month), int(day), hour, *clock, tzinfo=datetime.UTC if offset == 0 else zone)
    except ValueError:  # such as a 13th month
        return None


def _one_number(value: Any, form: DateForm) -> datetime.datetime | None:
    clock = _one_clock(value, form)
    if clock is None or not clock.readable[0]:
        return None
    when = _EPOCH + datetime.timedelta(microseconds=int(clock.micros[0]))
    return when.replace(tzinfo=datetime.UTC) if clock.offsets[0] == 0 else when


def _one_clock(value: Any, form: DateForm) -> Clock | None:
    if isinstance(value, bool | np.bool_):
        return None
    try:
        return read_numbers(pa.array([value]), form)
    except (pa.ArrowException, TypeError, OverflowError):
        return None


def _is_no_time(value: Any, form: DateForm) -> bool:
    """Whether a number stands for no moment: 0 and less in Unix time."""
    clock = _one_clock(value, form) if form in UNIX_UNITS else None
    return clock is not None and bool(clock.missing[0])
