"""Schema inference: what each rule decides, and what must not fool it."""

from __future__ import annotations

import datetime
import decimal
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldwise.columns.counting import TableProfile
from fieldwise.errors import DataError, SchemaError
from fieldwise.schema import Categorical, MultiValued, Numeric, Schema
from fieldwise.schema.inference import ColumnDecision, Inference, infer_schema, remarks

ROWS = 2_000


def infer(column: Any, name: str = "x") -> ColumnDecision:
    """The decision on one column, in a table that also has a label and one certain field."""
    values = column if isinstance(column, pa.Array | pa.ChunkedArray) else pa.array(column)
    sure = pa.array([str(i % 2) for i in range(len(values))])
    inference = infer_schema(
        pa.table({"label": sure, name: values, "sure": sure}), label="label", fields={"sure": "categorical"}
    )
    return inference.decisions[1]


def as_text(values: Sequence[Any]) -> pa.Array:
    """A column as the CSV reader gives it."""
    return pa.array([None if value is None else str(value) for value in values], pa.large_string())


def draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def cycle(values: Sequence[Any], rows: int = ROWS) -> list[Any]:
    return [values[i % len(values)] for i in range(rows)]


# ---- the common case


def shop_columns(rows: int = 10_000) -> dict[str, pa.Array]:
    rng = draw()
    tags = np.array(["red", "blue", "sport", "sale", "new"])
    return {
        "user_id": pa.array(rng.integers(1, 10**7, rows)),
        "item": pa.array(rng.zipf(1.3, rows) * 7919 % 10**7),
        "clicks_7d": pa.array(np.floor(rng.lognormal(1, 1.5, rows)).astype(int)),
        "price": pa.array(rng.choice(np.arange(1, 60) * 50 - rng.integers(0, 2, 59), rows)),
        "user_age": pa.array(rng.integers(18, 81, rows)),
        "tags": pa.array(["|".join(rng.permutation(tags)[: rng.integers(1, 4)]) for _ in range(rows)]),
    }


@pytest.mark.parametrize("text", [False, True])
def test_a_shop_table_with_telling_names(text: bool) -> None:
    columns = shop_columns()
    if text:
        columns = {name: column.cast(pa.string()) for name, column in columns.items()}
    table = pa.table({**columns, "click": pa.array(cycle([0, 1, 0], 10_000))})
    schema = infer_schema(table, label="click").schema
    assert schema.fields == {
        "user_id": Categorical(),
        "item": Categorical(),
        "clicks_7d": Numeric(transform="log"),
        "price": Numeric(),
        "user_age": Numeric(),
        "tags": MultiValued(separator="|"),
    }
    assert schema.label == "click"


def test_a_shop_table_with_bland_names() -> None:
    columns = dict(zip("abcdef", shop_columns().values(), strict=True))
    table = pa.table({**columns, "click": pa.array(cycle([0, 1, 0], 10_000))})
    inference = infer_schema(table, label="click")
    kinds = [decision.decision for decision in inference.decisions]
    # An age is sixty categories as long as nobody calls it an age: harmless.
    assert kinds == ["categorical", "categorical", "numeric", "numeric", "categorical", "multi_valued", "label"]
    reasons = {decision.column: decision.reason for decision in inference.decisions}
    assert "as counts are" in reasons["c"]
    assert "as prices have" in reasons["d"]


# ---- the same content in another type


def assert_alike(typed: pa.Array, text: pa.Array, name: str = "x") -> None:
    one, other = infer(typed, name), infer(text, name)
    assert (one.decision, one.fields, one.distinct, one.missing, one.reason) == (
        other.decision,
        other.fields,
        other.distinct,
        other.missing,
        other.reason,
    )


def gappy(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.one_of(st.none(), values), min_size=1, max_size=150)


@settings(max_examples=50, deadline=None)
@given(
    gappy(st.one_of(st.integers(-50, 50), st.integers(-(2**63), 2**63 - 1))),
    st.sampled_from(["x", "price", "item_id", "ts"]),
)
def test_integers_are_decided_alike_as_numbers_and_as_text(values: list[int | None], name: str) -> None:
    assert_alike(pa.array(values, pa.int64()), as_text(values), name)


