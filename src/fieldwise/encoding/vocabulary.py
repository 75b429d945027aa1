"""Vocabulary: which token has which id. One function assigns ids, whatever engine has counted the tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.columns.missing import is_missing_word, missing_words
from fieldwise.columns.tokens import Tokens
from fieldwise.layout import FIRST_TOKEN, MISSING, OOV


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The tokens of one field in id order, the first one having id `FIRST_TOKEN`, with their training counts.

    Attributes:
        tokens: Arrow string array.
        counts: rows (multi-valued: values) that held the token.

    Shape:
        tokens: [V].
        counts: int64 [V].

    Example:
        >>> vocabulary = Vocabulary.assign(pa.array(["ann", "bob", "cyd"]), np.array([3, 5, 1]), min_count=2)
        >>> vocabulary.tokens.to_pylist(), vocabulary.id_of("bob"), vocabulary.id_of("cyd"), vocabulary.id_of(None)
        (['bob', 'ann'], 2, 1, 0)
    """

    tokens: pa.StringArray
    counts: npt.NDArray[np.int64]

    @classmethod
    def assign(cls, tokens: pa.StringArray, counts: npt.NDArray[np.int64], *, min_count: int) -> Vocabulary:
        """Give ids to tokens: by falling count, then by the token's bytes.

        Args:
            tokens: Arrow string array, each token once.
            counts: how often each was seen.
            min_count: a token that was seen less often gets none, and a word that stands for a missing value neither.

        Returns:
            The vocabulary.

        Shape:
            tokens: [N].
            counts: int64 [N].
        """
        kept = (counts >= min_count) & ~missing_words(tokens).to_numpy(zero_copy_only=False)
        table = pa.table({"token": tokens.filter(pa.array(kept)), "count": counts[kept]})
        table = table.sort_by([("count", "descending"), ("token", "ascending")])
        return cls(
            pa.array(table["token"].to_pylist(), pa.string())
            if not len(table)
            else pa.concat_arrays(table["token"].chunks),
            table["count"].to_numpy().astype(np.int64, copy=False),
        )

    @property
    def size(self) -> int:
        """Ids of the field, the two reserved ones included."""
        return FIRST_TOKEN + len(self.tokens)

    def ids(self, column: Tokens) -> npt.NDArray[np.int32]:
        """The ids of a column.

        Args:
            column: its tokens, of N rows.

        Returns:
            int32 [N]: the token's id, or `OOV` where it has none of its own; `MISSING`, also for words that stand for a
            missing value.
        """
        places = pc.index_in(column.values, value_set=self.tokens)
        ids = places.fill_null(OOV - FIRST_TOKEN).to_numpy(zero_copy_only=False).astype(np.int32) + np.int32(
            FIRST_TOKEN
        )
        # A vocabulary of an earlier version may hold such words as tokens; these keep their ids.
        unknown = np.flatnonzero(ids == OOV)
        words = missing_words(column.values.take(pa.array(unknown))).to_numpy(zero_copy_only=False)
        ids[unknown[words]] = MISSING
        return np.append(ids, np.int32(MISSING))[column.codes]

    def id_of(self, token: str | None) -> int:
        """The id of one token, None being missing, and words that stand for a missing value too."""
        if token is None:
            return MISSING
        ident = self._index.get(token)
        return ident if ident is not None else MISSING if is_missing_word(token) else OOV

    @cached_property
    def _index(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.tokens.to_pylist(), start=FIRST_TOKEN)}


def count_tokens(column: Tokens, times: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.int64]:
    """How often each of a column's tokens occurs.

    Args:
        column: the tokens of N values; several raw values may be one token.
        times: how often each value occurs, int64 [N]; None: once.

    Returns:
        One count per token: int64 [len(column.values)].

    Example:
        >>> count_tokens(Tokens(np.array([0, 1, 0, -1], np.int32), pa.array(["ann", "bob"])))
        array([2, 1])
    """
    counts = np.zeros(len(column.values) + 1, dtype=np.int64)
    np.add.at(counts, column.codes, 1 if times is None else times)  # code -1, missing, is the last place
    return counts[:-1]
