"""What the values of a column look like: the questions that schema inference asks (of names: `schema.names`).

The functions look at the distinct values of a column and at how often each occurs, never at its rows, and answer
exactly (`find_separator`, which looks at no more than 20,000 distinct values, is the exception). The rules that
are built from the answers stand in `fieldwise.schema.rules`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.columns.date_forms import FoundForm, find_number_form, find_text_form
from fieldwise.columns.dates import DIGIT_FORMS, NAIVE, UNIX_UNITS, DateForm, local_times, read_texts
from fieldwise.columns.dates import read_numbers as read_numbers_as_dates
from fieldwise.columns.lists import BRACKETS, IN_BRACKETS, split_text
from fieldwise.columns.missing import missing_words
from fieldwise.columns.numbers import (
    STRICT_AMOUNTS,
    STRICT_PLAIN,
    DecimalMark,
    NumberReading,
    number_column,
)
from fieldwise.columns.profile import ColumnProfile, Counts
from fieldwise.columns.tokens import BLANKS
from fieldwise.metrics import rank_correlation

Floats = npt.NDArray[np.float64]

_BOOLEAN = r"^(?i:true|false)$"
_PROBE = 200
_MINUTES = 60
_YEAR_2040 = 2_208_988_800

MOSTLY = 0.9
"""A column is read as numbers or dates where at least that part of its rows is."""

SEPARATORS = ("|", ";", ",", "^", "\x02", " ")
_SPLIT_AT_MOST = 20_000
_SMALL_VOCABULARY = 1_000
_CODE = re.compile(r"[A-Za-z]{0,3}[0-9]+")
_MOST_ODD_WORDS = 20
_CODE_LIKE = r"^[A-Za-z]{1,4}[-_. ]?[0-9]+(?:\.[0-9]+)?[A-Za-z]?$|^[0-9]+(?:\.[0-9]+)?[-_. ]?[A-Za-z]{1,4}[0-9]*$"
_LIST_OF_NUMBERS = r"^[0-9]+(?:[,;|^ ]+[0-9]+)+$"

_WITH_UNIT = r"^[+-]?[0-9]+(?:[.,][0-9]+)?\s?[A-Za-z%°/µ²³]{1,6}$"
_LIKE_DATES = (
    r"[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}"
    r"|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\W+[0-9]"
)
_LIKE_LISTS = (
    r"^\[.*\]$|^[^|]+(?:\|[^|]+)+$|^[^;]+(?:;[^;]+)+$|^[^^]+(?:\^[^^]+)+$|^[0-9]+(?:[ ,][0-9]+){2,}$"
    r"|^[^~]+(?:~[^~]+)+$|^[^:]+(?:::[^:]+)+$|^[0-9]+(?:\+[0-9]+)+$|^[0-9]+(?:&[0-9]+)+$"
)
_LIKE_ONE_ELEMENT = r"^\w+$"
_NUMBER_IN_VECTOR = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_VECTOR = rf"^{_NUMBER_IN_VECTOR}(?:(?:\s*[,;|^]\s*|\s+){_NUMBER_IN_VECTOR})+$"
_LOOKS = {
    "numbers": f"{STRICT_AMOUNTS['.']}|{STRICT_AMOUNTS[',']}",
    "dates": _LIKE_DATES,
    "lists": _LIKE_LISTS,
    "numbers with a unit": _WITH_UNIT,
}


@dataclass(frozen=True)
class Tally:
    """A view of a column's profile in which words for a missing value are gaps, and texts have no outer blanks.

    Attributes:
        values: an Arrow array, in order of first appearance.
        counts: one per value.
        missing: rows without a value.

    Shape:
        counts: int64 [values].
    """

    values: pa.Array
    counts: Counts
    missing: int

    @property
    def present(self) -> int:
        """Values in all, each occurrence counted."""
        return int(self.counts.sum())

    def where(self, keep: pa.BooleanArray) -> Tally:
        """The tally with some values turned into missing ones.

        Args:
            keep: whether each value stays, an Arrow array.

        Returns:
            The new tally.
        """
        mask = keep.to_numpy(zero_copy_only=False)
        dropped = int(self.counts[~mask].sum())
        return Tally(self.values.filter(keep), self.counts[mask], self.missing + dropped)


def tally(profile: ColumnProfile) -> Tally | None:
    """A column's profile as inference reads it.

    Args:
        profile: of the column.

    Returns:
        The tally; None where the column's type holds no tokens, numbers or dates: structs, maps, lists of lists and
        durations.
    """
    kind = profile.values.type
    if not profile.countable or pa.types.is_duration(kind) or pa.types.is_interval(kind):
        return None
    plain = (pa.types.is_null, pa.types.is_boolean, is_number, pa.types.is_date, pa.types.is_timestamp)
    if any(is_kind(kind) for is_kind in plain):
        return Tally(profile.values, profile.counts, profile.missing)
    column = _tally_texts(profile)
    # What a list is made of may be blank; the row has a list all the same.
    return column and (replace(column, missing=profile.missing) if profile.is_list else column)


def is_number(kind: pa.DataType) -> bool:
    """Whether the type is one of integers, floats and decimals."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_boolean(values: pa.Array) -> bool:
    """Whether the values are booleans, or the texts true and false in any case."""
    return bool(pa.types.is_boolean(values.type)) or _all_match(values, _BOOLEAN)


