"""The Encoder: a table and the dicts of its rows agree; what it learned survives saving; errors name the column."""

from __future__ import annotations

import datetime
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldwise.columns.tables import read_table
from fieldwise.encoding.encoded import EncodedRows, EncodingReport, Ragged
from fieldwise.encoding.encoder import Encoder, EncoderState
from fieldwise.errors import DataError, PredictorFormatError
from fieldwise.layout import FIRST_TOKEN, MISSING, OOV
from fieldwise.schema import Categorical, MultiValued, Numeric, Schema

SCHEMA = Schema(
    label="click",
    fields={
        "user": Categorical(min_count=1),
        "word": Categorical(min_count=2),
        "price": Numeric(transform="log"),
        "count": Numeric(transform="log_squared"),
        "bucket": Numeric(column="price", buckets=3),
        "tags": MultiValued(separator="|"),
        "genres": MultiValued(),
        "hour": Categorical(column="when", part="hour"),
    },
)
COLUMNS = {
    "user": (st.integers(-3, 3) | st.integers(2**24, 2**24 + 3) | st.none(), pa.int64()),
    "word": (st.sampled_from(["a", " a", "A", "1.0", "1", "", "é", "e\u0301", "007"]) | st.none(), pa.string()),
    "price": (st.floats() | st.none(), pa.float64()),
    "count": (st.integers(-5, 1000) | st.none(), pa.int32()),
    "tags": (st.sampled_from(["a", "a|b", "b| a ", "|", "", "a||c", "new"]) | st.none(), pa.string()),
    "genres": (st.lists(st.sampled_from(["x", "y", None, "1.0"]), max_size=3) | st.none(), pa.list_(pa.string())),
    "when": (
        st.datetimes(datetime.datetime(2020, 1, 1), datetime.datetime(2026, 1, 1)) | st.none(),
        pa.timestamp("us"),
    ),
}


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, (_, kind) in COLUMNS.items()})


rows = st.lists(st.fixed_dictionaries({name: values for name, (values, _) in COLUMNS.items()}), max_size=8)


def assert_same(left: EncodedRows, right: EncodedRows) -> None:
    np.testing.assert_array_equal(left.categorical, right.categorical)
    np.testing.assert_array_equal(left.numeric, right.numeric)
    for a, b in zip(left.multi_valued, right.multi_valued, strict=True):
        np.testing.assert_array_equal(a.values, b.values)
        np.testing.assert_array_equal(a.offsets, b.offsets)
    assert left.report.unseen == right.report.unseen
    assert left.report.missing == right.report.missing
    assert left.report.infinite == right.report.infinite


@given(rows, rows)
@settings(max_examples=150, deadline=None)
def test_a_table_and_its_dicts_give_the_same(training: list[dict[str, Any]], probe: list[dict[str, Any]]) -> None:
    encoder = Encoder.fit(table_of(training), SCHEMA)
    table = table_of(probe)
    encoded = encoder.encode(table)
    assert_same(encoded, encoder.encode_rows(table.to_pylist()))
    state, vocabularies, _ = encoder.state()
    again = Encoder.from_state(SCHEMA, EncoderState.model_validate_json(state.model_dump_json()), vocabularies)
    assert again.layout == encoder.layout
    assert_same(encoded, again.encode(table))


def test_by_hand() -> None:
    table = pa.table({"u": ["a", "b", "a", None], "x": ["1", "3", "", "inf"], "t": ["p|q", "", "q", "r"]})
    schema = Schema(label="y", fields={"u": "categorical", "x": Numeric(), "t": MultiValued(separator="|")})  # type: ignore[dict-item]
    encoder = Encoder.fit(table, schema)
    assert [(f.name, f.kind, f.size) for f in encoder.layout] == [
        ("u", "categorical", 4),
        ("x", "numeric", 2),
        ("t", "multi_valued", 5),
    ]
    assert encoder.layout.offsets == (1, 5, 7)
    encoded = encoder.encode(table)
    assert encoded.categorical.tolist() == [[FIRST_TOKEN], [FIRST_TOKEN + 1], [FIRST_TOKEN], [MISSING]]
    np.testing.assert_array_equal(encoded.numeric, np.float32([[-1], [1], [math.nan], [math.nan]]))
    assert encoded.multi_valued[0].values.tolist() == [3, 2, 0, 2, 4]  # q is the most frequent
    assert encoded.multi_valued[0].offsets.tolist() == [0, 2, 3, 4, 5]
    assert encoded.report.missing == {"u": 1, "x": 2, "t": 1}
    assert encoded.report.infinite == {"x": 1}


