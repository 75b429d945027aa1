"""Extension types and rare objects: read by their storage or as text, alike as columns and as Python values."""

from __future__ import annotations

import decimal
import enum
import ipaddress
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

import fieldwise as fw
from fieldwise.columns.tables import read_table
from fieldwise.columns.tokens import plain_column, token
from fieldwise.errors import DataError
from fieldwise.schema.inference import infer_schema


class Colour(enum.Enum):
    RED = "red"
    BLUE = 7


IDS = [uuid.UUID(int=i) for i in (1, 2, 3)]
BREAKS = pd.arrays.IntervalArray.from_breaks([0, 1, 2, 3], closed="left")
FRAMES: dict[str, tuple[Callable[[], Any], list[str | None]]] = {
    "pandas.cut": (lambda: pd.cut(pd.Series([0.5, 1.5, None]), [0.0, 1.0, 2.5]), ["(0.0, 1.0]", "(1.0, 2.5]", None]),
    "intervals": (lambda: pd.Series(BREAKS), ["[0, 1)", "[1, 2)", "[2, 3)"]),
    "periods": (lambda: pd.Series(pd.period_range("2026-01", periods=3, freq="M")), ["2026-01", "2026-02", "2026-03"]),
    "UUIDs": (lambda: pd.Series(IDS, dtype=object), [str(i) for i in IDS]),
    "enums": (lambda: pd.Series([Colour.RED, Colour.BLUE, None], dtype=object), ["red", "7", None]),
    "paths": (lambda: pd.Series([Path("a/b"), Path("c"), None], dtype=object), ["a/b", "c", None]),
    "addresses": (lambda: pd.Series([ipaddress.ip_address("10.0.0.1")] * 3, dtype=object), ["10.0.0.1"] * 3),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_are_read_as_text(name: str) -> None:
    make, expected = FRAMES[name]
    frame = pd.DataFrame({"x": make()})
    assert read_table(frame)["x"].to_pylist() == expected
    assert [token(value) for value in frame["x"].tolist()] == expected


@pytest.mark.parametrize("name", FRAMES)
def test_frames_train_and_predict(name: str) -> None:
    column = pd.concat([FRAMES[name][0]()] * 20, ignore_index=True)
    frame = pd.DataFrame({"x": column, "y": [0, 1] * 30, "z": ["a", "b", "c"] * 20})
    schema = infer_schema(read_table(frame), label="y", fields={"x": "categorical"}).schema
    predictor = fw.train(frame, schema=schema, model="lr", settings={"epochs": 1}, progress=False)
    rows = frame.to_dict("records")[:3]
    np.testing.assert_allclose(predictor.predict_rows(rows), predictor.predict(frame)[:3], rtol=1e-6)


def extension_columns() -> dict[str, tuple[pa.Array, list[Any]]]:
    def of(kind: pa.DataType, values: pa.Array) -> pa.Array:
        return pa.ExtensionArray.from_storage(kind, values)

    ids = pa.array([IDS[0].bytes, IDS[1].bytes, None], pa.binary(16))
    columns: dict[str, tuple[pa.Array, list[Any]]] = {"uuid": (of(pa.uuid(), ids), [str(IDS[0]), str(IDS[1]), None])}
    if hasattr(pa, "json_"):
        columns["json"] = of(pa.json_(), pa.array(['{"a": 1}', None])), ['{"a": 1}', None]
    if hasattr(pa, "bool8"):
        columns["bool8"] = of(pa.bool8(), pa.array([1, 0, None], pa.int8())), [True, False, None]
    return columns


def test_extension_types_are_read_by_their_storage(tmp_path: Path) -> None:
    for array, expected in extension_columns().values():
        assert plain_column(pa.chunked_array([array])).to_pylist() == expected
        assert plain_column(pa.chunked_array([array[:0]])).to_pylist() == []
        pa.parquet.write_table(pa.table({"x": array}), tmp_path / "x.parquet")
        assert read_table(tmp_path / "x.parquet")["x"].to_pylist() == expected


def test_decimals_of_every_width_are_numbers() -> None:
    widths = (32, 64, 128, 256)  # the narrow ones came with Arrow 19
    kinds = [getattr(pa, f"decimal{bits}") for bits in widths if hasattr(pa, f"decimal{bits}")]
    assert len(kinds) >= 2
    for kind in (make(9, 2) for make in kinds):
        column = pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("2.50")] * 10, kind)
        table = read_table(pa.table({"x": column, "y": ["0", "1", "1"] * 10}))
        assert infer_schema(table, label="y").schema.fields["x"] == fw.Numeric()


def test_what_has_no_text_of_its_own_is_no_token() -> None:
    for value in ({"a": 1}, [1], {1}, object(), (1, 2)):
        with pytest.raises(DataError, match="expected one text, number, boolean or date"):
            token(value)