@dataclass(frozen=True, eq=False)
class FoundMoments:
    """A column read as moments.

    Attributes:
        local: the moments as the clock shows them, without those that cannot be read: timestamp[s].
        form: of texts and numbers; None for dates by type, and for texts with the year first.
        zone: that the values are written in, as in `fieldwise.columns.dates.Moments`.
        odd: values that are no moments.
        odd_rows: rows that hold them.
        other: the form that would do as well.
    """

    local: pa.Array
    form: DateForm | None
    zone: str = NAIVE
    odd: pa.Array | None = None
    odd_rows: int = 0
    other: DateForm | None = None


def read_moments(column: Tally) -> FoundMoments | None:
    """The values as moments, where they are dates by type, or texts of which at least 90 % are moments of one form.

    The clock is read as written, whatever the zone. Times of day alone are moments only where there are more of them
    than minutes in an hour; fewer come back often enough to be categories.

    Args:
        column: the values.

    Returns:
        The moments; None where they are not dates.

    Example:
        >>> column = Tally(pa.array(["2026-01-31", "2026/02/01 08:30"], pa.large_string()), np.array([1, 1]), 0)
        >>> read_moments(column).local[1].as_py()
        datetime.datetime(2026, 2, 1, 8, 30)
    """
    values = column.values
    if pa.types.is_timestamp(values.type):
        local = local_times(values) if values.type.tz else values
        # A plain cast cuts fractions towards 1970, which is upwards before it.
        whole = pc.floor_temporal(local, unit="second").cast(pa.timestamp("s"))
        return FoundMoments(whole, None, values.type.tz or NAIVE)
    if pa.types.is_date(values.type):
        return FoundMoments(values.cast(pa.timestamp("s"), safe=False), None)
    if not len(values):
        return None
    if pa.types.is_time(values.type):
        values = values.cast(pa.large_string())
    if not pa.types.is_large_string(values.type):
        return None
    found = find_text_form(values, column.counts)
    if found is None or found.share < MOSTLY or found.clock.readable.mean() < 0.5:
        return None
    if found.form == "time_of_day" and len(values) <= _MINUTES:
        return None
    return _moments_of(found, column)


def read_as(column: Tally, form: DateForm) -> FoundMoments:
    """The values as moments of one form, however many of them are.

    Args:
        column: the values.
        form: of texts and numbers.

    Returns:
        The moments; none where the values cannot be read so.
    """
    values = column.values
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        return read_moments(column) or FoundMoments(pa.array([], pa.timestamp("s")), None)
    clock = (
        read_numbers_as_dates(values, form) if form in UNIX_UNITS or form in DIGIT_FORMS else read_texts(values, form)
    )
    share = float(column.counts[clock.readable].sum() / max(column.present, 1))
    return _moments_of(FoundForm(form, clock, share), column)


