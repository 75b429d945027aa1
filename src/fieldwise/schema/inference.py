"""Schema inference: from a table to a schema, with a reason for every column.

The rules on the values and the name of a column stand in `fieldwise.schema.rules`. They read profiles
(`fieldwise.columns.profile`), never rows.

The label and the weight are never fields. The group and the time column are decided like any other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

import pyarrow as pa

from fieldwise.columns.counting import TableProfile
from fieldwise.columns.dates import DateForm
from fieldwise.columns.profile import ColumnProfile
from fieldwise.columns.python_values import python_values
from fieldwise.errors import DataError, SchemaError, suggest
from fieldwise.schema.patterns import Tally, read_numbers, tally
from fieldwise.schema.rules import (
    KEY_ROWS,
    Verdict,
    complete,
    count_distinct,
    decide_calendar,
    decide_list,
    decide_values,
)
from fieldwise.schema.schema import (
    IGNORE,
    Categorical,
    FieldSpec,
    MultiValued,
    Numeric,
    Schema,
    calendar_form,
    parse_spec,
)
from fieldwise.wording import argument


@dataclass(frozen=True)
class ColumnDecision:
    """What was decided for one column, and why.

    Attributes:
        column: its name.
        decision: "categorical", "numeric", "multi_valued", "calendar" or "ignored"; "label" or "weight"; "group" or
            "time" for a column with that role that is no field.
        fields: the fields that read the column, by name; none for a label or an ignored column, several for a date.
        reason: the rule that decided, with its figures.
        distinct: different values, or elements of a list column.
        missing: rows without a value.
        examples: the first two or three different values.
        doubt: what a person should look at, and how to decide otherwise; empty where nothing is doubtful.
    """

    column: str
    decision: str
    fields: dict[str, FieldSpec]
    reason: str
    distinct: int
    missing: int
    examples: tuple[str, ...]
    doubt: str = ""


@dataclass(frozen=True)
class Inference:
    """A schema, and one decision for every column of the table.

    Attributes:
        schema: what was inferred.
        decisions: in the table's order.
    """

    schema: Schema
    decisions: tuple[ColumnDecision, ...]

    @property
    def doubts(self) -> list[str]:
        """One sentence for every column that a person should look at."""
        return [f"column '{d.column}': {d.doubt}" for d in self.decisions if d.doubt]

    COLUMNS: ClassVar = ("column", "kind", "distinct", "missing", "examples", "why")
    OPTIONAL: ClassVar = ("examples", "missing", "distinct", "why")
    """Of these, what a narrow table leaves out, the first of them first."""

    def rows(self) -> list[tuple[str, str, str, str, str, str]]:
        """The decisions as texts, for a printed table under `COLUMNS`."""
        return [
            (
                d.column,
                "; ".join(_describe_field(d.column, name, spec) for name, spec in d.fields.items()) or d.decision,
                f"{d.distinct:,}",
                f"{d.missing:,}",
                ", ".join(d.examples),
                d.reason,
            )
            for d in self.decisions
        ]


def infer_schema(
    table: pa.Table,
    *,
    label: str,
    positive: str | None = None,
    weight: str | None = None,
    group: str | None = None,
    time: str | None = None,
    fields: Mapping[str, FieldSpec | str | Mapping[str, Any]] = MappingProxyType({}),
    ignore: Collection[str] = (),
) -> Inference:
    """Decide for every column of a table which kind of field it is (the rules: see `fieldwise.schema.rules`).

    Args:
        table: the rows.
        label: the label's column.
        positive: the label value that means a click, as in `Schema`.
        weight: the column with row weights.
        group: the column that GAUC groups by.
        time: the column that a time-ordered split sorts by.
        fields: decisions that are given, by field name: a specification, a mapping, the name of a kind, "ignore", or
            "calendar", with the form of the dates where the values do not tell it ("calendar:day_first").
            A specification that names a `column` is a decision on that column. What it leaves open (a transform, a
            separator) is chosen as it would be without it.
        ignore: columns that are no fields.

    Returns:
        The schema, and the decision on each column.

    Raises:
        DataError: the table has no rows, or a column cannot be read.
        SchemaError: a column is not in the table or is there twice, a decision is on the label or weight, or no field
            is left.

    Example:
        >>> table = pa.table({"user_id": [7, 8, 7], "price": [1.5, 20.0, 3.25], "click": [0, 1, 0]})
        >>> inference = infer_schema(table, label="click")
        >>> {name: spec.kind for name, spec in inference.schema.fields.items()}
        {'user_id': 'categorical', 'price': 'numeric'}
        >>> inference.decisions[0].reason
        "whole numbers; 'id' in the name tells an identity"
    """
    names = table.column_names
    if table.num_rows and len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SchemaError(f"column '{twice}' is in the table more than once; rename one of the two")
    return infer(
        TableProfile(table),
        label=label,
        positive=positive,
        weight=weight,
        group=group,
        time=time,
        fields=fields,
        ignore=ignore,
    )


def infer(
    profiles: Mapping[str, ColumnProfile],
    *,
    label: str,
    positive: str | None = None,
    weight: str | None = None,
    group: str | None = None,
    time: str | None = None,
    fields: Mapping[str, FieldSpec | str | Mapping[str, Any]] = MappingProxyType({}),
    ignore: Collection[str] = (),
) -> Inference:
    """Decide for every column which kind of field it is, by the columns' profiles alone.

    Args:
        profiles: of all columns, by name, in the table's order.
        label: as in `infer_schema`.
        positive: as in `infer_schema`.
        weight: as in `infer_schema`.
        group: as in `infer_schema`.
        time: as in `infer_schema`.
        fields: as in `infer_schema`.
        ignore: as in `infer_schema`.

    Returns:
        The schema, and the decision on each column.

    Raises:
        DataError: there are no rows, or a column cannot be read.
        SchemaError: as `infer_schema` does.
    """
    names = list(profiles)
    if not names or not profiles[label if label in names else names[0]].rows:
        raise DataError("the table has no rows; kinds of fields can only be inferred from values")
    asked = {"label": label, "weight": weight, "group": group, "time": time}
    roles = {role: column for role, column in asked.items() if column is not None}
    dropped = {ignore} if isinstance(ignore, str) else set(ignore)
    given, calendars = _given_fields(fields, dropped)
    _check_columns(names, roles, {*given, *calendars}, dropped)
    decisions: list[ColumnDecision] = []
    schema_fields: dict[str, FieldSpec] = {}
    for name in names:
        role = next((role for role, column in roles.items() if column == name), None)
        try:
            profile = profiles[name]
        except DataError as error:
            if name not in dropped:
                hint = f". If it is not needed: {argument('fields', {name: 'ignore'})}" if name.strip() else ""
                raise DataError(f"{error}{hint}") from error
            decisions.append(ColumnDecision(name, "ignored", {}, "given", 0, 0, ()))
            continue
        decision = _decide_column(
            name,
            profile,
            role=role,
            given=given.get(name),
            dropped=name in dropped,
            calendar=(calendars[name],) if name in calendars else None,
            taken=names,
        )
        for key, spec in decision.fields.items():
            if key in schema_fields:
                raise SchemaError(f"two fields are called '{key}'; give the one of column '{name}' another name")
            schema_fields[key] = spec
        decisions.append(decision)
    if not schema_fields:
        reasons = "; ".join(f"{d.column}: {d.reason}" for d in decisions[:5])
        more = f"; and {len(decisions) - 5} more" if len(decisions) > 5 else ""
        raise SchemaError(f"no column is left as a field ({reasons}{more}); name at least one as a field")
    schema = Schema(fields=schema_fields, label=label, positive=positive, weight=weight, group=group, time=time)
    return Inference(schema, tuple(decisions))


def remarks(profiles: Mapping[str, ColumnProfile], schema: Schema) -> list[str]:
    """One sentence for every column of a given schema that tells a model nothing, in the order of the fields.

    That is a column without values, with one value in all rows, or, as a category, with a different value in each
    row. Columns that are missing are left to the encoder, which refuses them.

    Args:
        profiles: of the columns, by name.
        schema: the fields.

    Returns:
        The sentences.
    """
    said = []
    for column in schema.columns():
        specs = [spec for name, spec in schema.fields.items() if schema.column_of(name) == column]
        if column in profiles and (text := _remark(tally(profiles[column]), specs)):
            said.append(f"column '{column}' has {text}: it tells the model nothing")
    return said


def _remark(column: Tally | None, specs: Collection[FieldSpec]) -> str | None:
    """What makes a column useless for the fields that read it; None: nothing."""
    if column is None or not column.present:
        return None if column is None else "no values"
    if len(column.values) == 1 and not column.missing:
        return "one value only"
    by_value = any(isinstance(spec, Categorical) and spec.part is None for spec in specs)
    return "a different value in each row" if by_value and len(column.values) == column.present >= KEY_ROWS else None


def _check_columns(
    names: Collection[str], roles: Mapping[str, str], given: Collection[str], dropped: Collection[str]
) -> None:
    """Raise SchemaError for a named column that is not in the table, or a given field on the label or weight."""
    for what, column in [
        *((f"the {role} column", column) for role, column in roles.items()),
        *(("a field's column", column) for column in given),
        *(("an ignored column", column) for column in sorted(dropped)),
    ]:
        if column not in names:
            raise SchemaError(f"{what}, '{column}', is not in the table; {suggest(column, names)}")
    for role in ("label", "weight"):
        if roles.get(role) in given:
            raise SchemaError(
                f"column '{roles[role]}' is the {role} and cannot be a field too; leave it out of the fields"
            )


def _given_fields(
    fields: Mapping[str, FieldSpec | str | Mapping[str, Any]], dropped: set[str]
) -> tuple[dict[str, dict[str, FieldSpec]], dict[str, DateForm | None]]:
    """The given fields by the column that they read, and the columns that are said to be calendars, with their forms.

    Names given as "ignore" are added to `dropped`.
    """
    calendars: dict[str, DateForm | None] = {}
    given: dict[str, dict[str, FieldSpec]] = {}
    if not isinstance(fields, Mapping):
        raise SchemaError(
            f"fields: expected a kind for each column, such as {{'user': 'categorical'}}, got {fields!r:.60}"
        )
    for name, spec in fields.items():
        if isinstance(spec, str) and spec.strip().lower() in IGNORE:
            dropped.add(name)
            continue
        is_calendar, form = calendar_form(name, spec)
        if is_calendar:
            calendars[name] = form
        else:
            parsed = parse_spec(name, spec)
            given.setdefault(parsed.column or name, {})[name] = parsed
    return given, calendars


def _decide_column(
    name: str,
    profile: ColumnProfile,
    *,
    role: str | None,
    given: dict[str, FieldSpec] | None,
    dropped: bool,
    calendar: tuple[DateForm | None] | None,
    taken: Collection[str],
) -> ColumnDecision:
    column = tally(profile)
    numbers = None
    if column is not None and not profile.is_list:
        numbers = read_numbers(column)
    if role in ("label", "weight"):
        verdict = Verdict(str(role), f"the {role}")
    elif dropped:
        verdict = Verdict("ignored", "given")
    elif calendar is not None and column is not None and not profile.is_list:
        verdict = decide_calendar(name, column, calendar[0], taken)
    elif given:
        if column is not None and not profile.is_list:
            given = {field: complete(spec, column) for field, spec in given.items()}
        kind = "calendar" if any(getattr(spec, "part", None) for spec in given.values()) else ""
        remark = _remark(column, given.values())
        reason = f"given, although it has {remark}" if remark else "given"
        verdict = Verdict(kind or next(iter(given.values())).kind, reason, given)
    elif column is None:
        verdict = Verdict("ignored", f"a column of type {profile.kind} holds no tokens, numbers or dates")
    elif profile.is_list:
        verdict = decide_list(name, column)
    else:
        verdict = decide_values(name, column, numbers, taken)
    if role in ("group", "time"):
        as_role = {"ignored": role}.get(verdict.decision, verdict.decision)
        verdict = replace(verdict, decision=as_role, reason=f"{verdict.reason}; also the {role} column")
    if column is None:
        return ColumnDecision(name, verdict.decision, verdict.fields, verdict.reason, 0, profile.missing, ())
    return ColumnDecision(
        name,
        verdict.decision,
        verdict.fields,
        verdict.reason,
        distinct=count_distinct(column, numbers),
        missing=column.missing,
        examples=_examples(column.values[:3]),
        doubt=verdict.doubt,
    )


def _examples(values: pa.Array) -> tuple[str, ...]:
    """Values as short texts; whole floats without their ".0"."""
    if pa.types.is_timestamp(values.type):  # Python's datetime knows no nanoseconds
        values = values.cast(pa.timestamp("us", values.type.tz), safe=False)
    texts = [
        str(int(value) if isinstance(value, float) and value.is_integer() else value) for value in python_values(values)
    ]
    return tuple(text if len(text) <= 40 else text[:39] + "…" for text in texts)


def _describe_field(column: str, name: str, spec: FieldSpec) -> str:
    """A field in a few words: its kind and what sets it apart, with its name where that is not the column's."""
    match spec:
        case Categorical(part=part):
            text = f"categorical, {part}" if part else "categorical"
        case Numeric(buckets=buckets, transform=transform):
            text = f"numeric, {buckets} buckets" if buckets else f"numeric, {transform}"
        case MultiValued(separator=separator):
            text = f"multi_valued, {separator!r}" if separator else "multi_valued, list"
    return text if name == column else f"{name}: {text}"
