"""One field's encoding: what was learned from the training values, and how a value becomes an id or a number.

Every class offers the same four things: `fit` (from the profile of the training column), `encode` (a column),
`encode_value` (one Python value) and `size` (rows that the field needs in an embedding table). `encode` and
`encode_value` give the same result; a property test holds them to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.columns import numbers
from fieldwise.columns.date_forms import find_form
from fieldwise.columns.dates import ISO, MIXED, NAIVE, CalendarPart, DateReading, moment, moments, part_of_moments
from fieldwise.columns.lists import split_text, split_texts
from fieldwise.columns.missing import is_missing_word, missing_words
from fieldwise.columns.profile import ColumnProfile, is_list
from fieldwise.columns.tokens import Tokens, is_missing, plain_column, token, token_column
from fieldwise.encoding.encoded import EncodingReport, Ragged
from fieldwise.encoding.scaling import Scaling, bucket_ids, fit_bounds, fit_scaling, scale
from fieldwise.encoding.vocabulary import Vocabulary, count_tokens
from fieldwise.errors import DataError
from fieldwise.layout import FIRST_TOKEN, MISSING, OOV, Kind
from fieldwise.schema import Categorical, MultiValued, Numeric

Ids = npt.NDArray[np.int32]
Range = tuple[float, float]


@dataclass(frozen=True, eq=False)
class CategoricalEncoding:
    """One token per row, by vocabulary.

    Attributes:
        name: of the field.
        vocabulary: its tokens.
        part: the calendar part that is read instead of the value.
        dates: how the moments are read, of which a part is taken.
    """

    name: str
    vocabulary: Vocabulary
    part: CalendarPart | None = None
    dates: DateReading = ISO
    kind: ClassVar[Kind] = "categorical"

    @classmethod
    def fit(cls, name: str, spec: Categorical, profile: ColumnProfile, *, min_count: int) -> CategoricalEncoding:
        """Give ids to the column's tokens that were seen often enough.

        Args:
            name: of the field.
            spec: may have a threshold of its own.
            profile: of the training column.
            min_count: the threshold otherwise.

        Returns:
            The encoding.

        Raises:
            DataError: the column holds no single values, or no dates where a part of them is wanted.
        """
        if profile.is_list or not profile.countable:
            raise DataError(f"expected single values, got a column of type {profile.kind}")
        column, dates = profile.column, ISO
        if spec.part:
            dates = settle_dates(spec, profile)
            column = part_of_moments(moments(column, dates, rows=profile.first).local, spec.part)
        tokens = token_column(column)
        counts = count_tokens(tokens, profile.counts)
        vocabulary = Vocabulary.assign(tokens.values, counts, min_count=spec.min_count or min_count)
        return cls(name, vocabulary, spec.part, dates)

    @property
    def size(self) -> int:
        """Rows in an embedding table."""
        return self.vocabulary.size

    def encode(self, column: pa.ChunkedArray, report: EncodingReport) -> Ids:
        """The id of each row.

        Args:
            column: N raw values.
            report: takes in the account of unseen and missing ones.

        Returns:
            int32 [N].

        Raises:
            DataError: the column holds no single values, or a value of which a part is wanted is no date.
        """
        tokens = token_column(self._parts(column, report) if self.part else column)
        ids = self.vocabulary.ids(tokens)
        _count_missing(report, self.name, int(np.count_nonzero(ids == MISSING)))
        _report_unseen(report, self.name, tokens, tokens.codes[ids == OOV])
        return ids

    def encode_value(self, value: Any, report: EncodingReport) -> int:
        """The id of one value.

        Args:
            value: a Python value.
            report: takes in whether it is unseen or missing.

        Returns:
            The id.

        Raises:
            DataError: as `encode` does.
        """
        text = self._part(value, report) if self.part else token(value)
        ident = self.vocabulary.id_of(text)
        _count_missing(report, self.name, int(ident == MISSING))
        if ident == OOV and text is not None:
            _add_unseen(report, self.name, 1, [text])
        return ident

    def _parts(self, column: pa.ChunkedArray, report: EncodingReport) -> pa.ChunkedArray:
        assert self.part is not None
        found = moments(column, self.dates)
        if len(found.local) > found.local.null_count:
            self._compare_zones(found.zone, report)
        if len(found.unreadable):
            _add_unreadable(report, self.name, column, found.unreadable)
        return part_of_moments(found.local, self.part)

    def _part(self, value: Any, report: EncodingReport) -> str | None:
        assert self.part is not None
        when = moment(value, self.dates)
        if when is not None:
            self._compare_zones(NAIVE if when.tzinfo is None else str(when.tzinfo), report)
            return str(when.weekday() if self.part == "weekday" else getattr(when, self.part))
        if _is_odd(value):
            _add_unreadable(report, self.name, pa.chunked_array([[str(value)]]), np.array([0]))
        return None

    def _compare_zones(self, zone: str, report: EncodingReport) -> None:
        """Say it where the times of training had a zone and these have none, or the other way round."""
        trained = self.dates.zone
        if trained is None or (trained == NAIVE) == (zone == NAIVE):
            return
        if zone == NAIVE:
            clock = "in their own zones" if trained == MIXED else f"in the zone {trained}"
            report.zones[self.name] = (
                f"the times have no zone, those of training were {clock}; the clock is taken as written"
            )
        else:
            report.zones[self.name] = "the times have a zone, those of training had none; the clock is taken as written"


def settle_dates(spec: Categorical, profile: ColumnProfile) -> DateReading:
    """How moments are read: as a specification says, and where it leaves that open, as a column's values tell.

    Args:
        spec: with a part of the calendar.
        profile: of the column.

    Returns:
        The reading.
    """
    values, counts = profile.values, profile.counts
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        present = ~missing_words(values).to_numpy(zero_copy_only=False)
        values, counts = values.filter(pa.array(present)), counts[present]
    form, zone = find_form(values, counts)
    if spec.date is not None and spec.date != form and not profile.is_date:
        form = spec.date
        zone = moments(pa.chunked_array([values]), DateReading(form, unreadable="missing")).zone
    return DateReading(form, spec.zone or zone, spec.unreadable)


@dataclass(frozen=True, eq=False)
class MultiValuedEncoding:
    """Any number of tokens per row, by vocabulary. Empty parts do not count; a row without tokens is missing.

    Attributes:
        name: of the field.
        vocabulary: its tokens.
        separator: what stands between the tokens of a text; None: the column holds lists.
    """

    name: str
    vocabulary: Vocabulary
    separator: str | None
    kind: ClassVar[Kind] = "multi_valued"

    @classmethod
    def fit(cls, name: str, spec: MultiValued, profile: ColumnProfile, *, min_count: int) -> MultiValuedEncoding:
        """Give ids to the tokens that were seen often enough in all lists.

        Args:
            name: of the field.
            spec: may have a threshold of its own.
            profile: of the training column.
            min_count: the threshold otherwise.

        Returns:
            The encoding.

        Raises:
            DataError: the column holds neither lists of values nor text with the separator.
        """
        if profile.is_list:
            if not profile.countable:
                raise DataError(f"expected single values, got a column of type {profile.value_type}")
            tokens, times = token_column(profile.column), profile.counts
        elif not profile.countable:
            raise DataError(f"expected text or lists of values, got a column of type {profile.kind}")
        else:
            tokens, offsets = _split_column(profile.column, spec.separator)
            times = np.repeat(profile.counts, np.diff(offsets))
        counts = count_tokens(tokens, times)
        vocabulary = Vocabulary.assign(tokens.values, counts, min_count=spec.min_count or min_count)
        return cls(name, vocabulary, spec.separator)

    @property
    def size(self) -> int:
        """Rows in an embedding table."""
        return self.vocabulary.size

    def encode(self, column: pa.ChunkedArray, report: EncodingReport) -> Ragged:
        """The ids of each row's tokens, in their order; [MISSING] for a row without any.

        Args:
            column: N raw values.
            report: takes in the account of unseen tokens and rows without any.

        Returns:
            N lists.

        Raises:
            DataError: the column holds neither lists of values nor text with the separator.
        """
        tokens, offsets = _split_column(column, self.separator)
        ids = self.vocabulary.ids(tokens)
        _report_unseen(report, self.name, tokens, tokens.codes[ids == OOV])
        present = ids != MISSING
        kept_before = np.concatenate([[0], np.cumsum(present)])
        lengths = np.diff(kept_before[offsets])
        _count_missing(report, self.name, int(np.count_nonzero(lengths == 0)))
        filled = np.concatenate([[0], np.cumsum(np.maximum(lengths, 1))]).astype(np.int64)
        values = np.full(filled[-1], MISSING, dtype=np.int32)
        start_of_value = np.repeat(filled[:-1] - kept_before[offsets[:-1]], lengths)
        values[np.arange(len(start_of_value)) + start_of_value] = ids[present]
        return Ragged(values, filled)

    def encode_value(self, value: Any, report: EncodingReport) -> list[int]:
        """The ids of one value's tokens.

        Args:
            value: a Python value.
            report: takes in the account of unseen tokens, or that there are none.

        Returns:
            The ids.

        Raises:
            DataError: as `encode` does.
        """
        texts = map(token, _split_value(value, self.separator))
        found = [(text, ident) for text in texts if (ident := self.vocabulary.id_of(text)) != MISSING]
        unseen = [text for text, ident in found if ident == OOV and text is not None]
        if unseen:
            _add_unseen(report, self.name, len(unseen), unseen)
        _count_missing(report, self.name, int(not found))
        return [ident for _, ident in found] or [MISSING]


@dataclass(frozen=True, eq=False)
class NumericEncoding:
    """One scaled number per row; NaN stands for missing.

    Attributes:
        name: of the field.
        scaling: what is done to a number.
        reading: how text is read.
        range: the smallest and the largest number of training; None: not known.
    """

    name: str
    scaling: Scaling
    reading: numbers.NumberReading = numbers.PLAIN
    range: Range | None = None
    kind: ClassVar[Kind] = "numeric"
    size: ClassVar[int] = FIRST_TOKEN  # the missing vector and the value vector

    @classmethod
    def fit(cls, name: str, spec: Numeric, profile: ColumnProfile) -> NumericEncoding:
        """Take the scaling's figures from the column's numbers.

        Args:
            name: of the field.
            spec: which transform.
            profile: of the training column.

        Returns:
            The encoding.

        Raises:
            DataError: the column holds no numbers, or such large ones that their spread is not a float64.
        """
        values = _numbers(profile, spec.reading)
        return cls(name, fit_scaling(spec, values, profile.counts), spec.reading, range_of(values))

    def encode(self, column: pa.ChunkedArray, report: EncodingReport) -> npt.NDArray[np.float32]:
        """The scaled number of each row.

        Args:
            column: N raw values.
            report: takes in the account of infinite and missing ones.

        Returns:
            float32 [N].

        Raises:
            DataError: a value is no number; the message has its row.
        """
        read = read_column(column, self.name, self.reading, self.range, report)
        return _finite(scale(self.scaling, read), report, self.name).astype(np.float32)

    def encode_value(self, value: Any, report: EncodingReport) -> float:
        """The scaled number of one value.

        Args:
            value: a Python value.
            report: takes in whether it is infinite or missing.

        Returns:
            The number, NaN where missing.

        Raises:
            DataError: as `encode` does.
        """
        read = _read_value(value, self.name, self.reading, self.range, report)
        return float(_finite(scale(self.scaling, read), report, self.name).astype(np.float32)[0])


@dataclass(frozen=True, eq=False)
class BucketEncoding:
    """The bucket that a number falls into, as an id; missing has its own.

    Attributes:
        name: of the field.
        bounds: between buckets, ascending: float64 [buckets - 1].
        reading: how text is read.
        range: as in `NumericEncoding`.
    """

    name: str
    bounds: numbers.Numbers
    reading: numbers.NumberReading = numbers.PLAIN
    range: Range | None = None
    kind: ClassVar[Kind] = "categorical"

    @classmethod
    def fit(cls, name: str, spec: Numeric, profile: ColumnProfile) -> BucketEncoding:
        """Find the bounds between equally filled buckets.

        Args:
            name: of the field.
            spec: how many buckets at most.
            profile: of the training column.

        Returns:
            The encoding.

        Raises:
            DataError: the column holds no numbers.
        """
        assert spec.buckets is not None
        values = _numbers(profile, spec.reading)
        return cls(name, fit_bounds(spec.buckets, values, profile.counts), spec.reading, range_of(values))

    @property
    def size(self) -> int:
        """Rows in an embedding table."""
        return FIRST_TOKEN + len(self.bounds) + 1

    def encode(self, column: pa.ChunkedArray, report: EncodingReport) -> Ids:
        """The id of each row's bucket.

        Args:
            column: N raw values.
            report: takes in the account of infinite and missing ones.

        Returns:
            int32 [N].

        Raises:
            DataError: a value is no number; the message has its row.
        """
        finite = _finite(read_column(column, self.name, self.reading, self.range, report), report, self.name)
        return bucket_ids(self.bounds, finite)

    def encode_value(self, value: Any, report: EncodingReport) -> int:
        """The id of one value's bucket.

        Args:
            value: a Python value.
            report: takes in whether it is infinite or missing.

        Returns:
            The id.

        Raises:
            DataError: as `encode` does.
        """
        finite = _finite(_read_value(value, self.name, self.reading, self.range, report), report, self.name)
        return int(bucket_ids(self.bounds, finite)[0])


FieldEncoding = CategoricalEncoding | MultiValuedEncoding | NumericEncoding | BucketEncoding


def fit_field(
    name: str, spec: Categorical | Numeric | MultiValued, profile: ColumnProfile, *, min_count: int
) -> FieldEncoding:
    """Learn a field's encoding from the profile of its training column.

    Args:
        name: of the field.
        spec: its kind, and what goes with it.
        profile: of the training column.
        min_count: tokens seen less often share one id, unless the field has a threshold of its own.

    Returns:
        The encoding.

    Raises:
        DataError: the column is not of the field's kind.
    """
    if isinstance(spec, Categorical):
        return CategoricalEncoding.fit(name, spec, profile, min_count=min_count)
    if isinstance(spec, MultiValued):
        return MultiValuedEncoding.fit(name, spec, profile, min_count=min_count)
    if spec.buckets is not None:
        return BucketEncoding.fit(name, spec, profile)
    return NumericEncoding.fit(name, spec, profile)


def _numbers(profile: ColumnProfile, reading: numbers.NumberReading) -> numbers.Numbers:
    """The distinct values as numbers: float64 [values], NaN for texts that stand for a missing one."""
    if profile.is_list or not profile.countable:
        raise DataError(f"expected numbers, got a column of type {profile.kind}")
    return numbers.number_column(profile.column, reading=reading, rows=profile.first)


def range_of(x: numbers.Numbers) -> Range | None:
    """The smallest and the largest finite one of numbers [N]; None where there is none.

    Example:
        >>> range_of(np.array([3.0, np.nan, -1.0, np.inf]))
        (-1.0, 3.0)
    """
    finite = x[np.isfinite(x)]
    return (float(finite.min()), float(finite.max())) if len(finite) else None


def read_column(
    column: pa.ChunkedArray,
    name: str,
    reading: numbers.NumberReading,
    known: Range | None,
    report: EncodingReport,
) -> numbers.Numbers:
    """The numbers of a column, as they stand.

    Args:
        column: N values.
        name: of the field.
        reading: how text is read.
        known: the range of training.
        report: takes in the account of texts that are no numbers, and of numbers far outside the range.

    Returns:
        float64 [N], NaN where missing.

    Raises:
        DataError: a value is no number, and the reading does not take such for missing.
    """
    read = numbers.number_column(column, reading=reading)
    if reading.unreadable == "missing":
        odd = numbers.unreadable_texts(column, read)
        if len(odd):
            _add_unreadable(report, name, column, odd)
    _count_outside(report, name, read, known)
    return read


def _read_value(
    value: Any, name: str, reading: numbers.NumberReading, known: Range | None, report: EncodingReport
) -> numbers.Numbers:
    read = numbers.number(value, reading)
    if math.isnan(read) and _is_odd(value):
        _add_unreadable(report, name, pa.chunked_array([[str(value)]]), np.array([0]))
    # A single number is compared without arrays, which would take longer than all the rest.
    if known is not None and math.isfinite(read) and not known[0] <= read <= known[1]:
        _count_outside(report, name, np.array([read]), known)
    return np.array([read])


def _count_outside(report: EncodingReport, name: str, x: numbers.Numbers, known: Range | None) -> None:
    """Count numbers that are further outside the range of training than it is wide; infinite ones are told apart."""
    if known is None:
        return
    low, high = known
    width = high - low
    if not np.isfinite(width):
        return
    far = int(np.count_nonzero(np.isfinite(x) & ((x < low - width) | (x > high + width))))
    if far:
        report.outside[name] = report.outside.get(name, 0) + far


def _is_odd(value: Any) -> bool:
    """Whether a value that was read as missing is a text that says something."""
    return isinstance(value, str) and not is_missing_word(value)


def _add_unreadable(report: EncodingReport, name: str, column: Any, rows: npt.NDArray[np.int64]) -> None:
    examples = dict.fromkeys(str(value) for value in column.take(pa.array(rows[:1000])).to_pylist())
    report.add(
        EncodingReport(
            unreadable={name: len(rows)},
            examples={name: [_short(text) for text in list(examples)[: EncodingReport.MOST_EXAMPLES]]},
        )
    )


def _split_column(column: pa.ChunkedArray, separator: str | None) -> tuple[Tokens, npt.NDArray[np.int64]]:
    """All list members as one token column, and where each row's members begin: int64 [N + 1]."""
    column = plain_column(column)
    kind = column.type
    if is_list(kind):
        lengths = pc.list_value_length(column).fill_null(0).to_numpy()
        members = pc.list_flatten(column)
    elif pa.types.is_null(kind):
        lengths, members = np.zeros(len(column), np.int64), pa.chunked_array([pa.array([], pa.string())])
    elif separator is None:
        raise DataError(f"expected a list column, got {kind}; for text, name the separator of the values")
    else:
        if pa.types.is_floating(kind):
            column = pc.if_else(pc.is_nan(column), None, column)  # else it were the text "nan"
        try:
            texts = column.cast(pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # such as a struct, or bytes that are no text
            raise DataError(f"expected text or lists of values, got a column of type {kind}") from None
        return _split_column(split_texts(texts, separator), None)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return token_column(pa.chunked_array([members]) if isinstance(members, pa.Array) else members), offsets


def _split_value(value: Any, separator: str | None) -> Iterable[Any]:
    if is_missing(value):
        return ()
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return list(value)
    if separator is None:
        raise DataError(f"expected a list of values, got {value!r:.60}")
    text = value if isinstance(value, str) else token(value)
    return () if text is None else split_text(text, separator)


def _finite(x: numbers.Numbers, report: EncodingReport, name: str) -> numbers.Numbers:
    infinite = np.isinf(x)
    count = int(np.count_nonzero(infinite))
    if count:
        report.infinite[name] = report.infinite.get(name, 0) + count
        x = np.where(infinite, np.nan, x)
    _count_missing(report, name, int(np.count_nonzero(np.isnan(x))))
    return x


def _count_missing(report: EncodingReport, name: str, count: int) -> None:
    if count:
        report.missing[name] = report.missing.get(name, 0) + count


def _report_unseen(report: EncodingReport, name: str, tokens: Tokens, codes: Ids) -> None:
    if len(codes):
        first = dict.fromkeys(codes[:1000].tolist())
        examples = [tokens.values[code].as_py() for code in list(first)[: EncodingReport.MOST_EXAMPLES]]
        _add_unseen(report, name, len(codes), examples)


def _add_unseen(report: EncodingReport, name: str, count: int, examples: list[str]) -> None:
    report.add(
        EncodingReport(
            unseen={name: count},
            examples={name: [_short(text) for text in examples]},
        )
    )


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