@settings(max_examples=50, deadline=None)
@given(gappy(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-9, 9).map(float))))
def test_floats_are_decided_alike_as_numbers_and_as_text(values: list[float | None]) -> None:
    assert_alike(pa.array(values, pa.float64()), as_text(values))


@settings(max_examples=30, deadline=None)
@given(gappy(st.booleans()))
def test_booleans_are_decided_alike_as_booleans_and_as_text(values: list[bool | None]) -> None:
    assert_alike(pa.array(values, pa.bool_()), as_text(values))


@settings(max_examples=30, deadline=None)
@given(gappy(st.dates()), st.sampled_from("-/"))
def test_dates_are_decided_alike_as_dates_and_as_text(values: list[datetime.date | None], mark: str) -> None:
    text = [None if value is None else value.isoformat().replace("-", mark) for value in values]
    assert_alike(pa.array(values, pa.date32()), as_text(text))


@settings(max_examples=30, deadline=None)
@given(gappy(st.datetimes()), st.sampled_from(" T"))
def test_times_are_decided_alike_as_times_and_as_text(values: list[datetime.datetime | None], mark: str) -> None:
    text = [None if value is None else value.isoformat(mark) for value in values]
    assert_alike(pa.array(values, pa.timestamp("us")), as_text(text))


def test_shapes_are_decided_alike_as_numbers_and_as_text() -> None:
    rng = draw()
    for values in (
        np.floor(rng.lognormal(1, 1.5, ROWS)).astype(int),
        rng.normal(0, 50, ROWS).round().astype(int),
        rng.choice(np.arange(1, 40) * 25, ROWS),
    ):
        assert infer(pa.array(values)).decision == "numeric"
        assert_alike(pa.array(values), as_text(values.tolist()))
        assert_alike(pa.array(values.astype(float)), as_text(values.tolist()))


@pytest.mark.parametrize(
    "typed",
    [
        pa.array(["a", "b", ""] * 50).dictionary_encode(),
        pa.array(["a", "b", None] * 50, pa.string_view()),
        pa.array([b"a", b" b ", None] * 50),
        pa.chunked_array([["a", "b"] * 49, [" a", "b\t"], [None] * 50]),
    ],
    ids=["dictionary", "view", "bytes", "chunks"],
)
def test_text_types_are_decided_alike(typed: pa.Array) -> None:
    assert_alike(typed, as_text(["a", "b", ""] * 50))


def test_nan_and_null_are_missing_and_so_are_the_words_for_them_among_numbers() -> None:
    assert_alike(pa.array([1.5, None, float("nan"), 2.5]), as_text(["1.5", "NA", "nan", "2.5"]))
    assert infer(pa.array([1.5, None, float("nan"), 2.5])).missing == 2


def test_decimals_are_numbers() -> None:
    assert infer([decimal.Decimal("1.50"), decimal.Decimal("2.25")]).fields == {"x": Numeric()}


# ---- rule 1 and rule 8: columns that say nothing


@pytest.mark.parametrize(
    "column", [pa.nulls(3), pa.nulls(3, pa.int64()), pa.array(["", " ", None]), pa.array([[], None])]
)
def test_no_values(column: pa.Array) -> None:
    decision = infer(column)
    assert (decision.decision, decision.reason, decision.missing) == ("ignored", "no values", len(column))
    assert decision.fields == {}


def test_a_constant_is_ignored_but_one_value_with_gaps_is_not() -> None:
    assert infer(["a", "a"]).reason == "one value only"
    assert infer([7, 7]).decision == "ignored"
    assert infer(["1", "1.0"]).decision == "ignored"
    decision = infer(["yes", None, None])
    assert decision.decision == "categorical"
    assert "missing in 2 rows" in decision.reason


@pytest.mark.parametrize("rows", [99, 100])
def test_a_row_key_needs_a_hundred_rows(rows: int) -> None:
    expected = "ignored" if rows >= 100 else "categorical"
    for column in (
        np.arange(10**6, 10**6 + rows),
        [f"row-{i}" for i in range(rows)],
        [str(10**19 + i) for i in range(rows)],
        [*range(rows), None],
    ):
        assert infer(column).decision == expected


