"""Metrics: how good predictions are, over all rows at once and in float64, never averaged over batches.

Of clicks (labels 0 and 1, predictions are probabilities):

    AUC          P(score of a click > score of a non-click) + 1/2 P(equal)
    log loss     -mean[ y ln p + (1 - y) ln(1 - p) ]
    GAUC         the AUC within each group (a user, a session), averaged with the groups' row counts
                 (Zhou et al., Deep Interest Network, KDD 2018, section 6.3)
    calibration  sum of predictions / sum of clicks; 1 is right, 1.1 means 10 % too many clicks predicted

Of numbers:

    RMSE, MAE    root of the mean squared error; mean absolute error
    R²           1 - squared error / squared error of the mean label
    bias         mean prediction - mean label

With row weights every count becomes a sum of weights. A metric that is undefined for the given labels (AUC
without a click or without a non-click, calibration without a click) is None, never an invented number.
All functions raise DataError where lengths differ, there are no rows, a label is neither 0 nor 1 (or no finite number,
where numbers are predicted), a prediction is not a finite number (for probabilities: not in [0, 1]), a weight is
negative or all are 0.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fieldwise.errors import DataError

__all__ = [
    "CLIP",
    "LABELS",
    "BinaryMetrics",
    "GroupAUC",
    "Metrics",
    "RegressionMetrics",
    "auc",
    "base_rate",
    "calibration_ratio",
    "evaluate_binary",
    "evaluate_regression",
    "gauc",
    "log_loss",
    "rank_correlation",
]

Floats = npt.NDArray[np.float64]

CLIP = 1e-15
"""The log loss keeps probabilities this far from 0 and 1, so that one sure miss costs 34.5, not infinity."""


class GroupAUC(NamedTuple):
    """The AUC within groups, averaged.

    Attributes:
        value: GAUC; None where no group has both classes.
        coverage: the share of the rows (with weights: of their sum) that stand in a group with both classes.
    """

    value: float | None
    coverage: float


LABELS = {
    "auc": "AUC",
    "log_loss": "log loss",
    "calibration": "calibration",
    "gauc": "GAUC",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "bias": "bias",
}
"""How tables call a metric."""


@dataclass(frozen=True)
class Metrics:
    """What an evaluation came to; None marks what is undefined for these labels or was not asked for.

    Attributes:
        rows: number of rows, whatever their weights.
        part: which rows of the data these were.
    """

    rows: int
    part: Literal["all", "test"] = field(default="all", kw_only=True)

    def to_dict(self) -> dict[str, int | float | None]:
        """Plain numbers by name, ready for JSON."""
        return {name: value for name, value in vars(self).items() if name != "part"}

    def _rows(self) -> str:
        return f"{self.rows:,} {'test ' if self.part == 'test' else ''}rows"


@dataclass(frozen=True)
class BinaryMetrics(Metrics):
    """Metrics of click probabilities.

    Attributes:
        base_rate: share of clicks.
        auc: area under the ROC curve; None where one of the two classes has no rows.
        log_loss: mean negative log-likelihood, in nats.
        calibration: predicted clicks divided by observed ones; None without a click.
        gauc: as `GroupAUC.value`; None without groups.
        gauc_coverage: as `GroupAUC.coverage`; None without groups.
    """

    base_rate: float
    auc: float | None
    log_loss: float
    calibration: float | None
    gauc: float | None = None
    gauc_coverage: float | None = None

    def __str__(self) -> str:
        parts = [
            self._rows(),
            f"base rate {self.base_rate:.4f}",
            f"AUC {_shown(self.auc)}",
            f"log loss {self.log_loss:.4f}",
            f"calibration {_shown(self.calibration)}",
        ]
        if self.gauc_coverage is not None:
            parts.append(f"GAUC {_shown(self.gauc)} (on {self.gauc_coverage:.1%} of the rows)")
        return ", ".join(parts)


@dataclass(frozen=True)
class RegressionMetrics(Metrics):
    """Metrics of predicted numbers, in the unit of the labels.

    Attributes:
        mean_label: the mean of the labels.
        rmse: root of the mean squared error.
        mae: mean absolute error.
        r2: share of the labels' variance that the predictions explain; None where all labels are the same.
        bias: mean prediction less mean label.
    """

    mean_label: float
    rmse: float
    mae: float
    r2: float | None
    bias: float

    def __str__(self) -> str:
        return ", ".join(
            [
                self._rows(),
                f"mean label {self.mean_label:.6g}",
                f"RMSE {self.rmse:.5g}",
                f"MAE {self.mae:.5g}",
                f"R² {_shown(self.r2)}",
                f"bias {self.bias:+.3g}",
            ]
        )


def evaluate_binary(
    label: npt.ArrayLike,
    probability: npt.ArrayLike,
    *,
    weight: npt.ArrayLike | None = None,
    group: Any = None,
) -> BinaryMetrics:
    """All metrics of one set of click probabilities.

    Args:
        label: 0 or 1.
        probability: predicted click probability.
        weight: row weights, at least 0; None: all 1.
        group: the group of each row for GAUC, any type that Arrow reads; None: no GAUC.

    Returns:
        The metrics; print them for one line.

    Raises:
        DataError: for what the head of this module names.

    Shape:
        label, probability, weight, group: [N].

    Example:
        >>> print(evaluate_binary([0, 1, 1, 0], [0.2, 0.9, 0.6, 0.3]))
        4 rows, base rate 0.5000, AUC 1.0000, log loss 0.2990, calibration 1.0000
    """
    y, p, w = _checked(label, probability, weight, probability=True)
    grouped = None if group is None else gauc(y, p, group, weight=w)
    return BinaryMetrics(
        rows=len(y),
        base_rate=base_rate(y, weight=w),
        auc=auc(y, p, weight=w),
        log_loss=log_loss(y, p, weight=w),
        calibration=calibration_ratio(y, p, weight=w),
        gauc=None if grouped is None else grouped.value,
        gauc_coverage=None if grouped is None else grouped.coverage,
    )


def evaluate_regression(
    label: npt.ArrayLike, prediction: npt.ArrayLike, *, weight: npt.ArrayLike | None = None
) -> RegressionMetrics:
    """All metrics of one set of predicted numbers.

    Args:
        label: any finite numbers.
        prediction: the predicted ones.
        weight: row weights, at least 0; None: all 1.

    Returns:
        The metrics; print them for one line.

    Raises:
        DataError: for what the head of this module names.

    Shape:
        label, prediction, weight: [N].

    Example:
        >>> print(evaluate_regression([1.0, 2.0, 3.0], [1.5, 2.0, 2.5]))
        3 rows, mean label 2, RMSE 0.40825, MAE 0.33333, R² 0.7500, bias +0
    """
    y, p, w = _checked(label, prediction, weight, label_kind="number")
    error = p - y
    mean = float(np.average(y, weights=w))
    squared = float(np.average(error**2, weights=w))
    variance = float(np.average((y - mean) ** 2, weights=w))
    return RegressionMetrics(
        rows=len(y),
        mean_label=mean,
        rmse=float(np.sqrt(squared)),
        mae=float(np.average(np.abs(error), weights=w)),
        r2=1 - squared / variance if variance > 0 else None,
        bias=float(np.average(error, weights=w)),
    )


def auc(label: npt.ArrayLike, score: npt.ArrayLike, *, weight: npt.ArrayLike | None = None) -> float | None:
    """Area under the ROC curve; ties count half.

    Args:
        label: 0 or 1.
        score: any finite numbers, larger for clicks.
        weight: row weights, at least 0; None: all 1.

    Returns:
        The area in [0, 1]; None where one of the two classes has no rows (or no weight).

    Raises:
        DataError: for what the head of this module names.

    Shape:
        label, score, weight: [N].

    Example:
        >>> auc([0, 1, 1, 0], [0.2, 0.9, 0.3, 0.3])
        0.875
    """
    y, s, w = _checked(label, score, weight)
    if not _both_classes(y, w):
        return None
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(y, s, sample_weight=w))


def log_loss(label: npt.ArrayLike, probability: npt.ArrayLike, *, weight: npt.ArrayLike | None = None) -> float:
    """Mean negative log-likelihood in nats, from float64 probabilities clipped to [CLIP, 1 - CLIP].

    Args:
        label: 0 or 1.
        probability: predicted click probability.
        weight: row weights, at least 0; None: all 1.

    Returns:
        The mean, 0 for sure and right predictions.

    Raises:
        DataError: for what the head of this module names.

    Shape:
        label, probability, weight: [N].

    Example:
        >>> round(log_loss([0, 1], [0.5, 0.5]), 4)
        0.6931
    """
    y, p, w = _checked(label, probability, weight, probability=True)
    p = np.clip(p, CLIP, 1 - CLIP)
    return float(np.average(np.where(y == 1, -np.log(p), -np.log1p(-p)), weights=w))


def gauc(label: npt.ArrayLike, score: npt.ArrayLike, group: Any, *, weight: npt.ArrayLike | None = None) -> GroupAUC:
    """The AUC within each group, averaged with the groups' row counts (with weights: their sums).

    Groups with one class have no AUC and are left out, and so are rows whose group is missing (null, NaN).
    O(N log N), no loop over groups.

    Args:
        label: 0 or 1.
        score: any finite numbers, larger for clicks.
        group: the group of each row, any type that Arrow reads (integers, text, an Arrow array).
        weight: row weights, at least 0; None: all 1.

    Returns:
        The average, None where no row remains, and the share of the rows that remains.

    Raises:
        DataError: for what the head of this module names, and for groups that Arrow cannot read or that are not one
            per row.

    Shape:
        label, score, group, weight: [N].

    Example:
        >>> gauc([0, 1, 0, 1, 1], [0.1, 0.2, 0.8, 0.7, 0.9], ["ann", "ann", "bob", "bob", "cyd"])
        GroupAUC(value=0.5, coverage=0.8)
    """
    y, s, w = _checked(label, score, weight)
    code, num_groups = _group_codes(group)
    if len(code) != len(y):
        raise DataError(f"got {len(code)} groups for {len(y)} rows; one group per row is needed")
    w = np.ones_like(y) if w is None else w
    order = np.lexsort((s, code))
    order = order[np.searchsorted(code[order], 0) :]
    if not len(order):
        return GroupAUC(None, 0.0)
    total = float(w.sum())
    code, s, y, w = code[order], s[order], y[order], w[order]

    # A block is a run of equal scores within one group; within it clicks and non-clicks are tied.
    start = np.flatnonzero(np.r_[True, (np.diff(code) != 0) | (s[1:] != s[:-1])])
    block_group = code[start]
    positive = np.add.reduceat(w * y, start)
    negative = np.add.reduceat(w * (1 - y), start)
    clicks = np.bincount(block_group, positive, minlength=num_groups)
    others = np.bincount(block_group, negative, minlength=num_groups)
    below = _sums_before(negative, block_group, others)

    pairs = below + negative / 2
    if weight is None:
        pairs *= positive
        possible = clicks * others
    else:
        # Powers of two change no digit and keep the products of very large or very small weights in range.
        click_part, click_exponent = np.frexp(clicks)
        other_part, other_exponent = np.frexp(others)
        pairs = np.ldexp(pairs, -other_exponent[block_group])
        pairs *= np.ldexp(positive, -click_exponent[block_group])
        possible = click_part * other_part
    won = np.bincount(block_group, pairs, minlength=num_groups)

    defined = (clicks > 0) & (others > 0)
    if not defined.any():
        return GroupAUC(None, 0.0)
    size = (clicks + others)[defined]
    value = np.average(won[defined] / possible[defined], weights=size)
    # Rounding may lead past 1 by a last digit.
    return GroupAUC(min(float(value), 1.0), min(float(size.sum()) / total, 1.0))


def calibration_ratio(
    label: npt.ArrayLike, probability: npt.ArrayLike, *, weight: npt.ArrayLike | None = None
) -> float | None:
    """Predicted clicks divided by observed clicks.

    Args:
        label: 0 or 1.
        probability: predicted click probability.
        weight: row weights, at least 0; None: all 1.

    Returns:
        The ratio, 1 where it is right; None where there is no click.

    Raises:
        DataError: for what the head of this module names.

    Shape:
        label, probability, weight: [N].

    Example:
        >>> calibration_ratio([0, 1, 0, 1], [0.5, 0.75, 0.5, 0.75])
        1.25
    """
    y, p, w = _checked(label, probability, weight, probability=True)
    clicks = np.average(y, weights=w)
    return float(np.average(p, weights=w) / clicks) if clicks > 0 else None


def base_rate(label: npt.ArrayLike, *, weight: npt.ArrayLike | None = None) -> float:
    """Share of clicks among the rows.

    Args:
        label: 0 or 1.
        weight: row weights, at least 0; None: all 1.

    Returns:
        The share in [0, 1].

    Raises:
        DataError: for what the head of this module names.

    Shape:
        label, weight: [N].

    Example:
        >>> base_rate([0, 1, 0, 0])
        0.25
    """
    y, _, w = _checked(label, label, weight)
    return float(np.average(y, weights=w))


def rank_correlation(a: npt.ArrayLike, b: npt.ArrayLike) -> float | None:
    """Spearman's rank correlation, equal numbers sharing a rank.

    Args:
        a: numbers.
        b: as many numbers.

    Returns:
        The correlation in [-1, 1]; None where one side is all the same, or there is nothing.

    Shape:
        a, b: [N].

    Example:
        >>> rank_correlation([1, 2, 3], [10, 200, 3000])
        1.0
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if not len(a) or np.all(a == a[0]) or np.all(b == b[0]):
        return None
    from scipy import stats

    with warnings.catch_warnings():
        # Two points have no p-value, which nobody asks for here.
        warnings.simplefilter("ignore")
        return float(stats.spearmanr(a, b).statistic)


