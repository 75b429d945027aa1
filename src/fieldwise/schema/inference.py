"""Schema inference: from a table to a schema, with a reason for every column.

The rules, in order; the first that fits decides. "Distinct" counts different values, blank text is missing, and
text that reads as a number, a date or true/false is treated as such, so that a CSV file and a Parquet file with
the same content give the same schema.

 1. No value at all, or one value and no gap: ignored. (One value with gaps is a category: the gap tells something.)
 2. A list column: multi-valued. Booleans, and the texts true and false: categorical.
 3. Dates, and text that is an ISO date in every row (2026-01-31, 2026/01/31, with or without a time of day, a
    fraction and a zone): calendar. The parts are `hour` if there are times of day, `weekday`, and, if the dates span
    more than 60 days, `day` (of the month) and `month`: over less time they name single days of the past, which tell
    nothing of the future. A part with one value only, or whose name is a column of the table, is left out.
 4. Numbers with a fraction: numeric; categorical if the name has the word "version". 1.0 is a whole number.
    Leading zeros and plus signs ("007", "+49") make a column text. Among numbers, NA, null and the like are missing.
 5. Whole numbers called timestamp, ts, time, epoch or unixtime, all between the years 2000 and 2100 in Unix seconds
    or milliseconds: ignored, since a moment never comes again; stored as dates they would give calendar parts.
 6. Whole numbers are numeric if they look like a quantity:
    a. by name. A name is split into words at punctuation, digits and camelCase. The last word that tells a quantity
       (price, count, age, clicks, ...; size, rating, ... from 10 distinct values on) or an identity (id, code, type,
       group, ...) decides, and "num_", "total_" and the like in front tell a quantity. Things and calendar words
       (user, site, hour, year, ...) tell an identity where nothing else does. Two values are always a category.
    b. by shape, where the name says nothing, and strictly:
       differences: at least 10 distinct values on either side of zero, none of 10^9 or more;
       counts: at least 20 distinct values, at most a tenth of the rows and ten times their root; a minimum of -3 to 1
       and no gap in the first ten values; a maximum of at least twice the distinct values; the most frequent value
       among the first five; a rank correlation of value and frequency of -0.8 or below;
       prices: at least 20 distinct values, at most a fifth of the rows; positive, with a maximum of at least ten
       times the minimum; 60 % of the rows and of the distinct values a multiple of 5 or with a last digit 9.
 7. Text is multi-valued if "|", ";" or "," (tried in this order) splits it into a small common vocabulary: the
    separator is in at least 10 % of the values; there are at most 1,000 different parts, each found in two distinct
    values on average; parts are short (40 characters, 4 words). JSON is not split, nor numbers with commas. Parts
    between commas must change places: "Smith, John" is a composite, "red, blue" is a list.
 8. Text and whole numbers with a different value in each of at least 100 rows: ignored, as a row key.
 9. What is left, text and whole numbers, is categorical, however many distinct values there are.

A numeric field gets the transform `log` where the largest magnitude is at least 20 and above 20 medians and the
magnitudes have a skewness above 2; otherwise `standard`.

The label and the weight are never fields. The group and the time column are decided like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.columns.dates import CalendarPart
from fieldwise.errors import DataError, SchemaError, suggest
from fieldwise.schema import patterns
from fieldwise.schema.patterns import Counts, Floats, Tally
from fieldwise.schema.schema import IGNORE, Categorical, FieldSpec, MultiValued, Numeric, Schema, parse_spec

KEY_ROWS = 100
CALENDAR_DAYS = 60
_CLOCK_WORDS = frozenset(("timestamp", "ts", "time", "epoch", "unixtime"))
_YEAR_2000, _YEAR_2100 = 946_684_800, 4_102_444_800
_EXACT = 2.0**53  # whole numbers from here on are not all told apart by float64
_PARTS: tuple[tuple[CalendarPart, Callable[[pa.Array], pa.Array]], ...] = (
    ("hour", pc.hour),
    ("weekday", pc.day_of_week),
    ("day", pc.day),
    ("month", pc.month),
)


@dataclass(frozen=True)
class ColumnDecision:
    """What was decided for one column, and why.

    decision: "categorical", "numeric", "multi_valued", "calendar" or "ignored"; "label" or "weight"; "group" or
        "time" for a column with that role that is no field.
    fields: the fields that read the column, by name; none for a label or an ignored column, several for a date.
    reason: the rule that decided, with its figures. distinct: different values, or elements of a list column.
    missing: rows without a value. examples: the first two or three different values.
    """

    column: str
    decision: str
    fields: dict[str, FieldSpec]
    reason: str
    distinct: int
    missing: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Inference:
    """A schema, and one decision for every column of the table, in the table's order."""

    schema: Schema
    decisions: tuple[ColumnDecision, ...]

    COLUMNS: ClassVar = ("column", "kind", "distinct", "missing", "examples", "why")

    def rows(self) -> list[tuple[str, str, str, str, str, str]]:
        """For a printed table under `COLUMNS`."""
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


