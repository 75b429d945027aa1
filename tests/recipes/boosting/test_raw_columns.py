"""Raw columns: what trees get of each kind of field, what is told of it, and what is saved."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from fieldwise.encoding.encoded import EncodingReport
from fieldwise.encoding.encoder import Encoder
from fieldwise.errors import DataError, PredictorFormatError
from fieldwise.recipes.boosting.raw_columns import MOST_TOKENS, RawColumns, RawColumnsState
from fieldwise.schema import Schema

ALL_KINDS = Schema.model_validate(
    {
        "fields": {
            "user": "categorical",
            "hour": {"kind": "categorical", "part": "hour", "column": "at"},
            "price": "numeric",
            "tags": {"kind": "multi_valued", "separator": "|"},
        },
        "label": "click",
    }
)
SEEN = pa.table(
    {
        "user": ["a", "b", "a", None],
        "at": ["2024-01-01 10:00:00", "2024-01-01 11:00:00", None, "2024-01-02 10:30:00"],
        "price": ["1.5", "-", "2", "3"],
        "tags": ["x|y", "x", "", "y|x"],
    }
)
NEW = pa.table(
    {
        "user": ["a", "zoe", "yan", None],
        "at": ["2024-01-01 23:00:00", "2024-01-01 11:00:00", None, "2024-01-02 10:30:00"],
        "price": [1.5, None, float("inf"), float("nan")],
        "tags": ["x|new|newer", "y", None, "z"],
    }
)


def test_lists_become_a_column_per_frequent_token_and_their_number() -> None:
    schema = Schema.model_validate({"fields": {"tags": {"kind": "multi_valued", "separator": "|"}}, "label": "click"})
    columns = RawColumns.fit(pa.table({"tags": ["b|a|b", "a", "a", None]}), schema)
    read = columns.rows(pa.table({"tags": ["b|new", "a|a", "", None]}))
    # By falling count: a (3), b (2).
    np.testing.assert_array_equal(read.numbers, [[0, 1, 2], [1, 0, 2], [0, 0, 0], [0, 0, 0]])


def test_the_set_of_a_list_is_a_token_whatever_its_order() -> None:
    schema = Schema.model_validate({"fields": {"tags": {"kind": "multi_valued", "separator": "|"}}, "label": "click"})
    columns = RawColumns.fit(pa.table({"tags": ["b|a|b", "a|b", "a", None]}), schema)
    read = columns.rows(pa.table({"tags": ["a|b", "b|a|a", "a", "", "b", "new", "a|new"]})).categorical[:, 0]
    seen = read[:4]
    assert seen[0] == seen[1] == 2
    assert len(set(seen.tolist())) == 3
    assert read[4:].tolist() == [1, 1, 1]
    assert len(columns.tokens()[0]) == 3


def test_only_the_most_frequent_tokens_of_lists_get_columns() -> None:
    schema = Schema.model_validate({"fields": {"tags": "multi_valued"}, "label": "click"})
    lists = [[f"t{j}" for j in range(i + 1)] for i in range(MOST_TOKENS + 10)]
    read = RawColumns.fit(pa.table({"tags": lists}), schema).rows(pa.table({"tags": [lists[-1]]}))
    np.testing.assert_array_equal(read.numbers, [[1.0] * MOST_TOKENS + [MOST_TOKENS + 10]])


def test_numbers_are_neither_scaled_nor_cut_and_keep_all_digits() -> None:
    fields = {"at": {"kind": "numeric", "buckets": 2}, "price": {"kind": "numeric", "transform": "log_squared"}}
    schema = Schema.model_validate({"fields": fields, "label": "click"})
    raw = pa.table({"at": [978300761, 978300762], "price": ["12.5", "-"]})
    np.testing.assert_array_equal(
        RawColumns.fit(raw, schema).rows(raw).numbers, [[978300761, 12.5], [978300762, float("nan")]]
    )


def test_rare_tokens_keep_their_codes() -> None:
    schema = Schema.model_validate({"fields": {"user": {"kind": "categorical", "min_count": 5}}, "label": "click"})
    raw = pa.table({"user": ["a", "b", "a", None]})
    columns = RawColumns.fit(raw, schema)
    np.testing.assert_array_equal(columns.rows(raw).categorical[:, 0], [2, 3, 2, 0])
    assert columns.rows(pa.table({"user": ["new"]})).categorical.tolist() == [[1]]
    assert [tokens.to_pylist() for tokens in columns.tokens()] == [["a", "b"]]


def test_unseen_and_missing_values_are_told_as_networks_tell_them() -> None:
    report = EncodingReport()
    RawColumns.fit(SEEN, ALL_KINDS).rows(NEW, report)
    assert report == Encoder.fit(SEEN, ALL_KINDS).encode(NEW).report
    assert report.unseen == {"user": 2, "hour": 1, "tags": 3}
    assert report.missing == {"user": 1, "hour": 1, "price": 3, "tags": 1}
    assert report.infinite == {"price": 1}


def test_a_report_grows_from_table_to_table() -> None:
    columns, report = RawColumns.fit(SEEN, ALL_KINDS), EncodingReport()
    columns.rows(NEW, report)
    columns.rows(NEW, report)
    assert (report.rows, report.unseen["user"], report.infinite["price"]) == (8, 4, 2)


def test_slices_are_the_rows_that_they_name() -> None:
    rows = RawColumns.fit(SEEN, ALL_KINDS).rows(NEW)
    parts = [rows.slice(0, 3), rows.slice(3, 9)]
    assert [len(part) for part in parts] == [3, 1]
    np.testing.assert_array_equal(np.concatenate([part.categorical for part in parts]), rows.categorical)
    np.testing.assert_array_equal(np.concatenate([part.numbers for part in parts]), rows.numbers)


def test_columns_are_counted_as_they_come() -> None:
    columns = RawColumns.fit(SEEN, ALL_KINDS)
    rows = columns.rows(NEW)
    assert columns.num_columns == rows.categorical.shape[1] + rows.numbers.shape[1]


def test_saved_columns_read_rows_as_before() -> None:
    columns = RawColumns.fit(SEEN, ALL_KINDS)
    state, vocabularies = columns.state()
    again = RawColumns.from_state(ALL_KINDS, RawColumnsState.model_validate_json(state.model_dump_json()), vocabularies)
    expected, rows = columns.rows(NEW), again.rows(NEW)
    np.testing.assert_array_equal(rows.categorical, expected.categorical)
    np.testing.assert_array_equal(rows.numbers, expected.numbers)
    assert again.num_columns == columns.num_columns


def test_the_number_of_token_columns_is_saved() -> None:
    columns = RawColumns(ALL_KINDS, RawColumns.fit(SEEN, ALL_KINDS).encodings, most_tokens=1)
    again = RawColumns.from_state(ALL_KINDS, *columns.state())
    assert again.rows(NEW).numbers.shape == columns.rows(NEW).numbers.shape == (4, 3)


def test_columns_without_any_token_are_saved_too() -> None:
    schema = Schema.model_validate({"fields": {"user": "categorical", "price": "numeric"}, "label": "click"})
    empty = pa.table({"user": pa.array([None], pa.string()), "price": [1.0]})
    columns = RawColumns.from_state(schema, *RawColumns.fit(empty, schema).state())
    assert columns.rows(NEW).categorical[:, 0].tolist() == [1, 1, 1, 0]


def test_vocabularies_that_do_not_fit_are_refused() -> None:
    state, vocabularies = RawColumns.fit(SEEN, ALL_KINDS).state()
    twice = pa.concat_tables([vocabularies.slice(0, 1), vocabularies]).combine_chunks()
    for table, complaint in (
        (vocabularies.drop_columns(["count"]), "does not have the columns field, token and count"),
        (twice, "field 'user': the vocabulary file has a token twice"),
        (vocabularies.take(pa.array([2, 0])), "in order"),
    ):
        with pytest.raises(PredictorFormatError, match=complaint):
            RawColumns.from_state(ALL_KINDS, state, table)
    fewer = Schema.model_validate({"fields": {"price": "numeric"}, "label": "click"})
    with pytest.raises(PredictorFormatError, match="vocabulary file"):
        RawColumns.from_state(fewer, state, vocabularies)


def test_a_column_that_cannot_be_read_is_named_with_the_row() -> None:
    columns = RawColumns.fit(SEEN, ALL_KINDS)
    report = EncodingReport()
    with pytest.raises(DataError, match=r"column 'price': row 2: expected a number, got 'dear'"):
        columns.rows(NEW.set_column(2, "price", pa.array(["1", "dear", "3", "4"])), report)
    assert report == EncodingReport()
