"""Raw columns for decision trees: tokens as codes, numbers as they are, lists both whole and member by member.

Trees choose their own thresholds and group tokens by themselves, so nothing is scaled, cut into buckets or thrown
together here: a numeric field's `transform` and `buckets` and every `min_count` are left aside. What counts as
missing, and which values are one token, follows the same rules as for networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as dataclass_field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from fieldwise.columns.access import get_column, naming
from fieldwise.columns.counting import profile_column
from fieldwise.columns.dates import ISO, DateReading
from fieldwise.columns.numbers import number_column
from fieldwise.encoding.encoded import EncodingReport, Ragged
from fieldwise.encoding.fields import CategoricalEncoding, MultiValuedEncoding, Range, range_of, read_column
from fieldwise.encoding.vocabulary import Vocabulary
from fieldwise.encoding.vocabulary_table import read_vocabulary_table, vocabulary_table
from fieldwise.layout import FIRST_TOKEN, MISSING
from fieldwise.schema import Categorical, MultiValued, Numeric, Schema

MOST_TOKENS = 64
"""Tokens of a multi-valued field that get a column of their own; rarer ones only count."""


@dataclass(frozen=True, eq=False)
class TokenLists:
    """The lists of a multi-valued field in N rows, of whose tokens the most frequent get a column each.

    Attributes:
        lists: ids of tokens.
        most: how many tokens get a column.
    """

    lists: Ragged
    most: int

    def columns(self) -> list[npt.NDArray[np.float64]]:
        """Whether a row holds each of these tokens, and how many tokens it holds.

        Returns:
            `most` + 1 arrays, float64 [N] each.
        """
        lists = self.lists
        row = np.repeat(np.arange(len(lists)), np.diff(lists.offsets))
        # Ids fall with a token's count, so the frequent ones are the first.
        token = lists.values - FIRST_TOKEN
        frequent = (token >= 0) & (token < self.most)
        present = np.zeros((self.most, len(lists)))
        present[token[frequent], row[frequent]] = 1.0
        count = np.bincount(row[lists.values != MISSING], minlength=len(lists)).astype(np.float64)
        return [*present, count]

    def slice(self, start: int, stop: int) -> TokenLists:
        """Some rows, one after another.

        Args:
            start: the first.
            stop: the one behind the last.

        Returns:
            Their lists.
        """
        return TokenLists(self.lists.take(np.arange(start, stop)), self.most)


@dataclass(frozen=True, eq=False)
class RawRows:
    """N rows.

    Attributes:
        categorical: ids as in `Vocabulary`, so that `MISSING` and `OOV` (never seen in training) have theirs.
        by_field: of each numeric field its numbers, NaN where missing, and of each multi-valued one its lists.
        statistics: of combinations of fields; None where none are used.

    Shape:
        categorical: int32 [N, number of columns of tokens].
        by_field: float64 [N] each, where they are numbers.
        statistics: float16 [N, number of statistics].
    """

    categorical: npt.NDArray[np.int32]
    by_field: tuple[npt.NDArray[np.float64] | TokenLists, ...]
    statistics: npt.NDArray[np.float16] | None = None

    def __len__(self) -> int:
        return len(self.categorical)

    @property
    def numbers(self) -> npt.NDArray[np.float64]:
        """All numbers, those of lists and the statistics too. Large: for millions of rows ask slice by slice.

        Returns:
            float64 [N, number of columns of numbers].
        """
        columns: list[npt.NDArray[np.floating]] = []
        for values in self.by_field:
            columns += values.columns() if isinstance(values, TokenLists) else [values]
        if self.statistics is not None:
            columns.append(self.statistics)
        return np.column_stack(columns).astype(np.float64, copy=False) if columns else np.empty((len(self), 0))

    def slice(self, start: int, stop: int) -> RawRows:
        """Some rows, one after another.

        Args:
            start: the first.
            stop: the one behind the last; there may be fewer.

        Returns:
            These rows.
        """
        stop = min(stop, len(self))
        parts = (v.slice(start, stop) if isinstance(v, TokenLists) else v[start:stop] for v in self.by_field)
        statistics = None if self.statistics is None else self.statistics[start:stop]
        return RawRows(self.categorical[start:stop], tuple(parts), statistics)


def missing_row(num_categorical: int, num_numbers: int) -> RawRows:
    """A row in which everything is missing.

    Args:
        num_categorical: columns of tokens.
        num_numbers: columns of numbers.

    Returns:
        One row.

    Example:
        >>> missing_row(2, 1).categorical, missing_row(2, 1).numbers
        (array([[0, 0]], dtype=int32), array([[nan]]))
    """
    numbers = tuple(np.full(1, np.nan) for _ in range(num_numbers))
    return RawRows(np.full((1, num_categorical), MISSING, dtype=np.int32), numbers)


@dataclass(frozen=True, eq=False)
class _Lists:
    """A multi-valued field. members: its tokens. whole: each set of tokens as a token of its own."""

    members: MultiValuedEncoding
    whole: CategoricalEncoding


class RawColumnsState(BaseModel):
    """The JSON half of saved raw columns; the vocabularies are the Arrow half, and the rest follows from the schema.

    Attributes:
        most_tokens: tokens of a multi-valued field that have a column of their own.
        dates: how the moments of calendar fields are read, by field.
        ranges: the smallest and the largest training number of numeric fields, by field.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    most_tokens: int = Field(ge=0)
    dates: dict[str, DateReading] = Field(default_factory=dict)
    ranges: dict[str, Range] = Field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class RawColumns:
    """What was learned from the training rows, tokens only, and how a table becomes `RawRows` by it.

    Attributes:
        schema: the fields.
        encodings: by field, None for a numeric one.
        most_tokens: of a multi-valued field that get a column of their own.
        ranges: the smallest and the largest training number of numeric fields, by field.

    Example:
        >>> table = pa.table({"user": ["ann", "bob", "ann"], "price": [1.5, None, 2.0]})
        >>> columns = RawColumns.fit(table, Schema(label="click", fields={"user": "categorical", "price": "numeric"}))
        >>> rows = columns.rows(table)
        >>> rows.categorical.tolist(), rows.numbers.tolist()
        ([[2], [3], [2]], [[1.5], [nan], [2.0]])
    """

    schema: Schema
    encodings: dict[str, CategoricalEncoding | _Lists | None]
    most_tokens: int = MOST_TOKENS
    ranges: dict[str, Range] = dataclass_field(default_factory=dict)

    @classmethod
    def fit(cls, table: pa.Table, schema: Schema) -> RawColumns:
        """Learn the tokens of a table of training rows.

        Args:
            table: the training rows.
            schema: the fields.

        Returns:
            What was learned.

        Raises:
            DataError: a column is missing or not of the field's kind; the message names it.
        """
        encodings: dict[str, CategoricalEncoding | _Lists | None] = {}
        ranges: dict[str, Range] = {}
        for name, spec in schema.fields.items():
            column = get_column(table, schema.column_of(name))
            with naming(schema.column_of(name)):
                match spec:
                    case Categorical():
                        encodings[name] = _fit_tokens(name, spec, column)
                    case MultiValued():
                        encodings[name] = _fit_lists(name, spec, column)
                    case Numeric():
                        encodings[name] = None
                        known = range_of(number_column(column, reading=spec.reading))
                        if known is not None:
                            ranges[name] = known
        return cls(schema, encodings, ranges=ranges)

    def tokens(self) -> list[pa.StringArray]:
        """The tokens of each categorical column of `RawRows`, the first one having the id `FIRST_TOKEN`."""
        encodings = [e.whole if isinstance(e, _Lists) else e for e in self.encodings.values() if e is not None]
        return [encoding.vocabulary.tokens for encoding in encodings]

    @property
    def num_columns(self) -> int:
        """Columns of `RawRows`, those of tokens and those of numbers."""
        return sum(
            2 + self._most(encoding) if isinstance(encoding, _Lists) else 1 for encoding in self.encodings.values()
        )

    def rows(self, table: pa.Table, report: EncodingReport | None = None) -> RawRows:
        """All rows of a table.

        Args:
            table: raw rows; columns that no field reads are left alone.
            report: takes in the account of unseen and missing values.

        Returns:
            The rows as trees take them.

        Raises:
            DataError: a column cannot be read; the message names it (and the row).
        """
        met = EncodingReport(rows=table.num_rows)
        categorical: list[npt.NDArray[np.int32]] = []
        by_field: list[npt.NDArray[np.float64] | TokenLists] = []
        for name, encoding in self.encodings.items():
            column = get_column(table, self.schema.column_of(name))
            with naming(self.schema.column_of(name)):
                if isinstance(encoding, CategoricalEncoding):
                    categorical.append(encoding.encode(column, met))
                elif isinstance(encoding, _Lists):
                    lists = encoding.members.encode(column, met)
                    # Of a list its members are told, not that they have never met in one row.
                    categorical.append(encoding.whole.encode(_sets(lists), EncodingReport()))
                    by_field.append(TokenLists(lists, self._most(encoding)))
                else:
                    by_field.append(self._numbers(name, column, met))
        if report is not None:
            report.add(met)
        return RawRows(
            np.column_stack(categorical) if categorical else np.empty((table.num_rows, 0), np.int32), tuple(by_field)
        )

    def state(self) -> tuple[RawColumnsState, pa.Table]:
        """The JSON half and the table of vocabularies; a multi-valued field has two: its members' and its sets'."""
        vocabularies: list[Vocabulary] = []
        for encoding in self.encodings.values():
            if isinstance(encoding, _Lists):
                vocabularies += [encoding.members.vocabulary, encoding.whole.vocabulary]
            elif encoding is not None:
                vocabularies.append(encoding.vocabulary)
        dates = {
            name: encoding.dates
            for name, encoding in self.encodings.items()
            if isinstance(encoding, CategoricalEncoding) and encoding.part
        }
        state = RawColumnsState(most_tokens=self.most_tokens, dates=dates, ranges=self.ranges)
        return state, vocabulary_table(vocabularies)

    @classmethod
    def from_state(cls, schema: Schema, state: RawColumnsState, vocabularies: pa.Table) -> RawColumns:
        """Rebuild from what `state` gave.

        Args:
            schema: the fields.
            state: the JSON half.
            vocabularies: the Arrow half.

        Returns:
            The raw columns.

        Raises:
            PredictorFormatError: the parts do not fit together.
        """
        owners: list[str] = []
        for name, spec in schema.fields.items():
            owners += {"categorical": [name], "multi_valued": [name, f"{name} (sets)"]}.get(spec.kind, [])
        saved = iter(read_vocabulary_table(vocabularies, owners))
        encodings: dict[str, CategoricalEncoding | _Lists | None] = {}
        for name, spec in schema.fields.items():
            match spec:
                case Categorical(part=part):
                    encodings[name] = CategoricalEncoding(name, next(saved), part, state.dates.get(name, ISO))
                case MultiValued(separator=separator):
                    members = MultiValuedEncoding(name, next(saved), separator)
                    encodings[name] = _Lists(members, CategoricalEncoding(name, next(saved)))
                case Numeric():
                    encodings[name] = None
        return cls(schema, encodings, state.most_tokens, state.ranges)

    def _numbers(self, name: str, column: pa.ChunkedArray, report: EncodingReport) -> npt.NDArray[np.float64]:
        """The number of each row; an infinite one counts as missing."""
        spec = self.schema.fields[name]
        assert isinstance(spec, Numeric)
        values = read_column(column, name, spec.reading, self.ranges.get(name), report)
        infinite = np.isinf(values)
        values = np.where(infinite, np.nan, values)
        for counts, met in ((report.infinite, infinite), (report.missing, np.isnan(values))):
            if met.any():
                counts[name] = counts.get(name, 0) + int(np.count_nonzero(met))
        return values

    def _most(self, lists: _Lists) -> int:
        return min(self.most_tokens, len(lists.members.vocabulary.tokens))


