from __future__ import annotations

import json
import math
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldwise.errors import DataError
from fieldwise.metrics import (
    GroupAUC,
    auc,
    base_rate,
    calibration_ratio,
    evaluate_binary,
    evaluate_regression,
    gauc,
    log_loss,
    rank_correlation,
)

# Few distinct scores make ties common; weight 0 switches a row off.
ROWS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]),
        st.sampled_from([0.0, 0.5, 1.0, 3.0]),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=40,
).filter(lambda rows: any(row[2] for row in rows))


def pairs_auc(label: Any, score: Any, weight: Any) -> float | None:
    """The definition: all pairs of a click and a non-click."""
    won = total = 0.0
    for y1, s1, w1 in zip(label, score, weight, strict=True):
        for y0, s0, w0 in zip(label, score, weight, strict=True):
            if y1 == 1 and y0 == 0:
                total += w1 * w0
                won += w1 * w0 * (1.0 if s1 > s0 else 0.5 if s1 == s0 else 0.0)
    return won / total if total else None


def same(value: float | None, expected: float | None) -> bool:
    if value is None or expected is None:
        return value is expected
    return math.isclose(value, expected, rel_tol=1e-12, abs_tol=1e-12)


@given(ROWS)
@settings(deadline=None, max_examples=150)
def test_auc_equals_counting_pairs_with_ties_and_weights(rows: list[tuple[int, float, float, int]]) -> None:
    label, score, weight, _ = (np.array(column) for column in zip(*rows, strict=True))
    assert same(auc(label, score, weight=weight), pairs_auc(label, score, weight))
    assert same(auc(label, score), pairs_auc(label, score, np.ones(len(rows))))


@given(ROWS)
@settings(deadline=None, max_examples=150)
def test_gauc_equals_a_loop_over_groups(rows: list[tuple[int, float, float, int]]) -> None:
    label, score, weight, group = (np.array(column) for column in zip(*rows, strict=True))
    total = covered = 0.0
    for g in np.unique(group):
        rows_of = group == g
        value = pairs_auc(label[rows_of], score[rows_of], weight[rows_of])
        if value is not None:
            covered += weight[rows_of].sum()
            total += value * weight[rows_of].sum()
    found = gauc(label, score, group, weight=weight)
    assert same(found.value, total / covered if covered else None)
    assert same(found.coverage, covered / weight.sum())


@given(ROWS)
@settings(deadline=None, max_examples=100)
def test_one_group_gives_the_plain_auc(rows: list[tuple[int, float, float, int]]) -> None:
    label, score, weight, _ = (np.array(column) for column in zip(*rows, strict=True))
    assert same(gauc(label, score, ["all"] * len(rows), weight=weight).value, auc(label, score, weight=weight))


def exact_gauc(label: Any, score: Any, group: Any, weight: Any) -> tuple[Fraction | None, Fraction]:
    """GAUC and coverage by their definition, in fractions: nothing is rounded."""
    total = covered = Fraction(0)
    exact = [Fraction(w) for w in weight]
    for g in set(group):
        rows = [i for i in range(len(label)) if group[i] == g]
        clicks, others = [i for i in rows if label[i]], [i for i in rows if not label[i]]
        possible = sum(exact[i] for i in clicks) * sum(exact[i] for i in others)
        if possible:
            wins = (
                (i, j, Fraction((score[i] > score[j]) * 2 + (score[i] == score[j]), 2)) for i in clicks for j in others
            )
            won = sum(exact[i] * exact[j] * win for i, j, win in wins)
            size = sum(exact[i] for i in rows)
            covered += size
            total += size * won / possible
    return (total / covered if covered else None), covered / sum(exact)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),
            st.sampled_from([0.0, 0.1, 0.5, 1.0]),
            st.sampled_from([0.0, 1.0, 9.0, 0.1, 1e17, 1e-17, 1e200, 1e-200, 1e300]),
            st.integers(0, 4),
        ),
        min_size=1,
        max_size=30,
    ).filter(lambda rows: any(row[2] for row in rows))
)
@settings(deadline=None, max_examples=300)
def test_gauc_of_weights_of_any_size_is_the_exact_fraction(rows: list[tuple[int, float, float, int]]) -> None:
    label, score, weight, group = (list(column) for column in zip(*rows, strict=True))
    value, coverage = exact_gauc(label, score, group, weight)
    found = gauc(label, score, group, weight=weight)
    assert same(found.value, None if value is None else float(value))
    assert same(found.coverage, float(coverage))
    assert found.value is None or 0 <= found.value <= 1
    assert 0 <= found.coverage <= 1


