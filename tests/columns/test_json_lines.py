"""JSON lines and lists of objects as tables."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest

from fieldwise.columns.tables import iter_tables, read_table
from fieldwise.columns.writing import TableWriter
from fieldwise.errors import DataError


def read(text: str, folder: Path) -> dict[str, list[object]]:
    path = folder / "rows.txt"
    path.write_text(text, encoding="utf-8")
    table = read_table(path)
    assert pa.concat_tables(iter_tables(path)) == table
    (folder / "rows.gz").write_bytes(gzip.compress(text.encode()))
    assert read_table(folder / "rows.gz") == table
    return table.to_pydict()


def test_every_kind_of_cell(tmp_path: Path) -> None:
    rows = [
        '{"user": "007", "price": 1.50, "big": 123456789012345678901, "on": true, "tags": ["a", 2, null], '
        '"at": {"x": {"y": 1}}}',
        "",
        '{"user": null, "tags": "b", "late": "ü", "odd": [[1], {"a": 2}], "none": {}}',
    ]
    expected = {
        "user": ["007", None],
        "price": ["1.50", None],
        "big": ["123456789012345678901", None],
        "on": ["true", None],
        "tags": [["a", "2", None], ["b"]],
        "at.x.y": ["1", None],
        "late": [None, "ü"],
        "odd": [None, '[["1"], {"a": "2"}]'],
        "none": [None, None],
    }
    assert read("\n".join(rows), tmp_path) == expected
    assert read("\ufeff" + "\n".join(rows), tmp_path) == expected
    assert read(f"[{rows[0]},\n {rows[2]}]", tmp_path) == expected


def test_many_rows_come_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f'{{"n": {i}}}\n' for i in range(70_000)) + '{"last": 1}\n')
    pieces = list(iter_tables(path))
    assert len(pieces) > 1
    assert {tuple(piece.column_names) for piece in pieces} == {("n", "last")}
    assert sum(piece.num_rows for piece in pieces) == 70_001


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": \n', "line 2 is no JSON: "),
        ('{"a": 1}\n\n[1]\n', "line 3 is no JSON object; expected one object with the columns' names per line"),
        ('[{"a": 1}, 2]', "element 2 is no JSON object"),
        ("{}\n{}\n", "its objects are empty: there are no columns"),
    ],
)
def test_wrong_lines_are_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        read_table(path)
    assert f"{path}: {message}" in str(error.value)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    table = pa.table({"user": ["ann", None], "score": [0.25, 1.0], "tags": [["a"], None]})
    with (tmp_path / "p.jsonl").open("wb") as file, TableWriter(file, "jsonl", empty=table) as writer:
        writer.write(table)
    assert read_table(tmp_path / "p.jsonl").to_pydict() == {
        "user": ["ann", None],
        "score": ["0.25", "1.0"],
        "tags": [["a"], None],
    }
    assert [json.loads(line)["score"] for line in (tmp_path / "p.jsonl").read_text().splitlines()] == [0.25, 1.0]
