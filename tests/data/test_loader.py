"""Feeding: the same batches, whether they are picked from the data set or from a copy on the device."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from fieldwise.data.loader import Loader
from fieldwise.encoding.encoder import Encoder
from fieldwise.preparation import encode_table
from fieldwise.schema import Categorical, MultiValued, Numeric, Schema


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("lists", [False, True])
def test_a_resident_copy_gives_the_same_batches(weighted: bool, lists: bool) -> None:
    table = pa.table(
        {
            "user": ["a", "b", "a", None, "c"],
            "price": [1.0, 2.5, None, 4.0, 5.0],
            "tags": ["x|y", "", "y", "x|y|z", None],
            "w": [1.0, 2.0, 3.0, 4.0, 5.0],
            "click": [0, 1, 0, 1, 1],
        }
    )
    fields = {"user": Categorical(), "price": Numeric(), **({"tags": MultiValued(separator="|")} if lists else {})}
    schema = Schema(label="click", weight="w" if weighted else None, fields=fields)
    dataset = encode_table(table, Encoder.fit(table, schema, min_count=1))
    loaders = [Loader(dataset, torch.device("cpu"), resident=resident) for resident in (False, True, None)]
    rows = np.array([3, 0, 0, 4])
    one, *others = (loader.batch(rows) for loader in loaders)
    for other in others:
        assert other.categorical.dtype == torch.int64
        assert torch.equal(other.categorical, one.categorical)
        assert torch.equal(other.numeric.nan_to_num(-1), one.numeric.nan_to_num(-1))
        assert len(other.multi_valued) == len(one.multi_valued) == lists
        assert all(torch.equal(a, b) for a, b in zip(other.multi_valued, one.multi_valued, strict=True))
        assert other.label is not None
        assert other.label.tolist() == [1, 0, 0, 1]
        assert (None if other.weight is None else other.weight.tolist()) == ([4, 1, 1, 5] if weighted else None)
