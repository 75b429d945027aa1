"""One table in every form gives one set of ids: CSV, Parquet, pandas, Polars, dicts, and Arrow's special types.

The rules are those of `fieldwise.columns.tokens`; docs/data.md tells them to users.
"""

from __future__ import annotations

import datetime
import decimal
import math
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
import pytest

import fieldwise as fw
from fieldwise.columns.tables import iter_tables, read_table
from fieldwise.encoding.encoded import EncodingReport
from fieldwise.errors import DataError
from fieldwise.schema.inference import infer_schema

REPEATS = 10
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


@dataclass(frozen=True)
class Rule:
    """Values of a column, and the token of each; None for missing."""

    values: list[Any]
    tokens: list[str | None]
    kind: pa.DataType | None = None


def moment(*parts: int, zone: datetime.tzinfo | None = None) -> datetime.datetime:
    return datetime.datetime(*parts, tzinfo=zone)  # type: ignore[arg-type, misc]


RULES = {
    "whole numbers above 2^24, up to 64 bits, and negative ones": Rule(
        [2**24 + 1, 2**53 + 1, 2**63 - 1, -1, -(2**63), 0],
        ["16777217", "9007199254740993", "9223372036854775807", "-1", "-9223372036854775808", "0"],
    ),
    "whole numbers above 2^63": Rule(
        [2**63 + 5, 2**64 - 1], ["9223372036854775813", "18446744073709551615"], kind=pa.uint64()
    ),
    "whole numbers with gaps, which pandas writes as 1.0": Rule([1, None, 16777217], ["1", None, "16777217"]),
    "whole numbers as floats": Rule([1.0, -3.0, None, 1e16, 1.5e22], ["1", "-3", None, str(10**16), str(15 * 10**21)]),
    "fractions, which are written with and without exponents": Rule(
        [0.1, 1e-5, -2.5e-7, 1e-10], ["0.1", "0.00001", "-0.00000025", "0.0000000001"]
    ),
    "leading zeros": Rule(["007", "7", "00", "0", "-07"], ["007", "7", "00", "0", "-07"]),
    "text of numbers": Rule(["1.0", "1", "-0", "7.10", "1e5", "+5"], ["1", "1", "0", "7.10", "1e5", "+5"]),
    "spaces": Rule([" a", "a\t", "a", "a b", " \t ", "", None], ["a", "a", "a", "a b", None, None, None]),
    "Unicode normal forms": Rule(["\u00e9", "e\u0301", "\u212b", "É"], ["é", "é", "Å", "É"]),
    "other blanks and signs": Rule(["\u00a0a", "a,b", 'a"b', "a\nb"], ["\u00a0a", "a,b", 'a"b', "a\nb"]),
    "10,000 characters": Rule(["x" * 10_000, "x" * 9_999 + "y"], ["x" * 10_000, "x" * 9_999 + "y"]),
    "booleans": Rule([True, False, None], ["true", "false", None]),
    "dates": Rule([datetime.date(2026, 1, 31), None], ["2026-01-31", None]),
    "midnights, which pandas writes as dates": Rule([moment(2026, 1, 31), None], ["2026-01-31", None]),
    "dates with times": Rule(
        [moment(2026, 1, 31, 8), moment(2026, 1, 31), moment(2026, 1, 31, 8, 0, 0, 500_000)],
        ["2026-01-31 08:00:00", "2026-01-31", "2026-01-31 08:00:00.5"],
    ),
    "dates with times in nanoseconds": Rule([moment(2026, 1, 31, 8)], ["2026-01-31 08:00:00"], kind=pa.timestamp("ns")),
    "dates with times and zones": Rule(
        [moment(2026, 1, 31, 8, zone=BERLIN), moment(2026, 7, 1, zone=BERLIN), None],
        ["2026-01-31 07:00:00+00:00", "2026-06-30 22:00:00+00:00", None],
        kind=pa.timestamp("us", "Europe/Berlin"),
    ),
    "times of day": Rule([datetime.time(8), datetime.time(8, 0, 0, 250_000)], ["08:00:00", "08:00:00.25"]),
    "decimals": Rule([decimal.Decimal("3.50"), decimal.Decimal("3.00")], ["3.50", "3"], kind=pa.decimal128(9, 2)),
}


