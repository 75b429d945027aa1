"""Calendar parts and sortable times."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldwise.columns.dates import DateReading, moment, moments, part_column, part_of, time_keys
from fieldwise.errors import DataError


@pytest.mark.parametrize(("part", "expected"), [("hour", "17"), ("weekday", "5"), ("day", "31"), ("month", "1")])
@pytest.mark.parametrize("value", ["2026-01-31 17:05:00", "2026/01/31T17:05", datetime.datetime(2026, 1, 31, 17, 5)])
def test_parts_by_hand(part: str, expected: str, value: object) -> None:
    assert part_of(value, part) == expected  # type: ignore[arg-type]


def test_a_zone_keeps_the_hour_as_written() -> None:
    values = ["2026-01-31T17:05:00+05:00", "2026-01-31T17:05:00Z"]
    assert [part_of(value, "hour") for value in values] == ["17", "17"]
    assert part_column(pa.chunked_array([values]), "hour").to_pylist() == [17, 17]


@given(st.lists(st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)) | st.none(), max_size=6))
def test_columns_give_the_parts_of_their_values(values: list[datetime.datetime | None]) -> None:
    typed = pa.chunked_array([pa.array(values, pa.timestamp("us"))])
    text = pa.chunked_array([pa.array([None if v is None else str(v) for v in values], pa.string())])
    for part in ("hour", "weekday", "day", "month"):
        expected = [None if v is None else int(part_of(v, part) or 0) for v in values]  # type: ignore[arg-type]
        assert part_column(typed, part).to_pylist() == expected  # type: ignore[arg-type]
        assert part_column(text, part).to_pylist() == expected  # type: ignore[arg-type]


def test_dates_have_the_hour_zero() -> None:
    column = pa.chunked_array([pa.array([datetime.date(2026, 1, 31)])])
    assert part_column(column, "hour").to_pylist() == [0]
    assert moment(datetime.date(2026, 1, 31)) == datetime.datetime(2026, 1, 31)
    assert moment(np.datetime64("2026-01-31")) == datetime.datetime(2026, 1, 31)


def test_no_date_is_named_by_its_row() -> None:
    with pytest.raises(DataError, match=r"row 2: expected a date .* got 'soon'"):
        part_column(pa.chunked_array([["2026-01-31", "soon"]]), "hour")


@pytest.mark.parametrize("value", [datetime.time(8), datetime.timedelta(hours=8), 8, 8.5])
def test_a_time_of_day_and_a_number_are_no_dates(value: object) -> None:
    with pytest.raises(DataError, match="expected a date"):
        part_of(value, "hour")
    with pytest.raises(DataError, match="row 1: expected a date"):
        part_column(pa.chunked_array([pa.array([value])]), "hour")


@pytest.mark.parametrize(
    "values",
    [
        [3, 1, 2],
        ["3", "1", "2"],
        ["2026-01-03", "2026-01-01", "2026-01-02T10:00"],
        ["2026-01-03T00:00:00+02:00", "2026/01/01", "2026-01-02"],
        [datetime.date(2026, 1, 3), datetime.date(2026, 1, 1), datetime.date(2026, 1, 2)],
    ],
)
def test_times_sort(values: list[object]) -> None:
    assert np.argsort(time_keys(pa.chunked_array([pa.array(values)]))).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    "values", [["2026-01-31", None], ["2026-01-31", ""], ["2026-01-31", "soon"], ["1", "nan"], [1.5, float("nan")]]
)
def test_a_row_without_a_time_is_named(values: list[object]) -> None:
    with pytest.raises(DataError, match="row 2"):
        time_keys(pa.chunked_array([pa.array(values)]))


@pytest.mark.parametrize("value", [["2026-01-31"], {"day": 31}, b"\xff"])
def test_a_column_that_cannot_be_sorted_by_time_is_refused(value: object) -> None:
    with pytest.raises(DataError, match="expected dates or numbers, got a column of type"):
        time_keys(pa.chunked_array([pa.array([value])]))


def test_durations_sort_and_times_of_day_do_not() -> None:
    seconds = [datetime.timedelta(seconds=s) for s in (3, 1, 2)]
    assert np.argsort(time_keys(pa.chunked_array([pa.array(seconds)]))).tolist() == [1, 2, 0]
    with pytest.raises(DataError, match="row 1: expected a date"):
        time_keys(pa.chunked_array([pa.array([datetime.time(8)])]))


@pytest.mark.parametrize("zone", ["0", "", "../UTC", "Europe/Atlantis", "+99:99"])
def test_a_zone_that_this_machine_does_not_know_is_named(zone: str) -> None:
    reading = DateReading(zone=zone)
    with pytest.raises(DataError, match="there is no time zone"):
        moment("2026-01-31 17:05", reading)
    with pytest.raises(DataError, match="there is no time zone"):
        moments(pa.chunked_array([["2026-01-31 17:05"]]), reading)


def test_the_same_instants_have_one_clock() -> None:
    utc = pa.array(
        [datetime.datetime(2026, 1, 31, 7), datetime.datetime(2026, 7, 1, 7), None], pa.timestamp("us", "UTC")
    )
    for zone, hours in {"Europe/Berlin": [8, 9, None], "+05:00": [12, 12, None], "UTC": [7, 7, None]}.items():
        reading = DateReading(zone=zone)
        for other in ("UTC", "America/New_York", "-03:00"):
            column = pa.chunked_array([utc.cast(pa.timestamp("ns", other))])
            assert part_column(column, "hour", reading).to_pylist() == hours
        texts = ["2026-01-31 07:00 UTC", "2026-07-01T09:00:00+02:00", None]
        assert part_column(pa.chunked_array([texts]), "hour", reading).to_pylist() == hours
        assert [part_of(text, "hour", reading) for text in texts] == [None if h is None else str(h) for h in hours]
        assert part_column(pa.chunked_array([["2026-01-31 07:00"]]), "hour", reading).to_pylist() == [7]
