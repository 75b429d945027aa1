"""Reading sources: every form gives the same table, and what cannot be read is named."""

from __future__ import annotations

import errno
import gzip
import io
import os
import threading
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from fieldwise.columns import files, tables
from fieldwise.columns.access import get_column
from fieldwise.columns.tables import iter_tables, read_table
from fieldwise.errors import DataError

TABLE = pa.table({"user": ["007", "8", ""], "n": ["1", "16777217", "-3"]})
CSV = b"user,n\n007,1\n8,16777217\n,-3\n"


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_text_stays_text(tmp_path: Path) -> None:
    assert read_table(write(tmp_path / "a.csv", CSV)).equals(TABLE)


@pytest.mark.parametrize("separator", [b"\t", b";"])
def test_other_separators_are_found(tmp_path: Path, separator: bytes) -> None:
    assert read_table(write(tmp_path / "a.txt", CSV.replace(b",", separator))).equals(TABLE)


def test_a_quoted_header_does_not_mislead(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b'"a;;;b",c\n"x\ny",2\n')
    assert read_table(path).to_pydict() == {"a;;;b": ["x\ny"], "c": ["2"]}


def test_names_replace_a_missing_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", b"1\tx\n2\ty\n")
    assert read_table(path, names=["n", "t"]).to_pydict() == {"n": ["1", "2"], "t": ["x", "y"]}


def test_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"\xef\xbb\xbf" + CSV.replace(b"\n", b"\r\n"))
    assert read_table(path).equals(TABLE)


def test_compressed_files(tmp_path: Path) -> None:
    assert read_table(write(tmp_path / "a.csv.gz", gzip.compress(CSV))).equals(TABLE)


def test_parquet_and_arrow_by_content_not_by_name(tmp_path: Path) -> None:
    pa.parquet.write_table(TABLE, tmp_path / "a.bin")
    pa.feather.write_feather(TABLE, str(tmp_path / "b.bin"), compression="uncompressed")
    assert read_table(tmp_path / "a.bin").equals(TABLE)
    assert read_table(str(tmp_path / "b.bin")).equals(TABLE)


def test_data_frames_and_python_values() -> None:
    columns = TABLE.to_pydict()
    for source in (TABLE, columns, TABLE.to_pylist(), pl.DataFrame(columns), pd.DataFrame(columns)):
        assert read_table(source).to_pydict() == columns
    assert read_table({name: TABLE[name] for name in TABLE.column_names}).to_pydict() == columns
    indexed = pd.DataFrame(columns).set_index(pd.Index([5, 6, 9]))
    assert read_table(indexed).column_names == ["user", "n"]


def test_several_files_in_their_order(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.csv", CSV), write(tmp_path / "b.csv", CSV)
    assert read_table([first, second]).num_rows == 6
    other = write(tmp_path / "c.csv", b"user,m\n1,2\n")
    table = read_table([first, other])
    assert table["user"].to_pylist() == [*TABLE["user"].to_pylist(), "1"]
    for name, message in (("n", r"c\.csv lacks column 'n' of .*a\.csv"), ("m", r"a\.csv lacks column 'm' of .*c\.csv")):
        with pytest.raises(DataError, match=message):
            get_column(table, name)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(CSV)

    monkeypatch.setattr("sys.stdin", Stdin)
    assert read_table("-").equals(TABLE)


def test_pieces_add_up_to_the_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"n\n" + b"".join(b"%d\n" % i for i in range(1000)))
    pieces = list(iter_tables(path, chunk_rows=300))
    assert [piece.num_rows for piece in pieces] == [300, 300, 300, 100]
    assert pa.concat_tables(pieces).equals(read_table(path))
    pa.parquet.write_table(read_table(path), tmp_path / "a.parquet")
    assert pa.concat_tables(iter_tables([tmp_path / "a.parquet", path], chunk_rows=300)).num_rows == 2000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (b"a,b\n1,2\n1,2,3\n", "line 3 has 3 columns where 2 were expected"),
        (b"a,b\n1,\xff\xfe\n", "line 2 is not UTF-8 text; convert the file first"),
        (b"caf\xe9,b\n1,2\n", "the first line is not UTF-8 text"),
        ("a,b\n1,2\n".encode("utf-16"), "it is UTF-16 text; convert the file first"),
        (b"a,b\n" + b"1,2\n" * 50_000 + b"1,\x00\n", "it holds zero bytes"),
        (b'a,b\n1,"2\n3,4\n', "a quote that opens in line 2 is not closed"),
        (b'a,"b\n1,2\n3,4\n', "a quote that opens in the first line is not closed"),
        (b'a,"b' + b"x" * 200_000, "is a quote not closed?"),
        (b"\x00\x01\x02binary", "neither text nor Parquet nor Arrow"),
        (b"PAR1 but nothing more", "Parquet"),
        (b"\x1f\x8bnot really gzip", ""),
    ],
)
def test_bad_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path / "bad.csv", content)
    for read in (read_table, lambda source: list(iter_tables(source))):
        with pytest.raises(DataError) as error:
            read(path)
        assert str(error.value).startswith(f"{path}: ")
        assert message in str(error.value)


