"""The one rule that turns a raw value into a token, for a single Python value and for a whole column.

    missing             None, NaN, NaT, pandas' NA, text that is empty or only blanks
    text                outer blanks (space, tab, line ends) are cut, Unicode is brought to NFC;
                        leading zeros, case and inner blanks are kept ("007" is not "7")
    whole numbers       decimal digits; 1, 1.0 and the text "1.0" are one token, because tables write whole
                        numbers with gaps as floats
    other numbers       the shortest decimal that reads back as the same float64, without an exponent;
                        text with a signed exponent ("1e-05", "1.5E+22") is such a number, since that is how
                        floats are written; other text stays as it is ("7.10", "1e5"), and so do decimals
    booleans            "true" and "false", also from the texts True, TRUE, False, FALSE
    other objects       their text: paths, UUIDs, addresses, intervals; an enum's value
    dates and times     "2026-01-31", "2026-01-31 08:00:00", "2026-01-31 08:00:00.5"; midnight is the date alone;
                        with a time zone the moment in UTC, "2026-01-31 07:00:00+00:00"; also from text in ISO form

Where a rule reaches into text, it does so because CSV writers spell the same value differently: a table gives
the same tokens whatever wrote it. A column goes through Arrow and visits each distinct value once; `token` is the
readable form, and a test holds the two equal.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.columns.extension import is_extension, stored
from fieldwise.errors import DataError

BLANKS = " \t\r\n\v\f"
_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")
_EXPONENT = re.compile(r"-?[0-9](?:\.[0-9]+)?[eE][+-][0-9]{1,3}")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(\.[0-9]+)?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_TIME = re.compile(r"([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)")
# Matches ASCII text that `token` may change; everything else is its own token.
_NOT_CANONICAL = (
    r"^$|^[ \t\r\n\v\f]|[ \t\r\n\v\f]$|\.0+$|^-0$|^(?i:true|false)$|[0-9][eE][+-][0-9]{1,3}$"
    r"|^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]|^[0-9]{2}:[0-9]{2}:[0-9]{2}\."
)


@dataclass(frozen=True)
class Tokens:
    """A column as tokens: `values[codes[i]]` is the token of row i, a code of -1 stands for missing.

    Attributes:
        codes: of each row.
        values: Arrow string array, each token once.

    Shape:
        codes: int32 [N].
    """

    codes: npt.NDArray[np.int32]
    values: pa.StringArray


def is_missing(value: Any) -> bool:
    """Whether one Python value is what frames put into a gap: None, NaN, NaT or pandas' NA.

    Example:
        >>> is_missing(None), is_missing(float("nan")), is_missing("")
        (True, True, False)
    """
    if value is None or type(value).__name__ == "NAType":
        return True
    return isinstance(value, float | np.floating | datetime.date | np.datetime64) and bool(value != value)


def token(value: Any) -> str | None:
    """The token of one Python value.

    Args:
        value: text, a number, a boolean or a date.

    Returns:
        The token; None where the value is missing.

    Raises:
        DataError: the value is no token, such as a list or a mapping.

    Example:
        >>> token(" 007 "), token(1.0), token(True), token("2026-01-31 00:00:00"), token("")
        ('007', '1', 'true', '2026-01-31', None)
    """
    if isinstance(value, str):
        return _text_token(value)
    if is_missing(value):
        return None
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return _float_token(float(value))
    if isinstance(value, decimal.Decimal):
        return None if value.is_nan() else _text_token(format(value, "f"))
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta | np.datetime64):
        return _text_token(str(value))
    if isinstance(value, bytes):
        try:
            return _text_token(value.decode())
        except UnicodeDecodeError:
            raise DataError(f"bytes that are not UTF-8 text: {value[:40]!r}") from None
    if isinstance(value, enum.Enum):
        return token(value.value)
    if _has_a_text(value):  # such as a path, a UUID, an address or an interval
        return _text_token(str(value))
    raise DataError(f"expected one text, number, boolean or date, got {type(value).__name__}: {value!r:.60}")


def plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same values in an ordinary form of storage: no dictionaries, runs, views or extension types, and bytes that
    are text as text.

    (Parquet files of some writers do not say which bytes are text.)

    Args:
        column: N values.

    Returns:
        The N values.
    """
    kind = column.type
    if is_extension(kind):
        chunks = [stored(chunk) for chunk in (column.chunks or [pa.array([], kind)])]
        return plain_column(pa.chunked_array(chunks))
    if pa.types.is_dictionary(kind):
        # Arrow cannot decode a dictionary of views, or of an extension type.
        empty = _without_views(stored(pa.array([], kind.value_type)))
        decoded = [_without_views(stored(chunk.dictionary)).take(chunk.indices) for chunk in column.chunks]
        return plain_column(pa.chunked_array(decoded, type=empty.type))
    if pa.types.is_run_end_encoded(kind):
        # Arrow does not decode runs of dictionaries, views or extension types.
        empty = _without_views(stored(pa.array([], kind.value_type)))
        return plain_column(pa.chunked_array([_decoded_runs(chunk) for chunk in column.chunks], type=empty.type))
    if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        # By Python: Arrow's own cast makes lists of negative length where one is missing.
        return pa.chunked_array([pa.array(column.to_pylist(), pa.large_list(kind.value_type))])
    column = _without_views(column)
    if pa.types.is_float16(kind):  # older versions of Arrow can do little with it
        return column.cast(pa.float32())
    if pa.types.is_decimal(kind) and kind.bit_width < 128:  # Arrow computes with the wide ones only
        return column.cast(pa.decimal128(kind.precision, kind.scale))
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        try:
            return column.cast(pa.large_string())
        except pa.ArrowInvalid:
            return column
    return column


