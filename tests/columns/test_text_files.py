"""Text files: headers of every kind, cells that cross the borders of segments, and rows that are too long."""

from __future__ import annotations

import bz2
import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldwise.columns import text_files
from fieldwise.columns.tables import iter_tables, read_table
from fieldwise.errors import DataError


def read(path: Path, content: bytes, **options: object) -> dict[str, list[str]]:
    path.write_bytes(content)
    whole: dict[str, list[str]] = read_table(path, **options).to_pydict()  # type: ignore[arg-type]
    return whole


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\n\n a,b\n1,2\n", {" a": ["1"], "b": ["2"]}),
        (b"\xef\xbb\xbf\r\na,b\r\n1,2", {"a": ["1"], "b": ["2"]}),
        (b"a,b\r1,2\r3,4\r", {"a": ["1", "3"], "b": ["2", "4"]}),
        (b"a,b\n1,2\n\n\n3,4\n\n\n", {"a": ["1", "3"], "b": ["2", "4"]}),
        (b"a\n1\n\n2\n", {"a": ["1", "2"]}),
        (b'"a\nb",c\n1,2\n', {"a\nb": ["1"], "c": ["2"]}),
        ("a\u2028x,b\n1,2\n".encode(), {"a\u2028x": ["1"], "b": ["2"]}),
        (b'a,b\n"he said ""x""",\n', {"a": ['he said "x"'], "b": [""]}),
        (b"a,b\nNA,null\n", {"a": ["NA"], "b": ["null"]}),
        (b"BZ,b\n1,2\n", {"BZ": ["1"], "b": ["2"]}),
        (b"ARROW1,b\n1,2\n", {"ARROW1": ["1"], "b": ["2"]}),
        (bz2.compress(b"a\n1\n"), {"a": ["1"]}),
    ],
)
def test_headers_and_lines_of_every_kind(tmp_path: Path, content: bytes, expected: dict[str, list[str]]) -> None:
    assert read(tmp_path / "a.csv", content) == expected


def test_names_keep_the_first_line_behind_empty_ones_and_a_byte_order_mark(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", b"\xef\xbb\xbf\n1,2\n3,4\n", names=["a", "b"]) == {"a": ["1", "3"], "b": ["2", "4"]}


def test_a_very_wide_header(tmp_path: Path) -> None:
    names = [f"column_number_{i}" for i in range(20_000)]
    content = ",".join(names) + "\n" + ",".join(map(str, range(20_000))) + "\n"
    table = read(tmp_path / "a.csv", content.encode())
    assert list(table) == names
    assert table[names[-1]] == ["19999"]


def test_a_cell_larger_than_a_segment(tmp_path: Path) -> None:
    long = "x\n" * (1 << 22)
    table = read(tmp_path / "a.csv", f'a,b\n1,2\n"{long}",3\n4,5\n'.encode())
    assert table == {"a": ["1", long, "4"], "b": ["2", "3", "5"]}


cells = st.text(alphabet=st.sampled_from(list('ab",\n\r é')), max_size=30)


@given(st.lists(st.tuples(cells, cells), max_size=40), st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_no_cell_is_lost_or_doubled_at_the_borders_of_segments(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], size: int
) -> None:
    path = tmp_path_factory.mktemp("borders") / "a.csv"
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([("first", "second"), *rows])
    path.write_bytes(text.getvalue().encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "SEGMENT_BYTES", size)
        whole = read_table(path)
        pieces = [row for piece in iter_tables(path, chunk_rows=3) for row in piece.to_pylist()]
    assert pieces == whole.to_pylist() == [{"first": a, "second": b} for a, b in rows]


@pytest.mark.parametrize("size", range(1, 40))
def test_a_line_end_across_segments_stays_whole(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "SEGMENT_BYTES", size)
    table = read(tmp_path / "a.csv", b'a,b\r\n1,2\r\n"3\r\n4","\r\n"\r\n\r\n5,"6\r"\r\n')
    assert table == {"a": ["1", "3\r\n4", "5"], "b": ["2", "\r\n", "6\r"]}
    assert read(tmp_path / "b.csv", b"a,b\r1,2\r3,4") == {"a": ["1", "3"], "b": ["2", "4"]}


@pytest.mark.parametrize("size", range(1, 30))
def test_quotes_open_a_cell_only_at_its_beginning(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "SEGMENT_BYTES", size)
    table = read(tmp_path / "a.csv", b'a;b\n5" pipe;1\n2;3"\n"x"y;"z\n"\n"""";\n')
    assert table == {"a": ['5" pipe', "2", "xy", '"'], "b": ["1", '3"', "z\n", ""]}


@pytest.mark.parametrize("content", [b'a,b\n1,"2\n3,4\n', b'a,b\n1,"2', b'a\n"1""\n', b'a,b\n1,"x\n""\n'])
def test_a_quote_that_is_left_open_swallows_nothing(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"a\.csv: (a quote that opens in line 2 is not closed|CSV parse error)"):
        read(tmp_path / "a.csv", content)


def test_a_row_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "SEGMENT_BYTES", 1 << 10)
    monkeypatch.setattr(text_files, "LONGEST_ROW", 1 << 20)
    path = tmp_path / "a.csv"
    assert len(read(path, b"a,b\n1,2\n" + b"x" * (1 << 19) + b",2\n3,4\n")["a"]) == 3
    path.write_bytes(b"a,b\n1,2\n" + b"x" * (1 << 21) + b",2\n3,4\n")
    with pytest.raises(DataError, match=r"a\.csv: a row is longer than 1 MB; is a quote not closed\?"):
        read_table(path)


@pytest.mark.parametrize("size", [1, 6, 1 << 20])
def test_a_byte_order_mark_within_the_file_is_part_of_its_cell(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "SEGMENT_BYTES", size)
    table = read(tmp_path / "a.csv", "\ufeffa,b\n1,2\n\ufeff3,4\n".encode())
    assert table == {"a": ["1", "\ufeff3"], "b": ["2", "4"]}


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,b", "1,2", "3"], "line 3 has 1 columns where 2 were expected"),
        (["a,b", '"1', '",2', "3,4,5"], "line 4 has 3 columns where 2 were expected"),
        (["a,b", "1,2", '3,"4'], "a quote that opens in line 3 is not closed"),
    ],
)
def test_a_bad_line_has_its_number_whatever_the_line_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, end: str, lines: list[str], message: str
) -> None:
    monkeypatch.setattr(text_files, "SEGMENT_BYTES", size)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "a.csv", end.join([*lines, ""]).encode())
