"""MovieLens-1M as the AutoInt paper uses it (Song et al., CIKM 2019, and its authors' preparation script).

One row per rating; a rating above 3 counts as a click ("liked"), below 3 as none, and ratings of exactly 3 are
dropped: 739,012 rows, 575,281 of them positive. Fields in order:

    gender       2 tokens
    age          7 tokens: the lower end of the age group (1 stands for "under 18")
    occupation   21 tokens
    zip          3,439 tokens, no threshold
    release      36 tokens: 1919-1929, 1930s, ..., 1960s, then one per year from 1970 to 2000
    timestamp    numeric, seconds since 1970, scaled to [0, 1]
    genre        18 tokens, up to 6 of them per movie

The user and the movie id are not among them; they can be added (`user_id`, `movie_id`), but the results are then
not comparable with the paper's.

The split is the authors': Python's `random` seeded with 2019 shuffles the row numbers 0 to N-1 (in the order of
ratings.dat without the 3s); the first 80 % train, the next 10 % validate, the rest test: 591,209 / 73,901 / 73,902.

One departure: the authors scale the timestamp by its range over all kept rows; here the encoder fits that range
on the training rows alone, as it must for any field, so a few rows of the other parts can fall just outside [0, 1].

Copies of the data set without the fourth column of ratings.dat (the timestamp) are read too; the field is then left
out and a note says so. The data may be used for research and not be redistributed: see its README.txt.
"""

from __future__ import annotations

import hashlib
import http.client
import random
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from fieldwise.columns.native import arrow_owned
from fieldwise.data.splits import Split
from fieldwise.datasets.base import NamedDataset
from fieldwise.datasets.folder import ENVIRONMENT, data_folder
from fieldwise.errors import DataError
from fieldwise.schema import Categorical, FieldSpec, MultiValued, Numeric, Schema
from fieldwise.storage.atomic import new_directory, open_new, write_bytes
from fieldwise.wording import argument, either

SITE = "https://grouplens.org/datasets/movielens/1m/"
URL = "https://files.grouplens.org/datasets/movielens/ml-1m.zip"
MD5 = "c4d9eecfca2ab87c1945afe126590906"
FOLDERS = ("movielens-1m", "ml-1m")
FILES = ("users.dat", "movies.dat", "ratings.dat")

Progress = Callable[[int, int | None], None]
"""Called with the bytes received so far and the bytes expected (None: unknown)."""


def load(
    directory: Path | None = None,
    *,
    user_id: bool = False,
    movie_id: bool = False,
    download: bool = False,
    progress: Progress | None = None,
) -> NamedDataset:
    """MovieLens-1M with the fields and the split of the AutoInt paper (see the head of this module).

    Args:
        directory: the folder with users.dat, movies.dat and ratings.dat, or the folder above it (where it is called
            `movielens-1m` or `ml-1m`); None: the environment variable FIELDWISE_DATA names the folder above.
        user_id: whether to put the user's id in front as a field; GAUC then groups by it.
        movie_id: whether to put the movie's id in front as a field.
        download: whether to fetch the data set from its publisher (6 MB) if it is not there; it is unpacked as
            `ml-1m` inside `directory`, else inside $FIELDWISE_DATA.
        progress: is told of every piece received.

    Returns:
        The data set.

    Raises:
        DataError: the files are missing, damaged or cannot be fetched.
    """
    base = data_folder(directory)
    folder = _find(base)
    if folder is None and download:
        if base is None:
            raise DataError(
                f"no folder to download to: give {argument('directory', 'DIR')}, or set {ENVIRONMENT} to one"
            )
        folder = fetch(base, progress=progress)
    if folder is None:
        raise DataError(_missing(base))
    return _prepare(folder, user_id=user_id, movie_id=movie_id)