def _fit_tokens(name: str, spec: Categorical, column: pa.ChunkedArray) -> CategoricalEncoding:
    """Every token of a column, however rare."""
    return CategoricalEncoding.fit(name, spec.model_copy(update={"min_count": 1}), profile_column(column), min_count=1)


def _fit_lists(name: str, spec: MultiValued, column: pa.ChunkedArray) -> _Lists:
    """Every token of a column of lists, and every set of tokens that a row holds."""
    members = MultiValuedEncoding.fit(
        name, spec.model_copy(update={"min_count": 1}), profile_column(column), min_count=1
    )
    return _Lists(members, _fit_tokens(name, Categorical(), _sets(members.encode(column, EncodingReport()))))


def _sets(lists: Ragged) -> pa.ChunkedArray:
    """The set of ids that each row holds, as text, so that order and repetition do not count: "3 17"."""
    row = np.repeat(np.arange(len(lists)), np.diff(lists.offsets))
    order = np.lexsort((lists.values, row))
    row, ids = row[order], lists.values[order]
    first = np.ones(len(ids), dtype=bool)
    first[1:] = (row[1:] != row[:-1]) | (ids[1:] != ids[:-1])
    offsets = np.searchsorted(row[first], np.arange(len(lists) + 1)).astype(np.int64)
    members = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(ids[first]).cast(pa.string()))
    return pa.chunked_array([pc.binary_join(members, " ")])
