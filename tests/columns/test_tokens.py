"""Tokens: one rule, written down in the module, the same for a value and for a column."""

from __future__ import annotations

import datetime
import decimal
import zoneinfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldwise.columns.tokens import token, token_column
from fieldwise.errors import DataError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (float("nan"), None),
        ("", None),
        (" \t\r\n", None),
        ("a", "a"),
        (" a b ", "a b"),
        ("007", "007"),
        ("7", "7"),
        (7, "7"),
        (7.0, "7"),
        ("7.0", "7"),
        ("7.00", "7"),
        ("7.10", "7.10"),
        ("07.0", "07.0"),
        (-3, "-3"),
        ("-3.0", "-3"),
        (-0.0, "0"),
        ("-0", "0"),
        ("-0.0", "0"),
        (0.1, "0.1"),
        (2**24 + 1, "16777217"),
        (float(2**24 + 1), "16777217"),
        (np.int64(5), "5"),
        (np.float64(5), "5"),
        (True, "true"),
        (np.bool_(False), "false"),
        ("TRUE", "true"),
        ("Truely", "Truely"),
        ("e\u0301", "\u00e9"),
        ("\u00e9", "\u00e9"),
        ("x" * 10_000, "x" * 10_000),
        (decimal.Decimal("3.0"), "3"),
        (decimal.Decimal("3.50"), "3.50"),
        (decimal.Decimal("NaN"), None),
        (1e-05, "0.00001"),
        ("1e-05", "0.00001"),
        ("1.5E+22", "15000000000000000000000"),
        (1.5e22, "15000000000000000000000"),
        ("1e5", "1e5"),
        ("1e+999", "1e+999"),
        (float("-inf"), "-inf"),
        (pd.NA, None),
        (pd.NaT, None),
        (np.datetime64("NaT"), None),
        (2**70, str(2**70)),
        (datetime.datetime(2026, 1, 31), "2026-01-31"),
        ("2026-01-31T00:00:00.000000", "2026-01-31"),
        ("2026-01-31T08:00:00.500000", "2026-01-31 08:00:00.5"),
        ("2026-01-31 08:00", "2026-01-31 08:00:00"),
        ("2026-01-31T08:00:00.000+0100", "2026-01-31 07:00:00+00:00"),
        ("2026-01-31 00:30:00+01:00", "2026-01-30 23:30:00+00:00"),
        ("2026-13-31 00:30:00+01:00", "2026-13-31 00:30:00+01:00"),
        (np.datetime64("2026-01-31T08:00:00.000000005"), "2026-01-31 08:00:00.000000005"),
        (datetime.time(8), "08:00:00"),
        ("08:00:00.250000000", "08:00:00.25"),
        ("10:20", "10:20"),
        (datetime.date(2026, 1, 31), "2026-01-31"),
        (datetime.datetime(2026, 1, 31, 8), "2026-01-31 08:00:00"),
        (b" raw ", "raw"),
    ],
)
def test_the_rule(value: object, expected: str | None) -> None:
    assert token(value) == expected


@pytest.mark.parametrize("value", [["a"], {"a": 1}, object()])
def test_what_is_no_single_value_is_refused(value: object) -> None:
    with pytest.raises(DataError, match="expected one text, number, boolean or date"):
        token(value)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(DataError, match=r"bytes that are not UTF-8 text: b'\\xff'"):
        token(b"\xff")
    with pytest.raises(DataError, match="bytes that are not UTF-8 text"):
        token_column(pa.chunked_array([pa.array([b"text", b"\xff"])]))


ZONE = zoneinfo.ZoneInfo("Europe/Berlin")
texts = st.text(alphabet=st.sampled_from(list("aé\u0301e0 1.-\tTrueFALSE|")), max_size=8) | st.sampled_from(
    [
        "1.0",
        "-0.0",
        "True",
        "false",
        " 7 ",
        "007",
        "1.50",
        "\u212b",
        "１.0",
        "1e-05",
        "2E+16",
        "1e5",
        " 1e+999 ",
        "2026-01-31T00:00:00.0",
        "2026-01-31 08:00Z",
        "2026-01-31 8",
        "08:00:00.50",
        "0000-00-00 00:00:00+00:00",
    ]
)
scalars = {
    "text": (texts | st.none(), pa.string()),
    "int": (st.integers(-(2**63), 2**63 - 1) | st.none(), pa.int64()),
    "float": (st.floats() | st.none(), pa.float64()),
    "bool": (st.booleans() | st.none(), pa.bool_()),
    "date": (st.dates() | st.none(), pa.date32()),
    "time": (st.times() | st.none(), pa.time64("us")),
    "moment": (st.datetimes() | st.none(), pa.timestamp("us")),
    "moment with a zone": (
        st.datetimes(datetime.datetime(1900, 1, 1), timezones=st.just(ZONE)) | st.none(),
        pa.timestamp("us", "Europe/Berlin"),
    ),
    "decimal": (st.decimals(-(10**6), 10**6, places=3) | st.none(), pa.decimal128(12, 3)),
}


@pytest.mark.parametrize("kind", scalars)
def test_a_column_gives_the_tokens_of_its_values(kind: str) -> None:
    values_of, arrow_type = scalars[kind]

    @given(st.lists(values_of, max_size=12), st.integers(0, 12))
    def check(values: list[object], cut: int) -> None:
        column = pa.chunked_array([pa.array(values[:cut], arrow_type), pa.array(values[cut:], arrow_type)])
        tokens = token_column(column)
        assert tokens.codes.dtype == np.int32
        got = [None if code < 0 else tokens.values[int(code)].as_py() for code in tokens.codes]
        assert got == [token(value) for value in values]
        known = tokens.values.drop_null().to_pylist()
        assert len(known) == len(set(known))

    check()


def test_dictionary_columns_and_nulls_count_like_plain_ones() -> None:
    plain = pa.chunked_array([pa.array(["a", None, "1.0", "1"])])
    tokens = token_column(pa.chunked_array([chunk.dictionary_encode() for chunk in plain.chunks]))
    assert tokens.codes.tolist() == token_column(plain).codes.tolist()
    assert tokens.codes[2] == tokens.codes[3]
    assert token_column(pa.chunked_array([pa.nulls(3)])).codes.tolist() == [-1, -1, -1]


def test_a_list_column_has_no_tokens() -> None:
    with pytest.raises(DataError, match="list"):
        token_column(pa.chunked_array([pa.array([["a"]])]))
