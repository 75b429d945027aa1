"""Sections as Markdown."""

from fieldwise.reporting.tables import Section, to_markdown


def test_sections_as_markdown():
    first = Section("Sizes", ("field", "size"), [("a|b", "1"), ("two\nlines", "2")])
    second = Section("", ("", ""), [("x", "y")])
    assert to_markdown([first, second]) == (
        "**Sizes**\n\n"
        "| field | size |\n| --- | --- |\n| a\\|b | 1 |\n| two lines | 2 |\n\n"
        "|  |  |\n| --- | --- |\n| x | y |\n"
    )