def test_one_repetition_makes_a_key_a_category_however_long_the_column() -> None:
    rows = 60_000
    ids = np.arange(rows) * 1009 + 10**8
    assert infer(ids).decision == "ignored"
    ids[rows // 2 + 1] = ids[3]
    decision = infer(ids)
    assert (decision.decision, decision.distinct) == ("categorical", rows - 1)


def test_a_quantity_may_differ_in_every_row() -> None:
    assert infer(np.arange(1000) * 13 + 20_000, "salary").fields == {"salary": Numeric()}
    assert infer(np.arange(-500, 500)).decision == "numeric"
    assert infer(draw().random(500)).decision == "numeric"


@pytest.mark.parametrize(
    "column",
    [pa.array([{"a": 1}]), pa.array([datetime.timedelta(1)]), pa.array([b"\xff"]), pa.array([[["a"]]])],
    ids=["struct", "duration", "bytes", "nested list"],
)
def test_types_that_are_no_field_are_ignored_by_name(column: pa.Array) -> None:
    decision = infer(column)
    assert decision.decision == "ignored"
    assert str(column.type) in decision.reason


# ---- rule 2: lists and booleans


def test_lists_are_multi_valued() -> None:
    decision = infer(pa.array([["a", "b"], [], None, ["a"]]))
    assert decision.fields == {"x": MultiValued()}
    assert (decision.distinct, decision.missing, decision.examples) == (2, 2, ("a", "b"))
    assert infer(pa.array([[1, 2], [3, 4]], pa.list_(pa.int32(), 2))).fields == {"x": MultiValued()}


def test_booleans_and_flags_are_categories() -> None:
    assert infer(cycle(["TRUE", "False"])).reason == "true or false"
    assert infer(cycle([0, 1])).decision == "categorical"
    assert infer(cycle([0, 1]), "click_count").decision == "categorical"


# ---- rule 3: dates


def moments(days: int, *, hours: int = 1, start: str = "2026-01-05T00:00:00") -> list[datetime.datetime]:
    first = datetime.datetime.fromisoformat(start)
    return [first + datetime.timedelta(days=d, hours=h) for d in range(days + 1) for h in range(hours)]


@pytest.mark.parametrize(
    ("days", "hours", "parts"),
    [
        (3, 5, ["hour", "weekday"]),
        (60, 1, ["weekday"]),
        (61, 1, ["weekday", "day", "month"]),
        (0, 5, ["hour"]),
    ],
)
def test_calendar_parts_follow_the_span(days: int, hours: int, parts: list[str]) -> None:
    values = moments(days, hours=hours)
    decision = infer(as_text(values), "seen")
    assert decision.decision == "calendar"
    assert decision.fields == {f"seen.{part}": Categorical(column="seen", part=part) for part in parts}
    assert f"span {days} days" in decision.reason
    assert infer(values, "seen").fields == decision.fields


def test_dates_of_which_no_part_varies_are_ignored() -> None:
    decision = infer(["2026-01-05 08:00:00", "2026-01-05 08:30:00"])
    assert (decision.decision, decision.fields) == ("ignored", {})


@pytest.mark.parametrize("form", ["{}Z", "{}+02:00", "{}.123Z", "{}.5"])
def test_zones_and_fractions_leave_the_clock_as_written(form: str) -> None:
    values = [form.format(value.isoformat()) for value in moments(3, hours=5)]
    assert set(infer(values).fields) == {"x.hour", "x.weekday"}
    midnight = [form.format(value.isoformat()) for value in moments(3)]
    assert set(infer(midnight).fields) == {"x.weekday"}


def test_typed_zones_use_the_local_clock() -> None:
    midnight = pa.array(moments(3)).cast(pa.timestamp("ns")).cast(pa.timestamp("ns"))
    local = pc.assume_timezone(midnight, "Europe/Berlin")
    assert set(infer(local).fields) == {"x.weekday"}


def test_nanoseconds_do_not_disturb_the_examples() -> None:
    column = pa.array([1_700_000_000_000_000_001, 1_700_100_000_000_000_001], pa.timestamp("ns"))
    assert infer(column).examples[0] == "2023-11-14 22:13:20"


@pytest.mark.parametrize("odd", ["2026-13-01", "2026-02-30", "soon", "2026-01/05", "2026-1-50"])
def test_one_value_that_is_no_date_makes_text(odd: str) -> None:
    assert infer([*(value.date().isoformat() for value in moments(9)), odd, odd]).decision == "categorical"


def test_a_part_that_is_a_column_already_is_left_out() -> None:
    values = as_text(moments(3, hours=5))
    table = pa.table({"t": values, "t.hour": as_text(cycle([1, 2], len(values))), "y": values})
    schema = infer_schema(table, label="y").schema
    assert set(schema.fields) == {"t.weekday", "t.hour"}
    assert schema.column_of("t.hour") == "t.hour"


# ---- rules 4 and 5: numbers with a fraction, forms that are no numbers, moments


@pytest.mark.parametrize("values", [["1e-5", "0.5"], ["1.50", "2"], [".5", "-.25"], ["-1.25", "3e2"]])
def test_fractions_are_numeric(values: list[str]) -> None:
    assert infer(values, "item_id").fields == {"item_id": Numeric()}


@pytest.mark.parametrize(
    "values",
    [
        ["00501", "10001", "99501"],
        ["+4930123", "+4930124", "+4930125"],
        ["030 12-34", "030 12-35"],
        ["1.2.3", "1.10.0"],
        ["1a", "2b", "ff"],
        ["12", "13", "unknown"],
        ["1e", "e5"],
        ["0x10", "0x11"],
        ["68fd1e64", "80e26c9b"],
        ["250.01", "V57", "276", "648", "428.5", "E885", "401.9", "V45"],
        ["10.0.0.1", "10.0.0.2"],
    ],
)
def test_forms_that_are_no_numbers_are_categories(values: list[str]) -> None:
    decision = infer(cycle(values), "price")
    assert decision.fields == {"price": Categorical()}
    assert decision.reason == f"text, {len(values)} different values"


def test_numbers_with_commas_are_never_lists() -> None:
    rng = draw()
    assert infer([f"{n:,}" for n in rng.integers(0, 20_000, 5_000)]).decision == "numeric"
    assert infer([f"{a},{b}" for a, b in rng.integers(0, 99, (5_000, 2))]).decision == "numeric"


def test_versions_with_one_point_are_categories_by_name() -> None:
    assert infer(cycle(["9.3", "10.1", "10.10"]), "os_version").fields == {"os_version": Categorical()}


def test_every_value_is_looked_at_not_a_sample() -> None:
    values = [f"{i}.5" for i in range(5_000)]
    assert infer(values).decision == "numeric"
    decision = infer([values[0], "x", *values[2:], values[0]])
    assert decision.fields == {"x": Numeric(unreadable="missing")}
    assert "other words, in 1 rows, count as missing (x)" in decision.reason


def test_infinity_is_a_number_and_breaks_nothing() -> None:
    assert infer([1.0, float("inf"), 2.0]).fields == {"x": Numeric()}
    assert infer([float("-inf"), float("inf")]).fields == {"x": Numeric()}


@pytest.mark.parametrize(
    ("unit", "per_second"), [("seconds", 1), ("milliseconds", 1000), ("microseconds", 10**6), ("nanoseconds", 10**9)]
)
def test_unix_time_gives_calendar_parts_by_name_and_range(unit: str, per_second: int) -> None:
    moments = (1_700_000_000 + np.arange(50) // 2 * 3_600) * per_second
    for values in (moments, moments.astype(float), as_text(moments.tolist())):
        decision = infer(values, "event_ts")
        assert decision.decision == "calendar"
        assert f"in Unix {unit}" in decision.reason
        assert decision.fields["event_ts.hour"] == Categorical(column="event_ts", part="hour", date=unit)  # type: ignore[arg-type]
    assert infer(moments, "user_id").decision == "categorical"
    assert infer(np.arange(50) // 2, "time").decision == "categorical"


def test_numbers_that_run_like_time_need_no_name() -> None:
    rng = draw()
    moments = 1_700_000_000 + rng.integers(0, 10**7, ROWS)
    assert infer(moments, "x").decision == "calendar"
    assert infer(moments + 0.25, "x").decision == "calendar"
    assert infer(np.repeat(np.sort(moments)[::10], 10), "x").decision == "calendar"
    # Identities in that range: each number from one to another, or coming back in any order.
    assert infer(np.repeat(1_200_000_000 + np.arange(1_000), 2), "x").decision == "categorical"
    assert infer(rng.choice(rng.integers(1_200_000_000, 1_900_000_000, 100), ROWS), "x").decision == "categorical"
    assert infer(rng.integers(10**9, 10**10, ROWS), "x").decision == "ignored"


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("yyyymmdd", "%Y%m%d"),
        ("yyyymmddhh", "%Y%m%d%H"),
        ("yyyymmddhhmm", "%Y%m%d%H%M"),
        ("yyyymmddhhmmss", "%Y%m%d%H%M%S"),
        ("yymmddhh", "%y%m%d%H"),
    ],
)
def test_digits_that_are_dates(form: str, pattern: str) -> None:
    digits = [int(when.strftime(pattern)) for when in moments(40, hours=5)]
    for values in (digits, as_text(digits)):
        decision = infer(values)
        assert decision.decision == "calendar"
        assert f"in digits as {form}" in decision.reason
    assert infer(draw().integers(10_000_000, 99_999_999, ROWS)).decision != "calendar"


# ---- what is given


def test_a_given_kind_keeps_what_inference_chooses_within_it() -> None:
    amounts = np.round(draw().lognormal(3, 2, ROWS), 2)

    def given(column: Any, spec: Any) -> Any:
        sure = pa.array([str(i % 2) for i in range(len(column))])
        table = pa.table({"label": sure, "x": column, "sure": sure})
        return infer_schema(table, label="label", fields={"x": spec, "sure": "categorical"}).schema.fields["x"]

    assert given(amounts, "numeric") == Numeric(transform="log")
    assert given(amounts, Numeric(transform="standard")) == Numeric(transform="standard")
    assert given(amounts, {"kind": "numeric", "buckets": 5}) == Numeric(buckets=5)
    comma = [f"{value:.2f}".replace(".", ",") for value in amounts]
    assert given(comma, "numeric") == Numeric(transform="log", decimal=",")
    diagnoses = cycle(["250.01", "276", "648", "428.5", "401.9"])[:-20] + [f"V{i}" for i in range(20)]
    assert given(diagnoses, "categorical") == Categorical()
    assert given(diagnoses, "numeric").unreadable == "missing"
    assert given(cycle(["red|blue", "blue|sport", "sport|red"]), "multi_valued") == MultiValued(separator="|")
    assert given(cycle(["red|blue", "blue|sport"]), "multi_valued:^") == MultiValued(separator="^")
    dates = [f"{day}/1/2026" for day in range(1, 32)] * 4
    assert given(dates, Categorical(part="weekday")) == Categorical(part="weekday", date="day_first")


# ---- rule 6a: names


def test_a_telling_name_is_named_in_the_reason() -> None:
    assert "'age' in the name tells a quantity" in infer(cycle([20, 30, 40]), "user_age").reason
    assert "'id' in the name tells an identity" in infer(cycle([20, 30, 40]), "price_id").reason


def test_sizes_and_ratings_are_quantities_from_ten_values_on() -> None:
    assert infer(cycle(range(9)), "rating").decision == "categorical"
    assert infer(cycle(range(10)), "rating").decision == "numeric"


def test_an_identity_by_name_is_no_quantity_by_shape() -> None:
    counts = np.floor(draw().lognormal(1, 1.5, ROWS)).astype(int)
    assert infer(counts, "c").decision == "numeric"
    assert infer(counts, "c_id").decision == "categorical"
    assert infer(counts, "site").decision == "categorical"


# ---- rules 6b and 7: shapes and separators (the tests themselves stand in test_value_patterns.py)


def test_a_shape_is_told_with_its_figures() -> None:
    rng = draw()
    counts, words = np.floor(rng.lognormal(1, 1.5, ROWS)).astype(int), ["red", "blue", "sport"]
    assert "different values from 0 to " in infer(counts).reason
    assert "look like a quantity" in infer(rng.integers(0, 300, ROWS)).reason
    decision = infer(cycle(["red|blue", "blue|sport", "sport|red", *words]))
    assert decision.fields == {"x": MultiValued(separator="|")}
    assert decision.reason.startswith("text, '|' in 50% of the values")


def test_long_lists_that_all_differ_are_no_row_key() -> None:
    rng = draw()
    lists = [",".join(rng.permutation([f"t{i}" for i in range(60)])[:8]) for _ in range(300)]
    assert len(set(lists)) == 300
    assert infer(lists).decision == "multi_valued"


def test_the_transform_is_told_with_its_reason() -> None:
    assert infer(draw().lognormal(2, 2, ROWS)).reason.startswith("numbers with a fraction; log, for a heavy tail up to")
    assert infer(draw().random(ROWS)).reason == "numbers with a fraction; standard, for no heavy tail"


# ---- roles, given decisions, errors


def small_table() -> pa.Table:
    return pa.table(
        {
            "click": cycle(["0", "1"], 200),
            "user": cycle(["u1", "u2", "u3"], 200),
            "key": [f"k{i}" for i in range(200)],
            "price": cycle(["1", "2", "3", "4", "5", "6"], 200),
            "w": cycle(["1", "2"], 200),
            "seen": as_text(moments(9, hours=20)),
        }
    )


def by_name(inference: Inference) -> dict[str, ColumnDecision]:
    return {decision.column: decision for decision in inference.decisions}


def test_roles() -> None:
    inference = infer_schema(small_table(), label="click", positive="1", weight="w", group="user", time="seen")
    decisions = by_name(inference)
    assert list(decisions) == small_table().column_names
    assert [d.decision for d in inference.decisions] == [
        "label",
        "categorical",
        "ignored",
        "numeric",
        "weight",
        "calendar",
    ]
    assert decisions["user"].reason.endswith("; also the group column")
    assert decisions["seen"].reason.endswith("; also the time column")
    schema = inference.schema
    assert (schema.label, schema.positive, schema.weight, schema.group, schema.time) == (
        "click",
        "1",
        "w",
        "user",
        "seen",
    )
    assert list(schema.fields) == ["user", "price", "seen.hour", "seen.weekday"]


def test_a_role_column_that_is_no_field_is_named_by_its_role() -> None:
    decisions = by_name(infer_schema(small_table(), label="click", group="key", time="seen", ignore=["seen"]))
    assert (decisions["key"].decision, decisions["key"].fields) == ("group", {})
    assert (decisions["seen"].decision, decisions["seen"].reason) == ("time", "given; also the time column")


def test_given_decisions() -> None:
    inference = infer_schema(
        small_table(),
        label="click",
        fields={
            "price": Categorical(min_count=3),
            "key": "multi-valued",
            "user": {"kind": "categorical", "min_count": 2},
            "w": "ignore",
            "day": Categorical(column="seen", part="weekday"),
        },
    )
    decisions = by_name(inference)
    assert inference.schema.fields == {
        "user": Categorical(min_count=2),
        "key": MultiValued(),
        "price": Categorical(min_count=3),
        "day": Categorical(column="seen", part="weekday"),
    }
    assert {name: decisions[name].decision for name in ("price", "key", "w", "seen")} == {
        "price": "categorical",
        "key": "multi_valued",
        "w": "ignored",
        "seen": "calendar",
    }
    assert {decisions[name].reason for name in ("price", "key", "user", "w", "seen")} == {"given"}


def test_ignored_columns() -> None:
    decisions = by_name(infer_schema(small_table(), label="click", ignore="user", fields={"price": " Ignored "}))
    assert [decisions[name].decision for name in ("user", "price")] == ["ignored", "ignored"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label": "clik"}, r"the label column, 'clik', is not in the table; did you mean 'click'\?"),
        ({"weight": "weight"}, "the weight column, 'weight', is not in the table; known: click"),
        ({"group": "users"}, r"the group column, 'users'.*did you mean 'user'\?"),
        ({"time": "sen"}, r"the time column, 'sen'.*did you mean 'seen'\?"),
        ({"fields": {"prise": "numeric"}}, r"'prise', is not in the table; did you mean 'price'\?"),
        ({"fields": {"x": {"kind": "numeric", "column": "prise"}}}, "'prise', is not in the table"),
        ({"ignore": ["usr"]}, r"an ignored column, 'usr', .*did you mean 'user'\?"),
        ({"fields": {"prise": "ignore"}}, r"an ignored column, 'prise'"),
        ({"fields": ["price"]}, "fields: expected a kind for each column, .* got \\['price'\\]"),
        ({"fields": {"price": "numerical"}}, r"unknown kind 'numerical'; did you mean 'numeric'\?"),
        ({"fields": {"price": {"kind": "numeric", "bins": 3}}}, "field 'price': .*bins"),
        ({"fields": {"click": "categorical"}}, "column 'click' is the label and cannot be a field"),
        ({"weight": "w", "fields": {"w": "numeric"}}, "column 'w' is the weight and cannot be a field"),
        ({"fields": {"user": Categorical(column="seen", part="hour")}}, "two fields are called 'user'"),
    ],
)
def test_errors(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        infer_schema(small_table(), **{"label": "click", **arguments})


def test_a_table_without_rows() -> None:
    with pytest.raises(DataError, match="no rows"):
        infer_schema(pa.table({"click": pa.array([], pa.string())}), label="click")


def test_one_row_leaves_no_field() -> None:
    with pytest.raises(SchemaError, match=r"no column is left as a field \(click: the label; user: one value only"):
        infer_schema(small_table().slice(0, 1), label="click")
    schema = infer_schema(small_table().slice(0, 1), label="click", fields={"user": "categorical"}).schema
    assert list(schema.fields) == ["user"]


def test_a_column_name_that_occurs_twice() -> None:
    table = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(SchemaError, match="'a' is in the table more than once"):
        infer_schema(table, label="a")


def test_infinities_are_numbers_as_numbers_and_as_text() -> None:
    values = cycle([0.5, float("inf"), 2.5, float("-inf"), None])
    for column in (
        pa.array(values),
        as_text(values),
        as_text([v and str(v).replace("inf", "Infinity") for v in values]),
    ):
        assert infer(column).fields == {"x": Numeric()}


def test_remarks_name_the_columns_of_a_given_schema_that_tell_nothing() -> None:
    rows = 100
    table = pa.table(
        {
            "y": cycle([0, 1], rows),
            "none": pa.nulls(rows, pa.string()),
            "one": ["a"] * rows,
            "gap": pa.array(["a", None] * 50),
            "key": [f"r{i}" for i in range(rows)],
            "number": np.arange(rows) / 7,
            "empty": [[]] * rows,
            "list": cycle([["a"], ["b"]], rows),
        }
    )
    kinds = dict.fromkeys(("none", "one", "gap", "key"), "categorical")
    kinds |= {"number": "numeric", "empty": "multi_valued", "list": "multi_valued", "elsewhere": "categorical"}
    schema = Schema.model_validate({"label": "y", "fields": kinds})
    assert remarks(TableProfile(table), schema) == [
        "column 'none' has no values: it tells the model nothing",
        "column 'one' has one value only: it tells the model nothing",
        "column 'key' has a different value in each row: it tells the model nothing",
        "column 'empty' has no values: it tells the model nothing",
    ]
    assert len(remarks(TableProfile(table.slice(0, 99)), schema)) == 3  # fewer than 100 different values are no row key


def test_rows_for_a_printed_table() -> None:
    rows = infer_schema(small_table(), label="click", fields={"price": Numeric(buckets=5), "w": "multi_valued"}).rows()
    assert rows[0] == ("click", "label", "2", "0", "0, 1", "the label")
    assert rows[1] == ("user", "categorical", "3", "0", "u1, u2, u3", "text, 3 different values")
    assert all(len(row) == len(Inference.COLUMNS) for row in rows)
    assert [row[1] for row in rows[2:]] == [
        "ignored",
        "numeric, 5 buckets",
        "multi_valued, list",
        "seen.hour: categorical, hour; seen.weekday: categorical, weekday",
    ]


def test_examples_are_cut() -> None:
    example = infer(["x" * 50, "y"]).examples[0]
    assert len(example) == 40
    assert example.endswith("…")


# ---- real data

DATA = Path(os.environ.get("FIELDWISE_DATA", ""))
needs_data = pytest.mark.skipif(not os.environ.get("FIELDWISE_DATA"), reason="FIELDWISE_DATA is not set")


def read_as_text(path: Path, names: list[str], delimiter: str) -> pa.Table:
    return pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(column_names=names),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
        convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )


