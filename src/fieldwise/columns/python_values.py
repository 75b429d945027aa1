"""Arrow's values as Python's, also where Python has none."""

from __future__ import annotations

from typing import Any

import pyarrow as pa


def python_values(values: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Some values as Python's; dates and times that Python cannot hold (years from 10000 on, say) all as text.

    Args:
        values: of any type.

    Returns:
        One for each; None where there is none.

    Example:
        >>> python_values(pa.array([2932897], pa.date32()))
        ['10000-01-01']
    """
    try:
        listed: list[Any] = values.to_pylist()
    except (ValueError, OverflowError):
        kind = values.type
        if pa.types.is_timestamp(kind):
            values = values.cast(pa.timestamp(kind.unit))  # a zone's clock ends before Arrow's does
        elif not (pa.types.is_date(kind) or pa.types.is_time(kind)):
            raise
        listed = values.cast(pa.string()).to_pylist()
    return listed
