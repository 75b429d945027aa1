"""Every row of the tables of reading rules in docs/data.md: a value, and what it is read as, alone and in a column."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fieldwise.columns.counting import profile_column
from fieldwise.columns.dates import DATE_FORMS, DateReading, moment, moments
from fieldwise.columns.missing import MISSING_WORDS
from fieldwise.columns.numbers import NumberReading, number, number_column
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
    return text[1:-1] if text.startswith("`") else text


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
