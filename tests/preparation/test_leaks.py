"""Leaks: fields that alone give the label away are named, whatever their kind; honest ones and row keys are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldwise.columns.counting import TableProfile
from fieldwise.encoding.encoder import Encoder
from fieldwise.metrics import auc, evaluate_regression
from fieldwise.objectives import Binary, Objective, Regression
from fieldwise.preparation import Tables, prepare
from fieldwise.preparation.leaks import PRIOR_ROWS, Leak, find_leaks
from fieldwise.schema import Schema
from fieldwise.settings import DataSettings

ROWS, TRAIN = 4000, 3000
rng = np.random.default_rng(0)
CLICK = (rng.random(ROWS) < 0.2).astype(int)
NOISE = rng.random(ROWS)


HONEST_COLUMN = np.where(NOISE < 0.5, CLICK, rng.integers(0, 2, ROWS))


def leaks_of(
    table: pa.Table,
    kinds: dict[str, Any],
    objective: Objective,
    *,
    train: Any,
    valid: Any,
    min_count: int = 1,
    threshold: float = 0.99,
    own_table: bool = False,
) -> list[Leak]:
    """The leaks of a table with the label y, of which some rows train and some validate.

    own_table: the validation rows are a table of their own.
    """
    schema = Schema.model_validate({"label": "y", "fields": kinds})
    encoder = Encoder.fit(table.take(pa.array(train)), schema, min_count=min_count)
    profiles = TableProfile(table).by_part({"train": train, "valid": valid}, label=table["y"].to_numpy())
    held_out = profiles
    if own_table:
        rows = table.take(pa.array(valid))
        held_out = TableProfile(rows).by_part({"valid": np.arange(len(valid))}, label=rows["y"].to_numpy())
    return find_leaks(encoder, objective, profiles, held_out, threshold=threshold)


def find(
    kind: Any, values: Any, *, click: Any = CLICK, train: Any = None, valid: Any = None, **arguments: Any
) -> list[Leak]:
    """The leaks among the column x and an honest one."""
    table = pa.table({"y": click, "honest": HONEST_COLUMN, "x": values})
    train = np.arange(TRAIN) if train is None else train
    valid = np.arange(TRAIN, ROWS) if valid is None else valid
    return leaks_of(table, {"honest": "categorical", "x": kind}, Binary(), train=train, valid=valid, **arguments)


def as_text(numbers: Any) -> list[str]:
    return [str(number) for number in numbers]


LEAKS: dict[str, tuple[Any, Any]] = {
    "a category": ("categorical", np.where(CLICK, rng.integers(0, 5, ROWS), rng.integers(5, 10, ROWS))),
    "a date that only clicks have": ("categorical", [f"t{i}" if click else None for i, click in enumerate(CLICK)]),
    "a larger number": ("numeric", CLICK + NOISE),
    "a number between": ("numeric", np.where(CLICK, 0.4 + NOISE / 5, np.where(NOISE < 0.5, NOISE / 2, 1 - NOISE / 4))),
    "a number that is missing": ("numeric", pa.array(NOISE, mask=CLICK == 1)),
    "a count that only clicks have": ("numeric", np.where(CLICK, rng.integers(1, 9, ROWS), 0)),
    "tags": (
        {"kind": "multi_valued", "separator": "|"},
        [f"{'won' if click else 'lost'}|{n}" for click, n in zip(CLICK, rng.integers(0, 3, ROWS), strict=True)],
    ),
    "a list": (
        "multi_valued",
        [["won" if click else "lost", n] for click, n in zip(CLICK, as_text(range(ROWS)), strict=True)],
    ),
    "a list that only clicks have": ("multi_valued", [["a", "b"] if click else None for click in CLICK]),
    "buckets": ({"kind": "numeric", "buckets": 20}, 3 * CLICK + NOISE),
    "a part of a date": (
        {"kind": "categorical", "part": "weekday"},
        pa.array(
            np.datetime64("2026-01-01") + np.where(CLICK, 0, rng.integers(1, 7, ROWS)) + 7 * np.arange(ROWS) % 700
        ),
    ),
}


@pytest.mark.parametrize("own_table", [False, True])
@pytest.mark.parametrize("min_count", [1, 2])
@pytest.mark.parametrize("name", LEAKS)
def test_a_planted_leak_is_named_and_nothing_else(name: str, min_count: int, own_table: bool) -> None:
    kind, values = LEAKS[name]
    (leak,) = find(kind, values, min_count=min_count, own_table=own_table)
    assert leak.field == "x"
    assert leak.value > 0.99


HONEST: dict[str, tuple[Any, Any]] = {
    "a row key": ("categorical", as_text(range(ROWS))),
    "a row key that counts up": ("numeric", np.arange(ROWS)),
    "noise": ("numeric", NOISE),
    "a good predictor": ("numeric", CLICK + 2 * NOISE),
    "one value": ("categorical", ["a"] * ROWS),
    "no value": ("numeric", pa.nulls(ROWS, pa.float64())),
}


@pytest.mark.parametrize("min_count", [1, 2])
@pytest.mark.parametrize("name", HONEST)
def test_an_honest_column_is_not_named(name: str, min_count: int) -> None:
    assert find(*HONEST[name], min_count=min_count) == []


def test_the_auc_is_that_of_the_click_rates_on_the_held_out_rows() -> None:
    values = np.where(NOISE < 0.9, CLICK, 1 - CLICK) * 3 + rng.integers(0, 3, ROWS)
    leaks = {leak.field: leak.value for leak in find("categorical", values, threshold=0.5)}
    rates = {}
    for value in range(6):
        clicks = CLICK[:TRAIN][values[:TRAIN] == value]
        rates[value] = (clicks.sum() + CLICK[:TRAIN].mean()) / (len(clicks) + 1)
    expected = auc(CLICK[TRAIN:], [rates[value] for value in values[TRAIN:]])
    assert list(leaks) == ["honest", "x"]
    assert leaks["x"] == pytest.approx(expected, abs=1e-12)


def test_an_unseen_id_has_the_base_rate() -> None:
    click = np.concatenate([np.arange(1500) % 10 < 3, np.arange(1500) % 10 < 1, np.arange(1000) % 2 == 0]).astype(int)
    values = ["often"] * 1500 + ["seldom"] * 1500 + [("often" if i % 2 == 0 else f"new{i}") for i in range(1000)]
    leaks = find("categorical", values, click=click, threshold=0.6)
    assert [(leak.field, leak.value) for leak in leaks] == [("x", 1.0)]


def test_rare_clicks_among_many_equal_values_are_found() -> None:
    rare = np.zeros(ROWS, int)
    rare[::500] = 1
    (leak,) = find("numeric", np.where(rare, 1 + NOISE, 0), click=rare)
    assert leak.value == 1.0


def test_without_both_classes_there_is_nothing_to_say() -> None:
    clicks = np.flatnonzero(CLICK)
    assert find("categorical", as_text(CLICK), valid=clicks[clicks >= TRAIN]) == []
    assert find("categorical", as_text(CLICK), valid=np.arange(0)) == []
    assert find("categorical", as_text(CLICK), train=clicks[clicks < TRAIN]) == []


def test_a_lucky_field_on_few_held_out_rows_is_not_named() -> None:
    few = TRAIN + np.flatnonzero(HONEST_COLUMN[TRAIN:] == CLICK[TRAIN:])[:20]
    assert set(CLICK[few]) == {0, 1}
    assert auc(CLICK[few], HONEST_COLUMN[few]) == 1.0
    assert [leak.field for leak in find("categorical", as_text(CLICK), valid=few)] == ["x"]


def test_the_sentence() -> None:
    assert str(Leak("paid", "AUC", 0.99961)) == (
        "column 'paid' alone predicts the label with AUC 0.999: was it known before the label was? "
        'If not, leave it out (fields={"paid": "ignore"})'
    )


def test_profiles_without_labels_are_refused() -> None:
    table = pa.table({"y": [0, 1], "x": ["a", "b"]})
    schema = Schema.model_validate({"label": "y", "fields": {"x": "categorical"}})
    profiles = TableProfile(table).by_part({"train": np.array([0]), "valid": np.array([1])})
    with pytest.raises(ValueError, match="counted with labels"):
        find_leaks(Encoder.fit(table, schema), Binary(), profiles, profiles)


@pytest.mark.parametrize(("rows", "tail"), [(2000, 0.05), (100_000, 0.8)])
def test_a_column_that_gives_a_number_away_is_named(rows: int, tail: float) -> None:
    random = np.random.default_rng(1)
    spend = np.exp(tail * random.normal(size=rows))
    table = pa.table({"y": spend, "invoice": spend * 1.19, "noise": random.random(rows)})
    kinds = {"invoice": "numeric", "noise": "numeric"}
    train, valid = np.arange(rows * 3 // 4), np.arange(rows * 3 // 4, rows)
    (leak,) = leaks_of(table, kinds, Regression(), train=train, valid=valid)
    assert (leak.field, leak.measure) == ("invoice", "R²")


def mean_label(labels: Any, overall: float) -> float:
    return float((np.sum(labels) + PRIOR_ROWS * overall) / (len(labels) + PRIOR_ROWS))


def reference(kind: str, cells: list[Any], y: Any, train: Any, valid: Any, *, min_count: int) -> Any:
    """Row by row: the score of each validation row from what its cell's tokens, or its bucket, had in training."""
    if kind == "numeric":
        x = np.array([np.nan if cell is None else cell for cell in cells], np.float32)
        ends = []
        for label in (0, 1):
            values = np.sort(x[train][(y[train] == label) & ~np.isnan(x[train])])
            ends += [values[i * len(values) // 127] for i in range(127) if len(values)]
        keys = [[None] if np.isnan(each) else [sum(each >= end for end in set(ends))] for each in x]
    else:
        split = [[] if cell is None else cell.split("|") if isinstance(cell, str) else cell for cell in cells]
        often = [token for i in train for token in split[i]]
        keys = [[token if often.count(token) >= min_count else "(rare)" for token in row] or [None] for row in split]
    overall = float(np.mean(y[train]))
    means = {
        key: mean_label([y[i] for i in train for each in keys[i] if each == key], overall)
        for row in keys
        for key in row
    }
    return np.array([round(np.mean([means[key] for key in keys[i]]), 12) for i in valid])


KINDS: dict[str, tuple[Any, Any]] = {
    "categorical": ("categorical", st.sampled_from("abc")),
    "numeric": ({"kind": "numeric", "transform": "none"}, st.integers(-3, 3).map(float)),
    "text": ({"kind": "multi_valued", "separator": "|"}, st.sampled_from(["a", "b", "a|b", "b|a|b", "c|d"])),
    "list": ("multi_valued", st.lists(st.sampled_from("abcd"), max_size=3)),
}


def test_the_order_of_a_list_does_not_matter() -> None:
    lists = [["a"], *[[]] * 5, ["a", "new", "new"], ["new", "a", "new"]]
    table = pa.table({"y": [1, 0, 0, 0, 0, 0, 0, 1], "x": pa.array(lists, pa.list_(pa.string()))})
    train, valid = np.arange(6), np.arange(6, 8)
    (leak,) = leaks_of(table, {"x": "multi_valued"}, Binary(), train=train, valid=valid, threshold=-1.0)
    assert leak.value == 0.5


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_the_measure_is_that_of_scores_by_row(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(KINDS)))
    kind, cells = KINDS[name]
    rows = data.draw(st.lists(st.tuples(cells | st.none(), st.integers(0, 1), st.booleans()), min_size=8, max_size=40))
    values, y = [row[0] for row in rows], np.array([row[1] for row in rows])
    train = np.flatnonzero([row[2] for row in rows])
    valid = np.flatnonzero([not row[2] for row in rows])
    types = {"numeric": pa.float64(), "list": pa.list_(pa.string())}
    table = pa.table({"y": y, "x": pa.array(values, types.get(name, pa.string()))})
    min_count = data.draw(st.sampled_from([1, 2]))
    leaks = leaks_of(
        table,
        {"x": kind},
        Binary(),
        train=train,
        valid=valid,
        min_count=min_count,
        threshold=-1.0,
        own_table=data.draw(st.booleans()),
    )
    if len(set(y[train])) < 2 or len(set(y[valid])) < 2:
        assert leaks == []
        return
    expected = auc(y[valid], reference(name, values, y, train, valid, min_count=min_count))
    assert leaks[0].value == pytest.approx(expected, abs=1e-12)


def test_the_measure_of_numbers_is_that_of_scores_by_row() -> None:
    values, y = rng.integers(0, 9, ROWS), NOISE.astype(np.float32) + 100
    y = y + values.astype(np.float32) / 4
    train, valid = np.arange(TRAIN), np.arange(TRAIN, ROWS)
    table = pa.table({"y": y, "x": as_text(values)})
    (leak,) = leaks_of(table, {"x": "categorical"}, Regression(), train=train, valid=valid, threshold=0.1)
    overall = float(y[train].mean(dtype=np.float64))
    means = [mean_label(y[train][values[train] == value].astype(np.float64), overall) for value in range(9)]
    expected = evaluate_regression(y[valid], [means[value] for value in values[valid]]).r2
    assert leak.value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("own_table", [False, True])
def test_preparing_says_so(own_table: bool) -> None:
    table = pa.table(
        {"y": CLICK, "honest": as_text(HONEST_COLUMN), "x": [["won"] if click else None for click in CLICK]}
    )
    schema = Schema.model_validate({"label": "y", "fields": {"honest": "categorical", "x": "multi_valued"}})
    valid = table.slice(TRAIN) if own_table else None
    tables = Tables("rows", table.slice(0, TRAIN) if own_table else table, valid, None, schema)
    (note,) = prepare(tables, schema, DataSettings(), seed=0).notes
    assert note == str(Leak("x", "AUC", 1.0))