@dataclass(frozen=True)
class _Verdict:
    decision: str
    reason: str
    fields: dict[str, FieldSpec] = field(default_factory=dict)


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
    """Decide for every column of a table which kind of field it is (the rules: see the module).

    label, positive, weight, group, time: as in `Schema`; the columns must be in the table.
    fields: decisions that are given, by field name: a specification, a mapping, the name of a kind, or "ignore".
        A specification that names a `column` is a decision on that column.
    ignore: columns that are no fields.

    Raises DataError for a table without rows, SchemaError for a column that is not in the table or is there twice,
    for a decision on the label or weight, and where no field is left.
    """
    if not table.num_rows:
        raise DataError("the table has no rows; kinds of fields can only be inferred from values")
    names = table.column_names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SchemaError(f"column '{twice}' is in the table more than once; rename one of the two")
    asked = {"label": label, "weight": weight, "group": group, "time": time}
    roles = {role: column for role, column in asked.items() if column is not None}
    dropped = {ignore} if isinstance(ignore, str) else set(ignore)
    given = _given_fields(fields, dropped)
    _check_columns(names, roles, given, dropped)
    decisions: list[ColumnDecision] = []
    chosen: dict[str, FieldSpec] = {}
    for name in names:
        role = next((role for role, column in roles.items() if column == name), None)
        decision = _decide_column(
            name, table[name], role=role, given=given.get(name), dropped=name in dropped, taken=names
        )
        for key, spec in decision.fields.items():
            if key in chosen:
                raise SchemaError(f"two fields are called '{key}'; give the one of column '{name}' another name")
            chosen[key] = spec
        decisions.append(decision)
    if not chosen:
        reasons = "; ".join(f"{d.column}: {d.reason}" for d in decisions[:5])
        more = f"; and {len(decisions) - 5} more" if len(decisions) > 5 else ""
        raise SchemaError(f"no column is left as a field ({reasons}{more}); name at least one as a field")
    schema = Schema(fields=chosen, label=label, positive=positive, weight=weight, group=group, time=time)
    return Inference(schema, tuple(decisions))


def remarks(table: pa.Table, schema: Schema) -> list[str]:
    """One sentence for every column of a given schema that tells a model nothing, in the order of the fields.

    That is a column without values, with one value in all rows, or, as a category, with a different value in each
    row. Columns that are missing are left to the encoder, which refuses them.
    """
    said = []
    for column in schema.columns():
        specs = [spec for name, spec in schema.fields.items() if schema.column_of(name) == column]
        if column in table.column_names and (text := _remark(_tally(table[column]), specs)):
            said.append(f"column '{column}' has {text}: it tells the model nothing")
    return said


def _remark(found: Tally | None, specs: Collection[FieldSpec]) -> str | None:
    """What makes a column useless for the fields that read it; None: nothing."""
    if found is None or not found.present:
        return None if found is None else "no values"
    if len(found.values) == 1 and not found.missing:
        return "one value only"
    by_value = any(isinstance(spec, Categorical) and spec.part is None for spec in specs)
    return "a different value in each row" if by_value and len(found.values) == found.present >= KEY_ROWS else None