@pytest.mark.data
@needs_data
def test_avazu_is_all_categories() -> None:
    path = DATA / "avazu" / "train_10k.csv"
    with path.open() as lines:
        names = lines.readline().strip().split(",")
    decisions = by_name(infer_schema(read_as_text(path, names, ",").slice(1), label="click"))
    assert decisions.pop("id").reason == "a different value in each row: a row key"
    assert decisions.pop("hour").reason == "one value only"  # the file is one hour long
    assert decisions.pop("click").decision == "label"
    assert {decision.decision for decision in decisions.values()} == {"categorical"}


@pytest.mark.data
@needs_data
def test_most_of_criteos_counts_are_found_by_shape() -> None:
    names = ["label", *(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))]
    table = read_as_text(DATA / "criteo" / "train_10k.txt", names, "\t")
    decisions = by_name(infer_schema(table, label="label"))
    # I2 and I6 have too many rare values for 10,000 rows, I5 far too many, I10 too few, I11 no gaps.
    numeric = {name for name, decision in decisions.items() if decision.decision == "numeric"}
    assert numeric == {"I1", "I3", "I4", "I7", "I8", "I9", "I12", "I13"}
    assert all(decisions[name].fields[name] == Numeric(transform="log") for name in numeric)
    assert {decision.decision for name, decision in decisions.items() if name[0] == "C"} == {"categorical"}


