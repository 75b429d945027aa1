"""Raw columns for decision trees: tokens as codes, numbers as they are, lists both whole and member by member.

Trees choose their own thresholds and group tokens by themselves, so nothing is scaled, cut into buckets or thrown
together here: a numeric field's `transform` and `buckets` and every `min_count` are left aside. What counts as
missing, and which values are one token, follows the same rules as for networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.columns.access import get_column, naming
from fieldwise.columns.counting import profile_column
from fieldwise.columns.numbers import number_column
from fieldwise.encoding.encoded import EncodingReport, Ragged
from fieldwise.encoding.fields import CategoricalEncoding, MultiValuedEncoding
from fieldwise.layout import FIRST_TOKEN, MISSING
from fieldwise.schema import Categorical, MultiValued, Numeric, Schema

MOST_TOKENS = 64
"""Tokens of a multi-valued field that get a column of their own; rarer ones only count."""


@dataclass(frozen=True)
class RawRows:
    """N rows. categorical: int32 [N, C], ids as in `Vocabulary`, so that `MISSING` and `OOV` (never seen in
    training) have theirs. numbers: float64 [N, M], NaN where missing.
    """

    categorical: npt.NDArray[np.int32]
    numbers: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.categorical)


@dataclass(frozen=True, eq=False)
class _Lists:
    """A multi-valued field. members: its tokens. whole: each set of tokens as a token of its own."""

    members: MultiValuedEncoding
    whole: CategoricalEncoding

    @classmethod
    def fit(cls, name: str, spec: MultiValued, column: pa.ChunkedArray) -> _Lists:
        every = spec.model_copy(update={"min_count": 1})
        members = MultiValuedEncoding.fit(name, every, profile_column(column), min_count=1)
        sets = _sets(members.encode(column, EncodingReport()))
        return cls(members, CategoricalEncoding.fit(name, Categorical(), profile_column(sets), min_count=1))


@dataclass(frozen=True, eq=False)
class RawColumns:
    """What was learned from the training rows, tokens only, and how a table becomes `RawRows` by it.

    encodings: by field, None for a numeric one.
    """

    schema: Schema
    encodings: dict[str, CategoricalEncoding | _Lists | None]

    @classmethod
    def fit(cls, table: pa.Table, schema: Schema) -> RawColumns:
        """Learn the tokens of a table of training rows.

        Raises DataError, naming the column, where it is missing or not of the field's kind.
        """
        encodings: dict[str, CategoricalEncoding | _Lists | None] = {}
        for name, spec in schema.fields.items():
            column = get_column(table, schema.column_of(name))
            with naming(schema.column_of(name)):
                match spec:
                    case Categorical():
                        every = spec.model_copy(update={"min_count": 1})
                        encodings[name] = CategoricalEncoding.fit(name, every, profile_column(column), min_count=1)
                    case MultiValued():
                        encodings[name] = _Lists.fit(name, spec, column)
                    case Numeric():
                        encodings[name] = None
        return cls(schema, encodings)

    def tokens(self) -> list[pa.StringArray]:
        """The tokens of each categorical column of `RawRows`, the first one having the id `FIRST_TOKEN`."""
        known = [e.whole if isinstance(e, _Lists) else e for e in self.encodings.values() if e is not None]
        return [encoding.vocabulary.tokens for encoding in known]

    def rows(self, table: pa.Table) -> RawRows:
        """All rows of a table. Raises DataError, naming the column (and the row), for what cannot be read."""
        categorical: list[npt.NDArray[np.int32]] = []
        numbers: list[npt.NDArray[np.float64]] = []
        for name, encoding in self.encodings.items():
            column = get_column(table, self.schema.column_of(name))
            with naming(self.schema.column_of(name)):
                if isinstance(encoding, CategoricalEncoding):
                    categorical.append(encoding.encode(column, EncodingReport()))
                elif isinstance(encoding, _Lists):
                    lists = encoding.members.encode(column, EncodingReport())
                    categorical.append(encoding.whole.encode(_sets(lists), EncodingReport()))
                    numbers += _token_columns(lists, min(MOST_TOKENS, len(encoding.members.vocabulary.tokens)))
                else:
                    values = number_column(column)
                    numbers.append(np.where(np.isinf(values), np.nan, values))
        n = table.num_rows
        return RawRows(
            np.column_stack(categorical) if categorical else np.empty((n, 0), np.int32),
            np.column_stack(numbers) if numbers else np.empty((n, 0)),
        )


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


def _token_columns(lists: Ragged, most: int) -> list[npt.NDArray[np.float64]]:
    """Whether a row holds each of the `most` most frequent tokens, and how many tokens it holds."""
    row = np.repeat(np.arange(len(lists)), np.diff(lists.offsets))
    # Ids fall with a token's count, so the frequent ones are the first.
    token = lists.values - FIRST_TOKEN
    kept = (token >= 0) & (token < most)
    present = np.zeros((most, len(lists)))
    present[token[kept], row[kept]] = 1.0
    count = np.bincount(row[lists.values != MISSING], minlength=len(lists)).astype(np.float64)
    return [*present, count]
