"""Vocabularies on disk: one Arrow table of all tokens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.encoding.vocabulary import Vocabulary
from fieldwise.errors import PredictorFormatError

VOCABULARY_SCHEMA = pa.schema([("field", pa.int32()), ("token", pa.string()), ("count", pa.int64())])
"""The Arrow form of all vocabularies: rows in field order, within a field in id order."""


def vocabulary_table(vocabularies: Sequence[Vocabulary | None]) -> pa.Table:
    """The table of some vocabularies.

    Args:
        vocabularies: None has no rows.

    Returns:
        A table of `VOCABULARY_SCHEMA`, whose `field` is the position of a vocabulary among them.
    """
    parts = [VOCABULARY_SCHEMA.empty_table()]
    for i, vocabulary in enumerate(vocabularies):
        if vocabulary is not None:
            field = pa.array(np.full(len(vocabulary.tokens), i, dtype=np.int32))
            columns = [field, vocabulary.tokens, pa.array(vocabulary.counts)]
            parts.append(pa.table(columns, schema=VOCABULARY_SCHEMA))
    return pa.concat_tables(parts).combine_chunks()


def read_vocabulary_table(table: pa.Table, names: Sequence[str]) -> list[Vocabulary]:
    """The vocabularies out of what `vocabulary_table` gave.

    Args:
        table: the table of all.
        names: the field of each vocabulary, for messages.

    Returns:
        One per name; one that had no rows is empty.

    Raises:
        PredictorFormatError: the table cannot be of so many vocabularies; the message names the field.

    Example:
        >>> table = vocabulary_table([Vocabulary(pa.array(["ann"]), np.array([3]))])
        >>> read_vocabulary_table(table, ["user"])[0].tokens.to_pylist()
        ['ann']
    """
    if table.schema != VOCABULARY_SCHEMA:
        raise PredictorFormatError("the vocabulary file does not have the columns field, token and count")
    if any(column.null_count for column in table.columns):
        raise PredictorFormatError("the vocabulary file has empty cells")
    owner = table["field"].to_numpy()
    count = len(names)
    if len(owner) and (owner[0] < 0 or owner[-1] >= count or (owner[1:] < owner[:-1]).any()):
        raise PredictorFormatError(f"the vocabulary file must hold the tokens of fields 0 to {count - 1}, in order")
    starts = np.searchsorted(owner, np.arange(count + 1))
    parts = [table.slice(start, stop - start) for start, stop in pairwise(starts.tolist())]
    vocabularies = [Vocabulary(_one_array(part["token"]), part["count"].to_numpy()) for part in parts]
    for name, vocabulary in zip(names, vocabularies, strict=True):
        if (vocabulary.counts < 0).any():
            raise PredictorFormatError(f"field '{name}': the vocabulary file has counts below 0")
        if pc.count_distinct(vocabulary.tokens).as_py() < len(vocabulary.tokens):
            raise PredictorFormatError(f"field '{name}': the vocabulary file has a token twice")
    return vocabularies


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    # One chunk is the rule, and a copy of many tokens worth avoiding.
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays([pa.array([], column.type), *column.chunks])