def read_unix(column: Tally, numbers: Tally, *, named: bool) -> FoundMoments | None:
    """The values as moments, where they are numbers in the range of a Unix time, or digits of a date.

    Args:
        column: all values.
        numbers: those that are numbers.
        named: whether the column's name says time.

    Returns:
        The moments; None where the numbers are in no such range.
    """
    found = find_number_form(numbers.values, numbers.counts, named=named)
    return (
        None
        if found is None or found.share < MOSTLY or len(numbers.values) < len(column.values)
        else _moments_of(found, numbers)
    )


def _moments_of(found: FoundForm, column: Tally) -> FoundMoments:
    clock = found.clock
    local = pa.array(clock.micros[clock.readable] // 1_000_000, pa.timestamp("s"))
    odd = ~(clock.readable | clock.missing)
    form = None if found.form == "year_first" else found.form
    return FoundMoments(
        local, form, clock.zone, column.values.filter(pa.array(odd)), int(column.counts[odd].sum()), found.other
    )


@dataclass(frozen=True, eq=False)
class FoundNumbers:
    """A column read as numbers.

    Attributes:
        column: all values.
        present: those that are numbers.
        numbers: the same as float64.
        decimal: the decimal mark of texts as people write numbers; None for plain ones.
        odd: values that are no numbers.
        odd_rows: rows that hold them.
    """

    column: Tally
    present: Tally
    numbers: Floats
    decimal: DecimalMark | None = None
    odd: pa.Array | None = None
    odd_rows: int = 0


def read_numbers(column: Tally, *, among_codes: bool = False) -> FoundNumbers | None:
    """The values as numbers, where they are, or where at least 90 % of the rows and half of the values are.

    People keep a leading zero or a plus sign only where the digits are a name; such texts are no numbers here. Of a
    decimal point and a decimal comma the one counts that reads more rows. Odd words are at most 20 different ones, and
    not codes such as V57, nor lists of numbers: numbers among those are codes, or lists, too.

    Args:
        column: the values.
        among_codes: whether numbers count also where the odd words are many, or codes.

    Returns:
        The numbers; None where they are none.
    """
    values = column.values
    if is_number(values.type):
        numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return FoundNumbers(column, column, numbers.astype(np.float64, copy=False))
    if not len(values) or not pa.types.is_large_string(values.type):
        return None
    if _all_match(values, STRICT_PLAIN):
        numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return FoundNumbers(column, column, numbers.astype(np.float64, copy=False))
    probe = _spread(values, _PROBE)
    best: tuple[int, DecimalMark | None, npt.NDArray[np.bool_]] = (0, None, np.zeros(len(values), bool))
    forms: list[tuple[DecimalMark | None, str]] = [(None, STRICT_PLAIN), *STRICT_AMOUNTS.items()]
    for mark, pattern in forms:
        likely = pc.mean(pc.match_substring_regex(probe, pattern=pattern).cast(pa.float64())).as_py()
        if likely < 0.4 and not among_codes:
            continue
        reads = pc.match_substring_regex(values, pattern=pattern).to_numpy(zero_copy_only=False)
        rows = int(column.counts[reads].sum())
        if rows > best[0]:
            best = rows, mark, reads
    rows, decimal, reads = best
    if rows < MOSTLY * column.present or (reads.mean() < 0.5 and not among_codes):
        return None
    odd = values.filter(pa.array(~reads))
    lists = pc.match_substring_regex(odd, pattern=_LIST_OF_NUMBERS).to_numpy(zero_copy_only=False)
    if column.counts[~reads][lists].sum() >= 0.01 * column.present:  # lists of which most have one number
        return None
    codes = pc.sum(pc.match_substring_regex(odd, pattern=_CODE_LIKE)).as_py() or 0
    if (codes > 1 or len(odd) > _MOST_ODD_WORDS) and not among_codes:
        return None
    present = Tally(values.filter(pa.array(reads)), column.counts[reads], column.missing)
    numbers = number_column(pa.chunked_array([present.values]), reading=NumberReading(decimal))
    return FoundNumbers(column, present, numbers, decimal, odd, int(column.counts[~reads].sum()))


def runs_like_time(numbers: Floats, counts: Counts, form: DateForm) -> bool:
    """Whether numbers in the range of moments also run like moments, so that no name need say that they are.

    Moments seldom come twice, or grow from the first row to the last; they are neither all numbers from one to
    another, nor further than 20 years apart, and moments in nanoseconds are measured in steps of 100.

    Args:
        numbers: distinct ones in order of first appearance.
        counts: how often each occurs.
        form: that their range tells.

    Returns:
        Whether they do.

    Shape:
        numbers: float64 [N].
        counts: int64 [N].

    Example:
        >>> runs_like_time(1.7e9 + 977.0 * np.arange(100), np.ones(100, np.int64), "seconds")
        True
    """
    if len(numbers) < 20:
        return False
    if form in DIGIT_FORMS:
        return True  # random digits are no dates
    unit = UNIX_UNITS[form]
    positive = numbers[numbers > 0]
    span = float(np.ptp(positive)) / unit
    if not 3_600 <= span <= 20 * 366 * 86_400 or positive.max() > _YEAR_2040 * unit:
        return False
    if len(positive) > 0.5 * (np.ptp(positive) + 1) or (form == "nanoseconds" and (positive % 100).any()):
        return False
    growing = rank_correlation(np.arange(len(numbers)), numbers)
    return bool(len(numbers) >= 0.5 * counts.sum()) or (growing is not None and abs(growing) >= 0.5)


def find_separator(column: Tally) -> str | None:
    """The separator that splits the texts into lists of tokens.

    Counts over at most 20,000 distinct values, evenly spaced.

    Args:
        column: the texts.

    Returns:
        One of `SEPARATORS`, or `[]` for lists in brackets; None where none does.
    """
    if _all_match(column.values, IN_BRACKETS):
        return BRACKETS
    others = False
    for separator in SEPARATORS:
        if separator == " " and others:  # the blanks are then within what the others part
            return None
        with_it = pc.match_substring(column.values, separator).to_numpy(zero_copy_only=False)
        if column.counts[with_it].sum() < 0.1 * column.present:
            continue
        others = True
        if separator == "," and _all_match(column.values, STRICT_AMOUNTS[","]):
            continue
        if _splits_well(_spread(column.values, _SPLIT_AT_MOST).to_pylist(), separator):
            return separator
    return None


def is_vector(values: pa.Array) -> bool:
    """Whether the elements of lists are measurements: floats, or texts of such, of which half or more have a fraction.

    Args:
        values: distinct elements.

    Returns:
        Whether they are.

    Example:
        >>> is_vector(pa.array([0.25, 1.5, 3.0])), is_vector(pa.array([1.0, 2.0])), is_vector(pa.array(["a", "0.5"]))
        (True, False, False)
    """
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        texts = values.cast(pa.large_string())
        if not _all_match(texts, STRICT_PLAIN):
            return False
        values = texts.cast(pa.float64())
    elif not (pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return False
    numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return len(numbers) > 0 and bool(np.mean(numbers % 1 != 0) >= 0.5)


def elements(column: Tally, separator: str) -> pa.Array:
    """The different elements of at most 20,000 of the texts."""
    texts = _spread(column.values, _SPLIT_AT_MOST).to_pylist()
    parts = dict.fromkeys(part.strip() for text in texts for part in split_text(text, separator))
    return pa.array([part for part in parts if part], pa.large_string())


def is_digits(values: pa.Array) -> bool:
    """Whether all of the values are texts of digits alone, of any length.

    Example:
        >>> is_digits(pa.array(["10000169349117863715", "7"], pa.large_string()))
        True
    """
    return bool(pa.types.is_large_string(values.type) and pc.all(pc.match_substring_regex(values, r"^[0-9]+$")).as_py())


def are_vectors(column: Tally) -> bool:
    """Whether the texts are vectors of numbers with a fraction, and most rows have one of their own.

    (Vectors that come back name something, such as a place.)

    Example:
        >>> texts = pa.array([f"0.{n:03} -1.5 2" for n in range(30)], pa.large_string())
        >>> are_vectors(Tally(texts, np.ones(30, np.int64), 0))
        True
    """
    values = column.values
    if len(values) < 20 or 2 * len(values) < column.present or not pa.types.is_large_string(values.type):
        return False
    with_point = pc.match_substring(_spread(values, _PROBE), ".")
    return pc.mean(with_point.cast(pa.float64())).as_py() >= 0.5 and _all_match(values, _VECTOR)


def looks_like(column: Tally) -> str | None:
    """What texts that no rule reads look like to a lenient eye, where at least 90 % of the rows do.

    Args:
        column: the texts.

    Returns:
        "numbers", "dates", "lists" or "numbers with a unit"; None where they look like names.

    Example:
        >>> looks_like(Tally(pa.array([f"{n}.5 kg" for n in range(30)], pa.large_string()), np.ones(30, np.int64), 0))
        'numbers with a unit'
    """
    if len(column.values) < 20 or not pa.types.is_large_string(column.values.type):
        return None
    for what, pattern in _LOOKS.items():
        some = pc.match_substring_regex(_spread(column.values, _PROBE), pattern=pattern)
        if pc.mean(some.cast(pa.float64())).as_py() < 0.5:
            continue
        if what == "lists":
            pattern += f"|{_LIKE_ONE_ELEMENT}"
        fits = pc.match_substring_regex(column.values, pattern=pattern).to_numpy(zero_copy_only=False)
        if column.counts[fits].sum() >= MOSTLY * column.present:
            return what
    return None


def _splits_well(texts: list[str], separator: str) -> bool:
    """Whether the texts, each distinct one counted once, look like lists.

    Their parts are short, and come back: either out of a small vocabulary in which each is found twice on average, or
    in other places of other lists ("Smith, John" never has a first name first), or they are codes in lists of different
    lengths. Words between blanks are a sentence unless the vocabulary is small, or all are numbers.
    """
    if any(text[0] in '{["<' for text in texts):
        return False
    lists = [[part.strip() for part in split_text(text, separator)] for text in texts]
    parts = [part for tags in lists for part in tags]
    named = [part for part in parts if part]
    vocabulary = set(named)
    if len(named) < 0.9 * len(parts) or len(vocabulary) < 2:
        return False
    if sum(len(part) > 40 or part.count(" ") > 3 for part in named) > 0.05 * len(named):
        return False
    either = {tags[0] for tags in lists} & {tag for tags in lists for tag in tags[1:]}
    exchanged = sum(part in either for part in named) >= 0.25 * len(named)
    reused = 2 * len(vocabulary) <= len(named)
    small = reused and len(vocabulary) <= _SMALL_VOCABULARY
    codes = sum(_CODE.fullmatch(part) is not None for part in vocabulary) >= 0.95 * len(vocabulary)
    uneven = len({len(tags) for tags in lists}) >= 3 and sum(len(tags) > 1 for tags in lists) >= 0.5 * len(lists)
    if separator == " ":
        return (exchanged and ((small and 4 * len(vocabulary) <= len(named)) or (codes and reused))) or (
            codes and uneven
        )
    if separator == ",":
        return (exchanged and (small or reused or codes)) or (codes and uneven)
    return small or (exchanged and (reused or codes)) or (codes and uneven)


def _tally_texts(profile: ColumnProfile) -> Tally | None:
    """Values of any other type as trimmed texts; None for bytes that are not UTF-8."""
    counts = profile.counts
    try:
        texts = profile.values.cast(pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    trimmed = pc.utf8_trim(texts, characters=BLANKS)
    if not trimmed.equals(texts):  # values that differed only in blanks are one
        merged = trimmed.dictionary_encode("encode")
        trimmed = merged.dictionary
        counts = np.bincount(merged.indices.to_numpy(), weights=counts).astype(np.int64)
    return Tally(trimmed, counts, profile.missing).where(pc.invert(missing_words(trimmed)))


def _all_match(values: pa.Array, pattern: str) -> bool:
    """Whether there are values, all are text and each matches. A few are tried first, to be quick in saying no."""
    if not len(values) or not pa.types.is_large_string(values.type):
        return False
    return all(
        pc.all(pc.match_substring_regex(some, pattern=pattern)).as_py() for some in (_spread(values, _PROBE), values)
    )


def _spread(values: pa.Array, at_most: int) -> pa.Array:
    """Evenly spaced values, the first and the last among them."""
    if len(values) <= at_most:
        return values
    return values.take(pa.array(np.linspace(0, len(values) - 1, at_most).astype(np.int64)))


# ---- shapes


def shape_of_quantity(values: Floats, counts: Counts) -> str | None:
    """Why whole numbers look like a quantity by their values alone.

    An identity taken for a number does more harm than a count taken for a category, so every test is strict.

    Args:
        values: distinct, ascending.
        counts: how often each occurs.

    Returns:
        A few words with the figures; None where they do not look like one.

    Shape:
        values: float64 [N].
        counts: int64 [N].

    Example:
        >>> shape_of_quantity(np.arange(-12.0, 13.0), np.ones(25, np.int64))
        '12 different values below and 12 above zero, as differences have'
    """
    return _differences(values) or _count(values, counts) or _price(values, counts)


def _differences(values: Floats) -> str | None:
    below, above = int((values < 0).sum()), int((values > 0).sum())
    # Signed 32- and 64-bit hashes are larger.
    if min(below, above) < 10 or max(-values[0], values[-1]) >= 1e9:
        return None
    return f"{below:,} different values below and {above:,} above zero, as differences have"


def _count(values: Floats, counts: Counts) -> str | None:
    distinct, rows = len(values), int(counts.sum())
    # Counts are dense at the start and sparse at the end. Identities are either (1 to N); a frequency-ordered
    # vocabulary, of which only part is seen, is both, but has more distinct values than the root of the rows.
    if distinct < 20 or distinct > min(rows / 10, 10 * rows**0.5):
        return None
    if not -3 <= values[0] <= 1 or values[9] - values[0] > 9 or values[-1] < 2 * distinct:
        return None
    mode = values[np.argmax(counts)]
    if mode > values[4]:
        return None
    falling = rank_correlation(np.arange(distinct), counts)
    if falling is None or falling > -0.8:
        return None
    return (
        f"{distinct:,} different values from {values[0]:,.0f} to {values[-1]:,.0f}, most often {mode:,.0f} and "
        f"rarer as they grow (rank correlation {falling:.2f}), as counts are"
    )


def _price(values: Floats, counts: Counts) -> str | None:
    distinct, rows = len(values), int(counts.sum())
    if distinct < 20 or distinct > rows / 5 or values[0] <= 0 or values[-1] < 10 * values[0]:
        return None
    round_ones = (values % 5 == 0) | (values % 10 == 9)
    share = counts[round_ones].sum() / rows
    # One frequent value must not decide alone, so the distinct values are asked too.
    if min(share, round_ones.mean()) < 0.6:
        return None
    return (
        f"{distinct:,} different values from {values[0]:,.0f} to {values[-1]:,.0f}, {share:.0%} of the rows with "
        "a multiple of 5 or a last digit 9, as prices have"
    )


def heavy_tail(values: Floats, counts: Counts) -> bool:
    """Whether the magnitudes are so skewed that a logarithm serves the numbers better than their deviation.

    True where the largest magnitude is at least 20, above 20 medians, and the skewness is above 2.

    Args:
        values: distinct numbers.
        counts: how often each occurs.

    Returns:
        Whether they are.

    Shape:
        values: float64 [N].
        counts: int64 [N].

    Example:
        >>> heavy_tail(np.array([1.0, 2.0, 900.0]), np.array([50, 40, 1]))
        True
    """
    magnitude = np.abs(values)
    order = np.argsort(magnitude)
    cumulative = np.cumsum(counts[order])
    median = magnitude[order][np.searchsorted(cumulative, cumulative[-1] / 2)]
    largest = magnitude.max()
    if largest < 20 or largest / 20 <= median:  # 20 medians could be infinite
        return False
    scaled = magnitude / largest
    centred = scaled - np.average(scaled, weights=counts)
    deviation = np.sqrt(np.average(centred**2, weights=counts))
    return bool(np.average(centred**3, weights=counts) > 2 * deviation**3)
