"""The library's errors are Python's too, also where pydantic is in between."""

from __future__ import annotations

import pytest

from fieldwise import errors
from fieldwise.columns.tables import read_table
from fieldwise.schema import Schema
from fieldwise.tuning import Choice


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("DataError", ValueError),
        ("SchemaError", ValueError),
        ("SettingsError", ValueError),
        ("TrainingError", ValueError),
        ("PredictorFormatError", ValueError),
        ("ArgumentError", TypeError),
        ("StorageError", OSError),
    ],
)
def test_each_is_ours_and_one_of_pythons(name: str, base: type[Exception]) -> None:
    error = getattr(errors, name)("what is wrong")
    assert isinstance(error, errors.FieldwiseError)
    assert isinstance(error, base)
    assert str(error) == "what is wrong"


def test_pydantic_does_not_swallow_them() -> None:
    for make in (Schema, lambda **data: Schema.model_validate(data)):
        with pytest.raises(errors.SchemaError, match=r"^the schema has no fields"):
            make(fields={}, label="y")
        with pytest.raises(errors.SchemaError, match=r"^field 'a': unknown kind 'numerc'"):
            make(fields={"a": "numerc"}, label="y")
    with pytest.raises(errors.SchemaError, match=r"^the schema has no fields"):
        Schema.model_validate_json('{"fields": {}, "label": "y"}')
    with pytest.raises(errors.SettingsError, match=r"^a list of choices needs at least one value, got none"):
        Choice(choices=[])


def test_an_error_of_ours_is_not_taken_for_arrows() -> None:
    with pytest.raises(errors.DataError, match=r"^cannot read rows from a int; expected a path"):
        read_table(3)  # type: ignore[arg-type]
