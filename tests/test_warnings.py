"""What the command line says as lines, a Python program is told as warnings, at the line that called the library."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import fieldwise as fw
from fieldwise.errors import DataWarning, EvaluationWarning, TrainingWarning, UnseenValuesWarning
from fieldwise.reporting import Reporter

SETTINGS = {"epochs": 1}


@pytest.fixture(scope="module")
def predictor(clicks: pa.Table) -> fw.Predictor:
    return fw.train(clicks, label="click", model="lr", settings=SETTINGS, progress=False)


def warned(call: Callable[[], Any]) -> list[tuple[type[Warning], str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert {warning.filename for warning in caught} <= {__file__}
    return [(warning.category, str(warning.message)) for warning in caught]


def test_ids_of_another_form(predictor: fw.Predictor, clicks: pa.Table) -> None:
    changed = clicks.set_column(1, "user", pa.array([f"u{user}" for user in clicks["user"].to_pylist()]))
    ((category, text),) = warned(lambda: predictor.predict(changed))
    assert category is UnseenValuesWarning
    assert text.startswith("user: 2,000 of 2,000 values are not in the vocabulary (for example u")
    assert warned(lambda: predictor.predict(changed, report=fw.EncodingReport())) == []
    assert warned(lambda: predictor.predict(clicks)) == []
    assert warned(lambda: predictor.predict(changed.slice(0, 5))) == []
    assert warned(lambda: predictor.predict_rows(changed.slice(0, 50).to_pylist())) == []


def test_numbers_far_off(predictor: fw.Predictor, clicks: pa.Table) -> None:
    far = clicks.set_column(clicks.column_names.index("price"), "price", pa.array(np.full(len(clicks), 1e9)))
    assert warned(lambda: predictor.predict(far)) == [
        (DataWarning, "price: 2,000 numbers lie far outside the range of training")
    ]
    assert DataWarning in dict(warned(lambda: predictor.evaluate(far, rows="all")))


def test_which_rows_were_evaluated(predictor: fw.Predictor, clicks: pa.Table) -> None:
    ((category, text),) = warned(lambda: predictor.evaluate(clicks))
    assert (category, text) == (
        EvaluationWarning,
        "this is the table that the model was trained on: evaluating its 200 test rows only",
    )
    assert warned(lambda: predictor.evaluate(clicks, rows="test")) == []
    assert warned(lambda: predictor.evaluate(clicks, rows="all")) == []
    assert warned(lambda: predictor.evaluate(clicks.slice(0, 500))) == []


def test_doubts_and_leaks(clicks: pa.Table) -> None:
    days = pa.array([f"{1 + i % 12:02d}/{1 + i % 11:02d}/2024" for i in range(len(clicks))])
    table = clicks.append_column("day", days).append_column("paid", clicks["click"].cast(pa.string()))
    told = warned(lambda: fw.train(table, label="click", model="lr", settings=SETTINGS, progress=False))
    assert {category for category, _ in told} == {DataWarning}
    assert any("column 'day'" in text for _, text in told)
    assert any("column 'paid' alone predicts the label" in text for _, text in told)


def test_a_training_that_was_not_over(clicks: pa.Table) -> None:
    settings = {"epochs": 2, "learning_rate": 1e-5}
    ((category, text),) = warned(lambda: fw.train(clicks, label="click", model="lr", settings=settings, progress=False))
    assert category is TrainingWarning
    assert "training.epochs=4" in text


def test_what_is_said_is_not_warned_of_too(clicks: pa.Table) -> None:
    stream = io.StringIO()
    settings = {"epochs": 2, "learning_rate": 1e-5}
    assert (
        warned(lambda: fw.train(clicks, label="click", model="lr", settings=settings, progress=Reporter(stream))) == []
    )
    assert "training.epochs=4" in stream.getvalue()
