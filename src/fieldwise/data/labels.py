"""The columns that are no fields: row weights and groups. The label is read by the objective."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fieldwise.columns.access import get_column
from fieldwise.columns.numbers import number_column
from fieldwise.columns.tokens import token_column
from fieldwise.errors import DataError
from fieldwise.schema import Schema


def read_weight(table: pa.Table, schema: Schema) -> npt.NDArray[np.float32] | None:
    """The weight of each row.

    Args:
        table: raw rows.
        schema: names the weight column, if there is one.

    Returns:
        float32 [N], or None without a weight column.

    Raises:
        DataError: the column is missing, a weight is no number of at least 0, or all are 0.

    Example:
        >>> schema = Schema(label="click", weight="shown", fields={"user": "categorical"})
        >>> read_weight(pa.table({"shown": ["1", "2.5"]}), schema)
        array([1. , 2.5], dtype=float32)
    """
    if schema.weight is None:
        return None
    try:
        weight = number_column(get_column(table, schema.weight, role="weight"))
    except DataError as error:
        raise DataError(f"weight column '{schema.weight}': {error}") from error
    bad = ~np.isfinite(weight) | (weight < 0)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"weight column '{schema.weight}': row {row + 1} holds {weight[row]}; expected a number, 0 or more"
        )
    if len(weight) and not weight.any():
        raise DataError(f"weight column '{schema.weight}': all weights are 0; at least one row must count")
    return weight.astype(np.float32)


def read_group(table: pa.Table, schema: Schema) -> npt.NDArray[np.int32] | None:
    """The group of each row as a number.

    Args:
        table: raw rows.
        schema: names the group column, if there is one.

    Returns:
        int32 [N], -1 where a row has none; None without a group column.

    Raises:
        DataError: the column is missing, or holds no single values.

    Example:
        >>> schema = Schema(label="click", group="user", fields={"price": "numeric"})
        >>> read_group(pa.table({"user": ["ann", None, "bob", "ann"]}), schema)
        array([ 0, -1,  1,  0], dtype=int32)
    """
    if schema.group is None:
        return None
    return token_column(get_column(table, schema.group, role="group")).codes
