"""Splits: parts that do not overlap, of the right sizes, the same for the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldwise.data.splits import split_rows
from fieldwise.errors import DataError


@given(
    st.integers(20, 300),
    st.sampled_from(["random", "stratified", "time"]),
    st.floats(0, 0.4),
    st.floats(0, 0.4),
    st.integers(0, 5),
)
def test_every_row_is_in_one_part(n: int, method: Any, valid: float, test: float, seed: int) -> None:
    label = (np.arange(n) % 3 == 0).astype(np.float32)
    time = np.arange(n)[::-1]
    split = split_rows(
        n,
        method=method,
        valid_fraction=valid,
        test_fraction=test,
        seed=seed,
        strata=(label == 0).astype(np.int64),
        time=time,
    )
    together = np.concatenate([split.train, split.valid, split.test])
    assert np.array_equal(np.sort(together), np.arange(n))
    assert abs(len(split.test) - n * test) <= 1.5
    assert abs(len(split.valid) - n * valid) <= 1.5


def test_seeds() -> None:
    one, again, other = (split_rows(100, method="random", seed=s) for s in (1, 1, 2))
    assert np.array_equal(one.test, again.test)
    assert not np.array_equal(one.test, other.test)


def test_stratified_parts_share_the_click_rate() -> None:
    label = (np.arange(1000) % 10 == 0).astype(np.float32)
    split = split_rows(1000, strata=(label == 0).astype(np.int64))
    assert [label[part].mean() for part in (split.train, split.valid, split.test)] == [pytest.approx(0.1)] * 3


def test_time_order() -> None:
    time = np.random.default_rng(0).permutation(100)
    split = split_rows(100, method="time", time=time)
    assert time[split.train].max() < time[split.valid].min()
    assert time[split.valid].max() < time[split.test].min()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"valid_fraction": 1.0}, r"valid_fraction must lie in \[0, 1\), got 1.0"),
        ({"valid_fraction": 0.5, "test_fraction": 0.5}, "leave no rows to train on"),
        ({"method": "time"}, "needs a time column"),
        ({"method": "stratified"}, "needs the strata"),
        ({"method": "random", "num_rows": 1, "valid_fraction": 0.8}, "too few for this split"),
    ],
)
def test_impossible_splits(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_rows(**{"num_rows": 10, **arguments})
