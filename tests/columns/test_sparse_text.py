"""libsvm and libffm files as tables."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from fieldwise.columns.tables import iter_tables, read_table
from fieldwise.errors import DataError
from fieldwise.schema.inference import infer_schema


def write(folder: Path, text: str) -> Path:
    path = folder / "rows.txt"
    path.write_text(text)
    return path


def test_libffm_gives_columns_by_field_number(tmp_path: Path) -> None:
    path = write(tmp_path, "1 0:17:1 1:30:0.5 10:4:1 # seen\n-1 0:3:1 0:4:1\n+1 qid:9 2:7:1\n\n")
    table = read_table(path)
    assert pa.concat_tables(iter_tables(path)) == table
    assert table.to_pydict() == {
        "label": ["1", "0", "1"],
        "qid": [None, None, "9"],
        "field_0": ["17", "3|4", None],
        "field_0_value": ["1", "1|1", None],
        "field_1": ["30", None, None],
        "field_1_value": ["0.5", None, None],
        "field_2": [None, None, "7"],
        "field_2_value": [None, None, "1"],
        "field_10": ["4", None, None],
        "field_10_value": ["1", None, None],
    }


def test_what_inference_makes_of_libffm(tmp_path: Path) -> None:
    lines = [f"{i % 2} 0:{i % 20}:1 1:{i % 7}:1 1:{7 + i % 5}:1 2:99:0.{i % 50 + 1}" for i in range(500)]
    schema = infer_schema(read_table(write(tmp_path, "\n".join(lines))), label="label").schema
    assert {name: spec.kind for name, spec in schema.fields.items()} == {
        "field_0": "categorical",
        "field_1": "multi_valued",
        "field_2_value": "numeric",
    }


def test_libsvm_gives_the_indices_of_ones(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "-1 3:1 17:1.0 20:0\n1 qid:4 3:1\n"))
    assert table.to_pydict() == {"label": ["0", "1"], "qid": [None, "4"], "features": ["3|17", "3"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 3:1\n0 4:0.5\n", "line 2 has the value 0.5 at index 4; of a libsvm file only values of 0 and 1 are read"),
        ("1 3:1\n" * 6 + "1 x:1\n", "line 7 holds 'x:1' where index:value was expected, as in a libsvm file"),
        ("1 0:3:1\n" * 6 + "1 3:1\n", "line 7 holds '3:1' where field:index:value was expected, as in a libffm file"),
    ],
)
def test_wrong_lines_are_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read_table(write(tmp_path, text))
    assert message in str(error.value)


def test_times_of_day_are_no_libsvm(tmp_path: Path) -> None:
    assert read_table(write(tmp_path, "when who\n8:30 7\n9:15 4\n")).column_names == ["when", "who"]
