"""Schema: which column is which kind of field, which one is the label, and what else has a role.

A schema is written by hand, read from a file (JSON or TOML) or inferred from a table
(`fieldwise.schema.inference`). It says how a column is to be read; what was learned from the values
(vocabularies, means) belongs to the Encoder.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from fieldwise.columns.dates import CalendarPart
from fieldwise.errors import FieldwiseError, SchemaError, suggest
from fieldwise.storage.atomic import write_text
from fieldwise.storage.places import expanded, place
from fieldwise.validation import Document, describe

Transform = Literal["standard", "minmax", "log_squared", "log", "none"]


class _FieldSpec(Document):
    raises: ClassVar[type[FieldwiseError]] = SchemaError
    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str | None = None
    """The column that the field reads; None: the column of the field's own name."""


class Categorical(_FieldSpec):
    """One token per row.

    Attributes:
        kind: `categorical`.
        min_count: tokens seen less often in training share one id; None takes the setting `data.min_count`.
        part: reads a calendar part of a date column instead of its value: `hour` 0-23, `weekday` 0 (Monday) to 6,
            `day` 1-31, `month` 1-12.

    Example:
        >>> Categorical(column="shown_at", part="weekday").part
        'weekday'
    """

    kind: Literal["categorical"] = "categorical"
    min_count: int | None = Field(default=None, ge=1)
    part: CalendarPart | None = None


class Numeric(_FieldSpec):
    """One number per row.

    Attributes:
        kind: `numeric`.
        transform: `standard` subtracts the mean and divides by the standard deviation; `minmax` maps the training
            range to [0, 1]; `log_squared` is the AutoInt authors' scaling, ln(x)^2 for x > 2 and x otherwise;
            `log` is sign(x) ln(1 + |x|), then standardised; `none` leaves the numbers alone.
        floor: whether `log_squared` truncates to a whole number, as the authors' code does (the paper does not).
        buckets: cuts the values into at most that many equally filled buckets and makes the field categorical;
            the transform is then not used.

    Example:
        >>> Numeric(transform="log").transform
        'log'
    """

    kind: Literal["numeric"] = "numeric"
    transform: Transform = "standard"
    floor: bool = True
    buckets: int | None = Field(default=None, ge=2, le=10_000)


class MultiValued(_FieldSpec):
    """Any number of tokens per row: text with a separator, or a list column.

    Attributes:
        kind: `multi_valued`.
        separator: what stands between the tokens of a text; None: the column holds lists.
        min_count: as in `Categorical`.

    Example:
        >>> MultiValued(separator="|").separator
        '|'
    """

    kind: Literal["multi_valued"] = "multi_valued"
    separator: str | None = Field(default=None, min_length=1)
    min_count: int | None = Field(default=None, ge=1)


FieldSpec = Annotated[Categorical | Numeric | MultiValued, Field(discriminator="kind")]
IGNORE = ("ignore", "ignored")
"""Words that leave a column out."""
_FIELD_SPEC: TypeAdapter[Categorical | Numeric | MultiValued] = TypeAdapter(FieldSpec)
FIELD_KINDS: tuple[str, ...] = ("categorical", "numeric", "multi_valued")


