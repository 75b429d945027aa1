"""The Reporter: what it says is logged, and shown where somebody wants it; bars move only where someone looks."""

from __future__ import annotations

import io
import logging
import logging.handlers
import os
import pty
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from fieldwise.reporting import Reporter

LOGGER = logging.getLogger("fieldwise")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _terminal_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    before = list(LOGGER.handlers), LOGGER.level
    yield
    assert (LOGGER.handlers, LOGGER.level) == before


def screen(written: str) -> list[str]:
    """What a terminal shows in the end of what was written to it."""
    lines, row, column = [""], 0, 0
    for piece in re.findall(r"\x1b\[\??[0-9;]*[A-Za-z]|[^\x1b]", written):
        if piece == "\r":
            column = 0
        elif piece == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif piece.startswith("\x1b"):
            if piece.endswith("A"):
                row -= int(piece[2:-1])
            elif piece == "\x1b[2K":
                lines[row] = ""
        else:
            lines[row] = lines[row].ljust(column)[:column] + piece + lines[row][column + 1 :]
            column += 1
    return "\n".join(line.rstrip() for line in lines).rstrip("\n").splitlines()


def in_a_process(code: str, *, terminal: bool = False) -> str:
    """What a new process writes to standard output and standard error, to a pipe or to a terminal."""
    words = [sys.executable, "-c", "import logging, sys\nfrom fieldwise.reporting import Reporter\n" + code]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    if not terminal:
        done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
        return done.stdout.decode()
    controller, side = pty.openpty()
    with subprocess.Popen(words, env=environment, stdin=side, stdout=side, stderr=side) as process:
        os.close(side)
        written = b""
        while True:
            try:
                piece = os.read(controller, 65536)
            except OSError:  # Linux says so where the other side is closed
                break
            if not piece:
                break
            written += piece
    os.close(controller)
    assert process.returncode == 0, written
    return written.decode().replace("\r\n", "\n")


# ---- lines


def test_lines_go_to_the_stream_and_to_logging(caplog: pytest.LogCaptureFixture) -> None:
    stream = io.StringIO()
    reporter = Reporter(stream)
    reporter.say("100 % of the rows are read: %s")
    reporter.warn("no validation rows")
    assert stream.getvalue() == "100 % of the rows are read: %s\nno validation rows\n"
    assert [(r.name, r.levelname, r.getMessage()) for r in caplog.records] == [
        ("fieldwise", "INFO", "100 % of the rows are read: %s"),
        ("fieldwise", "WARNING", "no validation rows"),
    ]
    assert {record.filename for record in caplog.records} == {"test_reporter.py"}


def test_quiet_shows_nothing_and_is_logged_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    stream = Terminal()
    reporter = Reporter(stream, enabled=False)
    with caplog.at_level("INFO", logger="fieldwise"):
        reporter.say("hello")
        reporter.table("title", ("a",), [("b|c",)])
    with reporter.rows(10, "rows") as progress:
        progress.update(10)
    assert stream.getvalue() == ""
    assert caplog.messages[0] == "hello"
    assert "b|c" in caplog.messages[1]
    reporter.say("nobody asked for INFO")
    assert len(caplog.records) == 2


def test_what_comes_from_below_the_logger_is_shown_within_the_block() -> None:
    stream, inner = io.StringIO(), logging.getLogger("fieldwise.columns")
    with Reporter(stream):
        inner.info("a decision")
        inner.warning("a warning")
        inner.debug("a detail")
    inner.warning("after the block")
    assert stream.getvalue() == "a decision\na warning\n"


def test_no_line_comes_twice() -> None:
    stream, other = io.StringIO(), io.StringIO()
    with Reporter(stream) as first, Reporter(stream) as second, Reporter(other) as elsewhere:
        first.say("one")
        second.say("two")
        elsewhere.say("three")
        Reporter(stream, enabled=False).say("silent")
        first.bars_only().say("a detail")
    first.say("four")
    assert stream.getvalue() == "one\ntwo\nfour\n"
    assert other.getvalue() == "three\n"


def test_reporters_may_end_in_any_order() -> None:
    stream, other = io.StringIO(), io.StringIO()
    first, second = Reporter(stream), Reporter(other)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.say("still here")
    second.__exit__(None, None, None)
    assert other.getvalue() == "still here\n"
    assert LOGGER.level == logging.NOTSET