def forms(table: pa.Table, folder: Path) -> Iterator[tuple[str, Any]]:
    """The table in every form; x may be of any type, y is the label."""
    pandas, polars = table.to_pandas(), pl.DataFrame(pl.from_arrow(table))
    pa.csv.write_csv(table, folder / "arrow.csv")
    pandas.to_csv(folder / "pandas.csv", index=False)
    polars.write_csv(folder / "polars.csv")
    pandas.to_csv(folder / "pandas.tsv.gz", index=False, sep="\t")
    pa.parquet.write_table(table, folder / "arrow.parquet")
    pandas.to_parquet(folder / "pandas.parquet")
    polars.write_parquet(folder / "polars.parquet")
    for path in sorted(folder.iterdir()):
        yield path.name, path
    yield "pandas", pandas
    yield "pandas, Arrow's types", table.to_pandas(types_mapper=pd.ArrowDtype)
    yield "pandas, objects", pandas.astype(object)
    yield "Polars", polars
    yield "Arrow", table
    yield "a dict of columns", table.to_pydict()
    yield "a list of dicts", table.to_pylist()
    x, place = table["x"], table.column_names.index("x")
    yield "Arrow, dictionary", table.set_column(place, "x", x.dictionary_encode())
    if pa.types.is_string(x.type):
        for kind in (pa.large_string(), pa.string_view(), pa.binary(), pa.binary_view()):
            yield f"Arrow, {kind}", table.set_column(place, "x", x.cast(kind))
        yield "Arrow, run-end encoded", table.set_column(place, "x", pc.run_end_encode(x))
        yield "pandas, categorical", pandas.astype({"x": "category"})
        yield "pandas, string", pandas.astype({"x": "string"})
        yield "Polars, Categorical", polars.with_columns(pl.col("x").cast(pl.Categorical))
        yield "Polars, Enum", polars.with_columns(pl.col("x").cast(pl.Enum(polars["x"].unique().drop_nulls())))


def table_of(rule: Rule) -> pa.Table:
    values = pa.array(rule.values * REPEATS, rule.kind)
    return pa.table({"y": np.arange(len(values)) % 3 == 0, "x": values})


@pytest.mark.parametrize("name", RULES)
def test_every_form_gives_the_tokens_of_the_rule(name: str, tmp_path: Path) -> None:
    rule = RULES[name]
    table = table_of(rule)
    sources = dict(forms(table, tmp_path))
    schema = fw.Schema(label="y", fields={"x": fw.Categorical(min_count=1)})
    predictor = fw.train(
        sources["pandas.csv"],
        schema=schema,
        model="lr",
        settings={"epochs": 1},
        valid=table,
        test=table,
        progress=False,
    )
    (encoding,) = predictor.model.encoder.encodings
    assert set(encoding.vocabulary.tokens.to_pylist()) == {token for token in rule.tokens if token is not None}
    expected = [encoding.vocabulary.id_of(token) for token in rule.tokens] * REPEATS
    for form, source in sources.items():
        read = read_table(source)
        assert predictor.model.encoder.encode(read).categorical[:, 0].tolist() == expected, form
        assert predictor.model.encoder.encode_rows(read.to_pylist()).categorical[:, 0].tolist() == expected, form
        assert sum(piece.num_rows for piece in iter_tables(source)) == len(expected), form
    for form, rows in {
        "Arrow": sources["a list of dicts"],
        "pandas": sources["pandas"].to_dict("records"),
        "pandas, Arrow's types": sources["pandas, Arrow's types"].to_dict("records"),
        "Polars": sources["Polars"].to_dicts(),
    }.items():
        assert predictor.model.encoder.encode_rows(rows).categorical[:, 0].tolist() == expected, form


