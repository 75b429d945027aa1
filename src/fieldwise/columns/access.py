"""Looking up a column by name, and errors that say which column they are about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from fieldwise.errors import DataError, suggest


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
        DataError: it is not there; the message names the nearest one.

    Example:
        >>> get_column(pa.table({"price": [1.5, 2.0]}), "price").to_pylist()
        [1.5, 2.0]
    """
    require_column(table.column_names, name, role=role)
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