def test_what_is_not_there_or_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match="there is no data file in this directory"):
        read_table(tmp_path)
    with pytest.raises(DataError, match=r"a\.csv/b: Not a directory$"):
        read_table(write(tmp_path / "a.csv", CSV) / "b")
    with pytest.raises(DataError, match="no source was given"):
        read_table([])
    with pytest.raises(DataError, match="cannot read rows from a int"):
        read_table(3)
    with pytest.raises(DataError, match="cannot be read as a table"):
        read_table({"a": [1, 2], "b": [1]})
    with pytest.raises(DataError, match="3 names are given, but the first line has 2 columns"):
        read_table(write(tmp_path / "a.csv", CSV), names=["a", "b", "c"])


@pytest.mark.parametrize("content", [b"user,n\n", b"user,n", b"\n\nuser,n\n\n\n"])
def test_a_header_alone_is_a_table_without_rows(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "a.csv", content)
    assert read_table(path).schema == TABLE.schema
    assert [piece.schema for piece in iter_tables(path)] == [TABLE.schema]


def test_a_parquet_file_without_rows_is_one_piece(tmp_path: Path) -> None:
    pa.parquet.write_table(TABLE.slice(0, 0), tmp_path / "a.parquet")
    assert [piece.schema for piece in iter_tables(tmp_path / "a.parquet")] == [TABLE.schema]


def test_pieces_of_several_files_have_the_columns_of_the_first(tmp_path: Path) -> None:
    first, other = write(tmp_path / "a.csv", CSV), write(tmp_path / "b.csv", b"m,user\n1,2\n")
    *_, last = iter_tables([first, other])
    assert last.column_names == ["user", "n"]
    assert last["user"].to_pylist() == ["2"]
    with pytest.raises(DataError, match=r"b\.csv lacks column 'n' of .*a\.csv"):
        get_column(last, "n")


@pytest.mark.parametrize(
    ("content", "column", "message"),
    [
        (
            b"a,a,b\n1,2,3\n",
            "a",
            'two columns are called \'a\'; rename one, or give all names: names=["A", "B", "..."]',
        ),
        (b"b,\n3,2\n", "", "the column after 'b' has no name; the first line must hold the column names"),
        (b"b, \n3,2\n", " ", "the column after 'b' has no name"),
    ],
)
def test_columns_without_a_name_of_their_own_are_in_nobodys_way(
    tmp_path: Path, content: bytes, column: str, message: str
) -> None:
    path = write(tmp_path / "a.csv", content)
    for table in (read_table(path), *iter_tables(path)):
        assert get_column(table, "b").to_pylist() == ["3"]
        with pytest.raises(DataError) as error:
            get_column(table, column)
        assert str(error.value).startswith(f"{path}: {message}")


def test_columns_of_one_name_in_parquet(tmp_path: Path) -> None:
    columns = [pa.array([1, 2]), pa.array([3, 4]), pa.array(["u", "v"])]
    pa.parquet.write_table(pa.Table.from_arrays(columns, names=["a", "a", "b"]), tmp_path / "a.parquet")
    for table in (read_table(tmp_path / "a.parquet"), *iter_tables(tmp_path / "a.parquet")):
        assert get_column(table, "b").to_pylist() == ["u", "v"]
        with pytest.raises(DataError, match=r"a\.parquet: two columns are called 'a'"):
            get_column(table, "a")