def fetch(
    base: Path,
    *,
    url: str = URL,
    md5: str = MD5,
    timeout: float = 60.0,
    progress: Progress | None = None,
) -> Path:
    """Download the archive, check its MD5 sum and unpack it as `base`/ml-1m, which appears complete or not at all.

    Args:
        base: the folder to unpack in.
        url: where the archive is.
        md5: its sum.
        timeout: seconds that the server may stay silent.
        progress: is told of every piece received.

    Returns:
        The folder `ml-1m`.

    Raises:
        DataError: the archive cannot be had, is not the published one, or a folder of that name is in the way.
        StorageError: it cannot be written.
    """
    target = base / "ml-1m"
    if target.exists():
        raise DataError(f"{target} exists but lacks some of {', '.join(FILES)}; move it away and try again")
    with new_directory(target) as work:
        archive, digest = work / "ml-1m.zip", hashlib.md5(usedforsecurity=False)
        with open_new(archive) as file:
            for piece in _download(url, timeout, progress):
                file.write(piece)
                digest.update(piece)
        if digest.hexdigest() != md5:
            raise DataError(
                f"{url} gave a file with the MD5 sum {digest.hexdigest()}, expected {md5}; it is damaged or was "
                f"changed and was thrown away; try again, or get it by hand from {SITE}"
            )
        try:
            with zipfile.ZipFile(archive) as content:
                # Only members of these exact names are read, so no path inside the archive can lead elsewhere.
                for member in (*FILES, "README"):
                    write_bytes(work / member, content.read(f"ml-1m/{member}"))
        except (zipfile.BadZipFile, KeyError) as error:
            raise DataError(f"cannot unpack {url}: {error}; get it by hand from {SITE}") from error
        archive.unlink()
    return target


def _download(url: str, timeout: float, progress: Progress | None) -> Iterator[bytes]:
    """The pieces of a file on the web. Raises DataError where it cannot be had."""
    received = 0
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            length = response.headers.get("Content-Length")
            while piece := response.read(1 << 18):
                received += len(piece)
                yield piece
                if progress is not None:
                    progress(received, None if length is None else int(length))
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"cannot download {url}: {error}; get it by hand from {SITE}") from error


def _find(base: Path | None) -> Path | None:
    if base is None:
        return None
    folders = (base, *(base / folder for folder in FOLDERS))
    return next((f for f in folders if all((f / file).is_file() for file in FILES)), None)


def _missing(base: Path | None) -> str:
    """Which files are missing, where to get them and where to put them."""
    fetching = either(
        python='load_dataset("movielens-1m", options={"download": True})', command="fieldwise download movielens-1m"
    )
    how = f"fetch them with `{fetching}`, or get ml-1m.zip from {SITE} and unpack it"
    if base is None:
        return (
            f"the files of MovieLens-1M ({', '.join(FILES)}) are missing: {ENVIRONMENT}, the folder of raw data sets, "
            f"is not set. Set it to a folder, then {how} there"
        )
    folders = (base, *(base / name for name in FOLDERS))
    begun = next((f for f in folders if any((f / name).is_file() for name in FILES)), base / FOLDERS[-1])
    missing = ", ".join(name for name in FILES if not (begun / name).is_file())
    return f"of MovieLens-1M {missing} cannot be found in {begun}; {how} in {base}"