def test_identities_that_went_through_a_float_stay_identities() -> None:
    ids = [float(10**12 + 7 * i) for i in range(300)] * 4
    broken = [*ids[:-5], *(4.75, 12.5, 7.25, 8.5, 9.75)]
    for column in (pa.array(broken), as_text(broken)):
        assert infer(column, "PatientId").fields == {"PatientId": Categorical()}
        assert infer(column, "spread").fields["spread"].kind == "numeric"
    assert infer(pa.array([i / 7 for i in range(400)] * 3), "user_id").fields["user_id"].kind == "numeric"


def test_unix_times_of_the_nineties_need_a_name() -> None:
    seconds = [789_652_009 + 80_000 * i for i in range(2000)]
    for column in (pa.array(seconds), as_text(seconds)):
        assert {spec.part for spec in infer(column, "timestamp").fields.values()} == {"hour", "weekday", "day", "month"}
        assert not any(getattr(spec, "part", None) for spec in infer(column, "x").fields.values())
    assert not any(
        getattr(spec, "part", None)
        for spec in infer(pa.array([100_000_000 + 999 * i for i in range(2000)]), "timestamp").fields.values()
    )


def test_a_row_key_of_digits_is_not_called_numbers() -> None:
    keys = [str(10**19 + 37 * i) for i in range(400)]
    for texts in (keys, [key[-6:] for key in keys], [str(i) for i in range(400)]):
        table = pa.table({"key": texts, "x": ["a", "b"] * 200, "y": [0, 1] * 200})
        inference = infer_schema(table, label="y")
        assert inference.decisions[0].decision == "ignored"
        assert not inference.doubts


