"""Vocabularies as one table, and back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from fieldwise.encoding.vocabulary import Vocabulary
from fieldwise.encoding.vocabulary_table import VOCABULARY_SCHEMA, read_vocabulary_table, vocabulary_table
from fieldwise.errors import PredictorFormatError


def vocabulary(*tokens: str) -> Vocabulary:
    return Vocabulary(pa.array(tokens, pa.string()), np.arange(len(tokens), 0, -1))


TABLE = vocabulary_table([vocabulary("b", "a"), None, vocabulary(), vocabulary("a")])


def test_what_is_read_is_what_was_written() -> None:
    assert TABLE.schema == VOCABULARY_SCHEMA
    first, none, empty, last = read_vocabulary_table(TABLE, ["w", "x", "y", "z"])
    assert (first.tokens.to_pylist(), first.counts.tolist()) == (["b", "a"], [2, 1])
    assert len(none.tokens) == len(empty.tokens) == 0
    assert last.tokens.to_pylist() == ["a"]


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (TABLE.drop_columns(["token"]), "does not have the columns field, token and count"),
        (pa.table({"field": [0, None], "token": ["a", "b"], "count": [1, 1]}, VOCABULARY_SCHEMA), "empty cells"),
        (TABLE.take(pa.array([2, 0])), "fields 0 to 3, in order"),
        (pa.table({"field": [4], "token": ["a"], "count": [1]}, VOCABULARY_SCHEMA), "fields 0 to 3, in order"),
        (pa.table({"field": [1], "token": ["a"], "count": [-1]}, VOCABULARY_SCHEMA), "field 'x': .* counts below 0"),
        (pa.table({"field": [3, 3], "token": ["a", "a"], "count": [1, 1]}, VOCABULARY_SCHEMA), "field 'z': .* twice"),
    ],
)
def test_a_table_that_cannot_be_of_these_vocabularies_is_refused(table: pa.Table, complaint: str) -> None:
    with pytest.raises(PredictorFormatError, match=complaint):
        read_vocabulary_table(table, ["w", "x", "y", "z"])
