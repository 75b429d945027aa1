from __future__ import annotations

import errno
import hashlib
import os
import random
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from fieldwise.datasets import movielens
from fieldwise.errors import DataError
from fieldwise.schema import Categorical, MultiValued, Numeric

USERS = "1::F::1::10::48067\n2::M::56::16::70072-12\n3::M::25::15::00501\n"
MOVIES = (
    "1::Toy Story (1995)::Animation|Children's|Comedy\n"
    '2::Légende, La: "1929" (1929)::Drama\n'
    "5::Heat (1969)::Action\n"
    "9::Alien (1970)::Horror|Sci-Fi\n"
)
# user, movie, rating, timestamp
RATINGS = [
    (1, 1, 5, 978300760),
    (1, 2, 3, 978302109),
    (2, 5, 4, 978301968),
    (2, 9, 2, 978300275),
    (3, 2, 1, 978824291),
]


def write(folder: Path, *, timestamps: bool = True) -> Path:
    folder.mkdir(parents=True)
    (folder / "users.dat").write_text(USERS, encoding="iso-8859-1")
    (folder / "movies.dat").write_text(MOVIES, encoding="iso-8859-1")
    lines = ["::".join(map(str, row if timestamps else row[:3])) for row in RATINGS]
    (folder / "ratings.dat").write_text("\n".join(lines) + "\n", encoding="iso-8859-1")
    return folder


@pytest.fixture(autouse=True)
def _no_data_directory(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "data" not in request.keywords:
        monkeypatch.delenv("FIELDWISE_DATA", raising=False)


def test_the_seven_fields_of_the_paper(tmp_path: Path) -> None:
    data = movielens.load(write(tmp_path / "ml"))
    assert data.name == "movielens-1m"
    assert data.notes == ()
    assert data.table.to_pydict() == {
        "gender": ["F", "M", "M", "M"],
        "age": [1, 56, 56, 25],
        "occupation": [10, 16, 16, 15],
        "zip": ["48067", "70072-12", "70072-12", "00501"],
        "release": ["1995", "1960s", "1970", "1919-1929"],
        "timestamp": [978300760, 978301968, 978300275, 978824291],
        "genre": ["Animation|Children's|Comedy", "Action", "Horror|Sci-Fi", "Drama"],
        "liked": [1, 1, 0, 0],
    }
    assert list(data.schema.fields) == ["gender", "age", "occupation", "zip", "release", "timestamp", "genre"]
    assert data.schema.fields["zip"] == Categorical(min_count=1)
    assert data.schema.fields["timestamp"] == Numeric(transform="minmax")
    assert data.schema.fields["genre"] == MultiValued(separator="|", min_count=1)
    assert (data.schema.label, data.schema.group) == ("liked", None)


def test_without_timestamps_the_field_is_left_out_and_noted(tmp_path: Path) -> None:
    data = movielens.load(write(tmp_path / "ml", timestamps=False))
    assert list(data.schema.fields) == ["gender", "age", "occupation", "zip", "release", "genre"]
    assert "timestamp" not in data.table.column_names
    assert ["fourth column" in note for note in data.notes] == [True]


def test_ids_come_in_front_and_users_group(tmp_path: Path) -> None:
    data = movielens.load(write(tmp_path / "ml"), user_id=True, movie_id=True)
    assert data.name == "movielens-1m-ids"
    assert list(data.schema.fields)[:3] == ["user_id", "movie_id", "gender"]
    assert data.table["user_id"].to_pylist() == [1, 2, 2, 3]
    assert data.table["movie_id"].to_pylist() == [1, 5, 9, 2]
    assert data.schema.group == "user_id"
    assert "not comparable" in data.notes[0]
    only_movie = movielens.load(tmp_path / "ml", movie_id=True)
    assert "user_id" not in only_movie.table.column_names
    assert only_movie.schema.group is None


@pytest.mark.parametrize("folder", ["movielens-1m", "ml-1m"])
def test_found_through_the_environment_or_the_folder_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    write(tmp_path / folder)
    assert movielens.load(tmp_path).table.num_rows == 4
    monkeypatch.setenv("FIELDWISE_DATA", str(tmp_path))
    assert movielens.load().table.num_rows == 4


def test_split_is_python_s_shuffle_seeded_with_2019() -> None:
    state = random.getstate()
    random.seed(2019)
    rows = list(range(57))
    random.shuffle(rows)
    random.setstate(state)
    split = movielens._authors_split(57)
    assert random.getstate() == state
    assert split.train.tolist() == sorted(rows[:45])
    assert split.valid.tolist() == sorted(rows[45:51])
    assert split.test.tolist() == sorted(rows[51:])
    assert split.train.dtype == np.int64


def test_missing_data_says_where_it_looked_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"FIELDWISE_DATA, .* is not set\. .*load_dataset\(.*grouplens\.org"):
        movielens.load()
    write(tmp_path / "ml-1m")
    (tmp_path / "ml-1m" / "users.dat").unlink()
    with pytest.raises(DataError, match=r"of MovieLens-1M users\.dat cannot be found in .*ml-1m; fetch them") as caught:
        movielens.load(tmp_path)
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(DataError, match="no folder to download to"):
        movielens.load(download=True)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("ratings.dat", "1::7::5::1\n", "names movie 7, which .*movies.dat does not hold"),
        ("ratings.dat", "8::1::5::1\n", "names user 8, which .*users.dat does not hold"),
        ("ratings.dat", "1,1,5,1\n", r"ratings.dat, line 1: got 1 values .* user_id::movie_id::rating"),
        ("ratings.dat", "1::1::5::1\n1::1\n", "ratings.dat is not the published file .*got 2"),
        ("ratings.dat", "1::1::five::1\n", "ratings.dat is not the published file .*five"),
        ("movies.dat", MOVIES + "7::Toy Story::Comedy\n", "no year at the end of the title 'Toy Story'"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, file: str, text: str, message: str) -> None:
    folder = write(tmp_path / "ml")
    (folder / file).write_text(text, encoding="iso-8859-1")
    with pytest.raises(DataError, match=message):
        movielens.load(folder)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    folder = write(tmp_path / "ml")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"cannot read .*users\.dat: Permission denied"):
        movielens.load(folder)


