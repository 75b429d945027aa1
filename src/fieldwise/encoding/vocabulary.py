"""Vocabulary: which token has which id. One function assigns ids, whatever engine has counted the tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.columns.tokens import Tokens
from fieldwise.layout import FIRST_TOKEN, MISSING, OOV


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The tokens of one field in id order, the first one having id `FIRST_TOKEN`, with their training counts.

    tokens: Arrow string array [T]. counts: int64 [T], rows (multi-valued: values) that held the token.
    """

    tokens: pa.StringArray
    counts: npt.NDArray[np.int64]

    @classmethod
    def assign(cls, tokens: pa.StringArray, counts: npt.NDArray[np.int64], *, min_count: int) -> Vocabulary:
        """Give ids to the tokens seen at least `min_count` times: by falling count, then by the token's bytes."""
        kept = counts >= min_count
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
        """The id of each row: `MISSING`, `OOV` for a token that has none of its own, or the token's id."""
        found = pc.index_in(column.values, value_set=self.tokens)
        ids = found.fill_null(OOV - FIRST_TOKEN).to_numpy(zero_copy_only=False).astype(np.int32)
        return np.append(ids + np.int32(FIRST_TOKEN), np.int32(MISSING))[column.codes]

    def id_of(self, token: str | None) -> int:
        """The id of one token, None being missing."""
        return MISSING if token is None else self._index.get(token, OOV)

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
    """
    counts = np.zeros(len(column.values) + 1, dtype=np.int64)
    np.add.at(counts, column.codes, 1 if times is None else times)  # code -1, missing, is the last place
    return counts[:-1]
