"""What the command line says when memory does not suffice: one line, with what was asked for and what to do."""

from __future__ import annotations

import re

_REMEDY = (
    "use fewer rows or fields, smaller settings (batch_size, embedding_dim; a higher data.min_count makes smaller "
    "tables), or a machine with more memory"
)
_SIGNS = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc", "alloc failed")
"""What torch's RuntimeError says, in lower case, where it is about memory; it has no class for that on CPUs."""


def memory_message(error: MemoryError | RuntimeError) -> str | None:
    """A sentence for an error that tells of memory that could not be had.

    Args:
        error: of Python, numpy, Arrow or torch.

    Returns:
        The sentence, or None where the error is about something else.

    Example:
        >>> memory_message(MemoryError("malloc of size 8000000000 failed")).split(";")[0]
        'there is not enough memory: malloc of size 8.00 GB failed'
    """
    text = str(error)
    if not isinstance(error, MemoryError) and not any(sign in text.lower() for sign in _SIGNS):
        return None
    # torch puts the place in its source before what was asked for, and the system's word for it behind.
    request = re.search(r"you tried to allocate \d+ bytes|tried to allocate [\d.]+ [KMGT]iB", text, re.IGNORECASE)
    reason = request[0] if request else " ".join(text.split())
    reason = re.sub(r"(\d{7,})( bytes)?", lambda match: f"{int(match[1]) / 1e9:,.2f} GB", reason)
    reason = reason[:1].lower() + reason[1:]
    return f"there is not enough memory{f': {reason}' if reason else ''}; {_REMEDY}"