def _prepare(folder: Path, *, user_id: bool, movie_id: bool) -> NamedDataset:
    users = _read(folder / "users.dat", ("user_id", "gender", "age", "occupation", "zip"))
    movies = _read(folder / "movies.dat", ("movie_id", "title", "genre"))
    ratings = _read(folder / "ratings.dat", ("user_id", "movie_id", "rating", "timestamp"), optional=1)

    ratings = ratings.filter(pc.not_equal(ratings["rating"], 3))
    user_rows = _look_up(ratings["user_id"], users["user_id"], folder, "user", "users.dat")
    movie_rows = _look_up(ratings["movie_id"], movies["movie_id"], folder, "movie", "movies.dat")

    columns: dict[str, pa.ChunkedArray] = {}
    fields: dict[str, FieldSpec] = {}
    for name, is_field in (("user_id", user_id), ("movie_id", movie_id)):
        if is_field:
            columns[name], fields[name] = ratings[name], Categorical(min_count=1)
    for name in ("gender", "age", "occupation", "zip"):
        columns[name], fields[name] = users[name].take(user_rows), Categorical(min_count=1)
    columns["release"] = _release(movies, folder / "movies.dat").take(movie_rows)
    fields["release"] = Categorical(min_count=1)

    notes = []
    if "timestamp" in ratings.column_names:
        columns["timestamp"], fields["timestamp"] = ratings["timestamp"], Numeric(transform="minmax")
    else:
        notes.append(
            # Notes are kept in predictors, which travel; so no path of this machine.
            "ratings.dat has no fourth column (the timestamp), so the field 'timestamp' is left out and results are "
            "not comparable with the AutoInt paper's"
        )
    columns["genre"] = movies["genre"].take(movie_rows)
    fields["genre"] = MultiValued(separator="|", min_count=1)
    if user_id or movie_id:
        notes.append("the AutoInt paper uses neither user nor movie ids; with them results are not comparable with it")
    columns["liked"] = pc.greater(ratings["rating"], 3).cast(pa.int8())
    return NamedDataset(
        name="movielens-1m-ids" if user_id or movie_id else "movielens-1m",
        table=pa.table(columns),
        schema=Schema(fields=fields, label="liked", group="user_id" if user_id else None),
        split=_authors_split(ratings.num_rows),
        notes=tuple(notes),
    )


def _read(path: Path, names: tuple[str, ...], *, optional: int = 0) -> pa.Table:
    """A `::`-separated file; the last `optional` columns may be absent. Ids and numbers become int64, a zip text."""
    try:
        # Arrow separates by one byte; the files hold no tab (one would be refused as a surplus column).
        text = path.read_bytes().decode("iso-8859-1").replace("::", "\t").encode()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    types = {name: pa.int64() for name in names}
    types |= dict.fromkeys(("gender", "zip", "title", "genre"), pa.string())
    first = text.split(b"\n", 1)[0]
    count = first.count(b"\t") + 1 if first else len(names)
    if not len(names) - optional <= count <= len(names):
        raise DataError(f"{path}, line 1: got {count} values separated by '::', expected {'::'.join(names)}")
    try:
        return pyarrow.csv.read_csv(
            arrow_owned(text),
            read_options=pyarrow.csv.ReadOptions(column_names=names[:count]),
            parse_options=pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=pyarrow.csv.ConvertOptions(column_types=types, null_values=[]),
        )
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is not the published file ({'::'.join(names[:count])}): {error}") from error


def _look_up(keys: pa.ChunkedArray, table_keys: pa.ChunkedArray, folder: Path, what: str, file: str) -> pa.ChunkedArray:
    rows = pc.index_in(keys, value_set=table_keys)
    if rows.null_count:
        stranger = keys.filter(pc.is_null(rows))[0]
        raise DataError(f"{folder / 'ratings.dat'} names {what} {stranger}, which {folder / file} does not hold")
    return rows


def _release(movies: pa.Table, path: Path) -> pa.ChunkedArray:
    """The release bucket of each movie; the year stands in brackets at the end of the title: `Heat (1995)`."""
    year = pc.utf8_slice_codeunits(movies["title"], -5, -1)
    bad = pc.invert(pc.match_substring_regex(year, r"^\d{4}$"))
    if pc.any(bad).as_py():
        raise DataError(f"{path}: no year at the end of the title '{movies['title'].filter(bad)[0]}'")
    number = year.cast(pa.int64())
    decade = pc.binary_join_element_wise(pc.utf8_slice_codeunits(year, 0, 3), "0s", "")
    return pc.if_else(pc.less(number, 1930), "1919-1929", pc.if_else(pc.less(number, 1970), decade, year))


def _authors_split(num_rows: int) -> Split:
    rows = list(range(num_rows))
    random.Random(2019).shuffle(rows)
    first, second = num_rows * 8 // 10, num_rows * 9 // 10
    # Sorted, because a split says which rows belong to a part; the trainer shuffles in its own way.
    train, valid, test = (
        np.sort(np.array(part, dtype=np.int64)) for part in (rows[:first], rows[first:second], rows[second:])
    )
    return Split(train=train, valid=valid, test=test)
