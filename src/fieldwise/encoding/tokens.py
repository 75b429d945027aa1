"""The one rule that turns a raw value into a token, for a single Python value and for a whole column.

    missing             None, NaN, NaT, text that is empty or only blanks
    text                outer blanks (space, tab, line ends) are cut, Unicode is brought to NFC;
                        leading zeros, case and inner blanks are kept ("007" is not "7")
    whole numbers       decimal digits; 1, 1.0 and the text "1.0" are one token, because tables write whole
                        numbers with gaps as floats
    other numbers       the shortest decimal that reads back as the same float64
    booleans            "true" and "false", also from the texts True, TRUE, False, FALSE
    dates and times     Python's str(): "2026-01-31", "2026-01-31 08:00:00"

A column goes through Arrow and visits each distinct value once; `token` is the readable form, and a test
holds the two equal.
"""

from __future__ import annotations

import datetime
import decimal
import math
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.errors import DataError

BLANKS = " \t\r\n\v\f"
_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")
# Matches ASCII text that `token` would change; everything else is its own token.
_NOT_CANONICAL = r"^$|^[ \t\r\n\v\f]|[ \t\r\n\v\f]$|\.0+$|^-0$|^(?i:true|false)$"


@dataclass(frozen=True)
class Tokens:
    """A column as tokens: `values[codes[i]]` is the token of row i, a code of -1 stands for missing.

    codes: int32 [N]. values: Arrow string array, each token once.
    """

    codes: npt.NDArray[np.int32]
    values: pa.StringArray


def token(value: Any) -> str | None:
    """The token of one Python value; None where the value is missing.

    Raises DataError for a value that is no token, such as a list or a mapping.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return _text_token(value)
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return _float_token(float(value))
    if isinstance(value, decimal.Decimal):
        if value.is_nan():
            return None
        return str(int(value)) if value == value.to_integral_value() else format(value.normalize(), "f")
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta):
        return None if value != value else str(value)  # pandas' NaT is a datetime that differs from itself
    if isinstance(value, bytes):
        try:
            return _text_token(value.decode())
        except UnicodeDecodeError:
            raise DataError(f"bytes that are not UTF-8 text: {value[:40]!r}") from None
    raise DataError(f"expected one text, number, boolean or date, got {type(value).__name__}: {value!r:.60}")


def token_column(column: pa.ChunkedArray) -> Tokens:
    """The tokens of a whole column of any scalar type.

    Raises DataError where the type holds no single values (lists, structs).
    """
    if pa.types.is_nested(column.type):
        raise DataError(f"expected single values, got a column of type {column.type}")
    if not len(column):
        return Tokens(np.empty(0, np.int32), pa.array([], pa.string()))
    encoded = column if pa.types.is_dictionary(column.type) else pc.dictionary_encode(column)
    flat = encoded.unify_dictionaries().combine_chunks()
    canonical = _canonical(flat.dictionary)
    # Two raw values may be one token ("1" and "1.0"), so the tokens are numbered anew.
    numbered = pc.dictionary_encode(canonical)
    code_of_raw = np.append(_codes(numbered.indices), np.int32(-1))
    raw = _codes(flat.indices)
    return Tokens(code_of_raw[raw], numbered.dictionary)


def _text_token(text: str) -> str | None:
    text = text.strip(BLANKS)
    if not text:
        return None
    if not text.isascii():
        return unicodedata.normalize("NFC", text)
    whole = _WHOLE.fullmatch(text)
    if whole:
        text = whole[1]
    if text == "-0":
        return "0"
    lowered = text.lower()
    return lowered if lowered in ("true", "false") else text


def _float_token(number: float) -> str | None:
    if math.isnan(number):
        return None
    return str(int(number)) if number.is_integer() else repr(number)


def _codes(indices: pa.Array) -> npt.NDArray[np.int32]:
    filled = indices.fill_null(-1) if indices.null_count else indices
    codes: npt.NDArray[np.int32] = filled.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    return codes


def _canonical(distinct: pa.Array) -> pa.StringArray:
    """The tokens of distinct raw values, null where missing, in the same order."""
    kind = distinct.type
    if pa.types.is_integer(kind):
        return distinct.cast(pa.string())
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        return pa.array([token(value) for value in distinct.to_pylist()], pa.string())
    texts = distinct.cast(pa.string())
    changes = pc.or_(pc.invert(pc.string_is_ascii(texts)), pc.match_substring_regex(texts, _NOT_CANONICAL)).fill_null(
        False
    )
    where = np.flatnonzero(changes.to_numpy(zero_copy_only=False))
    if not len(where):
        return texts
    changed = pa.array([token(texts[int(i)].as_py()) for i in where], pa.string())
    return pc.replace_with_mask(texts, changes, changed)
