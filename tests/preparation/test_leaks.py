"""Leaks: fields that alone give the label away are named, whatever their kind; honest ones and row keys are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fieldwise.data.dataset import Dataset
from fieldwise.encoding.encoder import Encoder
from fieldwise.metrics import auc
from fieldwise.objectives import Binary
from fieldwise.preparation import encode_table
from fieldwise.preparation.leaks import Leak, find_leaks
from fieldwise.schema import Schema

ROWS, TRAIN = 4000, 3000
rng = np.random.default_rng(0)
CLICK = (rng.random(ROWS) < 0.2).astype(int)
NOISE = rng.random(ROWS)


def parts(kind: Any, values: Any, *, min_count: int = 1, click: Any = CLICK) -> tuple[Dataset, Dataset]:
    """Training and held-out rows of a table with the column x and an honest one."""
    table = pa.table({"y": click, "honest": np.where(NOISE < 0.5, CLICK, rng.integers(0, 2, ROWS)), "x": values})
    schema = Schema.model_validate({"label": "y", "fields": {"honest": "categorical", "x": kind}})
    encoder = Encoder.fit(table.slice(0, TRAIN), schema, min_count=min_count)
    return encode_table(table.slice(0, TRAIN), encoder), encode_table(table.slice(TRAIN), encoder)


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
}


@pytest.mark.parametrize("min_count", [1, 2])
@pytest.mark.parametrize("name", LEAKS)
def test_a_planted_leak_is_named_and_nothing_else(name: str, min_count: int) -> None:
    kind, values = LEAKS[name]
    (leak,) = find_leaks(*parts(kind, values, min_count=min_count), Binary())
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
    assert find_leaks(*parts(*HONEST[name], min_count=min_count), Binary()) == []


def test_the_auc_is_that_of_the_click_rates_on_the_held_out_rows() -> None:
    values = np.where(NOISE < 0.9, CLICK, 1 - CLICK) * 3 + rng.integers(0, 3, ROWS)
    train, held_out = parts("categorical", values)
    leaks = {leak.field: leak.value for leak in find_leaks(train, held_out, Binary(), threshold=0.5)}
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
    leaks = find_leaks(*parts("categorical", values, click=click), Binary(), threshold=0.6)
    assert [(leak.field, leak.value) for leak in leaks] == [("x", 1.0)]


def test_rare_clicks_among_many_equal_values_are_found() -> None:
    rare = np.zeros(ROWS, int)
    rare[::500] = 1
    (leak,) = find_leaks(*parts("numeric", np.where(rare, 1 + NOISE, 0), click=rare), Binary())
    assert leak.value == 1.0


def test_without_both_classes_there_is_nothing_to_say() -> None:
    train, held_out = parts("categorical", as_text(CLICK))
    clicks = held_out.take(np.flatnonzero(CLICK[TRAIN:]))
    assert find_leaks(train, clicks, Binary()) == []
    assert find_leaks(train, held_out.take(np.arange(0)), Binary()) == []
    assert find_leaks(clicks, held_out, Binary()) == []


def test_a_lucky_field_on_few_held_out_rows_is_not_named() -> None:
    train, held_out = parts("categorical", as_text(CLICK))
    honest = held_out.rows.categorical[:, 0]
    right = np.flatnonzero((honest == honest[CLICK[TRAIN:] == 1][0]) == (CLICK[TRAIN:] == 1))[:20]
    few = held_out.take(right)
    assert few.label is not None
    assert set(few.label) == {0, 1}
    assert auc(few.label, few.rows.categorical[:, 0] == honest[CLICK[TRAIN:] == 1][0]) == 1.0
    assert [leak.field for leak in find_leaks(train, few, Binary())] == ["x"]


def test_the_sentence() -> None:
    assert str(Leak("paid", 0.99961)) == (
        "column 'paid' alone predicts the label with AUC 0.999: was it known before the click? "
        "If not, leave it out (--field paid=ignore)"
    )
