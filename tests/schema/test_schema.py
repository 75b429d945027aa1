"""Schema: what it accepts, how it is written and read, and how it complains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fieldwise.errors import SchemaError
from fieldwise.schema.schema import FIELD_KINDS, Categorical, MultiValued, Numeric, Schema, expand_spec, parse_spec


def shop(**changes: Any) -> Schema:
    """A schema with a field of every kind."""
    entries: dict[str, Any] = {
        "fields": {
            "user": Categorical(min_count=3),
            "hour": Categorical(column="seen", part="hour"),
            "weekday": Categorical(column="seen", part="weekday"),
            "price": Numeric(transform="log"),
            "age": Numeric(buckets=10),
            "tags": MultiValued(separator="|"),
        },
        "label": "click",
    }
    return Schema(**{**entries, **changes})


SHOP_JSON = """{
  "fields": {
    "user": {
      "kind": "categorical",
      "min_count": 3
    },
    "hour": {
      "kind": "categorical",
      "column": "seen",
      "part": "hour"
    },
    "weekday": {
      "kind": "categorical",
      "column": "seen",
      "part": "weekday"
    },
    "price": {
      "kind": "numeric",
      "transform": "log"
    },
    "age": {
      "kind": "numeric",
      "buckets": 10
    },
    "tags": {
      "kind": "multi_valued",
      "separator": "|"
    }
  },
  "label": "click"
}
"""

SHOP_TOML = """
label = "click"

