"""Numbers: reading them from any column, and from a single Python value.

Missing is NaN throughout: null, NaN, an empty cell, or one of the words in `fieldwise.columns.missing`. Booleans, and
the texts true and false, are 1 and 0. Numbers as people write them, with a decimal comma, thousands, a currency or per
cent, are read where a `NumberReading` names their decimal mark.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.columns.missing import is_missing_word, missing_words
from fieldwise.columns.python_values import python_values
from fieldwise.columns.tokens import BLANKS, is_missing, plain_column
from fieldwise.errors import DataError

Numbers = npt.NDArray[np.float64]
DecimalMark = Literal[".", ","]
Unreadable = Literal["error", "missing"]

_BOOLEANS = {"true": 1.0, "false": 0.0}
_PLAIN = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?i:inf|infinity)"
_NUMBER = re.compile(_PLAIN)
STRICT_PLAIN = r"^-?(?:(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:inf|infinity))$"
"""A plain number without leading zeros or a plus sign, which people keep only where the digits are a name."""
_CURRENCY = (
    r"(?:(?:[A-Z]{1,3})?[$€£¥₹₽₩₺฿₴₫₪₱]|kr\.?|zł|Kč|Ft|Rs\.?|USD|EUR|GBP|JPY|CNY|RMB|INR|RUB|BRL|CAD|AUD|NZD|CHF|SEK|"
    r"NOK|DKK|PLN|CZK|HUF|TRY|MXN|ZAR|KRW|HKD|SGD|THB|IDR|ILS)"
)
_SPACES = " \u00a0\u202f"
_GROUPS = {".": ",", ",": r"\."}


def _amount(mark: DecimalMark, *, whole: str) -> str:
    """What people write for a number. whole: the pattern of digits that are not grouped."""
    other, blank, decimal = f"[{_GROUPS[mark]}'’_{_SPACES}]", f"[{_SPACES}]?", re.escape(mark)
    # Indian numbers have groups of two before the last three digits.
    grouped = rf"[1-9][0-9]{{0,2}}(?:{other}[0-9]{{2,3}})*{other}[0-9]{{3}}"
    body = rf"(?:{grouped}|{whole})(?:{decimal}[0-9]*)?(?:[eE][+-]?[0-9]+)?|{decimal}[0-9]+"
    before = rf"(?P<minus>[-−(])?{blank}(?:{_CURRENCY}{blank})?(?P<inner>[-−])?"
    return rf"{before}(?P<body>{body}){blank}(?:{_CURRENCY}|%|‰)?\)?"


_AMOUNTS: dict[DecimalMark, str] = {mark: _amount(mark, whole=r"[0-9]+") for mark in (".", ",")}
STRICT_AMOUNTS: dict[DecimalMark, str] = {
    mark: rf"^(?:{_amount(mark, whole=r'(?:0|[1-9][0-9]*)')})$" for mark in (".", ",")
}
"""A number as people write it, likewise."""
_AMOUNT = {mark: re.compile(rf"\+?(?:{pattern})") for mark, pattern in _AMOUNTS.items()}


@dataclass(frozen=True)
class NumberReading:
    """How texts are read as numbers.

    Attributes:
        decimal: None: plain numbers as programs write them ("-1.5e3"). "." or ",": numbers as people write them, with
            this decimal mark: thousands ("1,234.50" or "1.234,50", also grouped by blanks or apostrophes), a currency
            before or behind, per cent ("15 %" is 15), negative ones in brackets.
        unreadable: what a text that is no number is: an `error`, or `missing`.
    """

    decimal: DecimalMark | None = None
    unreadable: Unreadable = "error"


PLAIN = NumberReading()


def number(value: Any, reading: NumberReading = PLAIN) -> float:
    """One Python value as a float.

    Args:
        value: a number, a boolean or text.
        reading: how text is read.

    Returns:
        The number; NaN where the value is missing.

    Raises:
        DataError: it is no number.

    Example:
        >>> number(" 1e3 "), number("N/A"), number(True), number("1.234,50 €", NumberReading(","))
        (1000.0, nan, 1.0, 1234.5)
    """
    if is_missing(value):
        return float("nan")
    if isinstance(value, str):
        text = value.strip(BLANKS)
        if is_missing_word(text):
            return float("nan")
        read = _text_number(text, reading.decimal)
        if read is not None:
            return read
        if reading.unreadable == "missing":
            return float("nan")
        raise DataError(f"expected a number, got {value!r:.60}")
    try:
        return float(value)
    except OverflowError:  # a whole number beyond float64, which as text reads as infinite too
        return float("inf") if value > 0 else float("-inf")
    except (TypeError, ValueError):
        raise DataError(f"expected a number, got {type(value).__name__}: {value!r:.60}") from None


def number_column(
    column: pa.ChunkedArray, *, reading: NumberReading = PLAIN, rows: npt.NDArray[np.int64] | None = None
) -> Numbers:
    """A whole column as numbers; text is parsed.

    Args:
        column: N values.
        reading: how text is read.
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
        texts = pc.if_else(missing_words(texts), None, texts)
        texts = _as_plain(texts, reading)
        try:
            return np.asarray(texts.cast(pa.float64()).to_numpy(), dtype=np.float64)
        except pa.ArrowInvalid:
            pass  # a form that Arrow does not parse, or no number: the slow path tells which
    # What is written once is read once.
    encoded = column.combine_chunks().dictionary_encode() if _can_be_counted(kind) else None
    if encoded is None:
        return _by_value(python_values(column), reading, rows)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    first = np.full(len(encoded.dictionary), len(codes), np.int64)
    held = codes >= 0
    np.minimum.at(first, codes[held], np.flatnonzero(held))
    order = np.argsort(first, kind="stable")
    values = python_values(encoded.dictionary.take(pa.array(order)))
    distinct = np.empty(len(order) + 1)
    distinct[order] = _by_value(values, reading, first[order] if rows is None else rows[first[order]])
    distinct[-1] = np.nan
    return np.asarray(distinct[codes], dtype=np.float64)


