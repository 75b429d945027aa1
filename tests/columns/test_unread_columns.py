"""Columns that no field reads are in nobody's way, whatever they hold; a field that cannot be read is named."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import fieldwise as fw
from fieldwise.columns.tables import read_table
from fieldwise.encoding.encoder import Encoder
from fieldwise.errors import DataError

ROWS = 40
PLAIN = {"click": [0, 1] * (ROWS // 2), "site": ["a", "b"] * (ROWS // 2)}


class Colour(enum.Enum):
    RED = "red"


class Bare:
    """An object without a text of its own."""


@contextmanager
def naming_errors() -> Iterator[None]:
    """Fails where an error is not one line that names the column."""
    try:
        yield
    except DataError as error:
        if "'extra'" not in str(error) or "\n" in str(error):
            pytest.fail(str(error))
        raise


@pytest.fixture(scope="module")
def predictor() -> fw.Predictor:
    schema = fw.Schema.model_validate({"label": "click", "fields": {"site": "categorical"}})
    return fw.train(PLAIN, schema=schema, model="lr", settings={"epochs": 1}, progress=False)


def arrow(values: list[Any], kind: pa.DataType) -> pa.Table:
    return pa.table({**PLAIN, "extra": pa.array(values, kind)})


def with_pandas(values: Any) -> pd.DataFrame:
    return pd.DataFrame(PLAIN).assign(extra=values)


def with_polars(values: Any) -> pl.DataFrame:
    return pl.DataFrame(PLAIN).with_columns(values.alias("extra"))


EXTENSIONS: dict[str, Any] = {
    "uuid": lambda: pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16] * ROWS, pa.binary(16))),
    "json_": lambda: pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a": 1}'] * ROWS)),
    "bool8": lambda: pa.ExtensionArray.from_storage(pa.bool8(), pa.array([0, 1] * 20, pa.int8())),
    "decimal32": lambda: pa.array([decimal.Decimal("1.50")] * ROWS, pa.decimal32(5, 2)),
    "decimal64": lambda: pa.array([decimal.Decimal("1.50")] * ROWS, pa.decimal64(9, 2)),
}
RANGE = list(range(ROWS))
MOMENTS = [datetime.datetime(2026, 1, 1)] * ROWS
KINDS: dict[str, Any] = {
    "objects": lambda: with_pandas(pd.Series([Bare()] * ROWS, dtype=object)),
    "mixed objects": lambda: with_pandas(pd.Series([[1], "a", {2: 3}, Bare()] * 10, dtype=object)),
    "enums": lambda: with_pandas(pd.Series([Colour.RED] * ROWS, dtype=object)),
    "paths": lambda: with_pandas(pd.Series([Path("a")] * ROWS, dtype=object)),
    "UUIDs": lambda: with_pandas(pd.Series([uuid.UUID(int=1)] * ROWS, dtype=object)),
    "arrays": lambda: with_pandas(pd.Series([np.eye(2)] * ROWS, dtype=object)),
    "intervals": lambda: with_pandas(pd.cut(pd.Series(RANGE), 3)),
    "periods": lambda: with_pandas(pd.period_range("2026-01", periods=ROWS, freq="M")),
    "time differences": lambda: with_pandas(pd.to_timedelta(RANGE, unit="s")),
    "complex numbers": lambda: with_pandas(np.full(ROWS, 1j)),
    "sparse": lambda: with_pandas(pd.arrays.SparseArray(RANGE)),
    "nullable": lambda: with_pandas(pd.array([None, *RANGE[1:]], dtype="Int64")),
    "an unnamed index": lambda: pd.DataFrame(PLAIN, index=pd.MultiIndex.from_product([[1, 2], range(20)])),
    "two of one name": lambda: pd.DataFrame(
        np.array([*PLAIN.values(), RANGE, RANGE], dtype=object).T, columns=["click", "site", "x", "x"]
    ),
    "Polars objects": lambda: with_polars(pl.Series([Bare()] * ROWS, dtype=pl.Object)),
    "Polars integers of 128 bits": lambda: with_polars(pl.Series(RANGE).cast(pl.Int128)),
    "Polars arrays": lambda: with_polars(pl.Series([[1, 2]] * ROWS, dtype=pl.Array(pl.Int64, 2))),
    "Polars enums": lambda: with_polars(pl.Series(["a"] * ROWS, dtype=pl.Enum(["a"]))),
    "Polars categories": lambda: with_polars(pl.Series(["a"] * ROWS, dtype=pl.Categorical)),
    "Polars durations": lambda: with_polars(pl.Series([datetime.timedelta(1)] * ROWS)),
    "Polars times": lambda: with_polars(pl.Series([datetime.time(1)] * ROWS)),
    "Polars decimals": lambda: with_polars(pl.Series(RANGE).cast(pl.Decimal(10, 2))),
    "Polars structs": lambda: with_polars(pl.Series([{"a": 1}] * ROWS)),
    "a map": lambda: arrow([[("a", 1)]] * ROWS, pa.map_(pa.string(), pa.int64())),
    "a struct": lambda: arrow([{"a": 1}] * ROWS, pa.struct([("a", pa.int64())])),
    "bytes": lambda: arrow([b"\xff"] * ROWS, pa.binary()),
    "lists of lists": lambda: arrow([[[1]]] * ROWS, pa.list_(pa.list_(pa.int64()))),
    "runs": lambda: pa.table({**PLAIN, "extra": pa.RunEndEncodedArray.from_arrays([ROWS], pa.array(["a"]))}),
    "a dictionary of views": lambda: pa.table(
        {**PLAIN, "extra": pa.DictionaryArray.from_arrays([0] * ROWS, pa.array(["a"], pa.string_view()))}
    ),
    "views of lists": lambda: arrow([[1]] * ROWS, pa.list_view(pa.int64())),
    "half floats": lambda: arrow(np.ones(ROWS, np.float16), pa.float16()),
    "months": lambda: arrow([pa.scalar((1, 2, 3), pa.month_day_nano_interval())] * ROWS, pa.month_day_nano_interval()),
    "nothing": lambda: arrow([None] * ROWS, pa.null()),
    "wide decimals": lambda: arrow([decimal.Decimal("1.50")] * ROWS, pa.decimal256(50, 2)),
    "bytes of one length": lambda: arrow([b"abcd"] * ROWS, pa.binary(4)),
    "lists of one length": lambda: arrow([[1, 2]] * ROWS, pa.list_(pa.int64(), 2)),
    "a tensor": lambda: pa.table({**PLAIN, "extra": pa.FixedShapeTensorArray.from_numpy_ndarray(np.ones((ROWS, 2)))}),
    "durations": lambda: arrow([10**15 + 1] * ROWS, pa.duration("ns")),
    "times": lambda: arrow([1, 10**9 + 1] * 20, pa.time64("ns")),
    "far moments": lambda: arrow([2**62] * ROWS, pa.timestamp("s")),
    "far moments in a zone": lambda: arrow([-(2**61)] * ROWS, pa.timestamp("us", "Europe/Berlin")),
    "far days": lambda: arrow([2**30] * ROWS, pa.date32()),
    "views of texts": lambda: arrow(["a", "b"] * 20, pa.string_view()),
    "runs of dictionaries": lambda: pa.table(
        {**PLAIN, "extra": pa.RunEndEncodedArray.from_arrays([30, ROWS], pa.array(["a", "b"]).dictionary_encode())}
    ),
    "runs of views": lambda: pa.table(
        {**PLAIN, "extra": pa.RunEndEncodedArray.from_arrays([ROWS], pa.array(["a"], pa.string_view()))}
    ),
    "a union": lambda: pa.table(
        {**PLAIN, "extra": pa.UnionArray.from_sparse(pa.array([0] * ROWS, pa.int8()), [pa.array(RANGE)])}
    ),
    "texts of pandas": lambda: with_pandas(pd.array(["a", None] * 20, dtype="string")),
    "dicts": lambda: with_pandas(pd.Series([{"a": 1}, {"b": "x"}] * 20, dtype=object)),
    "half characters": lambda: with_pandas(pd.Series(["\ud800"] * ROWS, dtype=object)),
    "sets": lambda: with_pandas(pd.Series([{1, 2}] * ROWS, dtype=object)),
    "hours of NumPy": lambda: {**PLAIN, "extra": np.array(RANGE, "timedelta64[h]")},
    "years of NumPy": lambda: {**PLAIN, "extra": np.array(["2026", "NaT"] * 20, "datetime64[Y]")},
    "Polars integers of 128 bits without a sign": lambda: with_polars(
        pl.Series(RANGE).cast(getattr(pl, "UInt128", pl.UInt64))
    ),
    **{
        f"{name} of Arrow": lambda make=make: pa.table({**PLAIN, "extra": make()})
        for name, make in EXTENSIONS.items()
        if hasattr(pa, name)
    },
    "a matrix": lambda: {**PLAIN, "extra": np.eye(ROWS)},
    "a cube": lambda: {**PLAIN, "extra": np.ones((ROWS, 2, 2))},
    "mixed values": lambda: {**PLAIN, "extra": [[1], "a", Bare(), None] * 10},
    "one value": lambda: {**PLAIN, "extra": 7},
    "a key that some rows have": lambda: [
        {name: values[i] for name, values in PLAIN.items()} | ({"extra": Bare()} if i == 3 else {}) for i in range(ROWS)
    ],
}


@pytest.mark.parametrize("name", KINDS)
def test_what_no_field_reads_does_not_stop_predicting(name: str, predictor: fw.Predictor) -> None:
    table = KINDS[name]()
    np.testing.assert_array_equal(predictor.predict(table), predictor.predict(PLAIN))
    assert predictor.evaluate(table, rows="all").rows == ROWS


UNREADABLE = {
    *("objects", "Polars objects", "mixed objects", "mixed values", "a key that some rows have", "one value"),
    *("arrays", "a matrix", "a cube", "Polars arrays", "lists of lists", "views of lists", "complex numbers"),
    *("Polars structs", "a struct", "a map", "bytes", "months"),
    *("lists of one length", "a tensor", "a union", "dicts", "half characters", "sets"),
}
OF_OTHER_NAMES = {"an unnamed index", "two of one name"}


@pytest.mark.parametrize("name", sorted(KINDS.keys() - UNREADABLE - OF_OTHER_NAMES))
def test_a_field_of_such_a_kind(name: str) -> None:
    schema = fw.Schema.model_validate({"label": "click", "fields": {"extra": "categorical"}})
    fw.train(KINDS[name](), schema=schema, model="lr", settings={"epochs": 1}, progress=False)


@pytest.mark.parametrize("kind", ["numeric", "multi_valued"])
@pytest.mark.parametrize("name", sorted(KINDS.keys() - OF_OTHER_NAMES))
def test_a_field_is_read_or_named_whatever_its_kind(name: str, kind: str) -> None:
    table = read_table(KINDS[name]())
    schema = fw.Schema.model_validate({"label": "click", "fields": {"extra": kind}})
    with suppress(DataError), naming_errors():
        Encoder.fit(table, schema).encode(table)


@pytest.mark.parametrize("name", sorted(UNREADABLE))
def test_a_field_that_cannot_be_read_is_named(name: str) -> None:
    schema = fw.Schema.model_validate({"label": "click", "fields": {"extra": "categorical"}})
    with pytest.raises(DataError, match=r"^[^\n]*'extra'[^\n]*$"):
        fw.train(KINDS[name](), schema=schema, model="lr", settings={"epochs": 1}, progress=False)


@pytest.mark.parametrize("name", ["a key that some rows have", "mixed objects", "one value"])
def test_a_column_that_cannot_be_read_is_named_unless_it_is_ignored(name: str) -> None:
    with pytest.raises(DataError, match=r"'extra'.*If it is not needed: fields=\{.extra.: .ignore.\}"):
        fw.train(KINDS[name](), label="click", model="lr", settings={"epochs": 1}, progress=False)
    fw.train(
        KINDS[name](), label="click", fields={"extra": "ignore"}, model="lr", settings={"epochs": 1}, progress=False
    )


def test_files_with_further_columns(predictor: fw.Predictor, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("site,x,x,\na,1,2,3\n")
    (tmp_path / "b.csv").write_text("site,z\nb,1\n")
    (tmp_path / "c.csv").write_text(",site\nfirst,a\nfirst,b\n")
    got = predictor.predict([tmp_path / name for name in ("a.csv", "b.csv", "c.csv")])
    np.testing.assert_array_equal(got, predictor.predict({"site": ["a", "b", "a", "b"]}))


def test_views_of_lists_are_lists() -> None:
    lists = [["a", "b"], None, ["b"], []] * 10
    schema = fw.Schema.model_validate({"label": "click", "fields": {"extra": "multi_valued"}})
    given = [arrow(lists, kind) for kind in (pa.list_view(pa.string()), pa.list_(pa.string()))]
    of_views, of_lists = (
        fw.train(table, schema=schema, model="lr", settings={"epochs": 1}, progress=False).predict(table)
        for table in given
    )
    np.testing.assert_array_equal(of_views, of_lists)
