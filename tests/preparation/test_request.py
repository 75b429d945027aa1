"""The data arguments: one spelling for every verb, shown by help, checked by name; fields of given schemas."""

from __future__ import annotations

import inspect
import pydoc
from pathlib import Path

import pyarrow as pa
import pytest

import fieldwise as fw
from fieldwise.errors import ArgumentError, SchemaError
from fieldwise.preparation import DataArguments, DataRequest

VERBS = [fw.train, fw.search, fw.compare]


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_every_data_argument(verb: object) -> None:
    shown = inspect.signature(verb).parameters  # type: ignore[arg-type]
    assert set(DataArguments.__annotations__) < set(shown)
    text = pydoc.render_doc(verb, renderer=pydoc.plaintext)
    for name in DataArguments.__annotations__:
        assert f"{name}: " in text
    assert "the column with the label" in text


@pytest.mark.parametrize("verb", VERBS)
def test_a_misspelt_argument_is_answered_with_the_nearest(verb: object) -> None:
    with pytest.raises(ArgumentError, match=r"\(\) has no argument 'lable'; did you mean 'label'\?"):
        verb("clicks.csv", lable="click")  # type: ignore[operator]
    with pytest.raises(TypeError):  # what Python's own functions raise
        verb("clicks.csv", lable="click")  # type: ignore[operator]


def test_sources_are_written_down_where_they_can_be_read_again(tmp_path: Path) -> None:
    there = str(tmp_path / "a.csv")
    request = DataRequest([there, there], {"valid": pa.table({"x": [1]}), "test": "-"})
    assert request.sources() == {"source": [there, there], "valid": None, "test": None}
    assert DataRequest("synthetic").sources()["source"] == "synthetic"


TABLE = pa.table({"y": [0, 1] * 20, "a": ["p", "q", "q", "p"] * 10, "b": [1, 2, 3, 4] * 10, "c": ["r", "s"] * 20})
SCHEMA = fw.Schema(fields={"a": "categorical", "b": "numeric"}, label="y")  # type: ignore[dict-item]


def fields_of(fields: dict[str, object]) -> dict[str, str]:
    predictor = fw.train(TABLE, schema=SCHEMA, fields=fields, model="lr", settings={"epochs": 1}, progress=False)
    return {name: spec.kind for name, spec in predictor.schema.fields.items()}


def test_fields_override_a_given_schema_too() -> None:
    assert fields_of({"b": "ignore"}) == {"a": "categorical"}
    assert fields_of({"b": "categorical"}) == {"a": "categorical", "b": "categorical"}
    assert fields_of({"c": "categorical"}) == {"a": "categorical", "b": "numeric", "c": "categorical"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bb": "ignore"}, "field 'bb' is not there; did you mean 'b'"),
        ({"bb": "numeric"}, "its column 'bb' is not in the table; did you mean 'b'"),
        ({"a": "ignore", "b": "ignore"}, "the schema has no fields"),
        ({"y": "numeric"}, "is the label and cannot be a field too"),
    ],
)
def test_wrong_overrides_are_named(fields: dict[str, object], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        fields_of(fields)


def test_fields_of_a_built_in_data_set() -> None:
    names = fw.train(
        "synthetic", fields={"price": "ignore"}, model="lr", settings={"epochs": 1}, progress=False
    ).schema.fields
    assert "price" not in names