class Schema(Document):
    """The fields of a table in order, and the columns with a role.

    Attributes:
        fields: name -> `Categorical`, `Numeric` or `MultiValued`; the name of a kind stands for its defaults.
        label: the column with what is predicted: clicks, or numbers.
        positive: the label value that means a click, where it is not 1 or true.
        weight: a column with the weight of each row, at least 0.
        group: the column that GAUC groups by.
        time: the column that a time-ordered split sorts by.

    Raises:
        SchemaError: a field is the label, no field is left, or an entry is unknown or wrong.

    Example:
        >>> schema = Schema(label="click", fields={"user": "categorical", "price": Numeric(transform="log")})
        >>> schema.fields["price"].transform, schema.columns()
        ('log', ('user', 'price'))
    """

    raises: ClassVar[type[FieldwiseError]] = SchemaError
    model_config = ConfigDict(extra="forbid", frozen=True)

    fields: dict[str, FieldSpec]
    label: str
    positive: str | None = None
    weight: str | None = None
    group: str | None = None
    time: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _expand_kind_names(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("fields"), Mapping):
            return {**data, "fields": {str(n): expand_spec(str(n), s) for n, s in data["fields"].items()}}
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.fields:
            raise SchemaError("the schema has no fields; name at least one column as a field")
        for name, spec in self.fields.items():
            for role in ("label", "weight"):
                if self.column_of(name) == getattr(self, role):
                    raise SchemaError(
                        f"column '{spec.column or name}' is the {role} and cannot be a field too; "
                        f"leave field '{name}' out"
                    )
        return self

    def column_of(self, field: str) -> str:
        """The column that a field reads."""
        return self.fields[field].column or field

    def columns(self) -> tuple[str, ...]:
        """The columns that the fields read, each once, in field order."""
        return tuple(dict.fromkeys(self.column_of(name) for name in self.fields))

    def with_fields(self, fields: Mapping[str, Any], *, columns: Iterable[str]) -> Schema:
        """The same with some fields left out, changed or added.

        Args:
            fields: by the name of a field or of a column: a specification, a mapping, the name of a kind, or "ignore",
                which leaves out the field, or all fields that read the column.
            columns: of the table, that a further field may read.

        Returns:
            The new schema.

        Raises:
            SchemaError: a name is neither a field's nor a column's, or the result is no schema.

        Example:
            >>> schema = Schema(label="click", fields={"user": "categorical", "age": "categorical"})
            >>> changed = schema.with_fields({"user": "ignore", "price": "numeric"}, columns=["user", "age", "price"])
            >>> list(changed.fields)
            ['age', 'price']
        """
        changed: dict[str, Any] = dict(self.fields)
        columns = list(columns)
        for name, spec in fields.items():
            readers = [field for field in self.fields if field == name or self.column_of(field) == name]
            if isinstance(spec, str) and spec.strip().lower() in IGNORE:
                if not readers and name not in columns:
                    raise SchemaError(f"field '{name}' is not there; {suggest(name, {*self.fields, *columns})}")
                for field in readers:
                    changed.pop(field, None)
                continue
            parsed = parse_spec(name, spec)
            if (parsed.column or name) not in columns and name not in self.fields:
                raise SchemaError(
                    f"field '{name}': its column '{parsed.column or name}' is not in the table; "
                    f"{suggest(parsed.column or name, columns)}"
                )
            if parsed.column is None and name in self.fields:
                parsed = parsed.model_copy(update={"column": self.fields[name].column})
            changed[name] = parsed
        return self if changed == self.fields else Schema.model_validate({**dict(self), "fields": changed})

    def save(self, path: str | Path) -> None:
        """Write the schema as JSON, in the form that `load` reads.

        Args:
            path: of the file.

        Raises:
            StorageError: it cannot be written.

        Example:
            >>> schema = Schema(label="click", fields={"user": "categorical"})
            >>> schema.save("schema.json")
            >>> Schema.load("schema.json") == schema
            True
        """
        write_text(place(path), self.to_json())

    def to_json(self) -> str:
        """The schema as JSON text; what is at its default is left out."""
        data = self.model_dump(exclude_defaults=True)
        data["fields"] = {
            name: {"kind": spec.kind, **spec.model_dump(exclude_defaults=True)} for name, spec in self.fields.items()
        }
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Read a schema file.

        Args:
            path: JSON, or TOML where the name ends in `.toml`.

        Returns:
            The schema.

        Raises:
            SchemaError: the file is no schema; the message names the file and the entry.
        """
        path = expanded(path)
        try:
            text = path.read_text(encoding="utf-8-sig")  # some editors put a byte order mark
            data = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        except OSError as error:
            raise SchemaError(f"cannot read the schema file {path}: {error.strerror}") from error
        except ValueError as error:
            raise SchemaError(f"{path} is neither JSON nor TOML (by its ending): {error}") from error
        try:
            return cls.model_validate(data)
        except SchemaError as error:
            raise SchemaError(f"{path}: {error}") from error


def expand_spec(name: str, spec: Any) -> Any:
    """Turn the name of a kind into a field specification; anything else is left for validation.

    Args:
        name: of the field, for messages.
        spec: what was given.

    Returns:
        The specification as a mapping, or `spec` as it is.

    Raises:
        SchemaError: `spec` is text, but no kind.

    Example:
        >>> expand_spec("tags", "multi-valued")
        {'kind': 'multi_valued'}
    """
    if not isinstance(spec, str):
        return spec
    kind = spec.strip().lower().replace("-", "_")
    if kind not in FIELD_KINDS:
        raise SchemaError(f"field '{name}': unknown kind '{spec}'; {suggest(kind, FIELD_KINDS)}")
    return {"kind": kind}


def parse_spec(name: str, spec: Any) -> Categorical | Numeric | MultiValued:
    """A field specification from whatever may stand for one.

    Args:
        name: of the field, for messages.
        spec: a specification, a mapping or the name of a kind.

    Returns:
        The specification.

    Raises:
        SchemaError: it is none.

    Example:
        >>> parse_spec("price", {"kind": "numeric", "buckets": 10}).buckets
        10
    """
    if isinstance(spec, Categorical | Numeric | MultiValued):
        return spec
    try:
        return _FIELD_SPEC.validate_python(expand_spec(name, spec))
    except ValidationError as error:
        raise SchemaError(f"field '{name}': {describe(error, FieldSpec)}") from error
