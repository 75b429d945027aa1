"""What is learned from profiles is what the values say, one by one: a slow reference on random tables."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldwise.columns.counting import ColumnCounter, TableProfile
from fieldwise.columns.dates import part_of
from fieldwise.columns.numbers import number
from fieldwise.columns.tokens import token
from fieldwise.datasets.synthetic import make_click_log
from fieldwise.encoding.encoder import Encoder
from fieldwise.encoding.fields import BucketEncoding, NumericEncoding
from fieldwise.errors import DataError
from fieldwise.schema import Categorical, MultiValued, Numeric, Schema

SCHEMA = Schema(
    label="click",
    fields={
        "word": Categorical(),
        "rare": Categorical(column="word", min_count=1),
        "hour": Categorical(column="when", part="hour"),
        "weekday": Categorical(column="day", part="weekday"),
        "price": Numeric(),
        "log": Numeric(column="price", transform="log"),
        "range": Numeric(column="price", transform="minmax"),
        "authors": Numeric(column="price", transform="log_squared"),
        "buckets": Numeric(column="price", buckets=4),
        "typed": Numeric(column="typed"),
        "tags": MultiValued(separator="|"),
        "genres": MultiValued(),
    },
)
COLUMNS: dict[str, tuple[st.SearchStrategy[Any], pa.DataType]] = {
    "word": (st.sampled_from(["a", " a", "1.0", "1", "", "é", "e\u0301", "007", "TRUE"]), pa.string()),
    "when": (st.datetimes(datetime.datetime(2020, 1, 1), datetime.datetime(2026, 1, 1)), pa.timestamp("us")),
    "day": (st.sampled_from(["2026-01-31", "2026/02/01 10:00", " 2026-01-31", ""]), pa.string()),
    "price": (
        st.floats(-1e6, 1e6).map(lambda x: round(x, 6)) | st.sampled_from([float("nan"), float("inf"), 0.1, 7.0]),
        pa.float64(),
    ),
    "typed": (st.sampled_from(["1", "1.0", " 2", "NA", "", "1e2"]), pa.string()),
    "tags": (st.sampled_from(["a", "a|b", "b| a ", "|", "", "a||c|a"]), pa.string()),
    "genres": (st.lists(st.sampled_from(["x", "y", None, " x", "1.0"]), max_size=3), pa.list_(pa.string())),
}
tables = st.lists(
    st.fixed_dictionaries({name: values | st.none() for name, (values, _) in COLUMNS.items()}), max_size=12
).map(lambda rows: pa.table({name: pa.array([row[name] for row in rows], COLUMNS[name][1]) for name in COLUMNS}))


def vocabulary(tokens: list[str | None], min_count: int) -> list[tuple[str, int]]:
    counts = Counter(text for text in tokens if text is not None)
    kept = [(text, count) for text, count in counts.items() if count >= min_count]
    return sorted(kept, key=lambda pair: (-pair[1], pair[0].encode()))


def tokens_of(spec: Categorical | MultiValued, values: list[Any]) -> list[str | None]:
    if isinstance(spec, Categorical):
        return [part_of(value, spec.part) if spec.part else token(value) for value in values]
    lists = [value.split(spec.separator) if isinstance(value, str) else value or [] for value in values]
    return [token(element) for elements in lists for element in elements]


def assert_as_the_rows_say(encoder: Encoder, table: pa.Table, *, min_count: int) -> None:
    """The encoder holds what a walk over all rows gives; sums may differ in their last digits."""
    for encoding, (name, spec) in zip(encoder.encodings, encoder.schema.fields.items(), strict=True):
        values = table[encoder.schema.column_of(name)].to_pylist()
        if isinstance(spec, Categorical | MultiValued):
            assert not isinstance(encoding, NumericEncoding | BucketEncoding)
            pairs = zip(encoding.vocabulary.tokens.to_pylist(), encoding.vocabulary.counts.tolist(), strict=True)
            assert list(pairs) == vocabulary(tokens_of(spec, values), spec.min_count or min_count)
            continue
        x = np.array([number(value) for value in values])
        x = x[np.isfinite(x)]
        if isinstance(encoding, BucketEncoding):
            assert encoding.bounds.tolist() == bounds(x, spec.buckets or 0)
        elif isinstance(encoding, NumericEncoding):
            assert_same_figures(encoding.scaling.model_dump(exclude={"name", "floor"}), figures(spec, x), x)


def bounds(x: np.ndarray[Any, Any], buckets: int) -> list[float]:
    if not len(x):
        return []
    inner = np.quantile(x, np.arange(1, buckets) / buckets, method="inverted_cdf")
    return sorted(set(inner[inner > x.min()].tolist()))


def figures(spec: Numeric, x: np.ndarray[Any, Any]) -> dict[str, float]:
    if spec.transform == "minmax":
        low, high = (x.min(), x.max()) if len(x) else (0.0, 1.0)
        return {"low": low, "width": (high - low) or 1.0}
    if spec.transform in ("standard", "log"):
        x = np.sign(x) * np.log1p(np.abs(x)) if spec.transform == "log" else x
        if not len(x) or x.min() == x.max():
            return {"mean": x[0] if len(x) else 0.0, "deviation": 1.0}
        return {"mean": x.mean(), "deviation": x.std()}
    return {}


def assert_same_figures(got: Mapping[str, float], expected: Mapping[str, float], x: np.ndarray[Any, Any]) -> None:
    assert set(got) == set(expected)
    size = float(np.abs(x).max(initial=1.0))
    for key, value in expected.items():
        assert got[key] == pytest.approx(value, rel=1e-12, abs=1e-12 * size), key


@given(tables, st.integers(1, 3), st.data())
@settings(max_examples=200, deadline=None)
def test_random_tables(table: pa.Table, min_count: int, data: st.DataObject) -> None:
    encoder = Encoder.fit(table, SCHEMA, min_count=min_count)
    assert_as_the_rows_say(encoder, table, min_count=min_count)
    train = data.draw(st.lists(st.integers(0, table.num_rows - 1), unique=True)) if table.num_rows else []
    profiles = TableProfile(table).by_part({"train": np.array(sorted(train), dtype=np.int64)})
    fitted = Encoder.from_profiles(profiles, SCHEMA, part="train", min_count=min_count)
    assert_as_the_rows_say(fitted, table.take(pa.array(sorted(train), pa.int64())), min_count=min_count)


@pytest.mark.parametrize("min_count", [1, 3])
def test_the_synthetic_log(min_count: int) -> None:
    log = make_click_log(5_000)
    train = np.flatnonzero(np.random.default_rng(0).random(5_000) < 0.8)
    profiles = TableProfile(log.table).by_part({"train": train})
    encoder = Encoder.from_profiles(profiles, log.schema, part="train", min_count=min_count)
    assert_as_the_rows_say(encoder, log.table.take(pa.array(train)), min_count=min_count)


def test_a_stream_of_pieces_gives_the_same_encoder() -> None:
    log = make_click_log(3_000)
    counters = {name: ColumnCounter() for name in log.table.column_names}
    for start in range(0, 3_000, 700):
        for name, counter in counters.items():
            counter.add(log.table[name].slice(start, 700))
    streamed = Encoder.from_profiles({name: counter.profile() for name, counter in counters.items()}, log.schema)
    state, tokens, _ = Encoder.fit(log.table, log.schema).state()
    assert streamed.state()[0] == state
    assert streamed.state()[1].equals(tokens)


def test_errors_tell_the_row_of_the_table() -> None:
    table = pa.table({"x": ["1", "1", "oops"], "d": ["2026-01-01", "2026-01-01", "never"]})
    with pytest.raises(DataError, match="column 'x': row 3: expected a number, got 'oops'"):
        Encoder.fit(table, Schema(label="y", fields={"x": Numeric()}))
    with pytest.raises(DataError, match="column 'd': row 3: expected a date"):
        Encoder.fit(table, Schema(label="y", fields={"d": Categorical(part="day")}))


@pytest.mark.parametrize(
    ("spec", "values", "message"),
    [
        (Categorical(), [["a"]], "expected single values, got a column of type list"),
        (Categorical(), [{"a": 1}], "expected single values, got a column of type struct"),
        (Numeric(), [[1]], "expected numbers, got a column of type list"),
        (Numeric(), [{"a": 1}], "expected numbers, got a column of type struct"),
        (MultiValued(separator="|"), [{"a": 1}], "expected text or lists of values, got a column of type struct"),
        (MultiValued(), [[["a"]]], "expected single values, got a column of type list"),
        (MultiValued(), ["a"], "expected a list column, got string"),
    ],
)
def test_columns_of_another_kind_are_refused(spec: Any, values: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=f"column 'x': {message}"):
        Encoder.fit(pa.table({"x": values}), Schema(label="y", fields={"x": spec}))
    with pytest.raises(DataError, match="column 'x' is missing"):
        Encoder.from_profiles({}, Schema(label="y", fields={"x": spec}))


def test_one_number_in_all_rows_has_no_deviation() -> None:
    encoding = Encoder.fit(pa.table({"x": [0.1] * 10}), Schema(label="y", fields={"x": Numeric()})).encodings[0]
    assert isinstance(encoding, NumericEncoding)
    assert encoding.scaling.model_dump() == {"name": "standard", "mean": 0.1, "deviation": 1.0}