def unreadable_texts(column: pa.ChunkedArray, numbers: Numbers) -> npt.NDArray[np.int64]:
    """The rows of a column that were read as missing although something stands in them.

    Args:
        column: N values, as they were given to `number_column`.
        numbers: what it gave, float64 [N].

    Returns:
        The rows, int64, ascending; none for a column that is no text.

    Example:
        >>> column = pa.chunked_array([["1.5", "unknown", "NA"]])
        >>> unreadable_texts(column, number_column(column, reading=NumberReading(unreadable="missing")))
        array([1])
    """
    column = plain_column(column)
    rows = np.flatnonzero(np.isnan(numbers))
    if not len(rows) or not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return rows[:0]
    texts = column.take(pa.array(rows))
    odd = pc.and_not(pc.is_valid(texts), missing_words(texts))
    return np.asarray(rows[odd.to_numpy()], dtype=np.int64)


def _can_be_counted(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _by_value(values: list[Any], reading: NumberReading, rows: npt.NDArray[np.int64] | None) -> Numbers:
    result = np.empty(len(values))
    for i, value in enumerate(values):
        try:
            result[i] = number(value, reading)
        except DataError as error:
            raise DataError(f"row {(i if rows is None else rows[i]) + 1}: {error}") from None
    return result


def _text_number(text: str, decimal: DecimalMark | None) -> float | None:
    """A trimmed text that is no word for a missing value; None where it is no number."""
    if text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    if decimal is None:
        return float(text) if _NUMBER.fullmatch(text) else None
    match = _AMOUNT[decimal].fullmatch(text)
    if match is None:
        return None
    size = float(_digits(match["body"], decimal))
    return -size if match["minus"] or match["inner"] else size


def _digits(body: str, decimal: DecimalMark) -> str:
    return re.sub(rf"[^0-9eE+{re.escape(decimal)}-]", "", body).replace(",", ".")


def _as_plain(texts: Any, reading: NumberReading) -> Any:
    """Texts that Arrow parses as `number` does; what is no number is null, or stays what it is to be named."""
    if reading.decimal is None:
        if reading.unreadable == "error":
            return texts
        plain, known = texts, pc.match_substring_regex(texts, f"^(?:{_PLAIN})$")
    else:
        mark = reading.decimal
        parts = pc.extract_regex(texts, pattern=rf"^\+?(?:{_AMOUNTS[mark]})$")
        body = pc.struct_field(parts, "body")
        digits = pc.replace_substring_regex(body, pattern=rf"[^0-9eE+{re.escape(mark)}-]", replacement="")
        nothing, minus = pa.scalar("", texts.type), pa.scalar("-", texts.type)
        sign = pc.binary_join_element_wise(pc.struct_field(parts, "minus"), pc.struct_field(parts, "inner"), nothing)
        sign = pc.if_else(pc.equal(sign, nothing), nothing, minus)
        plain = pc.binary_join_element_wise(sign, pc.replace_substring(digits, pattern=",", replacement="."), nothing)
        known = pc.is_valid(body)
    if reading.unreadable == "missing":
        # The slow path reads true and false; nothing else that is no number is left to it.
        boolean = pc.is_in(pc.utf8_lower(texts), value_set=pa.array(list(_BOOLEANS), texts.type))
        texts = pc.if_else(boolean, texts, None)
    else:  # "1.234" may be 1234, and what is no number must not be read as a plain one
        texts = pc.binary_join_element_wise(texts, pa.scalar("?", texts.type), pa.scalar("", texts.type))
    return pc.if_else(known, plain, texts)