def published(tmp_path: Path, *extra: str) -> tuple[str, str]:
    """A small archive of the published form; its file:// address and MD5 sum."""
    source = write(tmp_path / "source")
    (source / "README").write_text("terms")
    archive = tmp_path / "published.zip"
    with zipfile.ZipFile(archive, "w") as content:
        for path in sorted(source.iterdir()):
            content.write(path, f"ml-1m/{path.name}")
        for name in extra:
            content.writestr(name, "surplus")
    return archive.as_uri(), hashlib.md5(archive.read_bytes()).hexdigest()


def test_download_unpacks_only_what_is_wanted(tmp_path: Path) -> None:
    url, md5 = published(tmp_path, "../outside.txt", "ml-1m/../../outside.txt")
    seen: list[tuple[int, int | None]] = []
    base = tmp_path / "new" / "data"
    folder = movielens.fetch(base, url=url, md5=md5, progress=lambda done, total: seen.append((done, total)))
    assert sorted(p.name for p in folder.iterdir()) == ["README", "movies.dat", "ratings.dat", "users.dat"]
    assert [p.name for p in base.iterdir()] == ["ml-1m"]
    assert not list(tmp_path.rglob("outside.txt"))
    size = (tmp_path / "published.zip").stat().st_size
    assert seen[-1] == (size, size)
    assert movielens.load(base).table.num_rows == 4


def test_load_downloads_only_when_told_to_and_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []

    def fetch(base: Path, *, progress: movielens.Progress | None) -> Path:
        calls.append(base)
        return write(base / "ml-1m")

    monkeypatch.setattr(movielens, "fetch", fetch)
    with pytest.raises(DataError, match=r"users\.dat, movies\.dat, ratings\.dat cannot be found"):
        movielens.load(tmp_path)
    assert calls == []
    for _ in range(2):
        assert movielens.load(tmp_path, download=True).table.num_rows == 4
    assert calls == [tmp_path]


def test_a_wrong_checksum_is_refused_and_nothing_stays(tmp_path: Path) -> None:
    url, _ = published(tmp_path)
    base = tmp_path / "data"
    with pytest.raises(DataError, match=r"MD5 sum .* expected c4d9eecf"):
        movielens.fetch(base, url=url)
    assert not base.exists()  # it was made for the download


def test_no_connection_and_a_folder_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot download .*get it by hand"):
        movielens.fetch(tmp_path, url=(tmp_path / "absent.zip").as_uri())
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "ml-1m").mkdir()
    with pytest.raises(DataError, match="move it away"):
        movielens.fetch(tmp_path, url=(tmp_path / "absent.zip").as_uri())


@pytest.mark.data
def test_the_counts_of_the_paper() -> None:
    if not os.environ.get("FIELDWISE_DATA"):
        pytest.skip("FIELDWISE_DATA is not set; it names the folder that holds movielens-1m")
    data = movielens.load(user_id=True, movie_id=True)
    assert data.table.num_rows == 739_012
    assert pc.sum(data.table["liked"]).as_py() == 575_281
    # Counted over users and movies with a kept rating; the paper counts the same 36 buckets and 18 genres.
    assert pc.count_distinct(data.table["release"]).as_py() == 36
    assert len({genre for text in data.table["genre"].unique().to_pylist() for genre in text.split("|")}) == 18
    assert pc.count_distinct(data.table["gender"]).as_py() == 2
    assert pc.count_distinct(data.table["age"]).as_py() == 7
    assert pc.count_distinct(data.table["occupation"]).as_py() == 21
    assert pc.count_distinct(data.table["zip"]).as_py() == 3_439
    parts = data.split.train, data.split.valid, data.split.test
    assert [len(part) for part in parts] == [591_209, 73_901, 73_902]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(739_012))
