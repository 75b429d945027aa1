"""Numbers: reading them from any column, and from a single Python value.

Missing is NaN throughout: null, NaN, an empty cell, or one of the words in `MISSING_WORDS`. Booleans, and the texts
true and false, are 1 and 0.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.columns.tokens import BLANKS, is_missing, plain_column
from fieldwise.errors import DataError

Numbers = npt.NDArray[np.float64]

MISSING_WORDS = frozenset({"", "na", "n/a", "nan", "null", "none", "\\n", "?", "-"})
_BOOLEANS = {"true": 1.0, "false": 0.0}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?inf(?:inity)?", re.IGNORECASE)


def number(value: Any) -> float:
    """One Python value as a float.

    Args:
        value: a number, a boolean or text.

    Returns:
        The number; NaN where the value is missing.

    Raises:
        DataError: it is no number.

    Example:
        >>> number(" 1e3 "), number("N/A"), number(True)
        (1000.0, nan, 1.0)
    """
    if is_missing(value):
        return float("nan")
    if isinstance(value, str):
        text = value.strip(BLANKS)
        if text.lower() in MISSING_WORDS:
            return float("nan")
        if text.lower() in _BOOLEANS:
            return _BOOLEANS[text.lower()]
        if _NUMBER.fullmatch(text):
            return float(text)
        raise DataError(f"expected a number, got {value!r:.60}")
    try:
        return float(value)
    except OverflowError:  # a whole number beyond float64, which as text reads as infinite too
        return float("inf") if value > 0 else float("-inf")
    except (TypeError, ValueError):
        raise DataError(f"expected a number, got {type(value).__name__}: {value!r:.60}") from None


def number_column(column: pa.ChunkedArray, *, rows: npt.NDArray[np.int64] | None = None) -> Numbers:
    """A whole column as numbers; text is parsed.

    Args:
        column: N values.
        rows: the rows that they come from, int64 [N], the first is 0; None: each from its own place.

    Returns:
        float64 [N], NaN where missing.

    Raises:
        DataError: a cell is no number; the message has its row (the first is 1) and its value.

    Example:
        >>> number_column(pa.chunked_array([["1.5", "", "-2"]]))
        array([ 1.5,  nan, -2. ])
    """
    column = plain_column(column)
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        numbers: Numbers = column.cast(pa.float64(), safe=False).to_numpy()
        return numbers.astype(np.float64, copy=False)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        texts = pc.utf8_trim(column, characters=BLANKS)
        word = pc.is_in(pc.utf8_lower(texts), value_set=pa.array(sorted(MISSING_WORDS), kind))
        try:
            parsed = pc.if_else(word, None, texts).cast(pa.float64())
            return np.asarray(parsed.to_numpy(), dtype=np.float64)
        except pa.ArrowInvalid:
            pass  # a form that Arrow does not parse, or no number: the slow path tells which
    result = np.empty(len(column))
    for i, value in enumerate(column):
        try:
            result[i] = number(value.as_py())
        except DataError as error:
            raise DataError(f"row {(i if rows is None else rows[i]) + 1}: {error}") from None
    return result