def test_details_of_larger_work_are_logged_as_such(caplog: pytest.LogCaptureFixture) -> None:
    stream = io.StringIO()
    with caplog.at_level("DEBUG", logger="fieldwise"):
        Reporter(stream).bars_only().say("epoch 1")
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [("DEBUG", "epoch 1")]
    assert stream.getvalue() == ""


def test_a_level_of_the_users_own_holds() -> None:
    stream = io.StringIO()
    LOGGER.setLevel("WARNING")
    try:
        Reporter(stream).say("a decision")
        Reporter(stream).warn("a warning")
    finally:
        assert LOGGER.level == logging.WARNING
        LOGGER.setLevel(logging.NOTSET)
    assert stream.getvalue() == "a warning\n"


def test_records_of_tables_can_be_sent_through_a_queue() -> None:
    records: queue.Queue[logging.LogRecord] = queue.Queue()
    handler = logging.handlers.QueueHandler(records)
    LOGGER.addHandler(handler)
    try:
        Reporter(io.StringIO()).table("Fields", ("name",), [("user",)])
    finally:
        LOGGER.removeHandler(handler)
    assert "user" in records.get_nowait().getMessage()


# ---- with and without handlers of the user's own, each in a process of its own


def test_without_any_handler_nothing_is_printed() -> None:
    assert in_a_process("Reporter(enabled=False).say('said'); logging.getLogger('fieldwise.x').error('no')") == ""


def test_where_nothing_is_shown_a_warning_is_one_of_python() -> None:
    assert in_a_process("Reporter(enabled=False).warn('warned')") == "<string>:3: FieldwiseWarning: warned\n"


def test_what_is_shown_goes_to_standard_error() -> None:
    assert (
        in_a_process("Reporter().say('said'); sys.stderr = sys.__stdout__; Reporter(enabled=False).say('x')")
        == "said\n"
    )


@pytest.mark.parametrize("where", ["", "'fieldwise'"])
@pytest.mark.parametrize("handler", ["StreamHandler", "StreamHandler(sys.stdout)"])
def test_a_line_that_the_users_handler_shows_is_left_to_it(where: str, handler: str) -> None:
    call = handler if handler.endswith(")") else f"{handler}()"
    code = f"""
handler = logging.{call}
handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
logging.getLogger({where}).addHandler(handler)
with Reporter() as reporter:
    reporter.say("said")
    reporter.warn("warned")
"""
    assert in_a_process(code) == "INFO said\nWARNING warned\n"


def test_a_handler_of_warnings_leaves_the_rest_to_us() -> None:
    code = """
handler = logging.StreamHandler()
handler.setLevel("WARNING")
logging.getLogger().addHandler(handler)
with Reporter() as reporter:
    reporter.say("said")
    reporter.warn("warned")
"""
    assert in_a_process(code) == "said\nwarned\n"


def test_a_file_of_the_users_own_takes_nothing_from_the_screen(tmp_path: Path) -> None:
    code = f"""
logging.basicConfig(filename={str(tmp_path / "run.log")!r}, level="INFO", format="%(message)s")
Reporter().say("said")
Reporter(enabled=False).say("in the file only")
"""
    assert in_a_process(code) == "said\n"
    assert (tmp_path / "run.log").read_text(encoding="utf-8") == "said\nin the file only\n"


# ---- bars


BARS = """
import time
with Reporter() as reporter, reporter.rows(3000, "outer") as outer:
    for number in range(3):
        with reporter.bars_only().rows(None, "inner") as inner:
            for step in range(3):
                time.sleep(0.11)
                inner.update(1)
                if step == 1:
                    reporter.say(f"line {number}")
        outer.update(1000)
print("done")
"""


def test_bars_move_below_the_lines_of_a_terminal_and_vanish() -> None:
    written = in_a_process(BARS, terminal=True)
    assert "outer" in written
    assert "inner" in written
    assert "k/3.00k rows" in written
    assert screen(written) == ["line 0", "line 1", "line 2", "done"]


