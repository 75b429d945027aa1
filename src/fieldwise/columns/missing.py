"""Words that stand for a missing value, one list for every kind of column: categories, numbers, dates and lists.

Databases, spreadsheets and frames write a gap into text in their own ways. A gap that one program writes as NULL and
another leaves blank is the same gap, so a table gives the same rows whatever wrote it.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.columns.tokens import BLANKS

MISSING_WORDS = frozenset(
    {
        *("", "-", "--", "?", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "nat", "null", "(null)", "<null>", "none"),
        *("\\n", "nil", "undefined", "0000-00-00", "0000-00-00 00:00:00"),
    }
)
r"""In lower case; `\n` stands for the two characters that Hive and MySQL write, not for a line end."""

_WORDS = pa.array(sorted(MISSING_WORDS), pa.large_string())
_LONGEST = max(map(len, MISSING_WORDS))


def is_missing_word(text: str) -> bool:
    r"""Whether a text stands for a missing value, in capitals or not and with blanks around it or not.

    Example:
        >>> is_missing_word(" NULL "), is_missing_word("\\N"), is_missing_word("nothing")
        (True, True, False)
    """
    return text.strip(BLANKS).lower() in MISSING_WORDS


def missing_words(texts: Any) -> Any:
    """Which texts of an Arrow array stand for a missing value.

    Args:
        texts: an Arrow array, or a chunked one, of N texts.

    Returns:
        The same kind of array of N booleans; false for null.

    Example:
        >>> missing_words(pa.array(["NaT", "7", None])).to_pylist()
        [True, False, False]
    """
    lowered = pc.utf8_lower(pc.utf8_trim(texts, characters=BLANKS))
    return pc.is_in(lowered, value_set=_WORDS.cast(lowered.type))