@pytest.mark.parametrize(("best", "expected"), [(0.5, 0.0), (0.0, 1.0)])
def test_a_heavy_row_of_a_group_does_not_hide_what_follows(best: float, expected: float) -> None:
    found = gauc([0, 1, 1, 1], [best, 0.2, 0.9, 0.1], [0, 0, 1, 0], weight=[1e17, 9, 1, 9])
    assert found.value == expected
    # A group without clicks that weighs more than all others together.
    rest = gauc([0, 0, 1, 0, 1], [0.1, 0.3, 0.2, 0.5, 0.7], [0, 1, 1, 1, 1], weight=[1e17, 1, 1, 1, 1])
    assert rest.value == 0.5


def test_against_sklearn() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(2000)
    y = (rng.random(2000) < p).astype(np.float32)
    w = rng.random(2000)
    assert same(auc(y, p, weight=w), sklearn.metrics.roc_auc_score(y, p, sample_weight=w))
    assert same(log_loss(y, p, weight=w), sklearn.metrics.log_loss(y, p, sample_weight=w))
    assert same(log_loss(y, p), sklearn.metrics.log_loss(y, p))


def test_log_loss_by_hand() -> None:
    assert same(log_loss([1, 0], [0.8, 0.4]), -(math.log(0.8) + math.log(0.6)) / 2)
    assert same(log_loss([1, 0], [0.8, 0.4], weight=[3, 1]), -(3 * math.log(0.8) + math.log(0.6)) / 4)
    # Certain and right costs nothing that matters, certain and wrong costs ln(1e15).
    assert log_loss([1, 0], [1.0, 0.0]) < 1e-14
    assert same(round(log_loss([0, 1], [1.0, 0.0]), 2), 34.54)


def test_single_precision_probabilities_are_judged_in_double() -> None:
    # In float32 the clip 1 - 1e-15 is 1, and the log of what is left would be infinite.
    saturated = np.array([1.0, 0.0, 0.5], dtype=np.float32)
    loss = log_loss(np.array([0, 1, 1], dtype=np.float32), saturated)
    assert math.isclose(loss, (2 * -math.log(1e-15) + math.log(2)) / 3, rel_tol=1e-3)


def test_a_million_equal_losses_average_to_one_of_them() -> None:
    # A float32 running sum of these is off in the third digit.
    probability = np.full(1_000_000, 0.1, dtype=np.float32)
    label = np.zeros(1_000_000, dtype=np.float32)
    assert math.isclose(log_loss(label, probability), -math.log1p(-float(np.float32(0.1))), rel_tol=1e-12)


def test_float64_scores_that_float32_would_tie_keep_their_order() -> None:
    assert auc([0, 1], [0.5, 0.5 + 1e-12]) == 1.0
    assert gauc([0, 1], [0.5, 0.5 + 1e-12], ["u", "u"]) == GroupAUC(1.0, 1.0)


def test_calibration_and_base_rate() -> None:
    assert same(calibration_ratio([1, 0, 0, 1], [0.9, 0.3, 0.1, 0.9]), 1.1)
    assert same(calibration_ratio([1, 0], [0.5, 0.5], weight=[1, 3]), 2.0)
    assert calibration_ratio([0, 0], [0.5, 0.5]) is None
    assert same(base_rate([1, 0, 0, 0]), 0.25)
    assert same(base_rate(np.array([1, 0, 0], dtype=np.float32)), 1 / 3)
    assert same(base_rate([1, 0], weight=[3, 1]), 0.75)