def test_files_whose_types_do_not_fit_are_named(tmp_path: Path) -> None:
    pa.parquet.write_table(pa.table({"user": ["a"], "n": [1]}), tmp_path / "a.parquet")
    table = read_table([tmp_path / "a.parquet", write(tmp_path / "b.csv", CSV)])
    assert get_column(table, "user").to_pylist() == ["a", *TABLE["user"].to_pylist()]
    with pytest.raises(DataError, match="column 'n' is of types that cannot be read together: int64 and string"):
        get_column(table, "n")


def test_a_pipe_is_taken_in_whole(tmp_path: Path) -> None:
    pa.parquet.write_table(TABLE, tmp_path / "a.parquet")
    for content in (CSV, gzip.compress(CSV), (tmp_path / "a.parquet").read_bytes()):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(content,))
        writer.start()
        assert read_table(pipe).equals(TABLE)
        writer.join()
        pipe.unlink()


def test_a_file_that_is_exchanged_while_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    for target in (path, other):
        pa.parquet.write_table(TABLE, target)
    opened = pa.OSFile

    def exchange_and_open(name: bytes) -> pa.NativeFile:
        other.replace(path)
        return opened(name)

    monkeypatch.setattr(pa, "OSFile", exchange_and_open)
    with pytest.raises(DataError, match=r"a\.parquet: it changed while it was being read"):
        read_table(path)


def test_standard_input_can_be_read_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(CSV)

    monkeypatch.setattr("sys.stdin", Stdin)
    with pytest.raises(DataError, match=r"standard input: it is empty \(it can be read only once\)"):
        read_table(["-", "-"])


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a.arrow"])
def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, table = tmp_path / name, pa.table({"n": [str(i) for i in range(100)]})
    text = b"n\n" + b"".join(b"%d\n" % i for i in range(100))
    if name == "a.parquet":
        pa.parquet.write_table(table, path)
    elif name == "a.arrow":
        pa.feather.write_feather(table, str(path), compression="uncompressed")
    else:
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    whole = path.read_bytes()
    pieces = iter_tables(path, chunk_rows=30)
    assert next(pieces).num_rows == 30
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(DataError, match=rf"{name}: it changed while it was being read"):
        list(pieces)

    # A reader that takes the file in whole: it changes once the file is open and its form is known.
    path.write_bytes(whole)
    form_of = files.form_of

    def changing(file: io.BufferedReader) -> str:
        form = form_of(file)
        path.write_bytes(whole[: len(whole) // 2])
        return form

    monkeypatch.setattr(tables, "form_of", changing)
    with pytest.raises(DataError, match=rf"{name}: it changed while it was being read"):
        read_table(path)


def test_a_disk_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(file: io.BufferedReader) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path = write(tmp_path / "a.csv", CSV)
    monkeypatch.setattr(tables, "form_of", failing)
    with pytest.raises(DataError, match=r"a\.csv: Input/output error$"):
        read_table(path)


def test_a_reader_may_stop_early_whatever_happens_to_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", CSV)
    pieces = iter_tables(path, chunk_rows=1)
    next(pieces)
    path.write_bytes(CSV * 2)
    pieces.close()  # type: ignore[attr-defined]


def test_lists_of_mixed_types_are_lists_of_tokens() -> None:
    table = read_table([{"tags": ["1", 2]}, {"tags": None}, {"tags": (True, None, 2.0)}, {"tags": {7}}])
    assert table.to_pydict() == {"tags": [["1", "2"], None, ["true", None, "2"], ["7"]]}
    with pytest.raises(DataError, match="column 'tags': expected one text, number, boolean or date, got list"):
        read_table([{"tags": ["1", [2]]}])
    with pytest.raises(DataError, match="column 'tags': row 1 holds a list and others do not; give a list, or None"):
        read_table([{"tags": ["1", 2]}, {"tags": 3}])
