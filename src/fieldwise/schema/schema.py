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

from fieldwise.columns.dates import DATE_FORMS, CalendarPart, DateForm, is_zone
from fieldwise.columns.numbers import DecimalMark, NumberReading, Unreadable
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
        date: with `part`, how texts and numbers are read: `year_first`, `day_first`, `month_first`, `time_of_day`; Unix
            time in `seconds`, `milliseconds`, `microseconds` or `nanoseconds`; digits as `yyyymmdd`, `yyyymmddhh`,
            `yyyymmddhhmm`, `yyyymmddhhmmss` or `yymmddhh`. None: as the training values tell.
        zone: with `part`, the time zone whose clock is read, such as `Europe/Berlin` or `+02:00`; None: that of the
            training values. Moments that are written in another zone are converted.
        unreadable: with `part`, what a value that is no date is: an `error`, or `missing`.

    Raises:
        SchemaError: `date` or `zone` without `part`, or the zone is not known.

    Example:
        >>> Categorical(column="shown_at", part="weekday").part
        'weekday'
    """

    kind: Literal["categorical"] = "categorical"
    min_count: int | None = Field(default=None, ge=1)
    part: CalendarPart | None = None
    date: DateForm | None = None
    zone: str | None = None
    unreadable: Unreadable = "error"

    @model_validator(mode="after")
    def _check_date(self) -> Self:
        if self.part is None and (self.date is not None or self.zone is not None):
            raise ValueError(
                "date and zone go with a part of the calendar: name it (part: hour, weekday, day or month)"
            )
        if self.zone is not None and not is_zone(self.zone):
            raise ValueError(
                f"there is no time zone '{self.zone}'; expected a name such as Europe/Berlin, UTC or +02:00"
            )
        return self


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
        decimal: the decimal mark, `.` or `,`, of texts as people write numbers: with thousands, a currency or per cent;
            None: plain numbers.
        unreadable: what a text that is no number is: an `error`, or `missing`.

    Example:
        >>> Numeric(transform="log").transform
        'log'
    """

    kind: Literal["numeric"] = "numeric"
    transform: Transform = "standard"
    floor: bool = True
    buckets: int | None = Field(default=None, ge=2, le=10_000)
    decimal: DecimalMark | None = None
    unreadable: Unreadable = "error"

    @property
    def reading(self) -> NumberReading:
        """How texts are read."""
        return NumberReading(self.decimal, self.unreadable)


class MultiValued(_FieldSpec):
    """Any number of tokens per row: text with a separator, or a list column.

    Attributes:
        kind: `multi_valued`.
        separator: what stands between the tokens of a text, a blank for any run of blanks, `[]` for lists as JSON or
            Python write them; None: the column holds lists.
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
PARTS: tuple[CalendarPart, ...] = ("hour", "weekday", "day", "month")
_FIELD_SPEC: TypeAdapter[Categorical | Numeric | MultiValued] = TypeAdapter(FieldSpec)
CALENDAR = "calendar"
"""Asks for the parts of the calendar of a column: one categorical field each."""
FIELD_KINDS: tuple[str, ...] = ("categorical", "numeric", "multi_valued")
SEPARATOR_NAMES = {"blank": " ", "space": " ", "tab": "\t", "comma": ",", "pipe": "|", "list": "[]", "json": "[]"}
"""Separators that are hard to type, by name."""


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
            fields: by the name of a field or of a column: a specification, a mapping, the name of a kind; "ignore",
                which leaves out the field, or all fields that read the column; or, by the name of a column, "calendar",
                which puts all parts of the calendar in their place.
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
            is_calendar, form = calendar_form(name, spec)
            if is_calendar:
                for field in readers:
                    changed.pop(field, None)
                parts = {
                    f"{name}.{part}": {"kind": "categorical", "column": name, "part": part, "date": form}
                    for part in PARTS
                }
                changed |= Schema(label=self.label, fields=parts).fields
                if name not in columns:
                    raise SchemaError(f"field '{name}': there is no such column; {suggest(name, columns)}")
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


def calendar_form(name: str, spec: Any) -> tuple[bool, DateForm | None]:
    """Whether a specification asks for the parts of the calendar: `calendar`, or `calendar:FORM`; and the form.

    Args:
        name: of the field, for messages.
        spec: what was given.

    Returns:
        Whether it does, and the form of its moments; None: as the values tell.

    Raises:
        SchemaError: there is no such form.

    Example:
        >>> calendar_form("seen", "calendar:day_first"), calendar_form("seen", "categorical")
        ((True, 'day_first'), (False, None))
    """
    if not isinstance(spec, str):
        return False, None
    kind, colon, option = spec.strip().lower().partition(":")
    if kind.strip() != CALENDAR:
        return False, None
    written = option.strip().replace("-", "_")
    if not colon:
        return True, None
    for form in DATE_FORMS:
        if form == written:
            return True, form
    raise SchemaError(f"field '{name}': there is no form of dates '{option}'; {suggest(written, DATE_FORMS)}")


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
        >>> expand_spec("tags", "multi-valued"), expand_spec("tags", "multi_valued:^")
        ({'kind': 'multi_valued'}, {'kind': 'multi_valued', 'separator': '^'})
        >>> expand_spec("price", "numeric:log"), expand_spec("price", "numeric:,")
        ({'kind': 'numeric', 'transform': 'log'}, {'kind': 'numeric', 'decimal': ','})
    """
    if not isinstance(spec, str):
        return spec
    written, colon, option = spec.partition(":")
    kind = written.strip().lower().replace("-", "_")
    if kind not in FIELD_KINDS:
        raise SchemaError(f"field '{name}': unknown kind '{spec}'; {suggest(kind, (*FIELD_KINDS, CALENDAR))}")
    if not colon:
        return {"kind": kind}
    if kind == "multi_valued" and option:
        return {"kind": kind, "separator": SEPARATOR_NAMES.get(option.strip().lower(), option)}
    if kind == "numeric" and option.strip():
        option = option.strip().lower()
        return {"kind": kind, "decimal" if option in (".", ",") else "transform": option}
    raise SchemaError(
        f"field '{name}': '{spec}' says nothing behind the colon that goes with {kind}; expected the kind alone, "
        "multi_valued:SEPARATOR, numeric:TRANSFORM, numeric:, (a decimal comma) or calendar:FORM"
    )


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
