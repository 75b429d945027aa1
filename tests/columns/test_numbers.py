"""Numbers: parsing columns and single values."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldwise.columns.numbers import number, number_column
from fieldwise.errors import DataError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1.5", 1.5),
        (" -2 ", -2.0),
        ("+3", 3.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        (True, 1.0),
        ("inf", math.inf),
        (7, 7.0),
        ("TRUE", 1.0),
        (" false ", 0.0),
        (10**400, math.inf),
        (-(10**400), -math.inf),
        ("1e400", math.inf),
    ],
)
def test_reading_one_number(value: object, expected: float) -> None:
    assert number(value) == expected


@pytest.mark.parametrize("value", [None, "", " ", "NA", "nan", "NULL", "None", "n/a", "\\N", "?", "-", math.nan, pd.NA])
def test_missing_words(value: object) -> None:
    assert math.isnan(number(value))


@pytest.mark.parametrize("value", ["abc", "1,5", "0x10", "1_000", "--1", ["a"]])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(DataError, match="expected a number"):
        number(value)


def test_a_bad_cell_is_named_by_its_row() -> None:
    with pytest.raises(DataError, match=r"row 3: expected a number, got 'oops'"):
        number_column(pa.chunked_array([pa.array(["1", "2", "oops"])]))


number_texts = st.one_of(
    st.floats().map(repr),
    st.integers(-(10**6), 10**6).map(str),
    st.sampled_from(["", "NA", "true", "False", "+5", ".5", "5.", "1E-3", "inf", "-Infinity", "nan", " 4 "]),
)


@given(st.lists(number_texts, max_size=8))
def test_a_text_column_reads_as_its_values(values: list[str]) -> None:
    column = number_column(pa.chunked_array([pa.array(values, pa.string())]))
    np.testing.assert_array_equal(column, [number(value) for value in values])


def test_typed_columns() -> None:
    assert number_column(pa.chunked_array([pa.array([1, None, 2**53 + 1])])).tolist()[0] == 1.0
    assert number_column(pa.chunked_array([pa.array([True, False])])).tolist() == [1.0, 0.0]
    with pytest.raises(DataError, match="row 1: expected a number"):
        number_column(pa.chunked_array([pa.array([["a"]])]))