def test_moments_under_the_name_of_their_unit() -> None:
    times = [f"{1_761_955_214_000 + 3_517_000 * i}.0" for i in range(2000)]
    assert infer(as_text(times), "event_ms").decision == "calendar"
    assert infer(pa.array([250 * i**2 % 90_001 for i in range(2000)]), "dwell_ms").decision == "numeric"


@pytest.mark.parametrize("separator", [" ", ",", ";", "|", ", "])
def test_vectors_that_never_come_back_are_told_as_such(separator: str) -> None:
    rng = draw()
    vectors = [separator.join(f"{x:.5f}" for x in rng.normal(size=4)) for _ in range(500)]
    decision = infer(as_text(vectors))
    assert (decision.decision, decision.reason) == ("ignored", "vectors of numbers with a fraction")
    places = [separator.join(f"{x:.5f}" for x in rng.normal(size=2)) for _ in range(30)]
    if separator != "|":
        assert infer(as_text(cycle(places))).decision == "categorical"


@pytest.mark.parametrize("separator", ["~", "::", "+", "&"])
def test_lists_between_rare_separators_are_told(separator: str) -> None:
    rng = draw()
    histories = [separator.join(str(i) for i in rng.integers(1, 4000, rng.integers(1, 9))) for _ in range(1000)]
    decision = infer(as_text(histories))
    assert "look like lists; if they are, name the separator" in decision.doubt
    given = infer_schema(
        pa.table({"x": histories, "y": cycle([0, 1], 1000)}), label="y", fields={"x": f"multi_valued:{separator}"}
    )
    assert given.schema.fields["x"] == MultiValued(separator=separator)
    assert not infer(as_text([f"user{i % 300}" for i in range(1000)])).doubt