def test_unseen_values_are_counted_and_shown() -> None:
    schema = Schema(label="y", fields={"u": Categorical(), "t": MultiValued(separator=",")})
    encoder = Encoder.fit(pa.table({"u": ["a", "b"], "t": ["p", "q"]}), schema)
    encoded = encoder.encode(pa.table({"u": ["a", "new", "new", "x" * 99], "t": ["p,z", "z,z", None, "q"]}))
    assert encoded.report.unseen == {"u": 3, "t": 3}
    assert encoded.report.examples == {"u": ["new", "x" * 39 + "…"], "t": ["z"]}
    assert encoded.report.lines()[0].startswith("u: 3 of 4 values are not in the vocabulary (for example new, xxx")
    assert encoded.categorical.ravel().tolist() == [FIRST_TOKEN, OOV, OOV, OOV]


def test_reports_add_up() -> None:
    report = EncodingReport(rows=2, unseen={"a": 1}, examples={"a": ["x"]})
    report.add(EncodingReport(rows=3, unseen={"a": 2, "b": 1}, infinite={"c": 4}, examples={"a": list("xyzuvw")}))
    assert (report.rows, report.unseen, report.infinite) == (5, {"a": 3, "b": 1}, {"c": 4})
    assert report.examples == {"a": ["x", "y", "z", "u", "v"]}


def test_a_number_beyond_float32_is_missing_and_reported() -> None:
    encoder = Encoder.fit(pa.table({"x": [1.0]}), Schema(label="y", fields={"x": Numeric(transform="none")}))
    encoded = encoder.encode(pa.table({"x": [1e300, 1.0, -math.inf]}))
    np.testing.assert_array_equal(encoded.numeric[:, 0], np.float32([math.nan, 1, math.nan]))
    assert_same(encoded, encoder.encode_rows([{"x": 1e300}, {"x": 1.0}, {"x": -math.inf}]))
    assert encoded.report.infinite == encoded.report.missing == {"x": 2}


def test_infinities_have_lines_of_their_own() -> None:
    report = EncodingReport(rows=2, unseen={"a": 1}, infinite={"x": 1, "z": 1200})
    assert report.reading_lines() == [
        "x: 1 infinite values taken as missing",
        "z: 1,200 infinite values taken as missing",
    ]
    assert report.lines()[1:] == report.reading_lines()


def test_min_count_of_a_field_wins_over_the_setting() -> None:
    table = pa.table({"a": ["x", "x", "y"], "b": ["x", "x", "y"]})
    schema = Schema(label="y", fields={"a": Categorical(), "b": Categorical(min_count=1)})
    assert [f.size for f in Encoder.fit(table, schema, min_count=2).layout] == [3, 4]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"usr": ["a"], "x": [1]}, "column 'user' is missing; did you mean 'usr'?"),
        ({"user": ["a"], "x": ["oops"]}, "column 'x': row 1: expected a number, got 'oops'"),
        ({"user": [["a"]], "x": [1]}, "column 'user': expected single values"),
    ],
)
def test_errors_name_the_column(table: dict[str, Any], message: str) -> None:
    schema = Schema(label="y", fields={"user": Categorical(), "x": Numeric()})
    encoder = Encoder.fit(pa.table({"user": ["a"], "x": [1]}), schema)
    with pytest.raises(DataError) as error:
        encoder.encode(pa.table(table))
    assert message in str(error.value)


def test_errors_of_dicts_name_the_column_too() -> None:
    encoder = Encoder.fit(pa.table({"x": [1]}), Schema(label="y", fields={"x": Numeric()}))
    with pytest.raises(DataError, match="row 2 has no 'x'; give None for a missing value"):
        encoder.encode_rows([{"x": 1}, {"y": 2}])
    with pytest.raises(DataError, match="column 'x': expected a number, got list"):
        encoder.encode_rows([{"x": [1]}])