def test_lines_of_the_users_handler_stand_above_the_bar() -> None:
    written = in_a_process("logging.basicConfig(format='mine: %(message)s')\n" + BARS, terminal=True)
    assert "outer" in written
    assert screen(written) == ["mine: line 0", "mine: line 1", "mine: line 2", "done"]


def test_a_file_or_pipe_gets_lines_and_nothing_else() -> None:
    assert in_a_process(BARS) == "line 0\nline 1\nline 2\ndone\n"


def test_an_error_takes_the_bar_away() -> None:
    stream = Terminal()
    with pytest.raises(KeyboardInterrupt), Reporter(stream).rows(10, "rows"):
        raise KeyboardInterrupt
    assert screen(stream.getvalue()) == []
    assert "\x1b[?25h" in stream.getvalue()  # the cursor is back


def test_a_bar_tells_rows_speed_and_time_left() -> None:
    stream = Terminal()
    with Reporter(stream).rows(1000, "epoch [1]", done=100) as progress:
        time.sleep(0.11)
        progress.update(400)
    last = stream.getvalue().replace("\x1b[2K", "")
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", last).strip("\r").split("\r")[-1]
    found = re.fullmatch(r"epoch \[1\] \S+ 500/1\.00k rows, ([\d.]+)k rows/s, 0:00 left", last.strip())
    assert found, last
    assert 1 < float(found[1]) < 4  # 400 rows, not 500, in at least 0.11 s


def test_no_bar_where_no_one_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    with Reporter(stream).rows(1000, "epoch 1") as progress:
        progress.update(400)
    assert stream.getvalue() == ""
    monkeypatch.setenv("TERM", "dumb")
    assert not Reporter(Terminal()).shows_bars


class Cell(io.StringIO):
    """A stream as ipykernel gives it to a notebook's cell."""


Cell.__module__ = "ipykernel.iostream"


def kernel_of(request: dict[str, object]) -> SimpleNamespace:
    """The module IPython, in a kernel that handles a request."""
    kernel = SimpleNamespace(get_parent=lambda channel: {"shell": request}[channel])
    return SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=kernel))


def test_a_notebook_that_is_watched_shows_the_newest_bar_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", kernel_of({"content": {"allow_stdin": True}}))
    stream = Cell()
    with Reporter(stream).rows(1000, "epoch 1") as outer, Reporter(stream).rows(10, "validation") as inner:
        outer.update(1)
        inner.update(1)
        Reporter(stream).say("a line")
    assert "epoch 1" in stream.getvalue()
    assert "validation" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
    assert screen(stream.getvalue()) == ["a line"]


@pytest.mark.parametrize(
    "module",
    [
        kernel_of({"content": {"allow_stdin": False}}),  # nbconvert
        kernel_of({}),
        SimpleNamespace(get_ipython=lambda: None),
        None,
    ],
)
def test_a_notebook_that_nobody_watches_keeps_lines_only(
    module: SimpleNamespace | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", module)
    stream = Cell()
    for epoch in range(3):
        with Reporter(stream) as reporter, reporter.rows(10, f"epoch {epoch}") as progress:
            progress.update(10)
            reporter.say(f"{epoch} 0.7")
    assert stream.getvalue() == "0 0.7\n1 0.7\n2 0.7\n"


def test_a_command_that_a_cell_starts_shows_lines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    stream = Terminal()
    with Reporter(stream) as reporter, reporter.rows(10, "epoch 1") as progress:
        progress.update(10)
        reporter.say("1 0.7")
    assert stream.getvalue() == "1 0.7\n"


def test_a_hundred_thousand_updates_cost_next_to_nothing() -> None:
    with Reporter(Terminal()).rows(100_000, "rows") as progress:
        began = time.perf_counter()
        for _ in range(100_000):
            progress.update(1)
        assert time.perf_counter() - began < 3.0  # ten times what it takes on a busy machine


def test_two_threads_share_a_terminal() -> None:
    stream = Terminal()

    def work(name: str) -> None:
        with Reporter(stream) as reporter, reporter.rows(100, name) as progress:
            for number in range(20):
                progress.update(5)
                reporter.say(f"{name} {number}")

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(screen(stream.getvalue())) == sorted(f"{name} {number}" for name in "ab" for number in range(20))