[fields]
user = { kind = "categorical", min_count = 3 }
hour = { kind = "categorical", column = "seen", part = "hour" }
weekday = { kind = "categorical", column = "seen", part = "weekday" }
price = { kind = "numeric", transform = "log" }
age = { kind = "numeric", buckets = 10 }
tags = { kind = "multi_valued", separator = "|" }
"""


def write(folder: Path, text: str, name: str = "schema.json") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


# ---- fields and columns


def test_columns_follow_the_fields_and_come_once() -> None:
    schema = shop()
    assert schema.columns() == ("user", "seen", "price", "age", "tags")
    assert schema.column_of("weekday") == "seen"
    assert schema.column_of("user") == "user"


@pytest.mark.parametrize("kind", FIELD_KINDS)
def test_the_name_of_a_kind_stands_for_its_defaults(kind: str) -> None:
    defaults = {"categorical": Categorical(), "numeric": Numeric(), "multi_valued": MultiValued()}
    assert Schema.model_validate({"fields": {"x": kind}, "label": "y"}).fields == {"x": defaults[kind]}
    assert parse_spec("x", kind) == defaults[kind]
    assert parse_spec("x", f" {kind.upper().replace('_', '-')} ") == defaults[kind]


def test_a_specification_may_be_an_object_a_mapping_or_a_name() -> None:
    given_spec = Numeric(buckets=4)
    assert parse_spec("x", given_spec) is given_spec
    assert parse_spec("x", {"kind": "numeric", "buckets": 4}) == given_spec
    assert expand_spec("x", {"kind": "anything"}) == {"kind": "anything"}


def test_a_schema_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        shop().label = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        shop().fields["user"].min_count = 5  # type: ignore[union-attr,misc]


# ---- roles


def test_roles_default_to_none() -> None:
    schema = shop()
    assert (schema.positive, schema.weight, schema.group, schema.time) == (None, None, None, None)


def test_group_and_time_may_be_fields() -> None:
    schema = shop(group="user", time="seen", weight="w", positive="yes")
    assert (schema.group, schema.time, schema.weight, schema.positive) == ("user", "seen", "w", "yes")


@pytest.mark.parametrize("role", ["label", "weight"])
@pytest.mark.parametrize(("column", "field"), [("user", "user"), ("seen", "hour")])
def test_label_and_weight_are_never_fields(role: str, column: str, field: str) -> None:
    with pytest.raises(SchemaError, match=f"column '{column}' is the {role} .*leave field '{field}' out"):
        shop(**{role: column})


def test_a_schema_needs_a_field() -> None:
    with pytest.raises(SchemaError, match="no fields; name at least one column"):
        shop(fields={})


def test_a_field_may_be_named_like_the_label_if_it_reads_another_column() -> None:
    schema = shop(fields={"click": Categorical(column="user")})
    assert schema.columns() == ("user",)


# ---- files


def test_json_text_leaves_out_what_is_at_its_default(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    shop().save(path)
    assert path.read_text(encoding="utf-8") == SHOP_JSON


@pytest.mark.parametrize(
    ("text", "name"), [(SHOP_JSON, "schema.json"), (SHOP_TOML, "schema.toml"), (SHOP_JSON, "schema")]
)
def test_load_json_and_toml(text: str, name: str, tmp_path: Path) -> None:
    schema = Schema.load(write(tmp_path, text, name))
    assert schema == shop()
    assert list(schema.fields) == list(shop().fields)
    assert Schema.load(str(tmp_path / name)) == schema
    assert Schema.load(write(tmp_path, "\ufeff" + text, name)) == schema  # as some editors save it


def test_a_file_may_use_the_names_of_kinds(tmp_path: Path) -> None:
    text = '{"fields": {"user": "categorical", "tags": "multi-valued"}, "label": "click"}'
    assert Schema.load(write(tmp_path, text)).fields == {"user": Categorical(), "tags": MultiValued()}


columns = st.none() | st.text(min_size=1, max_size=5)
counts = st.none() | st.integers(1, 99)
specs = st.one_of(
    st.builds(
        Categorical,
        column=columns,
        min_count=counts,
        part=st.sampled_from([None, "hour", "weekday", "day", "month"]),
    ),
    st.builds(
        Numeric,
        column=columns,
        transform=st.sampled_from(["standard", "minmax", "log_squared", "log", "none"]),
        floor=st.booleans(),
        buckets=st.none() | st.integers(2, 10_000),
    ),
    st.builds(MultiValued, column=columns, separator=st.none() | st.text(min_size=1, max_size=3), min_count=counts),
)


@given(
    fields=st.dictionaries(st.text(max_size=8), specs, min_size=1, max_size=5),
    positive=st.none() | st.text(max_size=3),
    group=columns,
    time=columns,
)
def test_every_schema_survives_its_json(
    fields: dict[str, Any], positive: str | None, group: str | None, time: str | None
) -> None:
    # Longer than any name that is drawn, so never a field.
    schema = Schema(fields=fields, label="the label", weight="the weight", positive=positive, group=group, time=time)
    again = Schema.model_validate(json.loads(schema.to_json()))
    assert again == schema
    assert list(again.fields) == list(schema.fields)


def test_save_and_load_keep_text_beyond_ascii(tmp_path: Path) -> None:
    schema = Schema(fields={"Größe": Numeric(), "色": MultiValued(separator="、")}, label="клик", positive="да")
    schema.save(tmp_path / "s.json")
    assert "Größe" in (tmp_path / "s.json").read_text(encoding="utf-8")
    assert Schema.load(tmp_path / "s.json") == schema


# ---- complaints


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is neither JSON nor TOML"),
        ("[]", r"the whole cannot be \[\]: it must be"),
        ('{"fields": {"a": "numeric"}}', "'label' is missing"),
        ('{"label": "y"}', "'fields' is missing"),
        ('{"fields": {}, "label": "y"}', "the schema has no fields"),
        ('{"fields": {"y": "numeric"}, "label": "y"}', "column 'y' is the label"),
        (
            '{"fields": {"a": "numeric"}, "label": "y", "wieght": "w"}',
            r"unknown entry 'wieght'; did you mean 'weight'\?",
        ),
        ('{"fields": {"a": "numerc"}, "label": "y"}', r"field 'a': unknown kind 'numerc'; did you mean 'numeric'\?"),
        (
            '{"fields": {"a": "xyz"}, "label": "y"}',
            "unknown kind 'xyz'; known: calendar, categorical, multi_valued, numeric",
        ),
        (
            '{"fields": {"a": {"kind": "numeric", "bucket": 3}}, "label": "y"}',
            r"unknown entry 'fields\.a\.bucket'; did you mean 'buckets'\?",
        ),
        (
            '{"fields": {"a": {"kind": "multi_valued", "seperator": "|"}}, "label": "y"}',
            r"did you mean 'separator'\?",
        ),
        (
            '{"fields": {"a": {"kind": "numeric", "buckets": 1}}, "label": "y"}',
            r"'fields\.a\.buckets' cannot be 1: it must",
        ),
        (
            '{"fields": {"a": {"kind": "categorical", "part": "year"}}, "label": "y"}',
            r"'fields\.a\.part' cannot be 'year': it must be 'hour'",
        ),
        ('{"fields": {"a": {"buckets": 3}}, "label": "y"}', r"'fields\.a' lacks 'kind'"),
        (
            '{"fields": {"a": {"kind": "multi_valued", "separator": ""}}, "label": "y"}',
            "separator' cannot be ''",
        ),
    ],
)
def test_a_file_that_is_no_schema_is_named_with_the_entry(text: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SchemaError, match=message) as caught:
        Schema.load(path)
    assert str(path) in str(caught.value)


def test_toml_is_told_by_the_ending(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="is neither JSON nor TOML"):
        Schema.load(write(tmp_path, SHOP_TOML, "schema.json"))
    with pytest.raises(SchemaError, match="is neither JSON nor TOML"):
        Schema.load(write(tmp_path, SHOP_JSON, "schema.toml"))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"cannot read the schema file .*nowhere\.json: No such file"):
        Schema.load(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("number", "field 'price': unknown kind 'number'; "),
        (
            {"kind": "numeric", "transfrom": "log"},
            r"field 'price': unknown entry .*did you mean 'transform'\?",
        ),
        (
            {"kind": "numeric", "transform": "sqrt"},
            "field 'price': 'transform' cannot be 'sqrt': it must be 'st",
        ),
        (7, "field 'price': "),
    ],
)
def test_a_specification_that_is_none_is_named(spec: Any, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        parse_spec("price", spec)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"kind": "categorical", "part": "hour", "zone": "Berlin"}, "there is no time zone 'Berlin'"),
        ({"kind": "categorical", "zone": "UTC"}, "date and zone go with a part of the calendar"),
        ({"kind": "categorical", "date": "day_first"}, "date and zone go with a part of the calendar"),
        ({"kind": "categorical", "part": "hour", "date": "dayfirst"}, "date"),
        ({"kind": "numeric", "decimal": ";"}, "decimal"),
        ({"kind": "numeric", "unreadable": "drop"}, "unreadable"),
        ("categorical:x", "says nothing behind the colon that goes with categorical"),
        ("multi_valued:", "says nothing behind the colon that goes with multi_valued"),
    ],
)
def test_a_reading_that_there_is_not_is_named_with_its_field(entry: Any, message: str) -> None:
    with pytest.raises(SchemaError, match=f"seen.*{message}"):
        Schema(label="y", fields={"seen": entry})


def test_a_calendar_takes_the_place_of_the_fields_that_read_its_column() -> None:
    schema = Schema(
        label="y", fields={"seen": "categorical", "hour": Categorical(column="seen", part="hour"), "a": "numeric"}
    )
    changed = schema.with_fields({"seen": "calendar:day_first"}, columns=["seen", "a", "y"])
    assert list(changed.fields) == ["a", "seen.hour", "seen.weekday", "seen.day", "seen.month"]
    assert changed.fields["seen.day"] == Categorical(column="seen", part="day", date="day_first")
    with pytest.raises(SchemaError, match=r"field 'sen': there is no such column; did you mean 'seen'\?"):
        schema.with_fields({"sen": "calendar"}, columns=["seen", "a", "y"])
