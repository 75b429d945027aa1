"""The papers' scaling by hand, and equally filled buckets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldwise.columns.numbers import Numbers
from fieldwise.columns.profile import Counts
from fieldwise.encoding.scaling import (
    Identity,
    LogSquared,
    Scaling,
    bucket_ids,
    fit_bounds,
    fit_scaling,
    scale,
)
from fieldwise.errors import DataError
from fieldwise.layout import FIRST_TOKEN, MISSING
from fieldwise.schema import Numeric


def once(x: Numbers) -> Counts:
    return np.ones(len(x), np.int64)


def fit(spec: Numeric, x: Numbers) -> Scaling:
    return fit_scaling(spec, x, once(x))


def test_log_squared_of_the_authors() -> None:
    x = np.array([-2.0, 0, 2, 3, 4, 5, 6, 7, 10, 100, math.nan])
    expected = [-2.0, 0, 2, 1, 1, 2, 3, 3, 5, 21, math.nan]
    np.testing.assert_array_equal(LogSquared().apply(x), expected)


def test_log_squared_without_the_floor() -> None:
    np.testing.assert_allclose(LogSquared(floor=False).apply(np.array([2.0, 10.0])), [2.0, math.log(10) ** 2])


@pytest.mark.parametrize(
    ("transform", "expected"),
    [("none", [1.0, 3.0]), ("minmax", [0.0, 1.0]), ("standard", [-1.0, 1.0]), ("log", [-1.0, 1.0])],
)
def test_scalings_by_hand(transform: str, expected: list[float]) -> None:
    x = np.array([1.0, 3.0, math.nan, math.inf])
    scaling = fit(Numeric(transform=transform), x)
    np.testing.assert_allclose(scaling.apply(x[:2]), expected, rtol=1e-12)
    assert math.isnan(scaling.apply(x[2:3])[0])


@pytest.mark.parametrize("transform", ["standard", "minmax", "log", "log_squared", "none"])
@pytest.mark.parametrize("values", [[], [5.0], [math.nan], [7.0, 7.0]])
def test_scalings_of_nearly_nothing_stay_finite(transform: str, values: list[float]) -> None:
    scaling = fit(Numeric(transform=transform), np.array(values))
    assert np.isfinite(scaling.apply(np.array([0.0, 5.0, -3.0]))).all()


@pytest.mark.parametrize("transform", ["standard", "minmax"])
def test_a_spread_beyond_float64_is_refused(transform: str) -> None:
    with pytest.raises(DataError, match=rf"numbers up to 1\.7e\+308 are too large for the transform '{transform}'"):
        fit(Numeric(transform=transform), np.array([-1.7e308, 1.7e308]))
    assert fit(Numeric(transform="log"), np.array([-1.7e308, 1.7e308])).apply(np.array([0.0])).tolist() == [0.0]


def test_what_float32_cannot_hold_is_infinite() -> None:
    x = np.array([1.0, 3e38, 1e39, -1e300, math.inf, math.nan])
    np.testing.assert_array_equal(scale(Identity(), x), [1.0, 3e38, math.inf, -math.inf, math.inf, math.nan])
    standard = fit(Numeric(), np.array([1.0, 1 + 1e-15]))
    assert scale(standard, np.array([1e300])).tolist() == [math.inf]


def test_buckets_are_equally_filled() -> None:
    x = np.random.default_rng(0).lognormal(size=10_000)
    bounds = fit_bounds(8, x, once(x))
    counts = np.bincount(bucket_ids(bounds, x))
    assert len(bounds) == 7
    assert counts[FIRST_TOKEN:].min() >= 1249
    assert counts[FIRST_TOKEN:].max() <= 1251


def test_buckets_by_hand() -> None:
    bounds = fit_bounds(2, np.array([1.0, 2.0, 3.0]), np.array([2, 1, 1]))
    assert bounds.tolist() == [2.0] or bounds.tolist() == []
    ids = bucket_ids(np.array([2.0, 5.0]), np.array([math.nan, -9.0, 2.0, 4.9, 5.0, 99.0]))
    assert ids.tolist() == [MISSING, FIRST_TOKEN, FIRST_TOKEN + 1, FIRST_TOKEN + 1, FIRST_TOKEN + 2, FIRST_TOKEN + 2]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.integers(2, 10))
def test_no_bucket_is_empty_in_training(values: list[float], buckets: int) -> None:
    x = np.array(values)
    bounds = fit_bounds(buckets, x, once(x))
    filled = np.unique(bucket_ids(bounds, x))
    assert len(filled) == len(bounds) + 1 <= buckets
