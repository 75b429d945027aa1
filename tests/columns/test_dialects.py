r"""The layout of text files: separators, `sep=` lines, separators at the end, indices of data frames, `\"`."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from fieldwise.columns import text_files
from fieldwise.columns.access import get_column
from fieldwise.columns.dialects import separator_of
from fieldwise.columns.tables import iter_tables, read_table
from fieldwise.errors import DataError, SettingsError

ROWS = [["user", "city", "price"], ["1", "Old Town", "2.5"], ["2", "Bonn", ""], ["3", "York", "7"]]
COLUMNS = {name: [row[i] for row in ROWS[1:]] for i, name in enumerate(ROWS[0])}


def read(path: Path, content: bytes, **options: object) -> dict[str, list[str]]:
    path.write_bytes(content)
    whole: dict[str, list[str]] = read_table(path, **options).to_pydict()  # type: ignore[arg-type]
    return whole


def joined(separator: str, end: str = "\n") -> bytes:
    return "".join(separator.join(row) + end for row in ROWS).encode()


@pytest.mark.parametrize("separator", [",", "\t", ";", "|", "\x01", "::"])
def test_separators_are_found(tmp_path: Path, separator: str) -> None:
    content = joined(separator)
    assert read(tmp_path / "a.txt", content) == COLUMNS
    assert read(tmp_path / "a.txt", content[: content.index(b"\n")]) == {key: [] for key in COLUMNS}
    without = content[content.index(b"\n") + 1 :]
    assert read(tmp_path / "a.txt", without, names=ROWS[0]) == COLUMNS


def test_a_blank_separates_where_all_lines_agree(tmp_path: Path) -> None:
    assert read(tmp_path / "a.txt", b'user city\n1 Bonn\n2 "Old Town"\n3 \n') == {
        "user": ["1", "2", "3"],
        "city": ["Bonn", "Old Town", ""],
    }


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        (
            b"search query\nred shoes\nshoes\nvery red shoes\n",
            {"search query": ["red shoes", "shoes", "very red shoes"]},
        ),
        (b"search query\n", {"search query": []}),
        (b"tags\na|b\nc|d\n", {"tags": ["a|b", "c|d"]}),
        (b"tags\na b\nc d\n", {"tags": ["a b", "c d"]}),
        (b"a|b\nx\ny\n", {"a|b": ["x", "y"]}),
        (b"time\n10::20\n", {"time": ["10::20"]}),
    ],
)
def test_a_file_of_one_column_stays_one(tmp_path: Path, content: bytes, columns: dict[str, list[str]]) -> None:
    assert read(tmp_path / "a.txt", content) == columns


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        (b"label\ttext, raw\n1\tab\n0\tcd\n", ["label", "text, raw"]),
        (b"label,text\traw\n1,ab\n0,cd\n", ["label", "text\traw"]),
        (b"label\ttext, raw\n1\ta, b\n0\tc, d\n", ["label", "text, raw"]),
        (b"a,b|c\n1,x|y\n2,z|w\n", ["a", "b|c"]),
        (b"a|name, first|b\n1|x|2\n2|y|3\n", ["a", "name, first", "b"]),
        (b"price (a;b),x\n1,2\n3,4\n", ["price (a;b)", "x"]),
    ],
)
def test_of_several_separators_the_following_lines_decide(tmp_path: Path, content: bytes, columns: list[str]) -> None:
    assert list(read(tmp_path / "a.txt", content)) == columns


def test_the_number_of_names_helps(tmp_path: Path) -> None:
    content = b"1::Toy Story, The::A|B\n"
    assert read(tmp_path / "a", content, names=["id", "title", "genres"])["title"] == ["Toy Story, The"]


@pytest.mark.parametrize("line", [b"sep=;\r\n", b"SEP=;\n", b'"sep=;"\n', b"\xef\xbb\xbfsep=;\n\n"])
def test_a_line_that_names_the_separator(tmp_path: Path, line: bytes) -> None:
    assert read(tmp_path / "a.csv", line + b"a,b;c\n1,2;3\n") == {"a,b": ["1,2"], "c": ["3"]}
    assert read(tmp_path / "a.csv", line + b"1,2;3\n", names=["a", "b"]) == {"a": ["1,2"], "b": ["3"]}
    with pytest.raises(DataError, match=r"line [34] has 1 columns where 2 were expected"):
        read(tmp_path / "a.csv", line + b"a;b\n1\n")


@pytest.mark.parametrize("separator", [",", "|", "::", "\x01"])
def test_a_separator_at_the_end_of_all_lines_is_no_column(tmp_path: Path, separator: str) -> None:
    content = joined(separator, end=f"{separator}\n")
    assert read(tmp_path / "a.csv", content) == COLUMNS
    header = separator.join(ROWS[0]).encode() + b"\n"
    below = content[content.index(b"\n") + 1 :]
    assert read(tmp_path / "a.csv", header + below) == COLUMNS
    assert read(tmp_path / "a.csv", below, names=ROWS[0]) == COLUMNS


def test_what_stands_behind_the_last_separator_is_never_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "_SNIFF_BYTES", 16)
    monkeypatch.setattr(text_files, "SEGMENT_BYTES", 16)
    content = b"a,b,\n" + b"1,2,\n" * 50
    assert len(read(tmp_path / "a.csv", content)["a"]) == 50
    with pytest.raises(DataError, match="the column after 'b' has no name"):
        read(tmp_path / "a.csv", content + b"1,2,3\n")
    assert read(tmp_path / "a.csv", b"a,b\n1,\n2,\n") == {"a": ["1", "2"], "b": ["", ""]}


@pytest.mark.parametrize("index", [["0", "1", "2"], ["17", "3", "999"]])
def test_the_index_of_a_data_frame_is_left_out(tmp_path: Path, index: list[str]) -> None:
    lines = [",".join(cells) for cells in zip(["", *index], *([n, *v] for n, v in COLUMNS.items()), strict=True)]
    notes: list[str] = []
    assert read(tmp_path / "a.csv", "\n".join(lines).encode(), notes=notes) == COLUMNS
    assert notes == ["the first column has no name and numbers the rows, as a data frame's index does: it is left out"]
    assert read(tmp_path / "a.csv", lines[0].encode()) == {key: [] for key in COLUMNS}


@pytest.mark.parametrize("values", [["ann", "bob"], ["1", "1"], ["1.5", "2"], ["", "1"]])
def test_a_first_column_without_a_name_that_is_no_index(tmp_path: Path, values: list[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_text("".join(f"{cell},2\n" for cell in ["", *values]))
    with pytest.raises(DataError, match=r"a\.csv: the first column has no name"):
        get_column(read_table(path), "")


@pytest.mark.parametrize("last", ["ann,2\n", "60,2\n60,2\n"])
def test_what_begins_like_an_index_and_is_none_is_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    monkeypatch.setattr(text_files, "_SNIFF_BYTES", 16)
    monkeypatch.setattr(text_files, "SEGMENT_BYTES", 16)
    content = ",x\n" + "".join(f"{i},2\n" for i in range(50))
    assert read(tmp_path / "a.csv", content.encode()) == {"x": ["2"] * 50}
    with pytest.raises(DataError, match="the first column has no name"):
        read(tmp_path / "a.csv", (content + last).encode())


@pytest.mark.parametrize(
    ("given", "separator"), [("tab", "\t"), ("Pipe", "|"), ("^A", "\x01"), (r"\t", "\t"), ("~", "~"), ("||", "||")]
)
def test_separators_that_are_given(tmp_path: Path, given: str, separator: str) -> None:
    assert read(tmp_path / "a.txt", joined(separator), separator=given) == COLUMNS
    assert separator_of(given) == separator


@pytest.mark.parametrize("given", ["", '"', "\n", "a\0"])
def test_separators_that_are_none(tmp_path: Path, given: str) -> None:
    with pytest.raises(SettingsError, match="expected a character, several, or one of tab, comma"):
        read(tmp_path / "a.txt", joined(","), separator=given)


def test_a_given_separator_wins(tmp_path: Path) -> None:
    assert read(tmp_path / "a.txt", b"sep=;\na,b;c\n1,2;3\n", separator=",") == {"a": ["1"], "b;c": ["2;3"]}
    assert read(tmp_path / "a.txt", b"red shoes\nblue hat\n", separator=",") == {"red shoes": ["blue hat"]}


def test_a_line_that_fits_a_found_separator_no_longer_says_how_to_name_it(tmp_path: Path) -> None:
    content = b"a|b\n" + b"1|2\n" * 30 + b"3\n"
    with pytest.raises(
        DataError, match=r"line 32 has 1 columns where 2 .*separated by '\|'; if not, give separator=.CHAR"
    ):
        read(tmp_path / "a.txt", content)


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (r'"desk\"top"', 'desk"top'),
        (r'"12\""', '12"'),
        (r'"say \"hi, you\", ok"', 'say "hi, you", ok'),
        (r'"{\"a\": 1}"', '{"a": 1}'),
        (r'"C:\new \"x\""', r'C:\new "x"'),
    ],
)
def test_quotes_behind_a_backslash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, cell: str, text: str
) -> None:
    monkeypatch.setattr(text_files, "SEGMENT_BYTES", size)
    monkeypatch.setattr(text_files, "_SNIFF_BYTES", size)
    content = f'a,b\n1,x\n{cell},y\n5" pipe,z\n'.encode()
    assert read(tmp_path / "a.csv", content) == {"a": ["1", text, '5" pipe'], "b": ["x", "y", "z"]}
    with pytest.raises(DataError, match="line 5 has 1 columns where 2 were expected"):
        read(tmp_path / "a.csv", content + b"1\n")


@pytest.mark.parametrize("text", ["C:\\", 'say \\"hi\\"', '\\"', 'a\\"b', "\\"])
def test_a_backslash_before_a_doubled_or_closing_quote_is_one(tmp_path: Path, text: str) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["a", "b"], [text, "1"], ["x", text]])
    assert read(tmp_path / "a.csv", file.getvalue().encode()) == {"a": [text, "x"], "b": ["1", text]}


def test_pieces_have_the_columns_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "SEGMENT_BYTES", 8)
    (tmp_path / "a.csv").write_bytes(b",a,b,\n" + b"".join(b"%d,1,2,\n" % i for i in range(100)))
    notes: list[str] = []
    pieces = list(iter_tables(tmp_path / "a.csv", notes=notes))
    assert {tuple(piece.column_names) for piece in pieces} == {("a", "b")}
    assert sum(piece.num_rows for piece in pieces) == 100
    assert len(notes) == 1
