"""What streams say of characters that their encoding lacks."""

from __future__ import annotations

import io

import pytest

from fieldwise.reporting import Reporter
from fieldwise.reporting.tables import Section
from fieldwise.reporting.text import encodable


def page(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")


def text_of(stream: io.TextIOWrapper) -> str:
    stream.flush()
    content: bytes = stream.buffer.getvalue()  # type: ignore[attr-defined]
    return content.decode(stream.encoding)


@pytest.mark.parametrize(
    ("encoding", "expected"), [("utf-8", "größe ✓"), ("latin-1", r"größe \u2713"), ("ascii", r"gr\xf6\xdfe \u2713")]
)
def test_only_what_is_lacking_is_escaped(encoding: str, expected: str) -> None:
    assert encodable("größe ✓", page(encoding)) == expected
    assert encodable("größe ✓", io.StringIO()) == "größe ✓"
    assert encodable("a\udcc3", page(encoding)) == r"a\udcc3"


def test_lines_and_tables_of_a_strict_ascii_stream() -> None:
    stream = page("ascii")
    reporter = Reporter(stream)
    reporter.say("größe is categorical")
    reporter.table("Größen", ["größe"], [["[ä]"], ["ok"]])
    Section("", ["µ"], [["ü"]]).print(stream)
    text = text_of(stream)
    assert r"gr\xf6\xdfe is categorical" in text
    assert r"Gr\xf6\xdfen" in text
    assert r"| [\xe4] " in text
    assert r"| \xfc " in text
    assert Section("", ["µ"], [["ü"]]).to_text().split() == ["µ", "───", "ü"]
