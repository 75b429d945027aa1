"""Columns by name: what is missing is named, with the nearest name, and errors say where they are."""

from __future__ import annotations

import pyarrow as pa
import pytest

from fieldwise.columns.access import get_column, naming, require_column
from fieldwise.errors import DataError

TABLE = pa.table({"user": ["a"], "price": [1]})


def test_a_column_is_found() -> None:
    assert get_column(TABLE, "user").to_pylist() == ["a"]
    require_column(TABLE.column_names, "price")


def test_a_missing_column_is_named_with_its_role() -> None:
    with pytest.raises(DataError, match=r"^column 'usr' is missing; did you mean 'user'\?"):
        get_column(TABLE, "usr")
    with pytest.raises(DataError, match=r"^the label column 'prise' is missing; did you mean 'price'\?"):
        get_column(TABLE, "prise", role="label")


@pytest.mark.parametrize(("role", "message"), [(None, "column 'x': bad"), ("weight", "weight column 'x': bad")])
def test_errors_of_a_block_name_the_column(role: str | None, message: str) -> None:
    with pytest.raises(DataError, match=f"^{message}$"), naming("x", role=role):
        raise DataError("bad")
