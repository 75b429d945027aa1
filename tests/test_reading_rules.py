"""Every row of the tables of reading rules in docs/data.md: a value, and what it is read as, alone and in a column."""

from __future__ import annotations

import bz2
import datetime
import gzip
import io
import lzma
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest

from fieldwise.columns.counting import profile_column
from fieldwise.columns.dates import DATE_FORMS, DateReading, moment, moments
from fieldwise.columns.missing import MISSING_WORDS
from fieldwise.columns.numbers import NumberReading, number, number_column
from fieldwise.columns.tables import read_table
from fieldwise.columns.tokens import token
from fieldwise.encoding.encoded import EncodingReport
from fieldwise.encoding.fields import MultiValuedEncoding, fit_field
from fieldwise.schema import Categorical, MultiValued, Numeric

DOCUMENT = (Path(__file__).parent.parent / "docs" / "data.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    return DOCUMENT.split(f"\n### {heading}\n")[1].split("\n## ")[0].split("\n### ")[0]


def rows(heading: str) -> list[list[str]]:
    """The rows of the section's table without its header; cells without the marks of code."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")][2:]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return [[_plain(cell) for cell in row] for row in cells]


def _plain(cell: str) -> str:
    text = cell.strip().replace("\\|", "|")
    return text[1:-1] if text.startswith("`") and text.find("`", 1) == len(text) - 1 else text


def _read(path: Path, content: bytes | str) -> dict[str, Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path).to_pydict()


DATES, NUMBERS, LISTS = rows("Dates"), rows("Numbers in text"), rows("Lists in text")


def test_all_forms_and_words_are_told() -> None:
    assert {form for _, _, form in DATES} == set(DATE_FORMS)
    assert {*re.findall(r"`([^`]+)`", section("Missing").split("(`")[0]), ""} == MISSING_WORDS


@pytest.mark.parametrize(("written", "expected", "form"), DATES)
def test_a_date(written: str, expected: str, form: str) -> None:
    reading = DateReading(form)  # type: ignore[arg-type]
    when = datetime.datetime.fromisoformat(expected)
    read = moment(written, reading)
    assert read is not None
    assert read.replace(tzinfo=None, second=0, microsecond=0) == when
    column = moments(pa.chunked_array([[written, None, "NULL"]]), reading).local.to_pylist()
    assert column == [read.replace(tzinfo=None), None, None]


@pytest.mark.parametrize(("written", "_", "form"), DATES)
def test_the_form_of_a_date_is_found(written: str, _: str, form: str) -> None:
    hour = fit_field(
        "hour", Categorical(column="x", part="hour"), profile_column(pa.array([written, "NULL"])), min_count=1
    )
    assert hour.dates.form == form


@pytest.mark.parametrize(("written", "expected", "decimal"), NUMBERS)
def test_a_number(written: str, expected: str, decimal: str) -> None:
    reading = NumberReading(None if decimal == "plain" else decimal)  # type: ignore[arg-type]
    assert number(written, reading) == float(expected)
    column = number_column(pa.chunked_array([[written, None, "NULL"]]), reading=reading)
    np.testing.assert_array_equal(column, [float(expected), np.nan, np.nan])


@pytest.mark.parametrize(("written", "expected", "separator"), LISTS)
def test_a_list(written: str, expected: str, separator: str) -> None:
    spec = MultiValued(separator=separator or " ", min_count=1)
    column = pa.array([written, None, "NULL"])
    encoding = fit_field("x", spec, profile_column(column), min_count=1)
    assert isinstance(encoding, MultiValuedEncoding)
    expected_tokens = [part for part in expected.split(", ") if part]
    assert sorted(encoding.vocabulary.tokens.to_pylist()) == sorted(expected_tokens)
    ids = [encoding.vocabulary.id_of(token(part)) for part in expected_tokens] or [0]
    lists = encoding.encode(pa.chunked_array([column]), EncodingReport())
    assert lists.values.tolist() == [*ids, 0, 0]
    assert encoding.encode_value(written, EncodingReport()) == ids


@pytest.mark.parametrize("word", sorted(MISSING_WORDS))
def test_a_word_for_a_missing_value_is_missing_in_every_kind_of_column(word: str) -> None:
    column = pa.array(["2026-01-31 08:00", "2026-01-30 09:00", word, f" {word.upper()} "])
    kinds = {
        "category": (Categorical(), column),
        "date": (Categorical(column="x", part="hour"), column),
        "number": (Numeric(), pa.array(["1", "2", word, f" {word.upper()} "])),
        "buckets": (Numeric(buckets=2), pa.array(["1", "2", word, f" {word.upper()} "])),
        "list": (MultiValued(separator="|"), pa.array(["a|b", "b|a", word, f"{word}| {word.upper()}"])),
    }
    for name, (spec, values) in kinds.items():
        encoding = fit_field("x", spec, profile_column(values), min_count=1)
        report = EncodingReport(rows=4)
        encoding.encode(pa.chunked_array([values]), report)
        assert (report.missing, report.unseen) == ({"x": 2}, {}), name
        alone = EncodingReport(rows=1)
        encoding.encode_value(values[2].as_py(), alone)
        assert (alone.missing, alone.unseen) == ({"x": 1}, {}), name


def _a_directory(place: Path) -> None:
    for name, user in (("2.csv", "b"), ("1/x.csv", "c"), ("1.csv", "a")):
        _read(place / name, f"user,y\n{user},1\n")
    for name in ("_SUCCESS", ".hidden.csv", "_temporary/3.csv", ".1.csv.crc", "1.csv.crc"):
        _read_nothing(place / name)
    (place / "empty.csv").touch()
    assert read_table(place)["user"].to_pylist() == ["a", "b", "c"]


def _read_nothing(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("no rows at all")


def _a_partition(place: Path) -> None:
    path = place / "day=2026-01-31" / "part-0.parquet"
    path.parent.mkdir()
    pa.parquet.write_table(pa.table({"user": ["a", "b"]}), path)
    assert read_table(place).to_pydict() == {"user": ["a", "b"], "day": ["2026-01-31"] * 2}


def _a_pattern(place: Path) -> None:
    for name in ("b.csv", "a.csv", "c.txt"):
        _read(place / "clicks" / name, f"user,y\n{name},1\n")
    assert read_table(str(place / "clicks" / "*.csv"))["user"].to_pylist() == ["a.csv", "b.csv"]


def _compressed(place: Path) -> None:
    text, archive = b"user,y\nann,1\n", io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("clicks.csv", text)
    zstd = pa.compress(text, "zstd", asbytes=True)
    for content in (gzip.compress(text), bz2.compress(text), lzma.compress(text), zstd, archive.getvalue()):
        assert _read(place / "any.name", content) == {"user": ["ann"], "y": ["1"]}


def _forms(place: Path) -> None:
    table = pa.table({"user": ["ann"], "y": [1]})
    parquet, arrow = io.BytesIO(), io.BytesIO()
    pa.parquet.write_table(table, parquet)
    with pa.ipc.new_file(arrow, table.schema) as writer:
        writer.write_table(table)
    for content in (parquet.getvalue(), arrow.getvalue()):
        assert _read(place / "any.name", content) == {"user": ["ann"], "y": [1]}
    for line in ("user,y\nann,1\n", '{"user": "ann", "y": 1}\n'):
        assert _read(place / "any.name", line) == {"user": ["ann"], "y": ["1"]}


SOURCES = {
    "a directory": _a_directory,
    "day=2026-01-31/part-0.parquet": _a_partition,
    '"clicks/*.csv"': _a_pattern,
    "gzip, bzip2, xz, Zstandard, zip": _compressed,
    "Parquet, Arrow, CSV, JSON lines, libsvm, libffm": _forms,
}


@pytest.mark.parametrize("source", [source for source, _ in rows("Files")])
def test_a_source_of_files(source: str, tmp_path: Path) -> None:
    SOURCES[source](tmp_path)


@pytest.mark.parametrize(("content", "columns"), rows("JSON, libsvm and libffm"))
def test_a_file_of_another_form(content: str, columns: str, tmp_path: Path) -> None:
    told = dict(re.findall(r"`?([a-z_.0-9]+)` ([^\s,;]+)", columns.split(";")[0]))
    for compress in (bytes, gzip.compress):
        read = {name: cells[0] for name, cells in _read(tmp_path / "file", compress(f"{content}\n".encode())).items()}
        assert read == (told or {"tags": ["a", "b"]})
