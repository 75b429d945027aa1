"""Datasets: batches hold the right rows, padded lists and counts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from fieldwise.data.batch import PADDING
from fieldwise.data.dataset import Dataset
from fieldwise.encoding.encoder import Encoder
from fieldwise.layout import MISSING
from fieldwise.preparation import encode_table
from fieldwise.schema import Categorical, MultiValued, Numeric, Schema

TABLE = pa.table(
    {
        "y": [1, 0, 1, 0],
        "w": [1.0, 2.0, 0.5, 0.0],
        "g": ["p", "q", "p", "p"],
        "a": ["x", "x", "z", None],
        "n": [1.0, None, 3.0, 5.0],
        "t": ["r|s", "", "r", "s|r|r"],
    }
)
SCHEMA = Schema(
    label="y",
    weight="w",
    group="g",
    fields={"a": Categorical(), "n": Numeric(transform="none"), "t": MultiValued(separator="|")},
)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return encode_table(TABLE, Encoder.fit(TABLE, SCHEMA))


def test_a_batch_by_hand(dataset: Dataset) -> None:
    batch = dataset.batch(np.array([3, 1]))
    assert batch.categorical.tolist() == [[MISSING], [2]]
    assert batch.categorical.dtype == torch.int64
    assert batch.numeric[0].tolist() == [5.0]
    assert batch.numeric[1].isnan().all()
    assert batch.multi_valued[0].tolist() == [[3, 2, 2], [MISSING, PADDING, PADDING]]
    assert batch.label is not None
    assert batch.label.tolist() == [0, 0]
    assert batch.weight is not None
    assert batch.weight.tolist() == [0.0, 2.0]


def test_slices_and_numbers_agree(dataset: Dataset) -> None:
    by_slice, by_number = dataset.batch(slice(1, 3)), dataset.batch(np.array([1, 2]))
    for left, right in zip(by_slice.multi_valued, by_number.multi_valued, strict=True):
        assert torch.equal(left, right)
    assert torch.equal(by_slice.categorical, by_number.categorical)
    assert len(dataset.batch(slice(0, 0))) == 0


def test_taking_rows(dataset: Dataset) -> None:
    part = dataset.take(np.array([2, 0]))
    assert len(part) == 2
    assert part.label is not None
    assert part.label.tolist() == [1, 1]
    assert part.group is not None
    assert part.group.tolist() == [0, 0]
    assert part.batch(slice(0, 2)).multi_valued[0].tolist() == [[2, PADDING], [2, 3]]


def test_counts_of_all_table_rows(dataset: Dataset) -> None:
    # zero row | a: missing, other, x, z | n: missing, value | t: missing, other, r, s
    assert dataset.id_counts().tolist() == [0, 1, 0, 2, 1, 0, 0, 1, 0, 4, 2]
