"""Rows in memory as Arrow tables: data frames, Arrow tables, dicts of columns, lists of dicts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from fieldwise.columns.access import with_unreadable
from fieldwise.columns.tokens import is_missing, token
from fieldwise.errors import DataError, suggest

_LISTS = (list, tuple, set, frozenset, np.ndarray)
_NOT_A_TABLE = (pa.ArrowException, TypeError, ValueError, OverflowError)


def table_in_memory(source: Any) -> pa.Table:
    """The rows of what is in memory as a table.

    Args:
        source: a data frame (anything with the Arrow PyCapsule interface), an Arrow table, a dict of columns, or a list
            of dicts.

    Returns:
        The table.

    Raises:
        DataError: the source is none of these, or a column cannot be read; the message names it.

    Example:
        >>> table_in_memory([{"user": "ann", "price": 1.5}]).to_pydict()
        {'user': ['ann'], 'price': [1.5]}
    """
    try:
        if isinstance(source, pa.Table):
            table = source
        elif isinstance(source, Mapping):
            table = _of_columns(source.items())
        elif hasattr(source, "__arrow_c_stream__"):
            table = _of_frame(source)
        elif isinstance(source, Sequence) and all(isinstance(row, Mapping) for row in source):
            table = _of_rows(source)
        else:
            raise DataError(
                f"cannot read rows from a {type(source).__name__}; expected a path, a data frame, "
                "an Arrow table, a dict of columns or a list of dicts"
            )
    except DataError:
        raise  # a ValueError too, but it says already what is wrong
    except _NOT_A_TABLE as error:
        raise DataError(f"the {type(source).__name__} cannot be read as a table: {error}") from error
    return table


_BEYOND_ARROW = ("Object", "Int128", "UInt128")
"""Types of Polars that Arrow has none for; of objects it would be handed their places in memory."""
_UNITS_OF_ARROW = ("s", "ms", "us", "ns", "")


def _of_frame(frame: Any) -> pa.Table:
    if hasattr(frame, "get_columns") and any(str(series.dtype) in _BEYOND_ARROW for series in frame.get_columns()):
        return _of_columns(
            (series.name, series.to_list() if str(series.dtype) in _BEYOND_ARROW else series.to_arrow())
            for series in frame.get_columns()
        )
    try:
        table = pa.RecordBatchReader.from_stream(frame).read_all()
    except _NOT_A_TABLE:
        if not (hasattr(frame, "items") and hasattr(frame, "columns")):
            raise
        # A pandas column of Python objects may mix types, or two have one name, which Arrow refuses as a whole.
        return _of_columns((str(name), column) for name, column in frame.items())
    # pandas sends an index along that is not simply 0, 1, 2, …; it is no column of the user's.
    index = [n for n in table.column_names if re.fullmatch(r"__index_level_\d+__", n)]
    return table.drop_columns(index) if index else table


def _of_rows(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, list[Any]] = {}
    reasons: dict[str, str] = {}
    for name in names:
        try:
            columns[name] = [row[name] for row in rows]
        except KeyError:
            number, row = next((i, row) for i, row in enumerate(rows, start=1) if name not in row)
            reasons[str(name)] = (
                f"row {number} has no '{name}'; give None for a missing value ({suggest(str(name), map(str, row))})"
            )
    if not columns and reasons:
        raise DataError(next(iter(reasons.values())))
    return with_unreadable(_of_columns(columns.items()), reasons)


def _of_columns(columns: Iterable[tuple[str, Any]]) -> pa.Table:
    names: list[str] = []
    arrays: list[pa.Array | pa.ChunkedArray] = []
    reasons: dict[str, str] = {}
    for name, values in columns:
        if not isinstance(name, str):
            raise DataError(f"column names must be text, got {name!r}")
        try:
            arrays.append(_column(name, values))
            names.append(name)
        except DataError as error:
            reasons[name] = str(error)
    if not names and reasons:
        raise DataError(next(iter(reasons.values())))
    return with_unreadable(pa.Table.from_arrays(arrays, names=names), reasons)


def _column(name: str, values: Any) -> pa.Array | pa.ChunkedArray:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
        raise DataError(
            f"column '{name}': expected a list of values, got {values!r:.60}; a dict holds whole columns, "
            "and a single row is given as a list of one dict"
        )
    if isinstance(values, np.ndarray) and values.dtype.kind in "mM" and values.dtype.str[4:-1] not in _UNITS_OF_ARROW:
        values = values.astype(f"{values.dtype.kind}8[s]")  # minutes, months and the like
    try:
        return pa.array(values, from_pandas=True)
    except _NOT_A_TABLE:
        pass  # mixed types, or whole numbers beyond 64 bits: tokens hold them
    try:
        if all(isinstance(value, _LISTS) or is_missing(value) for value in values):
            lists = [None if is_missing(value) else [token(element) for element in value] for value in values]
            return pa.array(lists, pa.list_(pa.string()))
        row = next((i for i, value in enumerate(values, start=1) if isinstance(value, _LISTS)), None)
        if row is not None:
            raise DataError(f"row {row} holds a list and others do not; give a list, or None, in every row")
        return pa.array([token(value) for value in values], pa.string())
    except (DataError, *_NOT_A_TABLE) as error:
        raise DataError(f"column '{name}': {error}") from error
