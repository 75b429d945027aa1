"""Profiles of columns: counted by hand, and the same however the rows are cut into pieces."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldwise.columns.counting import ColumnCounter, TableProfile, merge_profiles, profile_column
from fieldwise.columns.profile import ColumnProfile
from fieldwise.errors import DataError

NAN = float("nan")
JANUARY = datetime.date(2026, 1, 1)
COLUMNS = {
    pa.string(): st.sampled_from(["a", " a", "b", "", "é", "1", "1.0"]),
    pa.large_string(): st.sampled_from(["a", "b"]),
    pa.int32(): st.integers(-3, 3),
    pa.float64(): st.sampled_from([1.0, 2.5, -0.0, NAN, float("inf")]),
    pa.bool_(): st.booleans(),
    pa.timestamp("us"): st.sampled_from([datetime.datetime(2026, 1, day) for day in range(1, 5)]),
    pa.binary(): st.sampled_from([b"a", b"\xff", b" "]),
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from(["a", "b", "c"]),
    pa.null(): st.none(),
    pa.list_(pa.string()): st.lists(st.sampled_from(["a", "b", None]), max_size=3),
    pa.list_(pa.binary()): st.lists(st.sampled_from([b"a", b"\xff"]), max_size=3),
    pa.list_(pa.float32()): st.lists(st.sampled_from([1.0, NAN]), max_size=3),
    pa.list_(pa.int8(), 2): st.lists(st.integers(0, 3), min_size=2, max_size=2),
    pa.struct([("a", pa.int8())]): st.fixed_dictionaries({"a": st.integers(0, 2)}),
    pa.list_(pa.list_(pa.int8())): st.lists(st.just([1]), max_size=2),
}


def assert_same(left: ColumnProfile, right: ColumnProfile) -> None:
    assert left.kind == right.kind
    assert left.values.equals(right.values)
    assert (left.rows, left.missing, set(left.parts)) == (right.rows, right.missing, set(right.parts))
    np.testing.assert_array_equal(left.counts, right.counts)
    np.testing.assert_array_equal(left.first, right.first)
    for part, counted in left.parts.items():
        assert (counted.rows, counted.missing) == (right.parts[part].rows, right.parts[part].missing)
        np.testing.assert_array_equal(counted.counts, right.parts[part].counts)
        sums, others = counted.label_sums, right.parts[part].label_sums
        assert (sums is None) == (others is None)
        if sums is not None and others is not None:
            np.testing.assert_array_equal(sums.labels, others.labels)
            np.testing.assert_array_equal(sums.squares, others.squares)


def test_values_by_hand() -> None:
    train = np.array([False, True, True, False, True, True])
    profile = profile_column(pa.array(["b", "a", None, "a", "c", "a"]), {"train": train})
    assert profile.values.to_pylist() == ["b", "a", "c"]
    assert profile.counts.tolist() == [1, 3, 1]
    assert profile.first.tolist() == [0, 1, 4]
    assert (profile.rows, profile.missing, profile.distinct, profile.present, profile.range) == (6, 1, 3, 5, None)
    assert profile.parts["train"].counts.tolist() == [0, 2, 1]
    assert (profile.parts["train"].rows, profile.parts["train"].missing) == (4, 1)
    trained = profile.only("train")
    assert (trained.values.to_pylist(), trained.counts.tolist(), trained.first.tolist()) == (["a", "c"], [2, 1], [1, 4])
    assert (trained.rows, trained.missing, trained.parts) == (4, 1, {})
    assert profile.only(None) is profile


def test_lists_by_hand() -> None:
    lists = pa.array([["x", "y", "x"], None, [], [None], ["y"]])
    profile = profile_column(lists, {"train": np.array([True, True, False, False, True])})
    assert profile.is_list
    assert profile.value_type == pa.string()
    assert profile.values.to_pylist() == ["x", "y"]
    assert (profile.counts.tolist(), profile.first.tolist()) == ([2, 2], [0, 0])
    assert (profile.rows, profile.missing) == (5, 2)  # the list of one gap is a list
    assert profile.parts["train"].counts.tolist() == [2, 2]
    assert (profile.parts["train"].rows, profile.parts["train"].missing) == (3, 1)


def test_labels_are_added_up_by_value_and_part() -> None:
    train = np.array([False, True, True, True, True])
    profile = profile_column(pa.array(["b", "a", None, "a", "c"]), {"train": train}, label=[8, 1, 2, 3, 0.5])
    sums = profile.parts["train"].label_sums
    assert sums is not None
    assert sums.labels.tolist() == [0, 4, 0.5, 2]
    assert sums.squares.tolist() == [0, 10, 0.25, 4]
    assert profile_column(pa.array(["b"]), {"train": np.array([True])}).parts["train"].label_sums is None


def test_with_labels_lists_are_counted_whole() -> None:
    lists = pa.array([["x", "y"], None, [], [None], ["x", "y"], ["y", "x"]])
    profile = profile_column(lists, {"train": np.array([True] * 6)}, label=[1, 2, 4, 8, 16, 32])
    assert profile.is_list
    assert profile.kind == lists.type
    assert profile.values.to_pylist() == [["x", "y"], [None], ["y", "x"]]
    assert (profile.counts.tolist(), profile.first.tolist()) == ([2, 1, 1], [0, 3, 5])
    assert (profile.rows, profile.missing) == (6, 2)
    sums = profile.parts["train"].label_sums
    assert sums is not None
    assert sums.labels.tolist() == [17, 8, 32, 6]


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([3, None, -1], (-1, 3)),
        ([2.5, NAN], (2.5, 2.5)),
        (pa.array(np.array([1, 2], np.float16)), (1.0, 2.0)),
        ([JANUARY, datetime.date(2026, 2, 1)], (JANUARY, datetime.date(2026, 2, 1))),
        ([[3, 1], [2]], (1, 3)),
        ([datetime.timedelta(1)], None),
        (pa.array([], pa.int8()), None),
        ([True], None),
    ],
)
def test_ranges(values: Any, ends: Any) -> None:
    assert profile_column(values if isinstance(values, pa.Array) else pa.array(values)).range == ends


def test_what_cannot_be_counted_has_no_values_but_rows() -> None:
    profile = profile_column(pa.array([{"a": 1}, None]))
    assert not profile.countable
    assert (profile.distinct, profile.rows, profile.missing) == (0, 2, 1)
    assert profile_column(pa.array([None, None])).countable


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_pieces_give_the_same_profile(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(list(COLUMNS)))
    values = data.draw(st.lists(COLUMNS[kind] | st.none(), max_size=12))
    column = pa.array(values, kind)
    train = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))), dtype=bool)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=4)))
    label = np.arange(len(values)) % 3 if data.draw(st.booleans()) else None
    whole = profile_column(column, {"train": train}, label=label)
    counter = ColumnCounter()
    for start, stop in zip([0, *cuts], [*cuts, len(values)], strict=True):
        piece = None if label is None else label[start:stop]
        counter.add(column.slice(start, stop - start), {"train": train[start:stop]}, label=piece)
    assert_same(counter.profile(), whole)
    assert_same(counter.profile(), whole)  # asking changes nothing
    table = TableProfile(pa.table({"x": column}))
    assert_same(table.by_part({"train": np.flatnonzero(train)}, label=label)["x"], whole)


@given(st.lists(st.sampled_from("abcd") | st.none(), max_size=20))
def test_counts_are_those_of_python(values: list[str | None]) -> None:
    profile = profile_column(pa.array(values, pa.string()))
    expected = Counter(value for value in values if value is not None)
    assert list(zip(profile.values.to_pylist(), profile.counts.tolist(), strict=True)) == list(expected.items())
    assert profile.first.tolist() == [values.index(value) for value in expected]


def test_many_values_in_many_pieces() -> None:
    x = np.random.default_rng(0).integers(0, 150_000, 300_000)
    counter = ColumnCounter()
    for start in range(0, len(x), 20_000):
        counter.add(pa.array(x[start : start + 20_000]))
    assert_same(counter.profile(), profile_column(pa.array(x)))


def test_pieces_of_two_types_are_refused() -> None:
    with pytest.raises(DataError, match="type int64 in one piece and string in another"):
        merge_profiles([profile_column(pa.array([1])), profile_column(pa.array(["a"]))])


def test_a_table_is_counted_when_asked_for_and_once() -> None:
    table = pa.table({"a": ["x", "y", "x"], "t": [[1], [1, 2], None]})
    profiles = TableProfile(table)
    assert list(profiles) == ["a", "t"]
    assert (len(profiles), "a" in profiles, "b" in profiles) == (2, True, False)
    with pytest.raises(KeyError):
        profiles["b"]
    assert profiles["a"].values is profiles["a"].values
    divided = profiles.by_part({"train": np.array([2, 1]), "valid": np.array([0])})
    assert divided["a"].values is profiles["a"].values
    assert {part: counted.counts.tolist() for part, counted in divided["t"].parts.items()} == {
        "train": [1, 1],
        "valid": [1, 0],
    }
    profiles.forget()
    assert_same(profiles["a"], profile_column(table["a"]))
