"""What the values of a column look like: the questions that schema inference asks (of names: `schema.names`).

The functions look at the distinct values of a column and at how often each occurs, never at its rows, and answer
exactly (`find_separator`, which looks at no more than 20,000 distinct values, is the exception). The rules that
are built from the answers stand in `fieldwise.schema.rules`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.columns.numbers import MISSING_WORDS
from fieldwise.columns.profile import ColumnProfile, Counts
from fieldwise.columns.tokens import BLANKS
from fieldwise.metrics import rank_correlation

Floats = npt.NDArray[np.float64]

_BOOLEAN = r"^(?i:true|false)$"
# People keep a leading zero or a plus sign only where the digits are a name; such values are text.
_NUMBER = r"^-?(?:(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:inf|infinity))$"
_MOMENT = (
    r"^[0-9]{4}(?:-[0-9]{2}-[0-9]{2}|/[0-9]{2}/[0-9]{2})"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?$"
)
_FRACTION_AND_ZONE = r"(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?$"
_COMMA_IN_NUMBER = r"^[+-]?(?:[0-9]{1,3}(?:,[0-9]{3})*(?:\.[0-9]+)?|[0-9]+,[0-9]+)$"
_PROBE = 200

SEPARATORS = ("|", ";", ",")
_SPLIT_AT_MOST = 20_000
_LARGEST_VOCABULARY = 1_000


@dataclass(frozen=True)
class Tally:
    """A view of a column's profile in which blank texts are gaps, and texts have no outer blanks.

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


def read_moments(values: pa.Array) -> pa.Array | None:
    """The values as local dates and times.

    Text counts where each value is an ISO date with or without a time of day; "/" may stand for "-". The clock
    is read as written, whatever the zone.

    Args:
        values: an Arrow array.

    Returns:
        timestamp[s]; None where they are not dates.

    Example:
        >>> read_moments(pa.array(["2026-01-31", "2026/02/01 08:30"], pa.large_string()))[1].as_py()
        datetime.datetime(2026, 2, 1, 8, 30)
    """
    if pa.types.is_timestamp(values.type):
        local = pc.local_timestamp(values) if values.type.tz else values
        # A plain cast cuts fractions towards 1970, which is upwards before it.
        return pc.floor_temporal(local, unit="second").cast(pa.timestamp("s"))
    if pa.types.is_date(values.type):
        return values.cast(pa.timestamp("s"), safe=False)
    if not _all_match(values, _MOMENT):
        return None
    # Arrow reads only one form per array.
    plain = pc.replace_substring_regex(values, pattern=_FRACTION_AND_ZONE, replacement="")
    try:
        return pc.replace_substring(plain, pattern="/", replacement="-").cast(pa.timestamp("s"))
    except pa.ArrowInvalid:  # such as a 13th month
        return None


def read_numbers(column: Tally) -> tuple[Tally, Floats] | None:
    """The values as numbers.

    Args:
        column: the values.

    Returns:
        The values without the words that stand for a missing one, and the same as float64; None where they are not
        numbers.
    """
    if is_number(column.values.type):
        present = column
    elif pa.types.is_large_string(column.values.type):
        word = pc.is_in(pc.utf8_lower(column.values), value_set=pa.array(sorted(MISSING_WORDS)).cast(pa.large_string()))
        present = column.where(pc.invert(word))
        if not _all_match(present.values, _NUMBER):
            return None
    else:
        return None
    numbers = present.values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return present, numbers.astype(np.float64, copy=False)


def find_separator(column: Tally) -> str | None:
    """The separator that splits the texts into tokens of a small common vocabulary.

    Counts over at most 20,000 distinct values, evenly spaced.

    Args:
        column: the texts.

    Returns:
        One of `SEPARATORS`; None where none does.
    """
    for separator in SEPARATORS:
        with_it = pc.match_substring(column.values, separator).to_numpy(zero_copy_only=False)
        if column.counts[with_it].sum() < 0.1 * column.present:
            continue
        if separator == "," and _all_match(column.values, _COMMA_IN_NUMBER):
            continue
        if _splits_well(_spread(column.values, _SPLIT_AT_MOST).to_pylist(), separator):
            return separator
    return None


def _splits_well(texts: list[str], separator: str) -> bool:
    """Whether the texts, each distinct one counted once, look like lists of tags.

    Not so for JSON, for sentences, and, with a comma, for composites such as "Smith, John", whose first parts
    are never found in another place.
    """
    if any(text[0] in '{["<' for text in texts):
        return False
    lists = [[part.strip() for part in text.split(separator)] for text in texts]
    parts = [part for tags in lists for part in tags]
    named = [part for part in parts if part]
    vocabulary = set(named)
    if len(named) < 0.9 * len(parts) or not 2 <= len(vocabulary) <= min(_LARGEST_VOCABULARY, len(named) / 2):
        return False
    if sum(len(part) > 40 or part.count(" ") > 3 for part in named) > 0.05 * len(named):
        return False
    if separator != ",":
        return True
    either = {tags[0] for tags in lists} & {tag for tags in lists for tag in tags[1:]}
    return sum(part in either for part in named) >= 0.25 * len(named)


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
    return Tally(trimmed, counts, profile.missing).where(pc.not_equal(trimmed, ""))


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
