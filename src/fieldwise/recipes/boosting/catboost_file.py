"""Checking a CatBoost file (.cbm) that may come from a stranger, before CatBoost reads it.

CatBoost takes such a file at its word: it does not ask whether the features that trees ask for are there, nor where the
figures per token end. Here that is asked; what is refused never gets to the library.

    CBM1, size (uint32), the model: a FlatBuffer
    count (uint32), then for each: size (uint32), the figures per token of one combination of fields: a FlatBuffer

The numbers of the fields are those of CatBoost's schema files (model.fbs, features.fbs, ctr_data.fbs).
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from fieldwise.errors import PredictorFormatError
from fieldwise.recipes.boosting.flat_buffer import FlatBuffer, Table

_FORMAT = b"FlabuffersModel_v1"
_FIGURES = b"static_provider_v1"
_MOST_LEVELS = 16
_VALUES_PER_BIN = 254
"""Questions to one feature that CatBoost packs into one of its byte-wide bins."""

_BORDERS, _BUCKETS, _MEANS, _COUNTS = 0, 1, (2, 3), (4, 5)
"""Kinds of figures per token."""

_SPLIT = np.dtype([("index", "<i4"), ("value", "<i4")])
_BUCKET = np.dtype([("hash", "<u8"), ("index", "<u4")])
_REPACKED = np.dtype([("feature", "<u2"), ("mask", "u1"), ("split", "u1")])
_EMPTY = 2**64 - 1
_MOST_CLASSES = 2**16


def check(content: bytes, *, loss: str, num_categorical: int, num_columns: int) -> None:
    """Refuse a file that is not of trees that read such columns.

    Args:
        content: a .cbm file.
        loss: what the trees must have been trained for, in CatBoost's words.
        num_categorical: columns of tokens, which come first.
        num_columns: all columns.

    Raises:
        PredictorFormatError: it is not; the message says in what.

    Example:
        >>> check(b"no trees", loss="Logloss", num_categorical=1, num_columns=2)
        Traceback (most recent call last):
        fieldwise.errors.PredictorFormatError: the trees are no file of CatBoost, which begins with CBM1
    """
    view = memoryview(content)
    if content[:4] != b"CBM1":
        raise PredictorFormatError("the trees are no file of CatBoost, which begins with CBM1")
    try:
        core, place = _sized(view, 4)
        model = FlatBuffer(core).root()
        combinations = _check_model(model, loss, num_categorical, num_columns)
        figures = _figures(view[place:], model.texts(3))
        for key, border in combinations:
            if key not in figures:
                raise PredictorFormatError("figures per token that the trees ask for are not there")
            kind, classes = key[0], figures[key]
            if border < 0 or (border >= classes and (kind == _BUCKETS or (kind == _BORDERS and classes > 2))):
                raise PredictorFormatError("the trees ask for a class that the figures per token do not have")
    except PredictorFormatError as error:
        raise PredictorFormatError(f"the trees cannot be read as CatBoost's: {error}") from error


def _sized(view: memoryview, place: int) -> tuple[memoryview, int]:
    """A piece that begins with its size, and where the next one begins."""
    if place + 4 > len(view):
        raise PredictorFormatError("it ends too early")
    (size,) = struct.unpack_from("<I", view, place)
    if place + 4 + size > len(view):
        raise PredictorFormatError("it ends too early")
    return view[place + 4 : place + 4 + size], place + 4 + size


_Key = tuple[int, bytes, bytes, bytes]
"""Figures per token of a combination of fields: their kind, columns of tokens, questions to numbers and to tokens."""


def _check_model(model: Table, loss: str, num_categorical: int, num_columns: int) -> list[tuple[_Key, int]]:
    """Check the trees and what they ask. Returns the figures per token that they need, and of which class."""
    if model.text(0) != _FORMAT:
        raise PredictorFormatError(f"its format is {model.text(0)[:30]!r}, expected {_FORMAT!r}")
    _check_notes(model, loss)
    trees = model.table(1)
    if trees.whole(0) != 1:
        raise PredictorFormatError("its trees predict several numbers, expected one")
    if any(len(trees.array(field, "V4")) for field in (10, 11, 12, 13, 18)):
        raise PredictorFormatError("it has trees or features of a kind that is not expected")
    categorical, numeric = trees.tables(4), trees.tables(5)
    positions = [(f.whole(0, default=-1), f.whole(1, default=-1)) for f in categorical]
    positions += [(f.whole(1, default=-1), f.whole(2, default=-1)) for f in numeric]
    m = num_columns - num_categorical
    expected = [(i, i) for i in range(num_categorical)] + [(i, num_categorical + i) for i in range(m)]
    if (len(categorical), len(numeric)) != (num_categorical, m) or positions != expected:
        raise PredictorFormatError(
            f"it reads {len(positions)} columns, {len(categorical)} of them of tokens; expected {num_columns} columns, "
            f"{num_categorical} of them of tokens, in that order"
        )
    used = {i for i, feature in enumerate(categorical) if feature.whole(3, "B", 1)}
    borders = [feature.array(3, "<f4") for feature in numeric]
    asked = trees.tables(6)
    one_hot = [(feature.whole(0, default=-1), feature.array(1, "<i4")) for feature in asked]
    if not {index for index, _ in one_hot} <= used:
        raise PredictorFormatError("its trees ask a column of tokens that is not there")
    for feature, (_, values) in zip(asked, one_hot, strict=True):
        if len(feature.texts(2)) not in (0, len(values)):
            raise PredictorFormatError("its questions to tokens do not fit the tokens")
    float_splits = {(i, int(b)) for i, values in enumerate(borders) for b in values.view("<i4")}
    token_splits = {(i, int(v)) for i, values in one_hot for v in values}
    bases: dict[int, _Key] = {}
    combinations, ctr_borders = [], []
    for feature in trees.tables(7):
        ctr = feature.table(0)
        base = ctr.table(0)
        if base.place not in bases:  # features share them
            bases[base.place] = _key(base)
            _, fields, floats, tokens = bases[base.place]
            if not {int(i) for i in np.frombuffer(fields, "<i4")} <= used:
                raise PredictorFormatError("its trees combine a column of tokens that is not there")
            for splits, questions in ((floats, float_splits), (tokens, token_splits)):
                if not {(int(s["index"]), int(s["value"])) for s in np.frombuffer(splits, _SPLIT)} <= questions:
                    raise PredictorFormatError("its trees combine a question that is not there")
        combinations.append((bases[base.place], ctr.whole(1)))
        ctr_borders.append(feature.array(1, "<f4"))
    sizes = [(len(b), False) for b in borders] + [(len(v), True) for _, v in one_hot]
    _check_trees(trees, [*sizes, *((len(b), False) for b in ctr_borders)])
    return combinations


def _check_notes(model: Table, loss: str) -> None:
    """The library parses some of the notes that go with a model, so they must be plain."""
    notes = {entry.text(0): entry.text(1) for entry in model.tables(2)}
    try:
        texts = {key: value.decode() for key, value in notes.items()}
        parsed = {key: json.loads(text) for key, text in texts.items() if text.lstrip()[:1] in ("{", "[")}
        trained_for: Any = parsed[b"params"]["loss_function"]["type"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise PredictorFormatError("its notes are damaged") from None
    if trained_for != loss:
        raise PredictorFormatError(f"it was trained for {trained_for!s:.40}, expected {loss}")


def _check_trees(trees: Table, sizes: list[tuple[int, bool]]) -> None:
    """Check that every tree asks questions that there are, and has its leaves.

    sizes: of each feature how many questions it can be asked, and whether they are about single tokens.
    """
    splits, levels, starts = (trees.array(field, "<i4") for field in (1, 2, 3))
    if len(levels) and (levels.min() < 0 or levels.max() > _MOST_LEVELS):
        raise PredictorFormatError(f"its trees must have 0 to {_MOST_LEVELS} levels")
    ends = np.cumsum(levels, dtype=np.int64)
    leaves = int(np.sum(2 ** levels.astype(np.int64)))
    if not np.array_equal(starts, ends - levels) or len(splits) != (ends[-1] if len(ends) else 0):
        raise PredictorFormatError("its trees do not follow one another")
    values, weights, bias = (trees.array(field, "<f8") for field in (8, 9, 16))
    if len(values) != leaves or len(weights) not in (0, leaves) or len(bias) not in (0, 1):
        raise PredictorFormatError("its trees must have one number for each leaf")
    if not (np.isfinite(values).all() and np.isfinite(bias).all()):
        raise PredictorFormatError("a leaf holds a number that is not finite")
    count = sum(size for size, _ in sizes)
    if len(splits) and (splits.min() < 0 or splits.max() >= count):
        raise PredictorFormatError("its trees ask a question that is not there")
    repacked = trees.array(17, _REPACKED)
    if len(repacked) and not np.array_equal(repacked, _repacked(splits, sizes)):
        raise PredictorFormatError("its trees contradict their packed form")


def _repacked(splits: npt.NDArray[Any], sizes: list[tuple[int, bool]]) -> npt.NDArray[Any]:
    """The questions as CatBoost packs them: a byte-wide bin of a feature, and the place in it."""
    questions = np.zeros(sum(size for size, _ in sizes), _REPACKED)
    start = first_bin = 0
    for size, about_tokens in sizes:
        place = np.arange(size)
        part = questions[start : start + size]
        part["feature"] = (first_bin + place // _VALUES_PER_BIN).astype(np.uint16)
        split = (place % _VALUES_PER_BIN + 1).astype(np.uint8)
        part["split"] = 255 if about_tokens else split
        part["mask"] = ~split if about_tokens else 0
        start += size
        first_bin += -(-size // _VALUES_PER_BIN)
    packed: npt.NDArray[Any] = questions[splits]
    return packed


def _figures(view: memoryview, parts: list[bytes]) -> dict[_Key, int]:
    """Check the figures per token. Returns their combinations and how many classes each counts."""
    if not parts and not len(view):
        return {}
    if parts != [_FIGURES] or len(view) < 4:
        raise PredictorFormatError("it has parts that are not expected")
    (count,) = struct.unpack_from("<I", view, 0)
    figures: dict[_Key, int] = {}
    place = 4
    for _ in range(count):
        piece, place = _sized(view, place)
        table = FlatBuffer(piece).root()
        key = _key(table.table(0))
        hashed, blob, classes = table.array(1, np.uint8), table.array(2, np.uint8), table.whole(4)
        if not table.has(2) or not 0 <= classes < _MOST_CLASSES:
            raise PredictorFormatError("figures per token are damaged")
        # A mean is a sum and a count; of borders and buckets there is a count for each class.
        width = {_BUCKETS: 4 * max(classes, 1), _BORDERS: 4 * max(classes, 2)}.get(key[0], 8 if key[0] in _MEANS else 4)
        _check_hash(hashed, len(blob) // width)
        if key in figures:
            raise PredictorFormatError("it has the same figures per token twice")
        figures[key] = classes
    if place != len(view):
        raise PredictorFormatError("it goes on behind its end")
    return figures


def _check_hash(hashed: npt.NDArray[Any], figures: int) -> None:
    """Check a table of hashes, which CatBoost walks from a hash's place up to an empty one, going round at the end."""
    count, rest = divmod(len(hashed), _BUCKET.itemsize)
    if rest or not count or count & (count - 1):
        raise PredictorFormatError("a table of hashes must have 2, 4, 8, ... places")
    buckets = hashed.view(_BUCKET)
    taken = buckets["hash"] != _EMPTY
    if taken.all() or (taken.any() and buckets["index"][taken].max() >= figures):
        raise PredictorFormatError("a table of hashes points to figures that are not there, or has no empty place")


def _key(base: Table) -> _Key:
    combination, kind = base.table(0), base.whole(1, "b")
    if not 0 <= kind <= max(_COUNTS):
        raise PredictorFormatError("it has figures per token of an unknown kind")
    splits = (combination.array(field, _SPLIT).tobytes() for field in (1, 2))
    return (kind, combination.array(0, "<i4").tobytes(), *splits)  # type: ignore[return-value]