def _checked(
    label: npt.ArrayLike,
    prediction: npt.ArrayLike,
    weight: npt.ArrayLike | None,
    *,
    probability: bool = False,
    label_kind: Literal["click", "number"] = "click",
) -> tuple[Floats, Floats, Floats | None]:
    """Labels, predictions and weights as float64 [N], or a DataError that names the first bad row."""
    y = np.asarray(label, dtype=np.float64)
    p = np.asarray(prediction, dtype=np.float64)
    w = None if weight is None else np.asarray(weight, dtype=np.float64)
    for name, values in (("labels", y), ("predictions", p), ("weights", w)):
        if values is not None and values.ndim != 1:
            raise DataError(f"the {name} must have one dimension, got the shape {values.shape}; flatten them")
        if values is not None and len(values) != len(y):
            raise DataError(f"got {len(values)} {name} for {len(y)} labels; one per row is needed")
    if not len(y):
        raise DataError("there are no rows to evaluate")
    if label_kind == "click":
        _refuse("label", y, ~((y == 0) | (y == 1)), "0 or 1")
    else:
        _refuse("label", y, ~np.isfinite(y), "a finite number")
    remedy = " (a model that predicts this has diverged; lower its learning rate)"
    if probability:
        _refuse("prediction", p, ~((p >= 0) & (p <= 1)), "a probability in [0, 1]" + remedy)
    else:
        _refuse("prediction", p, ~np.isfinite(p), "a finite number" + remedy)
    if w is not None:
        _refuse("weight", w, ~((w >= 0) & np.isfinite(w)), "a finite number of at least 0")
        with np.errstate(over="ignore"):
            total = w.sum()
        if not total > 0:
            raise DataError("all weights are 0; at least one row must count")
        if not np.isfinite(total):
            raise DataError(f"the sum of the weights is infinite, the largest being {w.max():g}; divide them all by it")
    return y, p, w


