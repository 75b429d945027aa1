"""Weights and groups, right and wrong."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from fieldwise.data.labels import read_group, read_weight
from fieldwise.errors import DataError
from fieldwise.schema import Schema


def schema(**roles: Any) -> Schema:
    return Schema.model_validate({"fields": {"x": "categorical"}, "label": "y", **roles})


def test_weights() -> None:
    table = pa.table({"y": [1, 0], "w": ["0", "2.5"]})
    assert read_weight(table, schema()) is None
    weight = read_weight(table, schema(weight="w"))
    assert weight is not None
    assert weight.tolist() == [0.0, 2.5]


@pytest.mark.parametrize("bad", ["-1", "", "inf", "x"])
def test_bad_weights_are_named(bad: str) -> None:
    with pytest.raises(DataError, match="weight column 'w': row 2"):
        read_weight(pa.table({"w": ["1", bad]}), schema(weight="w"))


def test_weights_that_are_all_zero_are_refused() -> None:
    with pytest.raises(DataError, match="weight column 'w': all weights are 0; at least one row must count"):
        read_weight(pa.table({"w": [0, 0]}), schema(weight="w"))
    none = read_weight(pa.table({"w": pa.array([], pa.float64())}), schema(weight="w"))
    assert none is not None
    assert len(none) == 0


def test_groups() -> None:
    table = pa.table({"g": ["a", "b", "a", None]})
    group = read_group(table, schema(group="g"))
    assert group is not None
    assert group.tolist() == [0, 1, 0, -1]
    assert read_group(table, schema()) is None