NUMBERS = {
    "numbers": Rule([1.5, -2.0, None, 1e-7, 3e20, math.inf, -math.inf], []),
    "whole numbers": Rule([2**24 + 1, 2**53 + 1, -(2**63), None], []),
    "booleans": Rule([True, False, None], []),
    "text": Rule([" 1.5", "+2", "NA", "nan", "", "-", None, "1e-7", "-Inf"], []),
    "decimals": Rule([decimal.Decimal("3.50"), decimal.Decimal("0.01"), None], [], kind=pa.decimal128(9, 2)),
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("spec", [fw.Numeric(), fw.Numeric(transform="log"), fw.Numeric(buckets=2)])
def test_every_form_gives_the_same_numbers(name: str, spec: fw.Numeric, tmp_path: Path) -> None:
    table = table_of(NUMBERS[name])
    predictor = fw.train(
        table, schema=fw.Schema(label="y", fields={"x": spec}), model="lr", settings={"epochs": 1}, progress=False
    )
    expected = predictor.model.encoder.encode(table)
    for form, source in forms(table, tmp_path):
        read = read_table(source)
        for encoded in (predictor.model.encoder.encode(read), predictor.model.encoder.encode_rows(read.to_pylist())):
            np.testing.assert_array_equal(encoded.numeric, expected.numeric, form)
            np.testing.assert_array_equal(encoded.categorical, expected.categorical, form)
            assert encoded.report.missing == expected.report.missing, form


def test_every_form_gives_the_same_calendar_parts(tmp_path: Path) -> None:
    table = table_of(Rule([moment(2026, 1, 31, 17, 5), moment(2026, 2, 1), None], []))
    parts: dict[str, Any] = {
        part: fw.Categorical(column="x", part=part) for part in ("hour", "weekday", "day", "month")
    }
    predictor = fw.train(table, label="y", fields=parts, model="lr", settings={"epochs": 1}, progress=False)
    expected = predictor.model.encoder.encode(table).categorical
    assert expected.shape[1] == 4
    for form, source in forms(table, tmp_path):
        read = read_table(source)
        np.testing.assert_array_equal(predictor.model.encoder.encode(read).categorical, expected, form)
        np.testing.assert_array_equal(predictor.model.encoder.encode_rows(read.to_pylist()).categorical, expected, form)


def test_the_hour_of_a_zone_is_the_one_that_was_written(tmp_path: Path) -> None:
    table = table_of(
        Rule([moment(2026, 1, 31, 17, 5, zone=BERLIN), None], [], kind=pa.timestamp("us", "Europe/Berlin"))
    )
    hour = {"hour": fw.Categorical(column="x", part="hour", min_count=1)}
    predictor = fw.train(table, label="y", fields=hour, model="lr", settings={"epochs": 1}, progress=False)
    for form, source in forms(table, tmp_path):
        if form == "polars.csv":  # Polars writes the moment in UTC, so that its hour is another
            continue
        read = read_table(source)
        ids = predictor.model.encoder.encode(read).categorical[:, 0].tolist()
        assert ids == [predictor.model.encoder.encodings[0].vocabulary.id_of("17"), 0] * REPEATS, form
        assert predictor.model.encoder.encode_rows(read.to_pylist()).categorical[:, 0].tolist() == ids, form


def test_every_form_gives_the_same_lists(tmp_path: Path) -> None:
    table = table_of(Rule(["a|b", " b | a", "|", "", None, "1.0|1|é|e\u0301"], []))
    predictor = fw.train(
        table,
        schema=fw.Schema(label="y", fields={"x": fw.MultiValued(separator="|", min_count=1)}),
        model="lr",
        settings={"epochs": 1},
        progress=False,
    )
    (expected,) = predictor.model.encoder.encode(table).multi_valued
    lists = table.set_column(1, "x", pa.array([None if t is None else t.split("|") for t in table["x"].to_pylist()]))
    others = {"lists": lists, "Polars, lists": pl.from_arrow(lists), "pandas, lists": lists.to_pandas()}
    for form, source in (*forms(table, tmp_path), *others.items()):
        read = read_table(source)
        for encoded in (predictor.model.encoder.encode(read), predictor.model.encoder.encode_rows(read.to_pylist())):
            np.testing.assert_array_equal(encoded.multi_valued[0].values, expected.values, form)
            np.testing.assert_array_equal(encoded.multi_valued[0].offsets, expected.offsets, form)


def test_every_form_is_inferred_alike(tmp_path: Path) -> None:
    for name, rule in {**RULES, **NUMBERS}.items():
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        table = table_of(rule)
        kinds = {}
        for form, source in forms(table, folder):
            try:
                inference = infer_schema(read_table(source), label="y")
            except fw.FieldwiseError as error:
                kinds[form] = type(error).__name__
                continue
            kinds[form] = str(inference.schema.fields)
        assert len(set(kinds.values())) == 1, (name, kinds)


def test_mixed_python_values_are_read_by_their_tokens() -> None:
    mixed = [1, "b", 2.5, True, None, float("nan"), 2**70]
    for source in (
        {"x": mixed},
        [{"x": value} for value in mixed],
        pd.DataFrame({"x": pd.Series(mixed, dtype=object)}),
    ):
        read = read_table(source)["x"].to_pylist()
        assert read == ["1", "b", "2.5", "true", None, None, str(2**70)]


@pytest.mark.parametrize("gap", [None, float("nan"), pd.NA, pd.NaT, np.datetime64("NaT")])
def test_what_frames_put_into_gaps_is_missing(gap: Any) -> None:
    specs = {
        "c": fw.Categorical(),
        "n": fw.Numeric(),
        "t": fw.Categorical(part="hour"),
        "m": fw.MultiValued(separator="|"),
    }
    table = pa.table(
        {"y": [0, 1] * 20, "c": ["a"] * 40, "n": [1.0, 2] * 20, "t": ["2026-01-31 08:00"] * 40, "m": ["a|b"] * 40}
    )
    predictor = fw.train(
        table, schema=fw.Schema(label="y", fields=specs), model="lr", settings={"epochs": 1}, progress=False
    )  # type: ignore[arg-type]
    report = EncodingReport()
    predictor.predict_rows([dict.fromkeys(specs, gap)], report=report)
    assert report.missing == dict.fromkeys(specs, 1)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"x": "text"}, "column 'x': expected a list of values, got 'text'"),
        ({"x": 1}, "a single row is given as a list of one dict"),
        ({1: [1]}, "column names must be text, got 1"),
        ({"x": [1], "y": [1, 2]}, "cannot be read as a table"),
        ({"x": [{1, 2}, "a"]}, "column 'x': row 1 holds a list and others do not"),
        ({"x": ["\ud800"]}, "column 'x': "),
        ([{"x": 1}, {"z": 1}], "row 2 has no 'x'; give None for a missing value"),
        (pd.DataFrame({"x": [[1], "a"]}), "column 'x': row 1 holds a list and others do not"),
        (np.arange(2), "cannot read rows from a ndarray; expected a path"),
    ],
)
def test_what_is_no_table_is_named(source: Any, message: str) -> None:
    with pytest.raises(DataError) as error:
        read_table(source)
    assert message in str(error.value)


def test_a_series_is_no_table() -> None:
    # Newer versions of pandas offer a series as an Arrow stream, older ones do not; the one is as clear as the other.
    with pytest.raises(DataError, match=r"the Series cannot be read as a table|cannot read rows from a Series"):
        read_table(pd.Series([1, 2]))