def test_text_needs_a_separator_to_be_multi_valued() -> None:
    schema = Schema(label="y", fields={"t": MultiValued()})
    with pytest.raises(DataError, match="column 't': expected a list column, got string"):
        Encoder.fit(pa.table({"t": ["a|b"]}), schema)
    encoder = Encoder.fit(pa.table({"t": [["a"]]}), schema)
    for value in ("a", b"a", 3):
        with pytest.raises(DataError, match=f"column 't': expected a list of values, got {value!r}"):
            encoder.encode_rows([{"t": value}])


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ("7|a", [2, 3]),
        (b"7|a", [2, 3]),
        (["7", "a"], [2, 3]),
        (7, [2]),
        (7.0, [2]),
        (-7, [OOV]),
        (datetime.date(2026, 1, 31), [OOV]),
        (math.nan, [MISSING]),
        (None, [MISSING]),
    ],
)
def test_one_value_of_any_type_is_a_list_of_one(value: Any, ids: list[int]) -> None:
    schema = Schema(label="y", fields={"t": MultiValued(separator="|")})
    encoder = Encoder.fit(pa.table({"t": ["7|a", "7"]}), schema)
    table = pa.table({"t": pa.array([value], from_pandas=True)})
    for encoded in (encoder.encode(table), encoder.encode_rows([{"t": value}])):
        assert encoded.multi_valued[0].values.tolist() == ids


def test_lists_of_mixed_types_are_read_alike_in_tables_and_dicts() -> None:
    schema = Schema(label="y", fields={"t": MultiValued()})
    encoder = Encoder.fit(pa.table({"t": [["1", "2"], ["2"]]}), schema)
    rows = [{"t": ["1", 2]}, {"t": (2.0, None, "new")}, {"t": {1}}, {"t": None}]
    assert_same(encoder.encode(read_table(rows)), encoder.encode_rows(rows))


def test_a_float_that_is_not_a_number_is_missing_as_a_list_too() -> None:
    schema = Schema(label="y", fields={"t": MultiValued(separator="|")})
    encoder = Encoder.fit(pa.table({"t": pa.array([7.0, math.nan])}), schema)
    table = pa.table({"t": pa.array([math.nan, 7.0])})
    assert encoder.layout.fields[0].size == FIRST_TOKEN + 1
    assert_same(encoder.encode(table), encoder.encode_rows(table.to_pylist()))


@pytest.mark.parametrize(
    ("values", "kind"),
    [([{"a": 1}], pa.struct([("a", pa.int64())])), ([b"\xff"], pa.binary()), ([[("a", 1)]], None)],
)
def test_what_is_neither_text_nor_list_is_refused(values: list[Any], kind: pa.DataType | None) -> None:
    schema = Schema(label="y", fields={"t": MultiValued(separator="|")})
    encoder = Encoder.fit(pa.table({"t": ["a|b"]}), schema)
    column = pa.array(values, kind or pa.map_(pa.string(), pa.int64()))
    with pytest.raises(DataError, match=r"column 't': expected text or lists of values, got a column of type"):
        encoder.encode(pa.table({"t": column}))
    with pytest.raises(DataError, match=r"column 't': (expected one text|bytes that are not UTF-8)"):
        encoder.encode_rows([{"t": values[0] if kind else dict(values[0])}])


def test_a_state_that_does_not_fit_its_schema_is_refused() -> None:
    encoder = Encoder.fit(pa.table({"x": [1]}), Schema(label="y", fields={"x": Numeric()}))
    state, vocabularies, _ = encoder.state()
    with pytest.raises(PredictorFormatError, match="'x' is categorical in the schema, but scaling in the encoder"):
        Encoder.from_state(Schema(label="y", fields={"x": Categorical()}), state, vocabularies)
    with pytest.raises(PredictorFormatError, match="holds 1 fields, the schema 2"):
        Encoder.from_state(Schema(label="y", fields={"x": Numeric(), "z": Numeric()}), state, vocabularies)
    with pytest.raises(PredictorFormatError, match="vocabulary file"):
        Encoder.from_state(encoder.schema, state, pa.table({"a": [1]}))


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), min_size=1, max_size=6), st.data())
def test_taking_rows_of_ragged_lists(lists: list[list[int]], data: st.DataObject) -> None:
    ragged = Ragged.from_lists(lists)
    picked = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=8))
    taken = ragged.take(np.array(picked, dtype=np.int64))
    got = [taken.values[a:b].tolist() for a, b in zip(taken.offsets[:-1], taken.offsets[1:], strict=True)]
    assert got == [lists[i] for i in picked]
