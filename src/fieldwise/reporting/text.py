"""Text on streams that have not all characters: those of LANG=C, old consoles, `PYTHONIOENCODING=ascii`."""

from __future__ import annotations

from typing import TextIO


def encodable(text: str, stream: TextIO) -> str:
    r"""Text as a stream can say it: a character that its encoding lacks becomes a backslash escape.

    Args:
        text: anything, the names of columns with half a surrogate pair included.
        stream: where it is to be written; without an encoding, such as a StringIO, it takes all.

    Returns:
        The text, the same where nothing is lacking.

    Example:
        >>> import io
        >>> encodable("größe", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
        'gr\\xf6\\xdfe'
    """
    encoding = getattr(stream, "encoding", None)
    if not encoding:
        return text
    return text.encode(encoding, "backslashreplace").decode(encoding)