def token_column(column: pa.ChunkedArray) -> Tokens:
    """The tokens of a whole column.

    Args:
        column: N values of any scalar type.

    Returns:
        The tokens.

    Raises:
        DataError: the type holds no single values (lists, structs).

    Example:
        >>> tokens = token_column(pa.chunked_array([["1", "1.0", None, "b"]]))
        >>> tokens.codes, tokens.values.to_pylist()
        (array([ 0,  0, -1,  1], dtype=int32), ['1', 'b'])
    """
    if pa.types.is_nested(column.type):
        raise DataError(f"expected single values, got a column of type {column.type}")
    if not len(column):
        return Tokens(np.empty(0, np.int32), pa.array([], pa.string()))
    flat = pc.dictionary_encode(plain_column(column)).unify_dictionaries().combine_chunks()
    canonical, changed = _canonical(flat.dictionary)
    raw = _codes(flat.indices)
    if not changed:
        return Tokens(raw, canonical)
    # Two raw values may be one token ("1" and "1.0"), so the tokens are numbered anew.
    numbered = pc.dictionary_encode(canonical)
    code_of_raw = np.append(_codes(numbered.indices), np.int32(-1))
    return Tokens(code_of_raw[raw], numbered.dictionary)


_CONTAINERS = (Mapping, Set, Sequence, np.ndarray, memoryview)


def _has_a_text(value: Any) -> bool:
    """Whether an object has a text of its own, not only that of a container or of its place in memory."""
    written: Any = type(value).__str__
    return written is not object.__str__ and not isinstance(value, _CONTAINERS)


def _decoded_runs(chunk: pa.RunEndEncodedArray) -> pa.Array:
    runs = pa.array(np.arange(len(chunk.values)))
    numbered = pa.RunEndEncodedArray.from_arrays(chunk.run_ends, runs).slice(chunk.offset, len(chunk))
    return _without_views(stored(chunk.values)).take(pc.run_end_decode(numbered))


def _without_views(values: Any) -> Any:
    if pa.types.is_string_view(values.type):
        return values.cast(pa.large_string())
    return values.cast(pa.large_binary()) if pa.types.is_binary_view(values.type) else values


def _text_token(text: str) -> str | None:
    text = text.strip(BLANKS)
    if not text:
        return None
    if not text.isascii():
        return unicodedata.normalize("NFC", text)
    if whole := _WHOLE.fullmatch(text):
        text = whole[1]
    if text == "-0":
        return "0"
    if moment := _MOMENT.fullmatch(text):
        return _moment_token(text, *moment.groups())
    if time := _TIME.fullmatch(text):
        return time[1] + _fraction(time[2])
    if _EXPONENT.fullmatch(text) and math.isfinite(number := float(text)):
        return _float_token(number)
    lowered = text.lower()
    return lowered if lowered in ("true", "false") else text


def _moment_token(text: str, date: str, clock: str, seconds: str | None, part: str | None, zone: str | None) -> str:
    clock, fraction = clock + (seconds or ":00"), _fraction(part or "")
    if zone is None:
        return date if clock + fraction == "00:00:00" else f"{date} {clock}{fraction}"
    try:
        utc = datetime.datetime.fromisoformat(f"{date} {clock}{zone}").astimezone(datetime.UTC)
    except (ValueError, OverflowError):  # such as a 13th month
        return text
    return f"{utc.replace(tzinfo=None)}{fraction}+00:00"


def _fraction(text: str) -> str:
    return text.rstrip("0").rstrip(".")


def _float_token(number: float) -> str | None:
    if math.isnan(number):
        return None
    if number.is_integer():
        return str(int(number))
    shortest = repr(number)
    return np.format_float_positional(number) if "e" in shortest else shortest


def _codes(indices: pa.Array) -> npt.NDArray[np.int32]:
    filled = indices.fill_null(-1) if indices.null_count else indices
    codes: npt.NDArray[np.int32] = filled.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    return codes


def _canonical(distinct: pa.Array) -> tuple[pa.StringArray, bool]:
    """The tokens of distinct raw values, null where missing, in the same order; and whether two may be equal.

    Where not, none is missing either.
    """
    kind = distinct.type
    if pa.types.is_integer(kind):
        return distinct.cast(pa.string()), False
    dates = (pa.types.is_date, pa.types.is_time, pa.types.is_timestamp)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or any(is_kind(kind) for is_kind in dates)):
        return pa.array([token(value) for value in distinct.to_pylist()], pa.string()), True
    texts = distinct.cast(pa.string())
    changes = pc.or_(pc.invert(pc.string_is_ascii(texts)), pc.match_substring_regex(texts, _NOT_CANONICAL)).fill_null(
        False
    )
    where = np.flatnonzero(changes.to_numpy(zero_copy_only=False))
    if not len(where):
        return texts, False
    changed = pa.array([token(texts[int(i)].as_py()) for i in where], pa.string())
    return pc.replace_with_mask(texts, changes, changed), True
