"""Numbers as labels: reading, loss, link, metrics, and training with them from end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

import fieldwise as fw
from fieldwise.errors import DataError, SchemaError, SettingsError
from fieldwise.objectives import Regression
from fieldwise.schema import Schema


def schema(**roles: Any) -> Schema:
    return Schema.model_validate({"fields": {"x": "categorical"}, "label": "y", **roles})


@pytest.mark.parametrize("values", [[1.5, -2.0], ["1.5", "-2"], [1.5, -2]])
def test_labels_are_numbers(values: list[Any]) -> None:
    assert Regression.read_label(pa.table({"y": values}), schema()).tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", "high"], "row 2: expected a number, got 'high'"),
        ([1.0, None], "row 2 is empty; every row needs a number between -1e+100 and 1e+100"),
        ([np.inf, 1.0], "row 1 holds inf"),
        ([1.0, -3e300], "row 2 holds -3e+300"),
    ],
)
def test_bad_labels_are_named(values: list[Any], message: str) -> None:
    with pytest.raises(DataError) as error:
        Regression.read_label(pa.table({"y": values}), schema())
    assert "label column 'y'" in str(error.value)
    assert message in str(error.value)


def test_a_positive_value_makes_no_sense() -> None:
    with pytest.raises(SchemaError, match="'positive'"):
        Regression.read_label(pa.table({"y": [1.0]}), schema(positive="1"))


def test_outputs_are_deviations_from_the_mean() -> None:
    label = np.array([10.0, 20.0, 30.0], np.float32)
    objective = Regression.fit(label, np.array([1.0, 1.0, 2.0], np.float32))
    assert objective.mean == 22.5
    assert objective.prediction(np.array([0.0, 1.0], np.float32)).tolist() == [22.5, 22.5 + objective.deviation]
    perfect = torch.from_numpy((label - 22.5) / objective.deviation).float()
    assert float(objective.loss(perfect, torch.from_numpy(label), None)) == pytest.approx(0, abs=1e-12)
    weight = torch.tensor([0.0, 1.0, 0.0])
    assert float(objective.loss(perfect + weight, torch.from_numpy(label), weight)) == pytest.approx(1)


def test_equal_labels_are_nothing_to_learn_from() -> None:
    with pytest.raises(DataError, match="every row has the label 7; a model needs rows with different labels"):
        Regression.require_variety(np.full(3, 7, np.float32))


def test_labels_that_are_large_beside_their_differences_keep_them() -> None:
    label = Regression.read_label(pa.table({"y": [1.7e9, 1.7e9 + 30, 1.7e9 + 60]}), schema())
    Regression.require_variety(label)
    objective = Regression.fit(label)
    assert objective.target(label) == pytest.approx([-(1.5**0.5), 0, 1.5**0.5])
    assert objective.prediction(objective.target(label)) == pytest.approx(label, abs=1e-4)
    logit = torch.zeros(3, requires_grad=True)
    loss = objective.loss(logit, torch.from_numpy(label), None)
    loss.backward()
    assert loss.item() == pytest.approx(1)
    assert logit.grad is not None
    assert logit.grad.numpy() == pytest.approx(-objective.target(label) * 2 / 3)


def test_strata_are_tenths() -> None:
    label = np.random.default_rng(0).exponential(size=1000).astype(np.float32)
    _, counts = np.unique(Regression.strata(label), return_counts=True)
    assert len(counts) == 10
    assert counts.min() >= 99


def numbers(rows: int = 3000, seed: int = 0) -> pa.Table:
    """A label of a pair's effect, a slope and noise of deviation 2, far from zero."""
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, 8, rows), rng.integers(0, 8, rows)
    effect = np.random.default_rng(99).normal(size=(8, 8)) * 10
    price = rng.uniform(0, 10, rows)
    label = 500 + effect[user, item] + 3 * price + rng.normal(size=rows) * 2
    return pa.table({"spend": label, "user": [f"u{u}" for u in user], "item": [f"i{i}" for i in item], "price": price})


SETTINGS = {"epochs": 15, "learning_rate": 0.01, "batch_size": 128, "patience": 15}


@pytest.mark.parametrize("model", ["fm", "autoint", "lightgbm", "catboost"])
def test_training_evaluating_saving_and_predicting(model: str, tmp_path: Path) -> None:
    settings = SETTINGS if model in ("fm", "autoint") else {"max_rounds": 200}
    predictor = fw.train(
        numbers(), label="spend", model=model, objective="regression", settings=settings, out=tmp_path / "m",
        progress=False,
    )  # fmt: skip
    new = numbers(seed=1)
    metrics = predictor.evaluate(new)
    assert metrics.rows == 3000
    assert metrics.r2 > 0.85, metrics
    assert "RMSE" in str(metrics)
    prediction = predictor.predict(new.drop_columns(["spend"]))
    assert np.corrcoef(prediction, new["spend"].to_numpy())[0, 1] > 0.92
    loaded = fw.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict(new), prediction)
    assert loaded.objective == predictor.objective
    assert "mean label" in repr(loaded)
    np.testing.assert_allclose(loaded.predict_rows(new.slice(0, 3).to_pylist()), prediction[:3], rtol=1e-6)


def test_comparing_models(tmp_path: Path) -> None:
    comparison = fw.compare(
        numbers(), label="spend", objective="regression", models=["lr", "fm", "lightgbm"], seeds=2,
        settings={"epochs": 3, "learning_rate": 0.01, "batch_size": 128}, out=tmp_path, progress=False,
    )  # fmt: skip
    assert [run.error for run in comparison.runs] == [None] * 6
    text = comparison.to_markdown()
    assert "test RMSE" in text
    assert "test MAE" in text
    assert "AUC" not in text


def test_a_binary_metric_does_not_decide_about_numbers() -> None:
    with pytest.raises(SettingsError, match="no metric 'auc'"):
        fw.train(numbers(100), label="spend", objective="regression", settings={"monitor": "auc"}, progress=False)


def test_an_unknown_objective_is_answered_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="unknown objective 'regresion'; did you mean 'regression'"):
        fw.train(numbers(100), label="spend", objective="regresion", progress=False)


def test_a_column_that_gives_the_label_away_is_named() -> None:
    table = numbers(20_000)
    table = table.append_column("invoice", pa.array(table["spend"].to_numpy() * 1.19))
    predictor = fw.train(
        table, label="spend", model="lr", objective="regression", settings={"epochs": 1}, progress=False
    )
    assert any("column 'invoice' alone predicts the label with R²" in note for note in predictor.card.notes)


def test_separation_is_r2_of_groups_of_rows() -> None:
    labels = [np.array([1.0, 2.0]), np.array([5.0]), np.array([], np.float64)]
    score = np.array([1.0, 4.0, 9.0])
    rows, sums, squares = (np.array([f(y) for y in labels], np.float64) for f in (len, np.sum, lambda y: np.sum(y**2)))
    variation = float(np.sum((np.concatenate(labels) - 8 / 3) ** 2))
    assert Regression.separation(score, rows, sums, squares) == pytest.approx(1 - (0 + 1 + 1) / variation)
    assert Regression.separation(score, 0 * rows, 0 * rows, 0 * rows) is None


@pytest.mark.parametrize("label", [0.0, 0.1, -1e6])
def test_separation_of_equal_labels_is_undefined(label: float) -> None:
    rows = np.array([7.0, 3.0])
    assert Regression.separation(np.zeros(2), rows, label * rows, label**2 * rows) is None
