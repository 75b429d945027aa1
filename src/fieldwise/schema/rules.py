"""The rules of schema inference: what a column is, by its distinct values, their counts and its name.

The rules, in order; the first that fits decides. "Distinct" counts different values; blank text and words such as NULL
are missing (`fieldwise.columns.missing`); and text that reads as a number, a date or true/false is treated as such, so
that a CSV file and a Parquet file with the same content give the same schema.

 1. No value at all, or one value and no gap: ignored. (One value with gaps is a category: the gap tells something.)
 2. A list column: multi-valued. Booleans, and the texts true and false: categorical.
 3. Dates, and text of which at least 90 % of the rows are dates of one form (the forms: `fieldwise.columns.dates`):
    calendar. The parts are `hour` if there are times of day, `weekday`, and, if the dates span more than 60 days, `day`
    (of the month) and `month`: over less time they name single days of the past, which tell nothing of the future. A
    part with one value only, or whose name is a column of the table, is left out. The order of day and month is told by
    the column as a whole, and doubt is said. Times of day without a date give the hour where more than 60 differ.
 4. Numbers with a fraction: numeric; categorical if the name has the word "version", or if it tells an identity and at
    most 1 % of the rows have one (long ids that went through a float). 1.0 is a whole number.
    Leading zeros and plus signs ("007", "+49") make a column text. Text of which at least 90 % of the rows and half of
    the values are numbers, also as people write them (a decimal comma, thousands, a currency, per cent), is numbers;
    the odd words among them (at most 20 different ones, and no codes such as V57) count as missing, and are said. What
    people write so is numeric even if it is whole.
 5. Numbers that are moments: calendar, as in 3. Unix time in seconds, milliseconds, microseconds or nanoseconds is
    between the years 2000 (1990 where the name says time) and 2100; digits such as 20260131 or 14102100 are dates in
    99 % of the rows. The range is enough where the name says time (timestamp, ts, date, hour, created_at, ...).
    Otherwise the numbers must also run like time: at least 20 different ones, and in Unix time seldom the same twice
    or growing from row to row, not all numbers from one to another, and at most 20 years apart. A name that tells an
    identity or a quantity, other than a unit of time (ms), forbids it.
 6. Whole numbers are numeric if they look like a quantity:
    a. by name. A name is split into words at punctuation, digits and camelCase. The last word that tells a quantity
       (price, count, age, clicks, ...; size, rating, ... from 10 distinct values on), an identity (id, itemid, sku,
       code, type, group, ...) or a thing (user, site, channel, tier, ...) decides, and "num_", "total_" and the like in
       front tell a quantity. Words behind "per", "of" and the like do not count. Calendar words (hour, year, ...) tell
       an identity where nothing else does. Two values are always a category.
    b. by shape, where the name says nothing, and strictly:
       differences: at least 10 distinct values on either side of zero, none of 10^9 or more;
       counts: at least 20 distinct values, at most a tenth of the rows and ten times their root; a minimum of -3 to 1
       and no gap in the first ten values; a maximum of at least twice the distinct values; the most frequent value
       among the first five; a rank correlation of value and frequency of -0.8 or below;
       prices: at least 20 distinct values, at most a fifth of the rows; positive, with a maximum of at least ten
       times the minimum; 60 % of the rows and of the distinct values a multiple of 5 or with a last digit 9.
 7. Text is multi-valued if all of it is lists in brackets as JSON or Python write them, or if "|", ";", ",", "^", the
    character 2 or a blank (tried in this order) splits it into lists: the separator is in at least 10 % of the values;
    parts are short (40 characters, 4 words); and they come back: out of at most 1,000 different ones, each found in
    two distinct values on average, or in other places of other lists, or they are codes (digits behind at most three
    letters) in lists of three lengths and more. Between commas and blanks parts must change places or be such codes:
    "Smith, John" is a composite, "red, blue" is a list. JSON objects are not split, nor numbers with commas. Vectors,
    whose elements are numbers with a fraction, also where most rows have one of their own, are ignored: each of their
    numbers wants a column of its own.
 8. Text and whole numbers with a different value in each of at least 100 rows: ignored, as a row key.
 9. What is left, text and whole numbers, is categorical, however many distinct values there are. Where at least 90 %
    of the rows look like numbers, dates, lists or numbers with a unit, it is said.

A numeric field gets the transform `log` where the largest magnitude is at least 20 and above 20 medians and the
magnitudes have a skewness above 2; otherwise `standard`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.columns.dates import DATE_FORMS, DIGIT_FORMS, UNIX_UNITS, CalendarPart, DateForm
from fieldwise.columns.lists import BRACKETS
from fieldwise.columns.numbers import Unreadable
from fieldwise.columns.profile import Counts
from fieldwise.errors import SchemaError
from fieldwise.schema import names, patterns
from fieldwise.schema.patterns import Floats, FoundMoments, FoundNumbers, Tally
from fieldwise.schema.schema import Categorical, FieldSpec, MultiValued, Numeric
from fieldwise.wording import argument

KEY_ROWS = 100
CALENDAR_DAYS = 60
_FEW = 0.01
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
        doubt: what a person should look at, and how to decide otherwise; empty where nothing is doubtful.
    """

    decision: str
    reason: str
    fields: dict[str, FieldSpec] = field(default_factory=dict)
    doubt: str = ""


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
    if patterns.is_vector(column.values):
        return _vector(name)
    reason = f"lists of {len(column.values):,} different elements"
    return Verdict("multi_valued", reason, {name: MultiValued()})


