"""Tables written piece by piece: each form is read back as it was written."""

from __future__ import annotations

import io
import json
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from fieldwise.columns.lists import split_texts
from fieldwise.columns.tables import read_table
from fieldwise.columns.writing import FORMS, TableWriter, form_of
from fieldwise.errors import SettingsError
from fieldwise.schema import MultiValued
from fieldwise.schema.inference import infer_schema

TABLE = pa.table({"user": ["ann", "b\tob", 'c"yd', None], "probability": [0.25, 0.5, 0.125, 1.0]})


def written(name: str, *pieces: pa.Table, empty: pa.Table | None = None) -> bytes:
    file = io.BytesIO()
    with TableWriter(file, form_of(Path(name)), empty=TABLE.slice(0, 0) if empty is None else empty) as writer:
        for piece in pieces:
            writer.write(piece)
    return file.getvalue()


@pytest.mark.parametrize("ending", [ending for ending in FORMS if ending != ".jsonl"])
def test_what_is_written_is_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"p{ending.upper()}"
    path.write_bytes(written(path.name, TABLE.slice(0, 2), TABLE.slice(2)))
    table = read_table(path)
    assert [user or None for user in table["user"].to_pylist()] == TABLE["user"].to_pylist()
    assert [float(p) for p in table["probability"].to_pylist()] == TABLE["probability"].to_pylist()
    path.write_bytes(written(path.name))
    assert read_table(path).column_names == TABLE.column_names
    assert read_table(path).num_rows == 0


def test_json_lines() -> None:
    table = pa.table(
        {"day": [date(2026, 1, 31)], "x": [float("nan")], "tags": [["ä", "b"]], "v": [[float("inf"), 1.0]]}
    )
    lines = written("p.jsonl", table, table).decode().splitlines()
    assert [json.loads(line) for line in lines] == 2 * [
        {"day": "2026-01-31", "x": None, "tags": ["ä", "b"], "v": [None, 1.0]}
    ]
    assert written("p.jsonl") == b""


def _zoned(zone: str) -> pa.Array:
    return pa.array([1769846700_123456, None], pa.timestamp("us", zone))


KINDS: dict[str, tuple[pa.Array, Any]] = {
    "list": (pa.array([["a", 'b "c"'], None]), '["a", "b \\"c\\""]'),
    "empty list": (pa.array([[], None], pa.list_(pa.float64())), "[]"),
    "lists of lists": (pa.array([[[1, 2], []], None]), "[[1, 2], []]"),
    "struct": (pa.array([{"a": 1, "ä": [date(2026, 1, 31)]}, None]), '{"a": 1, "ä": ["2026-01-31"]}'),
    "map": (pa.array([[("k", 1.5)], None], pa.map_(pa.string(), pa.float64())), '[["k", 1.5]]'),
    "fixed list": (pa.array([[0.5, 1], None], pa.list_(pa.float32(), 2)), "[0.5, 1.0]"),
    "zone": (_zoned("Europe/Berlin"), "2026-01-31 09:05:00.123456+0100"),
    "UTC": (_zoned("UTC"), "2026-01-31 08:05:00.123456Z"),
    "unknown zone": (_zoned("No/Where"), "2026-01-31 08:05:00.123456Z"),
    "nanoseconds": (pa.array([1769846700_000000001, None], pa.timestamp("ns")), "2026-01-31 08:05:00.000000001"),
    "date": (pa.array([date(2026, 1, 31), None]), "2026-01-31"),
    "time": (pa.array([time(8, 5), None]), "08:05:00.000000"),
    "duration": (pa.array([26 * 3600 * 10**9 + 1, None], pa.duration("ns")), "1 day, 2:00:00"),
    "months": (pa.array([(1, 2, 3), None], pa.month_day_nano_interval()), "[1, 2, 3]"),
    "decimal": (pa.array([Decimal("1.50"), None], pa.decimal128(9, 2)), "1.50"),
    "wide decimal": (pa.array([Decimal("1.50"), None], pa.decimal256(50, 2)), "1.50"),
    "text as bytes": (pa.array([b"ann", None]), "ann"),
    "bytes": (pa.array([b"\xff\x00", None]), "ff00"),
    "half float": (pa.array(np.array([0.5, 2], np.float16)).take(pa.array([0, None])), "0.5"),
    "boolean": (pa.array([True, None]), "true"),
    "nothing": (pa.nulls(2), None),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", FORMS)
def test_every_type_is_written_in_every_form(tmp_path: Path, ending: str, kind: str) -> None:
    column, text = KINDS[kind]
    table = pa.table({"x": column, "p": [0.25, 0.5]})
    path = tmp_path / f"p{ending}"
    path.write_bytes(written(path.name, table, table.slice(1), empty=table))
    if form_of(path) in ("parquet", "arrow"):
        own = (pa.parquet.read_table if form_of(path) == "parquet" else pa.feather.read_table)(path)["x"]
        kept = own.type == column.type or pa.types.is_time(column.type)
        assert kept or own[0].as_py() == text, "read back as it was, where there is such a type"
        assert not kept or own.cast(column.type).equals(pa.chunked_array([column, column.slice(1)]))
    elif form_of(path) == "jsonl":
        first, second, _ = (json.loads(line)["x"] for line in path.read_text(encoding="utf-8").splitlines())
        assert second is None
        assert first == text or json.dumps(first, ensure_ascii=False) == text
    else:
        read = read_table(path)["x"].to_pylist()
        assert [value or None for value in read] == [text, None, None]
    read_table(path)


def test_a_list_is_the_same_list_when_it_is_read_back(tmp_path: Path) -> None:
    tags = pa.table({"x": [["a", "dark blue"], ["12", "7"]] * 20, "y": [0, 1] * 20})
    path = tmp_path / "p.csv"
    path.write_bytes(written(path.name, tags))
    schema = infer_schema(read_table(path), label="y", fields={"x": "multi_valued"}).schema
    field = schema.fields["x"]
    assert isinstance(field, MultiValued)
    assert split_texts(read_table(path)["x"], str(field.separator)).to_pylist() == tags["x"].to_pylist()


def test_the_same_rows_are_the_same_bytes() -> None:
    assert written("a.csv.gz", TABLE) == written("b.csv.gz", TABLE)


@pytest.mark.parametrize("name", ["p", "p.txt", "p.csv.zip", "csv"])
def test_unknown_endings_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=r"expected one of \.csv, \.csv\.gz, .*\.jsonl"):
        form_of(Path(name))
