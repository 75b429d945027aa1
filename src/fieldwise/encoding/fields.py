"""One field's encoding: what was learned from the training values, and how a value becomes an id or a number.

Every class offers the same four things: `fit` (from the profile of the training column), `encode` (a column),
`encode_value` (one Python value) and `size` (rows that the field needs in an embedding table). `encode` and
`encode_value` give the same result; a property test holds them to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.columns import numbers
from fieldwise.columns.dates import CalendarPart, part_column, part_of
from fieldwise.columns.profile import ColumnProfile, is_list
from fieldwise.columns.tokens import Tokens, is_missing, plain_column, token, token_column
from fieldwise.encoding.encoded import EncodingReport, Ragged
from fieldwise.encoding.scaling import Scaling, bucket_ids, fit_bounds, fit_scaling, scale
from fieldwise.encoding.vocabulary import Vocabulary, count_tokens
from fieldwise.errors import DataError
from fieldwise.layout import FIRST_TOKEN, MISSING, OOV, Kind
from fieldwise.schema import Categorical, MultiValued, Numeric

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class CategoricalEncoding:
    """One token per row, by vocabulary.

    Attributes:
        name: of the field.
        vocabulary: its tokens.
        part: the calendar part that is read instead of the value.
    """

    name: str
    vocabulary: Vocabulary
    part: CalendarPart | None = None
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
        column = profile.column
        tokens = token_column(part_column(column, spec.part, rows=profile.first) if spec.part else column)
        counts = count_tokens(tokens, profile.counts)
        vocabulary = Vocabulary.assign(tokens.values, counts, min_count=spec.min_count or min_count)
        return cls(name, vocabulary, spec.part)

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
        tokens = token_column(part_column(column, self.part) if self.part else column)
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
        text = part_of(value, self.part) if self.part else token(value)
        ident = self.vocabulary.id_of(text)
        _count_missing(report, self.name, int(ident == MISSING))
        if ident == OOV and text is not None:
            _add_unseen(report, self.name, 1, [text])
        return ident


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
        texts = [t for t in map(token, _split_value(value, self.separator)) if t is not None]
        unseen = [t for t in texts if self.vocabulary.id_of(t) == OOV]
        if unseen:
            _add_unseen(report, self.name, len(unseen), unseen)
        _count_missing(report, self.name, int(not texts))
        return [self.vocabulary.id_of(t) for t in texts] or [MISSING]


@dataclass(frozen=True, eq=False)
class NumericEncoding:
    """One scaled number per row; NaN stands for missing.

    Attributes:
        name: of the field.
        scaling: what is done to a number.
    """

    name: str
    scaling: Scaling
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
        return cls(name, fit_scaling(spec, _numbers(profile), profile.counts))

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
        scaled = scale(self.scaling, numbers.number_column(column))
        return _finite(scaled, report, self.name).astype(np.float32)

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
        scaled = scale(self.scaling, np.array([numbers.number(value)]))
        return float(_finite(scaled, report, self.name).astype(np.float32)[0])


@dataclass(frozen=True, eq=False)
class BucketEncoding:
    """The bucket that a number falls into, as an id; missing has its own.

    Attributes:
        name: of the field.
        bounds: between buckets, ascending: float64 [buckets - 1].
    """

    name: str
    bounds: numbers.Numbers
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
        return cls(name, fit_bounds(spec.buckets, _numbers(profile), profile.counts))

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
        finite = _finite(numbers.number_column(column), report, self.name)
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
        finite = _finite(np.array([numbers.number(value)]), report, self.name)
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


def _numbers(profile: ColumnProfile) -> numbers.Numbers:
    """The distinct values as numbers: float64 [values], NaN for texts that stand for a missing one."""
    if profile.is_list or not profile.countable:
        raise DataError(f"expected numbers, got a column of type {profile.kind}")
    return numbers.number_column(profile.column, rows=profile.first)


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
        return _split_column(pc.split_pattern(texts, separator), None)
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
    return () if text is None else text.split(separator)


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
            examples={name: [text if len(text) <= 40 else text[:39] + "…" for text in examples]},
        )
    )