def _refuse(name: str, values: Floats, bad: npt.NDArray[np.bool_], expected: str) -> None:
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"the {name} of row {row} (counted from 0) is {values[row]:g}; it must be {expected}; "
            f"{int(bad.sum()):,} of {len(values):,} rows are affected"
        )


def _both_classes(y: Floats, w: Floats | None) -> bool:
    counted = y if w is None else y[w > 0]
    return bool(counted.min() != counted.max())


def _sums_before(values: Floats, group: npt.NDArray[np.int64], total: npt.NDArray[Any]) -> Floats:
    """The sum of the values that stand before each one in its group, `group` ascending, `total` by group.

    One running sum over all groups, set back to 0 before each: a total is the same sum in the same order, so taking
    it off leaves exactly 0, and no group's size rounds away what stands in another.
    """
    first = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    present = group[first]
    # A place before each group for what sets the sum back.
    place = np.arange(1, len(values) + 1)
    place += np.repeat(np.arange(len(first)), np.diff(first, append=len(values)))
    running = np.zeros(len(values) + len(first))
    running[place] = values
    running[place[first[1:]] - 1] = -total[present[:-1]]
    np.cumsum(running, out=running)
    place -= 1
    return running[place]


def _group_codes(group: Any) -> tuple[npt.NDArray[np.int64], int]:
    """Groups as integers from 0, missing ones as -1, and their number (Arrow hashes, numpy would sort)."""
    if not isinstance(group, pa.Array | pa.ChunkedArray):
        try:
            group = pa.array(group, from_pandas=True)
        except (TypeError, ValueError) as error:
            raise DataError(f"the groups must be one column of one type that Arrow reads: {error}") from error
    if not pa.types.is_dictionary(group.type):
        group = group.dictionary_encode()
    if isinstance(group, pa.ChunkedArray):
        group = group.combine_chunks()
    code = group.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    return code, len(group.dictionary)


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
