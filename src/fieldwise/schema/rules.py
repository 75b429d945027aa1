"""The rules of schema inference: what a column is, by its distinct values, their counts and its name.

The rules, in order; the first that fits decides. "Distinct" counts different values, blank text is missing, and
text that reads as a number, a date or true/false is treated as such, so that a CSV file and a Parquet file with
the same content give the same schema.

 1. No value at all, or one value and no gap: ignored. (One value with gaps is a category: the gap tells something.)
 2. A list column: multi-valued. Booleans, and the texts true and false: categorical.
 3. Dates, and text that is an ISO date in every row (2026-01-31, 2026/01/31, with or without a time of day, a
    fraction and a zone): calendar. The parts are `hour` if there are times of day, `weekday`, and, if the dates span
    more than 60 days, `day` (of the month) and `month`: over less time they name single days of the past, which tell
    nothing of the future. A part with one value only, or whose name is a column of the table, is left out.
 4. Numbers with a fraction: numeric; categorical if the name has the word "version". 1.0 is a whole number.
    Leading zeros and plus signs ("007", "+49") make a column text. Among numbers, NA, null and the like are missing.
 5. Whole numbers called timestamp, ts, time, epoch or unixtime, all between the years 2000 and 2100 in Unix seconds
    or milliseconds: ignored, since a moment never comes again; stored as dates they would give calendar parts.
 6. Whole numbers are numeric if they look like a quantity:
    a. by name. A name is split into words at punctuation, digits and camelCase. The last word that tells a quantity
       (price, count, age, clicks, ...; size, rating, ... from 10 distinct values on) or an identity (id, code, type,
       group, ...) decides, and "num_", "total_" and the like in front tell a quantity. Things and calendar words
       (user, site, hour, year, ...) tell an identity where nothing else does. Two values are always a category.
    b. by shape, where the name says nothing, and strictly:
       differences: at least 10 distinct values on either side of zero, none of 10^9 or more;
       counts: at least 20 distinct values, at most a tenth of the rows and ten times their root; a minimum of -3 to 1
       and no gap in the first ten values; a maximum of at least twice the distinct values; the most frequent value
       among the first five; a rank correlation of value and frequency of -0.8 or below;
       prices: at least 20 distinct values, at most a fifth of the rows; positive, with a maximum of at least ten
       times the minimum; 60 % of the rows and of the distinct values a multiple of 5 or with a last digit 9.
 7. Text is multi-valued if "|", ";" or "," (tried in this order) splits it into a small common vocabulary: the
    separator is in at least 10 % of the values; there are at most 1,000 different parts, each found in two distinct
    values on average; parts are short (40 characters, 4 words). JSON is not split, nor numbers with commas. Parts
    between commas must change places: "Smith, John" is a composite, "red, blue" is a list.
 8. Text and whole numbers with a different value in each of at least 100 rows: ignored, as a row key.
 9. What is left, text and whole numbers, is categorical, however many distinct values there are.

A numeric field gets the transform `log` where the largest magnitude is at least 20 and above 20 medians and the
magnitudes have a skewness above 2; otherwise `standard`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.columns.dates import CalendarPart
from fieldwise.columns.profile import Counts
from fieldwise.schema import names, patterns
from fieldwise.schema.patterns import Floats, Tally
from fieldwise.schema.schema import Categorical, FieldSpec, MultiValued, Numeric

KEY_ROWS = 100
CALENDAR_DAYS = 60
_YEAR_2000, _YEAR_2100 = 946_684_800, 4_102_444_800
_EXACT = 2.0**53  # whole numbers from here on are not all told apart by float64
_PARTS: tuple[tuple[CalendarPart, Callable[[pa.Array], pa.Array]], ...] = (
    ("hour", pc.hour),
    ("weekday", pc.day_of_week),
    ("day", pc.day),
    ("month", pc.month),
)


@dataclass(frozen=True)
class Verdict:
    """What a column is.

    Attributes:
        decision: its kind, as in `ColumnDecision`.
        reason: the rule that decided, with its figures.
        fields: the fields that read the column.
    """

    decision: str
    reason: str
    fields: dict[str, FieldSpec] = field(default_factory=dict)


def decide_list(name: str, column: Tally) -> Verdict:
    """What a list column is.

    Args:
        name: the column's name.
        column: its elements.

    Returns:
        The verdict.
    """
    if not column.present:
        return Verdict("ignored", "no values")
    reason = f"lists of {len(column.values):,} different elements"
    return Verdict("multi_valued", reason, {name: MultiValued()})


def decide_values(name: str, column: Tally, numbers: Floats | None, taken: Collection[str]) -> Verdict:
    """What a column of single values is.

    Args:
        name: the column's name.
        column: its values.
        numbers: the values as numbers, where they all are.
        taken: the names of all columns.

    Returns:
        The verdict.
    """
    distinct = count_distinct(column, numbers)
    if not distinct:
        return Verdict("ignored", "no values")
    if distinct == 1 and not column.missing:
        return Verdict("ignored", "one value only")
    if distinct == 1:
        return _categorical(name, f"one value, missing in {column.missing:,} rows: its presence tells something")
    if patterns.is_boolean(column.values):
        return _categorical(name, "true or false")
    moments = patterns.read_moments(column.values)
    if moments is not None:
        return _decide_dates(name, moments, taken)
    verdict = _decide_numbers(name, column, numbers) if numbers is not None else _decide_text(name, column)
    if verdict is not None:
        return verdict
    if distinct == column.present >= KEY_ROWS:
        return Verdict("ignored", "a different value in each row: a row key")
    if numbers is None:
        return _categorical(name, f"text, {distinct:,} different values")
    meaning = names.meaning_of(name)
    if meaning and meaning[0] == "identity":
        return _categorical(name, f"whole numbers; '{meaning[1]}' in the name tells an identity")
    return _categorical(name, f"whole numbers, {distinct:,} different, that do not look like a quantity")


def _decide_dates(name: str, moments: pa.Array, taken: Collection[str]) -> Verdict:
    seconds = moments.cast(pa.int64()).to_numpy()
    days = int(seconds.max() - seconds.min()) / 86_400
    fields: dict[str, FieldSpec] = {}
    for part, extract in _PARTS:
        if part in ("day", "month") and days <= CALENDAR_DAYS:
            continue
        if f"{name}.{part}" not in taken and pc.count_distinct(extract(moments)).as_py() > 1:
            fields[f"{name}.{part}"] = Categorical(column=name, part=part)
    clock = "with" if (seconds % 86_400).any() else "without"
    reason = f"dates {clock} times of day that span {days:,.0f} days"
    if not fields:
        return Verdict("ignored", f"{reason}: no part of the calendar varies")
    return Verdict("calendar", reason, fields)


def _decide_numbers(name: str, column: Tally, numbers: Floats) -> Verdict | None:
    """A verdict on numbers; None for whole numbers that are no quantity."""
    finite = np.isfinite(numbers)
    if not finite.all() or (numbers % 1 != 0).any():
        which = "numbers with a fraction" if finite.all() else "numbers, some of them infinite"
        if names.is_version(name):
            return _categorical(name, f"{which}; 'version' in the name tells an identity")
        return _numeric(name, which, numbers[finite], column.counts[finite])
    clock = names.is_clock(name)
    for unit, scale in (("seconds", 1), ("milliseconds", 1000)):
        if clock and numbers.min() >= _YEAR_2000 * scale and numbers.max() <= _YEAR_2100 * scale:
            return Verdict("ignored", f"moments in Unix {unit}; as dates they would give hour and weekday")
    values, where = np.unique(numbers, return_inverse=True)
    if len(values) <= 2:
        return None
    counts = np.bincount(where, weights=column.counts).astype(np.int64)
    meaning = names.meaning_of(name)
    if meaning and (meaning[0] == "quantity" or (meaning[0] == "scale" and len(values) >= 10)):
        return _numeric(name, f"whole numbers; '{meaning[1]}' in the name tells a quantity", values, counts)
    shape = None if meaning else patterns.shape_of_quantity(values, counts)
    return _numeric(name, f"whole numbers, {shape}", values, counts) if shape else None


def _decide_text(name: str, column: Tally) -> Verdict | None:
    separator = patterns.find_separator(column)
    if separator is None:
        return None
    with_it = pc.match_substring(column.values, separator).to_numpy(zero_copy_only=False)
    share = column.counts[with_it].sum() / column.present
    reason = f"text, '{separator}' in {share:.0%} of the values splits it into few different parts"
    return Verdict("multi_valued", reason, {name: MultiValued(separator=separator)})


def _categorical(name: str, reason: str) -> Verdict:
    return Verdict("categorical", reason, {name: Categorical()})


def _numeric(name: str, reason: str, values: Floats, counts: Counts) -> Verdict:
    if len(values) and patterns.heavy_tail(values, counts):
        reason += f"; log, for a heavy tail up to {np.abs(values).max():,.6g}"
        return Verdict("numeric", reason, {name: Numeric(transform="log")})
    return Verdict("numeric", f"{reason}; standard, for no heavy tail", {name: Numeric()})


def count_distinct(column: Tally, numbers: Floats | None) -> int:
    """Different values; texts that are the same number ("1" and "1.0") count once where float64 tells them apart.

    Args:
        column: its values.
        numbers: the values as numbers, where they all are.

    Returns:
        How many.
    """
    if numbers is None or not len(numbers) or np.abs(numbers).max() >= _EXACT:
        return len(column.values)
    return len(np.unique(numbers))