def _tally(column: pa.ChunkedArray) -> Tally | None:
    return patterns.tally_elements(column) if patterns.is_list(column.type) else patterns.tally(column)


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
) -> dict[str, dict[str, FieldSpec]]:
    """The given fields by the column that they read; names given as "ignore" are added to `dropped`."""
    given: dict[str, dict[str, FieldSpec]] = {}
    for name, spec in fields.items():
        if isinstance(spec, str) and spec.strip().lower() in IGNORE:
            dropped.add(name)
        else:
            parsed = parse_spec(name, spec)
            given.setdefault(parsed.column or name, {})[name] = parsed
    return given


def _decide_column(
    name: str,
    column: pa.ChunkedArray,
    *,
    role: str | None,
    given: dict[str, FieldSpec] | None,
    dropped: bool,
    taken: Collection[str],
) -> ColumnDecision:
    is_list = patterns.is_list(column.type)
    found = _tally(column)
    numbers = None
    if found is not None and not is_list:
        numbers = patterns.read_numbers(found)
        found = numbers[0] if numbers else found
    if role in ("label", "weight"):
        verdict = _Verdict(str(role), f"the {role}")
    elif dropped:
        verdict = _Verdict("ignored", "given")
    elif given:
        kind = "calendar" if any(getattr(spec, "part", None) for spec in given.values()) else ""
        remark = _remark(found, given.values())
        reason = f"given, although it has {remark}" if remark else "given"
        verdict = _Verdict(kind or next(iter(given.values())).kind, reason, given)
    elif found is None:
        verdict = _Verdict("ignored", f"a column of type {column.type} holds no tokens, numbers or dates")
    elif is_list:
        verdict = _decide_list(name, found)
    else:
        verdict = _decide_values(name, found, numbers[1] if numbers else None, taken)
    if role in ("group", "time"):
        as_role = {"ignored": role}.get(verdict.decision, verdict.decision)
        verdict = replace(verdict, decision=as_role, reason=f"{verdict.reason}; also the {role} column")
    if found is None:
        return ColumnDecision(name, verdict.decision, verdict.fields, verdict.reason, 0, column.null_count, ())
    return ColumnDecision(
        name,
        verdict.decision,
        verdict.fields,
        verdict.reason,
        distinct=_distinct(found, numbers[1] if numbers else None),
        missing=found.missing,
        examples=_examples(found.values[:3]),
    )


def _decide_list(name: str, found: Tally) -> _Verdict:
    if not found.present:
        return _Verdict("ignored", "no values")
    reason = f"lists of {len(found.values):,} different elements"
    return _Verdict("multi_valued", reason, {name: MultiValued()})


def _decide_values(name: str, found: Tally, numbers: Floats | None, taken: Collection[str]) -> _Verdict:
    distinct = _distinct(found, numbers)
    if not distinct:
        return _Verdict("ignored", "no values")
    if distinct == 1 and not found.missing:
        return _Verdict("ignored", "one value only")
    if distinct == 1:
        return _categorical(name, f"one value, missing in {found.missing:,} rows: its presence tells something")
    if patterns.is_boolean(found.values):
        return _categorical(name, "true or false")
    moments = patterns.read_moments(found.values)
    if moments is not None:
        return _decide_dates(name, moments, taken)
    verdict = _decide_numbers(name, found, numbers) if numbers is not None else _decide_text(name, found)
    if verdict is not None:
        return verdict
    if distinct == found.present >= KEY_ROWS:
        return _Verdict("ignored", "a different value in each row: a row key")
    if numbers is None:
        return _categorical(name, f"text, {distinct:,} different values")
    meaning = patterns.meaning_of(name)
    if meaning and meaning[0] == "identity":
        return _categorical(name, f"whole numbers; '{meaning[1]}' in the name tells an identity")
    return _categorical(name, f"whole numbers, {distinct:,} different, that do not look like a quantity")


