"""Tables look alike on a terminal, in Markdown and in HTML, whatever their cells hold."""

from __future__ import annotations

import io

import pytest

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
