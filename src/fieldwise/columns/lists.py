"""Lists written as text: split at a separator, or as JSON and Python write them.

    a separator    "red|blue": the parts between; a blank stands for any run of blanks
    `[]`           '["red", "blue"]', "['red', 'blue']", "[12, 553]", "(12, 553)", "{12, 553}", "['red' 'blue']",
                   "[np.int64(12), np.str_('red')]" (the last two are numpy's)

What stands between the parts is cut or not as it comes: tokens have no outer blanks, and empty ones do not count.
"""

from __future__ import annotations

import json
import re

import pyarrow as pa
import pyarrow.compute as pc

BRACKETS = "[]"
"""Stands for a separator where texts are lists in brackets."""

IN_BRACKETS = r"^(?:\[[^|;]*\]|\([^|;]*\)|\{[^|;:]*\})$"
"""Matches lists in brackets; other separators in them are their writer's own, and a colon makes an object."""

_QUOTED = r"""(?:b|u)?(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')"""
_ELEMENT = re.compile(_QUOTED + r"""|([^\s,"'](?:[^,"']*[^\s,"'])?)""")
_OF_NUMPY = re.compile(r"""\bnp\.\w+\(('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^()'"]*)\)""")
_NUMBERS = re.compile(r"[-+.eE0-9\s]+")
_ESCAPED = re.compile(r"\\(.)")


def split_text(text: str, separator: str) -> list[str]:
    r"""The parts of one text.

    Args:
        text: a list, written as text.
        separator: what stands between its parts, or `[]`.

    Returns:
        The parts; with a separator they may be empty or have blanks around them.

    Example:
        >>> split_text("12|553", "|"), split_text("['red', 'blue']", "[]"), split_text('["a", null, 7]', "[]")
        (['12', '553'], ['red', 'blue'], ['a', 'null', '7'])
    """
    if separator == " ":
        return text.split()
    return _split_brackets(text.strip()) if separator == BRACKETS else text.split(separator)


def split_texts(texts: pa.ChunkedArray, separator: str) -> pa.ChunkedArray:
    """The parts of N texts, as N lists; null where a text is null.

    Example:
        >>> split_texts(pa.chunked_array([["1 2", None]]), " ").to_pylist()
        [['1', '2'], None]
    """
    if separator == " ":
        return pc.ascii_split_whitespace(pc.ascii_trim_whitespace(texts))
    if separator != BRACKETS:
        return pc.split_pattern(texts, separator)
    encoded = texts.combine_chunks().dictionary_encode()
    lists = pa.array([_split_brackets(text.strip()) for text in encoded.dictionary.to_pylist()], pa.list_(pa.string()))
    return pa.chunked_array([lists.take(encoded.indices)])


def _split_brackets(text: str) -> list[str]:
    if "np." in text:
        text = _OF_NUMPY.sub(r"\1", text)
    if text[:1] == "[":
        try:
            elements = json.loads(text)
        except ValueError:
            pass  # Python's own way of writing, or numpy's
        else:
            if not any(isinstance(element, list | dict) for element in elements):
                return [element if isinstance(element, str) else json.dumps(element) for element in elements]
    inner = text.strip("[](){}")
    if _NUMBERS.fullmatch(inner):  # numpy's way of writing, if there are several
        return inner.split()
    return [_ESCAPED.sub(r"\1", double or single) or bare for double, single, bare in _ELEMENT.findall(inner)]
