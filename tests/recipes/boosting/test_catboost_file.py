"""CatBoost's file: what the trees ask for must be there before the library reads it."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from fieldwise.errors import PredictorFormatError
from fieldwise.objectives import Binary
from fieldwise.recipes import boosting
from fieldwise.recipes.boosting.catboost_file import check
from fieldwise.recipes.boosting.flat_buffer import FlatBuffer, Table
from fieldwise.schema import Schema

pytest.importorskip("catboost")

SCHEMA = Schema.model_validate(
    {"fields": {"user": "categorical", "device": "categorical", "price": "numeric"}, "label": "click"}
)


@pytest.fixture(scope="module")
def file(clicks: pa.Table) -> bytes:
    """Trees that ask numbers, single tokens (of `device`) and figures per token and per pair of them."""
    settings = {"fixed_rounds": 12, "depth": 4, "one_hot_max_size": 3}
    model = boosting.fit(
        "catboost", clicks, clicks.slice(0, 0), SCHEMA, objective=Binary(), settings=settings, threads=1
    )
    return model.state()[2]


def core(file: bytes) -> Table:
    (size,) = struct.unpack_from("<I", file, 4)
    return FlatBuffer(memoryview(file)[8 : 8 + size]).root()


def passes(file: bytes, *, loss: str = "Logloss", num_categorical: int = 2, num_columns: int = 3) -> None:
    check(file, loss=loss, num_categorical=num_categorical, num_columns=num_columns)


def changed(file: bytes, old: np.ndarray, new: np.ndarray) -> bytes:
    """The file with one array in place of another, which stands in it once."""
    assert file.count(old.tobytes()) == 1
    return file.replace(old.tobytes(), new.astype(old.dtype).tobytes())


def test_a_file_as_it_was_written_passes(file: bytes) -> None:
    passes(file)
    trees = core(file).table(1)
    assert trees.tables(6), "no single token is asked for"
    assert trees.tables(7), "no figure per token is asked for"


def test_other_columns_and_another_loss_are_refused(file: bytes) -> None:
    for columns in ({"num_columns": 4}, {"num_categorical": 1}):
        with pytest.raises(PredictorFormatError, match="it reads 3 columns, 2 of them of tokens; expected"):
            passes(file, **columns)  # type: ignore[arg-type]
    with pytest.raises(PredictorFormatError, match="trained for Logloss, expected RMSE"):
        passes(file, loss="RMSE")


@pytest.mark.parametrize(
    ("field", "dtype", "change", "complaint"),
    [
        (1, "<i4", lambda a: np.r_[a[:-1], 100_000], "ask a question that is not there"),
        (1, "<i4", lambda a: np.r_[-1, a[1:]], "ask a question that is not there"),
        (1, "<i4", lambda a: np.r_[a[0] ^ 1, a[1:]], "contradict their packed form"),
        (2, "<i4", lambda a: np.r_[a[:-1], 31], "0 to 16 levels"),
        (2, "<i4", lambda a: np.r_[a[:-1], a[-1] - 1], "do not follow one another"),
        (3, "<i4", lambda a: np.r_[a[:-1], a[-1] + 1], "do not follow one another"),
        (8, "<f8", lambda a: np.r_[a[:-1], np.nan], "not finite"),
    ],
)
def test_trees_that_point_elsewhere_are_refused(
    file: bytes, field: int, dtype: str, change: Callable[[np.ndarray], np.ndarray], complaint: str
) -> None:
    values = core(file).table(1).array(field, dtype)
    with pytest.raises(PredictorFormatError, match=complaint):
        passes(changed(file, values, change(values)))


def figures(file: bytes) -> Table:
    """The first table of figures per token."""
    (size,) = struct.unpack_from("<I", file, 4)
    (length,) = struct.unpack_from("<I", file, 12 + size)
    return FlatBuffer(memoryview(file)[16 + size : 16 + size + length]).root()


def test_hashes_that_point_to_no_figures_are_refused(file: bytes) -> None:
    hashed = figures(file).array(1, np.uint8)
    buckets = hashed.copy().view([("hash", "<u8"), ("index", "<u4")])
    buckets["index"][buckets["hash"] != 2**64 - 1] = 1_000_000
    with pytest.raises(PredictorFormatError, match="figures that are not there, or has no empty place"):
        passes(changed(file, hashed, buckets.view(np.uint8)))


def test_hashes_without_an_empty_place_are_refused_for_the_library_would_search_for_ever(file: bytes) -> None:
    hashed = figures(file).array(1, np.uint8)
    buckets = hashed.copy().view([("hash", "<u8"), ("index", "<u4")])
    empty = buckets["hash"] == 2**64 - 1
    buckets["hash"][empty] = np.arange(empty.sum())
    buckets["index"][empty] = 0
    with pytest.raises(PredictorFormatError, match="has no empty place"):
        passes(changed(file, hashed, buckets.view(np.uint8)))


def test_notes_that_the_library_would_parse_must_be_plain(file: bytes) -> None:
    entry = next(entry for entry in core(file).tables(2) if entry.text(0) == b"params")
    note = entry.text(1)
    for damaged in (b"{" + b"[" * (len(note) - 1), b"x" + note[1:], note[:-1] + b"x"):
        with pytest.raises(PredictorFormatError, match="its notes are damaged"):
            passes(file.replace(note, damaged))


def test_every_shortened_file_is_refused(file: bytes) -> None:
    for length in [*range(0, 200, 7), *range(200, len(file), 501), len(file) - 1]:
        with pytest.raises(PredictorFormatError, match=r"cannot be read as CatBoost's|begins with CBM1"):
            passes(file[:length])
    with pytest.raises(PredictorFormatError, match="goes on behind its end"):
        passes(file + b"x")