def decide_values(name: str, column: Tally, numbers: FoundNumbers | None, taken: Collection[str]) -> Verdict:
    """What a column of single values is.

    Args:
        name: the column's name.
        column: its values.
        numbers: the values as numbers, where they are.
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
    if numbers is None and not names.is_version(name) and (dates := patterns.read_moments(column)) is not None:
        return decide_dates(name, dates, taken)
    verdict = _decide_text(name, column) if numbers is None else _decide_numbers(name, numbers, taken)
    if verdict is not None:
        return verdict
    if distinct == column.present >= KEY_ROWS:
        key = Verdict("ignored", "a different value in each row: a row key")
        return key if numbers is not None or patterns.is_digits(column.values) else _with_net(key, name, column)
    if numbers is None:
        return _with_net(_categorical(name, f"text, {distinct:,} different values"), name, column)
    meaning = names.meaning_of(name)
    if meaning and meaning[0] == "identity":
        return _categorical(name, f"whole numbers; '{meaning[1]}' in the name tells an identity")
    return _categorical(name, f"whole numbers, {distinct:,} different, that do not look like a quantity")


def decide_dates(name: str, dates: FoundMoments, taken: Collection[str]) -> Verdict:
    """Which parts of the calendar are fields.

    Args:
        name: the column's name.
        dates: its moments.
        taken: the names of all columns.

    Returns:
        The verdict.
    """
    moments = dates.local
    seconds = moments.cast(pa.int64()).to_numpy()
    days = int(seconds.max() - seconds.min()) / 86_400
    fields: dict[str, FieldSpec] = {}
    unreadable: Unreadable = "missing" if dates.odd_rows else "error"
    for part, extract in _PARTS:
        if part in ("day", "month") and days <= CALENDAR_DAYS:
            continue
        if f"{name}.{part}" not in taken and pc.count_distinct(extract(moments)).as_py() > 1:
            fields[f"{name}.{part}"] = Categorical(column=name, part=part, date=dates.form, unreadable=unreadable)
    clock = "with" if (seconds % 86_400).any() else "without"
    kind = "times of day" if dates.form == "time_of_day" else f"dates {clock} times of day that span {days:,.0f} days"
    reason = f"{kind}{_FORMS.get(dates.form or '', '')}"
    reason += _odd_words(dates.odd, dates.odd_rows)
    doubt = ""
    if dates.other is not None:
        chosen, other = (_ORDERS[form] for form in (str(dates.form), str(dates.other)))
        told = f"day and month cannot be told apart; taken as {chosen}"
        doubt = f"{told}; if it is {other}, say {argument('fields', {name: f'calendar:{dates.other}'})}"
    if not fields:
        return Verdict("ignored", f"{reason}: no part of the calendar varies", doubt=doubt)
    return Verdict("calendar", reason, fields, doubt)


def decide_calendar(name: str, column: Tally, form: DateForm | None, taken: Collection[str]) -> Verdict:
    """Which parts of the calendar are fields, of a column that is said to hold moments.

    Args:
        name: the column's name.
        column: its values.
        form: that is said too; None: as the values tell.
        taken: the names of all columns.

    Returns:
        The verdict.

    Raises:
        SchemaError: less than half of the rows can be read.
    """
    numbers = patterns.read_numbers(column)
    dates = patterns.read_moments(column) if form is None else patterns.read_as(column, form)
    if dates is None and numbers is not None:
        dates = patterns.read_unix(numbers.column, numbers.present, named=True)
    if dates is None or not len(dates.local) or dates.odd_rows > 0.5 * column.present:
        raise SchemaError(
            f"column '{name}' is said to be a calendar column, but less than half of its rows can be read as dates; "
            f"name their form: {argument('fields', {name: 'calendar:FORM'})}, where FORM is one of "
            f"{', '.join(DATE_FORMS)}"
        )
    verdict = decide_dates(name, dates, taken)
    return replace(verdict, reason=f"given; {verdict.reason}", doubt="" if form else verdict.doubt)


def complete(spec: FieldSpec, column: Tally) -> FieldSpec:
    """A given field with what was left open chosen as inference would choose it within that kind.

    Args:
        spec: what was given.
        column: the values.

    Returns:
        The same kind of field; what was said stays.
    """
    chosen: dict[str, object] = {}
    if isinstance(spec, Numeric) and (numbers := patterns.read_numbers(column, among_codes=True)) is not None:
        finite = np.isfinite(numbers.numbers)
        values, counts = numbers.numbers[finite], numbers.present.counts[finite]
        chosen = {"decimal": numbers.decimal, "unreadable": "missing" if numbers.odd_rows else "error"}
        if spec.buckets is None and len(values) and patterns.heavy_tail(values, counts):
            chosen["transform"] = "log"
    elif isinstance(spec, MultiValued) and pa.types.is_large_string(column.values.type):
        chosen = {"separator": patterns.find_separator(column)}
    elif isinstance(spec, Categorical) and spec.part and (dates := patterns.read_moments(column)) is not None:
        chosen = {"date": dates.form, "unreadable": "missing" if dates.odd_rows else "error"}
    return spec.model_copy(update={name: value for name, value in chosen.items() if name not in spec.model_fields_set})


_ORDERS: dict[str, str] = {"day_first": "day first", "month_first": "month first"}
_FORMS: dict[str, str] = {
    **{form: f", the {words}" for form, words in _ORDERS.items()},
    **{unit: f", in Unix {unit}" for unit in UNIX_UNITS},
    **{form: f", in digits as {form}" for form in DIGIT_FORMS},
}


def _odd_words(odd: pa.Array | None, rows: int) -> str:
    """What a reason says of words among numbers or dates; nothing where there are none."""
    if odd is None or not rows:
        return ""
    examples = ", ".join(str(value)[:40] for value in odd[:3].to_pylist())
    return f"; other words, in {rows:,} rows, count as missing ({examples})"


def _with_net(verdict: Verdict, name: str, column: Tally) -> Verdict:
    """A verdict on texts, with what they look like where no rule has read them."""
    like = patterns.looks_like(column)
    if like is None:
        return verdict
    kind = {"numbers": "numeric", "dates": "calendar:FORM", "lists": "multi_valued:SEPARATOR"}.get(like, "ignore")
    said = argument("fields", {name: kind})
    advice = {
        "numbers": f"if they are, say {said}; the others then count as missing",
        "dates": f"if they are, write them in a form of docs/data.md, or say {said}",
        "lists": f"if they are, name the separator: {said}",
        "numbers with a unit": "if they are, take the unit off",
    }[like]
    return replace(verdict, doubt=f"at least 90 % of the rows look like {like}; {advice}")


def _vector(name: str) -> Verdict:
    doubt = (
        "vectors of numbers are no lists of tokens; give each number a column of its own "
        f"({name}_0, {name}_1, ...), or say {argument('fields', {name: 'multi_valued'})}"
    )
    return Verdict("ignored", "vectors of numbers with a fraction", doubt=doubt)


def _decide_numbers(name: str, found: FoundNumbers, taken: Collection[str]) -> Verdict | None:
    """A verdict on numbers; None for whole numbers that are no quantity."""
    numbers, column = found.numbers, found.present
    finite = np.isfinite(numbers)
    version = names.is_version(name)
    if found.decimal is None and not version and (dates := _dates_in_numbers(name, found)) is not None:
        return decide_dates(name, dates, taken)
    if found.decimal is not None:
        mark = "comma" if found.decimal == "," else "point"
        return _numeric(name, f"numbers as people write them, with a decimal {mark}", numbers, column.counts, found)
    if not finite.all() or (numbers % 1 != 0).any():
        which = "numbers with a fraction" if finite.all() else "numbers, some of them infinite"
        if version:
            return _categorical(name, f"{which}; 'version' in the name tells an identity")
        meaning = names.meaning_of(name)
        broken = column.counts[~finite | (np.where(finite, numbers, 0) % 1 != 0)].sum()
        if meaning and meaning[0] == "identity" and broken <= _FEW * column.present:
            return _categorical(
                name, f"numbers, nearly all of them whole; '{meaning[1]}' in the name tells an identity"
            )
        return _numeric(name, which, numbers[finite], column.counts[finite], found)
    values, where = np.unique(numbers, return_inverse=True)
    if len(values) <= 2:
        return None
    counts = np.bincount(where, weights=column.counts).astype(np.int64)
    meaning = names.meaning_of(name)
    if meaning and (meaning[0] == "quantity" or (meaning[0] == "scale" and len(values) >= 10)):
        return _numeric(name, f"whole numbers; '{meaning[1]}' in the name tells a quantity", values, counts, found)
    shape = None if meaning else patterns.shape_of_quantity(values, counts)
    return _numeric(name, f"whole numbers, {shape}", values, counts, found) if shape else None


def _dates_in_numbers(name: str, found: FoundNumbers) -> FoundMoments | None:
    """Numbers as moments, where range and name, or range and run, say so."""
    meaning = names.meaning_of(name)
    if not names.is_clock(name) and meaning and not (names.is_calendar(meaning[1]) or names.is_time_unit(meaning[1])):
        return None
    dates = patterns.read_unix(found.column, found.present, named=names.is_clock(name))
    if dates is None or dates.form is None:
        return None
    if names.is_clock(name) or patterns.runs_like_time(found.numbers, found.present.counts, dates.form):
        return dates
    return None


def _decide_text(name: str, column: Tally) -> Verdict | None:
    separator = patterns.find_separator(column)
    if separator is None:
        return _vector(name) if patterns.are_vectors(column) else None
    if patterns.is_vector(patterns.elements(column, separator)):
        return _vector(name)
    if separator == BRACKETS:
        return Verdict("multi_valued", "lists in brackets", {name: MultiValued(separator=separator)})
    with_it = pc.match_substring(column.values, separator).to_numpy(zero_copy_only=False)
    share = column.counts[with_it].sum() / column.present
    reason = f"text, '{separator}' in {share:.0%} of the values splits it into parts that come back"
    return Verdict("multi_valued", reason, {name: MultiValued(separator=separator)})


def _categorical(name: str, reason: str) -> Verdict:
    return Verdict("categorical", reason, {name: Categorical()})


def _numeric(name: str, reason: str, values: Floats, counts: Counts, found: FoundNumbers) -> Verdict:
    spec = Numeric(decimal=found.decimal, unreadable="missing" if found.odd_rows else "error")
    reason += _odd_words(found.odd, found.odd_rows)
    if len(values) and patterns.heavy_tail(values, counts):
        reason += f"; log, for a heavy tail up to {np.abs(values).max():,.6g}"
        return Verdict("numeric", reason, {name: spec.model_copy(update={"transform": "log"})})
    return Verdict("numeric", f"{reason}; standard, for no heavy tail", {name: spec})


def count_distinct(column: Tally, numbers: FoundNumbers | None) -> int:
    """Different values; texts that are the same number ("1" and "1.0") count once where float64 tells them apart.

    Args:
        column: its values.
        numbers: the values as numbers, where they are.

    Returns:
        How many.
    """
    if numbers is None or not len(numbers.numbers) or np.abs(numbers.numbers).max() >= _EXACT:
        return len(column.values)
    return len(np.unique(numbers.numbers)) + (0 if numbers.odd is None else len(numbers.odd))
