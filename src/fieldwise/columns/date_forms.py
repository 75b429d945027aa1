"""Which form the moments of a whole column are written in: what single values leave open, all of them together tell.

The functions look at distinct values and how often each occurs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.columns.dates import (
    DIGIT_FORMS,
    NAIVE,
    UNITS,
    UNIX_UNITS,
    Clock,
    DateForm,
    read_numbers,
    read_texts,
)

Counts = npt.NDArray[np.int64]

YEARS = (1970, 2100)
"""Digits are taken for a date only between these years."""

_UNIX_YEARS = (946_684_800, 4_102_444_800)  # the beginnings of 2000 and of 2100, in seconds
_EARLIEST_NAMED = 631_152_000  # and of 1990
_ALL_BUT_FEW = 0.99
_PROBE = 200
_DAY = 86_400_000_000


@dataclass(frozen=True, eq=False)
class FoundForm:
    """The form of a column's moments.

    Attributes:
        form: as in `DateReading`.
        clock: what the values show under it.
        share: of the rows that it reads.
        other: the form that would do as well, where day and month cannot be told apart.
    """

    form: DateForm
    clock: Clock
    share: float
    other: DateForm | None = None


def find_text_form(texts: pa.Array, counts: Counts) -> FoundForm | None:
    """The form of texts.

    The order of day and month is the one in which more rows are dates. Where it cannot be told, as in 03/04/2026 alone,
    it is the one in which the dates lie closer together, since logs are of some days in a row and not of one day of
    each month; then day first between points, and month first between slashes.

    Args:
        texts: distinct ones, none of them missing.
        counts: how often each occurs.

    Returns:
        The form that reads most rows; None where no form reads half of them.

    Shape:
        texts: [N].
        counts: int64 [N].

    Example:
        >>> found = find_text_form(pa.array(["01/02/2026", "14/02/2026"]), np.array([1, 1]))
        >>> found.form, found.other
        ('day_first', None)
    """
    if not len(texts):
        return None
    if len(texts) > _PROBE:  # to be quick in saying no
        some = np.linspace(0, len(texts) - 1, _PROBE).astype(np.int64)
        if _best(texts.take(pa.array(some)), np.ones(_PROBE, np.int64)) is None:
            return None
    return _best(texts, counts)


def _best(texts: pa.Array, counts: Counts) -> FoundForm | None:
    found = _found("year_first", texts, counts)
    if found.share < 1:
        day, month = (_found(form, texts, counts) for form in ("day_first", "month_first"))
        if max(day.share, month.share) > found.share:
            found = _ordered(day, month, texts)
        if found.share < 1 and (clock := _found("time_of_day", texts, counts)).share > found.share:
            found = clock
    return found if found.share >= 0.5 else None


def _found(form: DateForm, texts: pa.Array, counts: Counts) -> FoundForm:
    clock = read_texts(texts, form)
    return FoundForm(form, clock, float(counts[clock.readable].sum() / max(counts.sum(), 1)))


def _ordered(day: FoundForm, month: FoundForm, texts: pa.Array) -> FoundForm:
    if day.share != month.share:
        return day if day.share > month.share else month
    spans = [int(np.ptp(found.clock.micros[found.clock.readable] // _DAY)) for found in (day, month)]
    slashes = pc.any(pc.match_substring(texts, "/")).as_py()
    day_first = spans[0] < spans[1] or (spans[0] == spans[1] and not slashes)
    chosen, other = (day, month) if day_first else (month, day)
    return FoundForm(chosen.form, chosen.clock, chosen.share, other.form)


def find_number_form(values: pa.Array, counts: Counts, *, named: bool = False) -> FoundForm | None:
    """The form of numbers, by their digits and their range.

    Digits are a date where nearly all of them (99 % of the rows) are one, of the years 1970 to 2100; YYMMDDHH of 2005
    to 2049. Unix times are between 2000 (1990 if named) and 2100 in one of the four units.
    Numbers of 0 and less are no moments.

    Args:
        values: distinct integers, floats, or texts of such.
        counts: how often each occurs.
        named: whether something else than the numbers says that they are moments.

    Returns:
        The form; None where the numbers are in no such range.

    Shape:
        values: [N].
        counts: int64 [N].

    Example:
        >>> find_number_form(pa.array([14102100, 14102101]), np.array([3, 4])).form
        'yymmddhh'
        >>> find_number_form(pa.array([1_700_000_000.5]), np.array([1])).form
        'seconds'
    """
    numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    held = np.isfinite(numbers) & (numbers > 0)
    rows = counts[held].sum()
    if not rows:
        return None

    def most(fits: npt.NDArray[np.bool_]) -> bool:
        return bool(counts[held & fits].sum() >= _ALL_BUT_FEW * rows)

    for form in DIGIT_FORMS:
        digits = len(form)
        low, high = (2005, 2050) if form == "yymmddhh" else (YEARS[0], YEARS[1] + 1)
        century, scale = (2000, 10**6) if form == "yymmddhh" else (0, 10 ** (digits - 4))
        inside = (numbers >= (low - century) * scale) & (numbers < (high - century) * scale)
        if most(inside):
            clock = read_numbers(values, form)
            if most(clock.readable):
                return FoundForm(form, clock, float(counts[clock.readable].sum() / counts.sum()))
    earliest = _EARLIEST_NAMED if named else _UNIX_YEARS[0]
    for unit in UNITS:
        per_second = UNIX_UNITS[unit]
        if most((numbers >= earliest * per_second) & (numbers < _UNIX_YEARS[1] * per_second)):
            clock = read_numbers(values, unit)
            return FoundForm(unit, clock, float(counts[clock.readable].sum() / counts.sum()))
    return None


def find_form(values: pa.Array, counts: Counts) -> tuple[DateForm, str]:
    """The form and the zone of a column that is said to hold moments.

    Args:
        values: distinct ones, of any type; none of them missing.
        counts: how often each occurs.

    Returns:
        The form, `year_first` where none is found, and the zone as in `Moments`.

    Shape:
        values: [N].
        counts: int64 [N].

    Example:
        >>> find_form(pa.array(["31.01.2026 08:00 +01:00"]), np.array([1]))
        ('day_first', '+01:00')
    """
    kind = values.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return "year_first", getattr(kind, "tz", None) or NAIVE
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if numeric:
        found = find_number_form(values, counts, named=True)
    else:
        try:
            texts = values.cast(pa.large_string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return "year_first", NAIVE
        digits = pc.all(pc.match_substring_regex(texts, r"^\s*[0-9]+(?:\.[0-9]*)?\s*$")).as_py()
        found = find_number_form(texts, counts, named=True) if len(texts) and digits else find_text_form(texts, counts)
    if found is None:
        return "year_first", NAIVE
    return found.form, found.clock.zone