def _decide_dates(name: str, moments: pa.Array, taken: Collection[str]) -> _Verdict:
    seconds = moments.cast(pa.int64()).to_numpy()
    days = int(seconds.max() - seconds.min()) / 86_400
    fields: dict[str, FieldSpec] = {}
    for part, extract in _PARTS:
        if part in ("day", "month") and days <= CALENDAR_DAYS:
            continue
        if f"{name}.{part}" not in taken and pc.count_distinct(extract(moments)).as_py() > 1:
            fields[f"{name}.{part}"] = Categorical(column=name, part=part)
    clock = "with" if (seconds % 86_400).any() else "without"
    reason = f"dates {clock} times of day that span {days:,.0f} days"
    if not fields:
        return _Verdict("ignored", f"{reason}: no part of the calendar varies")
    return _Verdict("calendar", reason, fields)


def _decide_numbers(name: str, found: Tally, numbers: Floats) -> _Verdict | None:
    """A verdict on numbers; None for whole numbers that are no quantity."""
    words = patterns.split_name(name)
    finite = np.isfinite(numbers)
    if not finite.all() or (numbers % 1 != 0).any():
        which = "numbers with a fraction" if finite.all() else "numbers, some of them infinite"
        if "version" in words:
            return _categorical(name, f"{which}; 'version' in the name tells an identity")
        return _numeric(name, which, numbers[finite], found.counts[finite])
    clock = _CLOCK_WORDS.intersection(words)
    for unit, scale in (("seconds", 1), ("milliseconds", 1000)):
        if clock and numbers.min() >= _YEAR_2000 * scale and numbers.max() <= _YEAR_2100 * scale:
            return _Verdict("ignored", f"moments in Unix {unit}; as dates they would give hour and weekday")
    values, where = np.unique(numbers, return_inverse=True)
    if len(values) <= 2:
        return None
    counts = np.bincount(where, weights=found.counts).astype(np.int64)
    meaning = patterns.meaning_of(name)
    if meaning and (meaning[0] == "quantity" or (meaning[0] == "scale" and len(values) >= 10)):
        return _numeric(name, f"whole numbers; '{meaning[1]}' in the name tells a quantity", values, counts)
    shape = None if meaning else patterns.shape_of_quantity(values, counts)
    return _numeric(name, f"whole numbers, {shape}", values, counts) if shape else None


def _decide_text(name: str, found: Tally) -> _Verdict | None:
    separator = patterns.find_separator(found)
    if separator is None:
        return None
    with_it = pc.match_substring(found.values, separator).to_numpy(zero_copy_only=False)
    share = found.counts[with_it].sum() / found.present
    reason = f"text, '{separator}' in {share:.0%} of the values splits it into few different parts"
    return _Verdict("multi_valued", reason, {name: MultiValued(separator=separator)})


def _categorical(name: str, reason: str) -> _Verdict:
    return _Verdict("categorical", reason, {name: Categorical()})


def _numeric(name: str, reason: str, values: Floats, counts: Counts) -> _Verdict:
    if len(values) and patterns.heavy_tail(values, counts):
        reason += f"; log, for a heavy tail up to {np.abs(values).max():,.6g}"
        return _Verdict("numeric", reason, {name: Numeric(transform="log")})
    return _Verdict("numeric", f"{reason}; standard, for no heavy tail", {name: Numeric()})


def _distinct(found: Tally, numbers: Floats | None) -> int:
    """Different values; texts that are the same number ("1" and "1.0") count once where float64 tells them apart."""
    if numbers is None or not len(numbers) or np.abs(numbers).max() >= _EXACT:
        return len(found.values)
    return len(np.unique(numbers))


def _examples(values: pa.Array) -> tuple[str, ...]:
    """Values as short texts; whole floats without their ".0"."""
    if pa.types.is_timestamp(values.type):  # Python's datetime knows no nanoseconds
        values = values.cast(pa.timestamp("us", values.type.tz), safe=False)
    texts = [
        str(int(value) if isinstance(value, float) and value.is_integer() else value) for value in values.to_pylist()
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
            text = f"multi_valued, '{separator}'" if separator else "multi_valued, list"
    return text if name == column else f"{name}: {text}"
