"""Pydantic's complaints as sentences."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from fieldwise.errors import SchemaError, SettingsError
from fieldwise.schema import Schema
from fieldwise.settings import Settings, TrainingSettings
from fieldwise.validation import Document, describe, describe_any


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int = Field(default=1, ge=1)


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = ""
    size: Literal["auto"] | int = "auto"
    inner: Inner | None = None
    many: list[Inner] = []
    named: dict[str, Inner] = {}
    pair: tuple[int, str] = (0, "")
    schema_: Schema | None = None

    @field_validator("name")
    @classmethod
    def _no_cat(cls, name: str) -> str:
        if name == "cat":
            raise ValueError("A cat has no name")
        return name


def sentence(data: Any, model: Any = Outer, **words: str) -> str:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(model).validate_python(data)
    return describe(caught.value, model, **words)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"nmae": 1}, "unknown entry 'nmae'; did you mean 'name'?"),
        ({"inner": {"widht": 1}}, "unknown entry 'inner.widht'; did you mean 'width'?"),
        ({"many": [{}, {"widht": 1}]}, "unknown entry 'many.2.widht'; did you mean 'width'?"),
        ({"named": {"x": {"widht": 1}}}, "unknown entry 'named.x.widht'; did you mean 'width'?"),
        ({"inner": {"width": 0}}, "'inner.width' cannot be 0: it must be greater than or equal to 1"),
        ({"name": 3}, "'name' cannot be 3: it must be a valid string"),
        ({"name": "cat"}, "'name' cannot be 'cat': A cat has no name"),
        ({"size": "big"}, "'size' cannot be 'big': it must be 'auto' or a valid integer"),
        ({"pair": ("x", "y")}, "'pair.1' cannot be 'x': it must be a valid integer"),
        ({"name": 7, "size": "big"}, "'name' cannot be 7: it must be a valid string"),
        ({"schema_": {"fields": {}, "label": "y"}}, "'schema_': the schema has no fields; name at least one column"),
        ({"schema_": {"fields": {"a": {"kind": "numeric", "bucket": 1}}, "label": "y"}}, "did you mean 'buckets'?"),
        ({"schema_": {"label": "y"}}, "'schema_.fields' is missing"),
        ([], "the whole cannot be []: it must be"),
        ({"name": ["\x1b[2J" * 99]}, "'name' cannot be ['\\x1b[2J\\x1b[2J"),
    ],
)
def test_the_entry_what_was_got_and_what_is_wrong(data: Any, expected: str) -> None:
    found = sentence(data)
    assert expected in found
    assert len(found) < 300
    assert found.isprintable()


def test_the_words_of_the_caller() -> None:
    words = {"owner": "model 'fm'", "what": "setting"}
    assert sentence({"nmae": 1}, **words) == "model 'fm' has no setting 'nmae'; did you mean 'name'?"
    assert sentence({"name": 1}, **words) == "model 'fm': setting 'name' cannot be 1: it must be a valid string"
    assert sentence({"nmae": 1}, what="setting", section="a") == "unknown setting 'a.nmae'; did you mean 'name'?"


def test_without_the_model_the_place_is_named_all_the_same() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"inner": {"widht": 1}})
    assert describe(caught.value) == "unknown entry 'inner.widht'"
    assert describe_any(caught.value, Outer) == "unknown entry 'inner.widht'; did you mean 'width'?"
    assert describe_any(OSError(28, "No space left on device")) == "No space left on device"
    assert describe_any(KeyError()) == "KeyError"


class Recipe(Document):
    raises = SchemaError
    model_config = ConfigDict(extra="forbid")
    eggs: int


def test_documents_raise_sentences() -> None:
    assert Recipe(eggs=3) == Recipe.model_validate({"eggs": 3}) == Recipe.model_validate_json('{"eggs": 3}')
    for make in (
        lambda: Recipe(eggs="x"),  # type: ignore[arg-type]
        lambda: Recipe.model_validate({"eggs": "x"}),
        lambda: Recipe.model_validate_json('{"eggs": "x"}'),
    ):
        with pytest.raises(SchemaError, match=r"^'eggs' cannot be 'x': it must be a valid integer$"):
            make()
    with pytest.raises(SchemaError, match=r"^unknown entry 'egs'; did you mean 'eggs'"):
        Recipe(egs=3)  # type: ignore[call-arg]


def test_a_document_within_another_is_named_with_its_place() -> None:
    with pytest.raises(SettingsError, match=r"^unknown setting 'training\.epoch'; did you mean 'epochs'"):
        Settings.model_validate({"model": "lr", "model_settings": {}, "training": {"epoch": 3}})
    with pytest.raises(SettingsError, match=r"^setting 'training\.epochs' cannot be 0: it must be"):
        TrainingSettings(epochs=0)
