"""Looking up a column by name, and errors that say which column they are about.

A column that cannot be read stands in its table without values, with the reason: whoever asks for it is told, and it is
in nobody's way else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import pyarrow as pa

from fieldwise.errors import DataError, suggest

_REASON = b"fieldwise: why it cannot be read"


def with_unreadable(table: pa.Table, reasons: Mapping[str, str]) -> pa.Table:
    """The table with some columns that cannot be read.

    Args:
        table: some of the columns may be there, also several of one name; the others come behind its own.
        reasons: sentences, by the columns' names.

    Returns:
        The table; each of these columns is there once.

    Example:
        >>> table = with_unreadable(pa.table({"price": [1.5]}), {"user": "row 1 has no 'user'"})
        >>> get_column(table, "user")
        Traceback (most recent call last):
        fieldwise.errors.DataError: row 1 has no 'user'
    """
    if not reasons:
        return table
    columns: list[pa.ChunkedArray | pa.Array] = []
    fields: list[pa.Field] = []
    waiting = dict(reasons)
    for field, column in zip(table.schema, table.columns, strict=True):
        if field.name not in reasons:
            columns.append(column)
            fields.append(field)
        elif field.name in waiting:
            columns.append(pa.nulls(table.num_rows))
            fields.append(_marked(field.name, waiting.pop(field.name)))
    columns += [pa.nulls(table.num_rows)] * len(waiting)
    fields += [_marked(name, reason) for name, reason in waiting.items()]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, table.schema.metadata))


def _marked(name: str, reason: str) -> pa.Field:
    return pa.field(name, pa.null(), metadata={_REASON: reason.encode()})


def why_unreadable(field: pa.Field) -> str | None:
    """Why a column cannot be read; None where it can.

    Args:
        field: the column's entry in its table's Arrow schema.

    Returns:
        A sentence.
    """
    reason = (field.metadata or {}).get(_REASON)
    return None if reason is None else reason.decode()


def require_column(names: Iterable[str], name: str, *, role: str | None = None) -> None:
    """Make sure that a column is there.

    Args:
        names: the columns that there are.
        name: the column that is needed.
        role: what it is needed as, such as "label"; None for a field.

    Raises:
        DataError: it is not there; the message names the nearest one.
    """
    columns = list(names)
    if name not in columns:
        what = f"column '{name}'" if role is None else f"the {role} column '{name}'"
        raise DataError(f"{what} is missing; {suggest(name, columns)}")


def get_column(table: pa.Table, name: str, *, role: str | None = None) -> pa.ChunkedArray:
    """A column of a table.

    Args:
        table: the table.
        name: the column's name.
        role: what it is needed as, such as "label"; None for a field.

    Returns:
        The column.

    Raises:
        DataError: it is not there; the message names the nearest one. Or it cannot be read; the message says why.

    Example:
        >>> get_column(pa.table({"price": [1.5, 2.0]}), "price").to_pylist()
        [1.5, 2.0]
    """
    require_column(table.column_names, name, role=role)
    if (reason := why_unreadable(table.schema.field(name))) is not None:
        raise DataError(reason)
    return table.column(name)


@contextmanager
def naming(column: str, *, role: str | None = None) -> Iterator[None]:
    """Adds the column's name to a DataError of the block.

    Args:
        column: the name.
        role: what the column is needed as, such as "label"; None for a field.

    Raises:
        DataError: the block did; its message now begins with the column.
    """
    try:
        yield
    except DataError as error:
        raise DataError(f"{'' if role is None else f'{role} '}column '{column}': {error}") from error
