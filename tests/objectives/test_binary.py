"""Clicks: labels right and wrong, loss, link and metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from fieldwise.errors import DataError
from fieldwise.objectives import Binary
from fieldwise.schema import Schema


def schema(**roles: Any) -> Schema:
    return Schema.model_validate({"fields": {"x": "categorical"}, "label": "y", **roles})


@pytest.mark.parametrize(
    "values", [[1, 0], [1.0, 0.0], [True, False], ["1", "0"], ["1.0", " 0 "], ["True", "FALSE"], ["true", "false"]]
)
def test_the_usual_labels(values: list[Any]) -> None:
    assert Binary.read_label(pa.table({"y": values}), schema()).tolist() == [1, 0]


def test_two_other_values_with_positive() -> None:
    table = pa.table({"y": ["yes", "no", "yes"]})
    assert Binary.read_label(table, schema(positive="yes")).tolist() == [1, 0, 1]
    assert Binary.read_label(pa.table({"y": [5, 1]}), schema(positive="5")).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("values", "roles", "message"),
    [
        ([0, 1, 2], {}, "row 3 holds '2'; expected 0 or 1"),
        (["yes", "no"], {}, 'say which value is the click: positive="VALUE"'),
        ([1, None], {}, "row 2 is empty; every row needs a label"),
        ([0.5, 1.0], {}, "row 1 holds '0.5'"),
        (["a", "b", "c"], {"positive": "a"}, "holds 3 values"),
        (["a", "b"], {"positive": "c"}, "it must hold that value and one other"),
    ],
)
def test_bad_labels_are_named(values: list[Any], roles: dict[str, str], message: str) -> None:
    with pytest.raises(DataError) as error:
        Binary.read_label(pa.table({"y": values}), schema(**roles))
    assert "label column 'y'" in str(error.value)
    assert message in str(error.value)


def test_a_missing_role_column_is_named() -> None:
    with pytest.raises(DataError, match="the label column 'y' is missing; did you mean 'Y'"):
        Binary.read_label(pa.table({"Y": [1]}), schema())


def test_the_loss_is_the_mean_log_loss_and_follows_weights() -> None:
    logit, label = torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.0])
    probability = 1 / (1 + np.exp(-logit.numpy().astype(np.float64)))
    losses = -np.log([probability[0], 1 - probability[1]])
    assert float(Binary().loss(logit, label, None)) == pytest.approx(losses.mean(), rel=1e-6)
    weighted = float(Binary().loss(logit, label, torch.tensor([1.0, 3.0])))
    assert weighted == pytest.approx((losses[0] + 3 * losses[1]) / 4, rel=1e-6)


def test_predictions_are_probabilities_in_float64() -> None:
    probability = Binary().prediction(np.array([0.0, 40.0, -800.0], np.float32))
    assert probability.dtype == np.float64
    assert probability[0] == 0.5
    assert 1 - 1e-15 < probability[1] <= 1
    assert probability[2] >= 0


def test_one_class_is_nothing_to_learn_from() -> None:
    with pytest.raises(DataError, match="every row has the label 1; a model needs rows with and without clicks"):
        Binary.require_variety(np.ones(3, np.float32))


def test_strata_are_the_clicks_and_the_rest() -> None:
    assert Binary.strata(np.array([1, 0, 0, 1], np.float32)).tolist() == [0, 1, 1, 0]


def test_separation_is_the_auc_of_groups_of_rows() -> None:
    score, rows, clicks = np.array([0.1, 0.5, 0.9]), np.array([2.0, 3.0, 0.0]), np.array([0.0, 2.0, 0.0])
    assert Binary.separation(score, rows, clicks, clicks) == pytest.approx((2 * 2 + 2 * 0.5) / 6)
    assert Binary.separation(score, rows, rows, rows) is None
    assert Binary.separation(score, 0 * rows, 0 * rows, 0 * rows) is None
