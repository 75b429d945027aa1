"""The Reporter: nothing where it is quiet, no bars where no one looks, whole lines where bars move."""

from __future__ import annotations

import io

from fieldwise.reporting import Reporter


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_quiet_says_nothing() -> None:
    stream = Terminal()
    reporter = Reporter(stream, enabled=False)
    reporter.say("hello")
    reporter.table("title", ("a",), [("b",)])
    with reporter.rows(10, "rows") as progress:
        progress.update(10)
    assert stream.getvalue() == ""


def test_bars_only_on_a_terminal() -> None:
    for stream, moves in ((io.StringIO(), False), (Terminal(), True)):
        with Reporter(stream).rows(1000, "epoch 1", done=100) as progress:
            progress.update(400)
        assert ("epoch 1" in stream.getvalue()) is moves
    assert "rows/s" in stream.getvalue()
    assert "/1.00k" in stream.getvalue()


def test_what_notebooks_write_to_shows_bars() -> None:
    class Cell(io.StringIO):
        pass

    Cell.__module__ = "ipykernel.iostream"
    stream = Cell()
    assert Reporter(stream).shows_bars


def test_tables_show_what_looks_like_markup() -> None:
    stream = io.StringIO()
    Reporter(stream).table("", ("name", "value"), [("[bold]", "[/]")])
    assert "[bold]" in stream.getvalue()
    assert "[/]" in stream.getvalue()
    stream = io.StringIO()
    Reporter(stream).table("", ("", ""), [("a", "b")])
    assert len([line for line in stream.getvalue().splitlines() if line.strip()]) == 1