@pytest.mark.parametrize("label", [[0, 0, 0], [1, 1, 1]])
def test_one_class_only_is_undefined_and_not_a_warning(label: list[int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluate_binary(label, [0.2, 0.5, 0.7], group=["a", "a", "b"])
    assert found.auc is None
    assert found.gauc is None
    assert found.gauc_coverage == 0.0
    assert "AUC undefined" in str(found)
    assert auc([0, 1], [0.1, 0.9], weight=[1, 0]) is None


@pytest.mark.parametrize(
    "group",
    [
        np.array(["u1", "u1", "u2", None, "u1"], dtype=object),
        np.array([1.0, 1.0, 2.0, np.nan, 1.0]),
        pa.chunked_array([["u1", "u1"], ["u2", None, "u1"]]),
        pa.chunked_array([["u1", "u1"], ["u2", None, "u1"]]).dictionary_encode(),
        pa.chunked_array(
            [pa.array(["u1", "u1"]).dictionary_encode(), pa.array(["u2", None, "u1"]).dictionary_encode()]
        ),
    ],
)
def test_groups_of_any_type_and_missing_groups_left_out(group: Any) -> None:
    # u1 holds (1, .9), (0, .1), (0, .95): one of two pairs right. u2 has one class, row 3 no group.
    found = gauc([1, 0, 1, 0, 0], [0.9, 0.1, 0.5, 0.5, 0.95], group)
    assert found == GroupAUC(0.5, 0.6)


def test_no_row_has_a_group() -> None:
    assert gauc([1, 0], [0.9, 0.1], [None, None]) == GroupAUC(None, 0.0)


def test_all_metrics_together() -> None:
    label, probability, group = [1, 0, 0, 1], [0.9, 0.3, 0.1, 0.9], [7, 7, 8, 8]
    found = evaluate_binary(label, probability, group=group, weight=[1, 1, 1, 1])
    assert (found.rows, found.base_rate, found.auc, found.gauc, found.gauc_coverage) == (
        4,
        0.5,
        1.0,
        1.0,
        1.0,
    )
    assert same(found.log_loss, log_loss(label, probability))
    assert json.loads(json.dumps(found.to_dict()))["calibration"] == found.calibration
    assert str(found).startswith("4 rows, base rate 0.5000, AUC 1.0000, log loss 0.1")
    assert "GAUC 1.0000 (on 100.0% of the rows)" in str(found)
    without = evaluate_binary(label, probability)
    assert without.gauc is None
    assert "GAUC" not in str(without)
    assert found == evaluate_binary(np.array(label, dtype=bool), probability, group=group)


@pytest.mark.parametrize(
    ("label", "probability", "weight", "message"),
    [
        ([0, 1, 1], [0.1, 0.2], None, "got 2 predictions for 3 labels"),
        ([0, 1], [0.1, 0.2], [1.0], "got 1 weights for 2 labels"),
        ([], [], None, "no rows"),
        ([0, 1, 0], [0.1, 0.2, math.nan], None, "prediction of row 2 .* is nan"),
        ([0, 1], [0.1, 1.5], None, r"prediction of row 1 .* is 1.5; .* \[0, 1\]"),
        ([0, 2], [0.1, 0.5], None, "label of row 1 .* is 2; it must be 0 or 1"),
        ([math.nan, 1], [0.1, 0.5], None, "label of row 0"),
        ([0, 1], [0.1, 0.5], [1.0, -1.0], "weight of row 1 .* is -1"),
        ([0, 1], [0.1, 0.5], [1.0, math.nan], "weight of row 1 .* is nan"),
        ([0, 1], [0.1, 0.5], [0.0, 0.0], "all weights are 0"),
        ([0, 1], [0.1, 0.5], [1e308, 1e308], "sum of the weights is infinite"),
        ([[0], [1]], [0.1, 0.5], None, r"labels must have one dimension, got the shape \(2, 1\)"),
    ],
)
def test_bad_input_is_refused_by_row(label: Any, probability: Any, weight: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluate_binary(label, probability, weight=weight)


def test_bad_scores_and_groups_are_refused() -> None:
    with pytest.raises(DataError, match=r"row 1 .* is inf"):
        auc([0, 1], [0.1, math.inf])
    with pytest.raises(DataError, match="got 1 groups for 2 rows"):
        gauc([0, 1], [0.1, 0.2], ["a"])
    with pytest.raises(DataError, match="one column of one type"):
        gauc([0, 1], [0.1, 0.2], [1, "a"])


def test_scores_of_auc_may_be_logits() -> None:
    assert auc([0, 1, 1], [-3.0, 2.0, 7.0]) == 1.0


def test_the_rank_correlation_is_spearmans() -> None:
    # Distances of ranks -1, 1, -1, 1: 1 - 6 * 4 / (4 * 15).
    assert rank_correlation([1, 2, 3, 4], [20, 10, 40, 30]) == pytest.approx(0.6)
    assert rank_correlation([1, 2], [2, 1]) == pytest.approx(-1.0)
    # Ties take their mean rank: 4, 1.5, 1.5, 3 against 1 to 4; the products sum to -1.5, the squares to 4.5 and 5.
    assert rank_correlation([0, 1, 2, 3], [4, 1, 1, 2]) == pytest.approx(-1.5 / np.sqrt(4.5 * 5))
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
    assert rank_correlation([1, 2, 3], [0, 0, 0]) is None
    assert rank_correlation([], []) is None


def test_regression_by_hand() -> None:
    metrics = evaluate_regression([1.0, 2.0, 6.0], [2.0, 2.0, 4.0])
    assert (metrics.rows, metrics.mean_label) == (3, 3.0)
    assert metrics.rmse == pytest.approx(np.sqrt(5 / 3))
    assert metrics.mae == 1.0
    assert metrics.bias == pytest.approx(-1 / 3)
    assert metrics.r2 == pytest.approx(1 - 5 / 14)
    assert str(metrics) == "3 rows, mean label 3, RMSE 1.291, MAE 1, R² 0.6429, bias -0.333"
    assert set(metrics.to_dict()) == {"rows", "mean_label", "rmse", "mae", "r2", "bias"}


def test_regression_weights_are_repetitions() -> None:
    label, prediction = np.array([1.0, 2.0, 6.0]), np.array([2.0, 2.0, 4.0])
    times = [2, 0, 3]
    weighted = evaluate_regression(label, prediction, weight=times).to_dict()
    repeated = evaluate_regression(np.repeat(label, times), np.repeat(prediction, times)).to_dict()
    assert {k: v for k, v in weighted.items() if k != "rows"} == pytest.approx(
        {k: v for k, v in repeated.items() if k != "rows"}
    )


def test_regression_agrees_with_scikit_learn() -> None:
    from sklearn import metrics as theirs

    rng = np.random.default_rng(0)
    label, weight = rng.normal(50, 9, 300), rng.random(300)
    prediction = label + rng.normal(size=300)
    ours = evaluate_regression(label, prediction, weight=weight)
    assert ours.rmse == pytest.approx(theirs.root_mean_squared_error(label, prediction, sample_weight=weight))
    assert ours.mae == pytest.approx(theirs.mean_absolute_error(label, prediction, sample_weight=weight))
    assert ours.r2 == pytest.approx(theirs.r2_score(label, prediction, sample_weight=weight))


@pytest.mark.parametrize(
    ("label", "prediction", "message"),
    [
        ([1.0, np.nan], [1.0, 2.0], "the label of row 1 (counted from 0) is nan; it must be a finite number"),
        ([1.0, 2.0], [1.0, np.inf], "the prediction of row 1 (counted from 0) is inf; it must be a finite number"),
        ([1.0], [1.0, 2.0], "got 2 predictions for 1 labels"),
        ([], [], "there are no rows"),
    ],
)
def test_regression_refuses_what_it_cannot_measure(label: list[float], prediction: list[float], message: str) -> None:
    with pytest.raises(DataError) as error:
        evaluate_regression(label, prediction)
    assert message in str(error.value)


def test_equal_labels_leave_r2_undefined() -> None:
    metrics = evaluate_regression([2.0, 2.0], [1.0, 3.0])
    assert metrics.r2 is None
    assert "R² undefined" in str(metrics)
