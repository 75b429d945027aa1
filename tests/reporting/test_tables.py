"""Tables look alike on a terminal, in Markdown and in HTML, whatever their cells hold."""

from __future__ import annotations

import io
import re

import pytest

from fieldwise.comparison import Comparison, Run
from fieldwise.comparison.results import BINARY, MetricSpec
from fieldwise.reporting.tables import Section, markdown_row, markdown_table, to_markdown


def test_a_table_in_markdown() -> None:
    one = Section("Fields", ("name", "size"), [("user", "8"), ("odd|name\nof two lines", "4")])
    assert one.to_markdown() == (
        "**Fields**\n\n| name | size |\n| --- | --- |\n| user | 8 |\n| odd\\|name of two lines | 4 |"
    )
    assert Section("", ("", ""), [("a", "b")]).to_markdown() == "|  |  |\n| --- | --- |\n| a | b |"
    assert to_markdown([one, one]).count("**Fields**") == 2


def test_a_table_that_grows_is_the_same_table() -> None:
    header, rows = ("a", "b|c"), [("1\r\n2", "3")]
    grown = [markdown_row(header), markdown_row(["---", "---"]), *(markdown_row(row) for row in rows)]
    assert "\n".join(grown) == markdown_table(header, rows) == "| a | b\\|c |\n| --- | --- |\n| 1 2 | 3 |"


def test_a_table_in_html() -> None:
    table = Section("A & B", ("name",), [("<script>",)])
    assert table.to_html() == table._repr_html_()
    assert "<caption>A &amp; B</caption>" in table.to_html()
    assert "<td>&lt;script&gt;</td>" in table.to_html()
    assert "<thead>" not in Section("", ("",), [("x",)]).to_html()


def test_printed_tables_show_what_looks_like_markup() -> None:
    stream = io.StringIO()
    Section("[red]", ("name", "[blue]"), [("[bold]", "[/]")]).print(stream)
    assert all(text in stream.getvalue() for text in ("[red]", "[blue]", "[bold]", "[/]"))
    stream = io.StringIO()
    Section("", ("", ""), [("a", "b")]).print(stream)
    assert len([line for line in stream.getvalue().splitlines() if line.strip()]) == 1


def test_text_is_as_wide_as_the_terminal_and_never_wider_than_140(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Section("Long", ("name", "what"), [("user", "word " * 100)])
    for columns, widest in (("80", 80), ("400", 140)):
        monkeypatch.setenv("COLUMNS", columns)
        assert widest - 10 < max(map(len, str(table).splitlines())) <= widest
        assert "\x1b" not in str(table)


def _comparison() -> Comparison:
    runs = [
        Run(
            contender=name,
            model=name,
            seed=seed,
            settings={},
            parameters={"all": 12_345_678, "without_embeddings": 1_234_567},
            metrics={"test": {"auc": auc + seed / 1000, "log_loss": 0.5 - seed / 1000, "gauc": auc - 0.01}},
            train_rows_per_s=123_456.0,
            predict_rows_per_s=1_234_567.0,
            epochs=12,
        )
        for name, auc in (("lr", 0.7), ("autoint+", 0.75), ("lightgbm", 0.72))
        for seed in range(3)
    ]
    return Comparison(
        source="clicks.csv",
        rows={},
        split_seed=0,
        base="lr",
        ours=["autoint+"],
        order=["lr", "autoint+", "lightgbm"],
        metrics=(*BINARY, MetricSpec(name="gauc", label="GAUC", better="max")),
        runs=runs,
    )


WIDE = Section(
    "Columns",
    ("column", "kind", "distinct", "missing", "examples", "why"),
    [
        ("user_identifier", "categorical", "6,040", "0", "1, 2, 3, 4, 5, 6, 7, 8", "whole numbers that name things"),
        (
            "price",
            "numeric, log",
            "12,345",
            "1,203",
            "0.67, 42, 7.25",
            "numbers over many orders of magnitude, none < 0",
        ),
    ],
    ("examples", "missing"),
)
FIGURES = Section("", [f"test figure {i}" for i in range(8)], [[f"0.{i}742 ± 0.0012" for i in range(8)]])


@pytest.mark.parametrize("width", [140, 120, 80, 60, 40, 10, 1])
@pytest.mark.parametrize(
    "table", [WIDE, FIGURES, _comparison().to_section(), Section("", ("", ""), [("a b", "c" * 90)])]
)
def test_figures_and_names_stay_whole_at_any_width(table: Section, width: int) -> None:
    stream = io.StringIO()
    table.print(stream, width=width)
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    if width < 40:
        return
    dropped = next((line for line in lines if line.startswith("no room for: ")), "")
    text = "\n".join(lines)
    for row in table.rows:
        for name, cell in zip(table.header, row, strict=True):
            if name not in dropped and 0 < len(cell) <= 24:
                assert re.search(rf"(^|\s){re.escape(cell)}($|\s)", text, re.MULTILINE), (cell, text)
            for word in name.split() if name != table.header[0] else ():  # a block begins with its first cell
                assert word in text


def test_what_there_is_no_room_for_is_left_out_and_named_in_order_of_importance() -> None:
    def printed(width: int) -> str:
        stream = io.StringIO()
        WIDE.print(stream, width=width)
        return stream.getvalue()

    assert "no room" not in printed(100)
    assert "no room for: examples\n" in printed(74)
    assert "no room for: examples, missing\n" in printed(66)
    assert "no room" not in printed(40)  # a block for each row, with everything
    assert "  missing: 1,203\n" in printed(40)
    assert printed(40).count("user_identifier\n") == 1


def test_columns_that_a_comparison_shows_at_80_characters() -> None:
    stream = io.StringIO()
    _comparison().to_section().print(stream, width=80)
    assert "0.7510** ± 0.0010" in stream.getvalue()
    assert "GAUC" in stream.getvalue()


def test_the_width_is_what_columns_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    stream = io.StringIO()
    WIDE.print(stream)
    assert max(map(len, stream.getvalue().splitlines())) <= 50
