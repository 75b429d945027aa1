"""Vocabularies: ids by falling count, then by bytes; the reserved ids in front."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from fieldwise.columns.tokens import token_column
from fieldwise.encoding.vocabulary import Vocabulary, count_tokens
from fieldwise.layout import FIRST_TOKEN, MISSING, OOV


def build(values: list[str | None], *, min_count: int = 1) -> Vocabulary:
    tokens = token_column(pa.chunked_array([pa.array(values, pa.string())]))
    return Vocabulary.assign(tokens.values, count_tokens(tokens), min_count=min_count)


def test_ids_go_by_count_and_then_by_bytes() -> None:
    vocabulary = build(["b", "é", "a", "c", "c", "Z", None])
    assert vocabulary.tokens.to_pylist() == ["c", "Z", "a", "b", "é"]
    assert vocabulary.counts.tolist() == [2, 1, 1, 1, 1]
    assert vocabulary.id_of("c") == FIRST_TOKEN
    assert vocabulary.size == FIRST_TOKEN + 5


def test_rare_and_unseen_tokens_share_one_id() -> None:
    vocabulary = build(["a", "a", "b"], min_count=2)
    assert vocabulary.tokens.to_pylist() == ["a"]
    assert vocabulary.id_of("b") == vocabulary.id_of("never") == OOV
    assert vocabulary.id_of(None) == MISSING


def test_an_empty_vocabulary_still_tells_missing_from_unseen() -> None:
    vocabulary = build([None, None])
    tokens = token_column(pa.chunked_array([pa.array(["x", None])]))
    assert vocabulary.ids(tokens).tolist() == [OOV, MISSING]


def test_values_that_are_one_token_are_counted_together() -> None:
    tokens = token_column(pa.chunked_array([pa.array(["1", " ", "1.0", "b"])]))
    assert count_tokens(tokens).tolist() == [2, 1]
    assert count_tokens(tokens, np.array([3, 9, 4, 2])).tolist() == [7, 2]


@given(st.lists(st.sampled_from(["a", "b", "c", "d", None]), max_size=20), st.integers(1, 3))
def test_columns_and_values_get_the_same_ids_whatever_the_order(values: list[str | None], min_count: int) -> None:
    vocabulary = build(values, min_count=min_count)
    assert build(values[::-1], min_count=min_count).tokens.equals(vocabulary.tokens)
    probe = [*values, "unseen"]
    ids = vocabulary.ids(token_column(pa.chunked_array([pa.array(probe, pa.string())])))
    assert ids.tolist() == [vocabulary.id_of(value) for value in probe]
    assert all(np.diff(vocabulary.counts) <= 0)
