"""The columns that are no fields: the label, the row weights and the groups of GAUC."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fieldwise.columns.numbers import number_column
from fieldwise.columns.tokens import token, token_column
from fieldwise.errors import DataError, suggest
from fieldwise.schema import Schema

_CLICK = {"1": 1.0, "true": 1.0, "0": 0.0, "false": 0.0}


def read_label(table: pa.Table, schema: Schema) -> npt.NDArray[np.float32]:
    """The label of each row: float32 [N], 1 for a click and 0 for none.

    Without `positive` the column must hold 0/1 or true/false; with it, two values of which `positive` is the
    click. Raises DataError with the first value or row that does not fit.
    """
    name = schema.label
    tokens = token_column(_role_column(table, name, "label"))
    values = tokens.values.to_pylist()
    if (tokens.codes < 0).any():
        raise DataError(
            f"label column '{name}': row {int(np.argmax(tokens.codes < 0)) + 1} is empty; every row needs a label"
        )
    if schema.positive is None:
        for code, value in enumerate(values):
            if value not in _CLICK:
                row = int(np.argmax(tokens.codes == code)) + 1
                raise DataError(
                    f"label column '{name}': row {row} holds {value!r:.60}; expected 0 or 1 (or true, false). "
                    "For other labels say which value is the click: --positive VALUE"
                )
        clicks = [_CLICK[value] for value in values]
    else:
        positive = token(schema.positive)
        if len(values) > 2 or (len(values) == 2 and positive not in values):
            shown = ", ".join(repr(value) for value in values[:5])
            raise DataError(
                f"label column '{name}' holds {len(values)} values ({shown}); with --positive {schema.positive} "
                "it must hold that value and one other"
            )
        clicks = [float(value == positive) for value in values]
    return np.array(clicks, dtype=np.float32)[tokens.codes] if values else np.empty(0, np.float32)


def read_weight(table: pa.Table, schema: Schema) -> npt.NDArray[np.float32] | None:
    """The weight of each row: float32 [N], or None without a weight column. Raises DataError for a bad weight."""
    if schema.weight is None:
        return None
    try:
        weight = number_column(_role_column(table, schema.weight, "weight"))
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
    """The group of each row as a number: int32 [N], -1 where it has none; None without a column."""
    if schema.group is None:
        return None
    return token_column(_role_column(table, schema.group, "group")).codes


def _role_column(table: pa.Table, name: str, role: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise DataError(f"the {role} column '{name}' is missing; {suggest(name, table.column_names)}")
    return table.column(name)
