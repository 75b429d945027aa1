"""Labels, weights and groups, right and wrong."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from fieldwise.data.labels import read_group, read_label, read_weight
from fieldwise.errors import DataError
from fieldwise.schema import Schema


def schema(**roles: Any) -> Schema:
    return Schema.model_validate({"fields": {"x": "categorical"}, "label": "y", **roles})


@pytest.mark.parametrize(
    "values", [[1, 0], [1.0, 0.0], [True, False], ["1", "0"], ["1.0", " 0 "], ["True", "FALSE"], ["true", "false"]]
)
def test_the_usual_labels(values: list[Any]) -> None:
    assert read_label(pa.table({"y": values}), schema()).tolist() == [1, 0]


def test_two_other_values_with_positive() -> None:
    table = pa.table({"y": ["yes", "no", "yes"]})
    assert read_label(table, schema(positive="yes")).tolist() == [1, 0, 1]
    assert read_label(pa.table({"y": [5, 1]}), schema(positive="5")).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("values", "roles", "message"),
    [
        ([0, 1, 2], {}, "row 3 holds '2'; expected 0 or 1"),
        (["yes", "no"], {}, "say which value is the click: --positive VALUE"),
        ([1, None], {}, "row 2 is empty; every row needs a label"),
        ([0.5, 1.0], {}, "row 1 holds '0.5'"),
        (["a", "b", "c"], {"positive": "a"}, "holds 3 values"),
        (["a", "b"], {"positive": "c"}, "it must hold that value and one other"),
    ],
)
def test_bad_labels_are_named(values: list[Any], roles: dict[str, str], message: str) -> None:
    with pytest.raises(DataError) as error:
        read_label(pa.table({"y": values}), schema(**roles))
    assert "label column 'y'" in str(error.value)
    assert message in str(error.value)


def test_a_missing_role_column_is_named() -> None:
    with pytest.raises(DataError, match="the label column 'y' is missing; did you mean 'Y'"):
        read_label(pa.table({"Y": [1]}), schema())


def test_weights() -> None:
    table = pa.table({"y": [1, 0], "w": ["0", "2.5"]})
    assert read_weight(table, schema()) is None
    weight = read_weight(table, schema(weight="w"))
    assert weight is not None
    assert weight.tolist() == [0.0, 2.5]


@pytest.mark.parametrize("bad", ["-1", "", "inf", "x"])
def test_bad_weights_are_named(bad: str) -> None:
    with pytest.raises(DataError, match="weight column 'w': row 2"):
        read_weight(pa.table({"w": ["1", bad]}), schema(weight="w"))


def test_weights_that_are_all_zero_are_refused() -> None:
    with pytest.raises(DataError, match="weight column 'w': all weights are 0; at least one row must count"):
        read_weight(pa.table({"w": [0, 0]}), schema(weight="w"))
    none = read_weight(pa.table({"w": pa.array([], pa.float64())}), schema(weight="w"))
    assert none is not None
    assert len(none) == 0


def test_groups() -> None:
    table = pa.table({"g": ["a", "b", "a", None]})
    group = read_group(table, schema(group="g"))
    assert group is not None
    assert group.tolist() == [0, 1, 0, -1]
    assert read_group(table, schema()) is None
