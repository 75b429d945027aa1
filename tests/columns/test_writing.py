"""Tables written piece by piece: each form is read back as it was written."""

from __future__ import annotations

import io
import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from fieldwise.columns.tables import read_table
from fieldwise.columns.writing import FORMS, TableWriter, form_of
from fieldwise.errors import SettingsError

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
    table = pa.table({"day": [date(2026, 1, 31)], "x": [float("nan")], "tags": [["ä", "b"]], "p": [0.5]})
    lines = written("p.jsonl", table, table).decode().splitlines()
    assert [json.loads(line) for line in lines] == 2 * [{"day": "2026-01-31", "x": None, "tags": ["ä", "b"], "p": 0.5}]
    assert written("p.jsonl") == b""


def test_the_same_rows_are_the_same_bytes() -> None:
    assert written("a.csv.gz", TABLE) == written("b.csv.gz", TABLE)


@pytest.mark.parametrize("name", ["p", "p.txt", "p.csv.zip", "csv"])
def test_unknown_endings_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=r"expected one of \.csv, \.csv\.gz, .*\.jsonl"):
        form_of(Path(name))
