"""Scaling numbers and cutting them into buckets. What float32 cannot hold when scaled counts as missing."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fieldwise.columns.numbers import Numbers
from fieldwise.columns.profile import Counts
from fieldwise.errors import DataError
from fieldwise.layout import FIRST_TOKEN, MISSING
from fieldwise.schema import Numeric

_LARGEST = float(np.finfo(np.float32).max)


class _Scaling(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Identity(_Scaling):
    """The numbers as they are.

    Attributes:
        name: `none`.
    """

    name: Literal["none"] = "none"

    def apply(self, x: Numbers) -> Numbers:
        """Scale x [N]; NaN stays NaN."""
        return x


class Standard(_Scaling):
    """(x - mean) / deviation; with `log`, of sign(x) ln(1 + |x|) instead of x.

    Attributes:
        name: `standard` or `log`.
        mean: of the training values.
        deviation: of the training values.
    """

    name: Literal["standard", "log"] = "standard"
    mean: float
    deviation: float = Field(gt=0)

    def apply(self, x: Numbers) -> Numbers:
        """Scale x [N]; NaN stays NaN."""
        return ((_signed_log(x) if self.name == "log" else x) - self.mean) / self.deviation


class MinMax(_Scaling):
    """The training range mapped to [0, 1]; values outside it are mapped outside.

    Attributes:
        name: `minmax`.
        low: the smallest training value.
        width: how far it is from there to the largest.
    """

    name: Literal["minmax"] = "minmax"
    low: float
    width: float = Field(gt=0)

    def apply(self, x: Numbers) -> Numbers:
        """Scale x [N]; NaN stays NaN."""
        return (x - self.low) / self.width


class LogSquared(_Scaling):
    """ln(x)^2 for x > 2; other values as they are.

    Source: the AutoInt authors' preprocessing; it is not monotonic at 2 (2 -> 2, 3 -> 1) and leaves negatives alone.

    Attributes:
        name: `log_squared`.
        floor: whether the square is truncated to a whole number.
    """

    name: Literal["log_squared"] = "log_squared"
    floor: bool = True

    def apply(self, x: Numbers) -> Numbers:
        """Scale x [N]; NaN stays NaN."""
        squared = np.log(np.maximum(x, 2.0)) ** 2
        return np.where(x > 2, np.trunc(squared) if self.floor else squared, x)


Scaling = Annotated[Identity | Standard | MinMax | LogSquared, Field(discriminator="name")]


def scale(scaling: Scaling, x: Numbers) -> Numbers:
    """Scale numbers.

    Args:
        scaling: how.
        x: float64 [N].

    Returns:
        float64 [N]; NaN stays NaN, and what float32 cannot hold is infinite.

    Example:
        >>> scale(MinMax(low=10.0, width=20.0), np.array([10.0, 20.0, np.nan]))
        array([0. , 0.5, nan])
    """
    with np.errstate(over="ignore", invalid="ignore"):
        scaled: Numbers = scaling.apply(x)
    return np.where(np.abs(scaled) > _LARGEST, np.copysign(np.inf, scaled), scaled)


def fit_scaling(spec: Numeric, x: Numbers, counts: Counts) -> Identity | Standard | MinMax | LogSquared:
    """The scaling that a specification asks for, with its figures taken from the finite numbers.

    Args:
        spec: which transform.
        x: numbers, best distinct ones.
        counts: how often each occurs.

    Returns:
        The scaling.

    Raises:
        DataError: the numbers are so large that their spread is not a float64.

    Shape:
        x: float64 [N].
        counts: int64 [N].

    Example:
        >>> fit_scaling(Numeric(), np.array([1.0, 3.0]), np.array([5, 5]))
        Standard(name='standard', mean=2.0, deviation=1.0)
    """
    finite, times = _finite(x, counts)
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            return _fit(spec, finite, times)
        except ValidationError:
            raise DataError(
                f"numbers up to {np.abs(finite).max():.3g} are too large for the transform '{spec.transform}'; "
                "use log, or buckets"
            ) from None


def _fit(spec: Numeric, finite: Numbers, times: Counts) -> Identity | Standard | MinMax | LogSquared:
    match spec.transform:
        case "none":
            return Identity()
        case "log_squared":
            return LogSquared(floor=spec.floor)
        case "minmax":
            low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
            return MinMax(low=low, width=(high - low) or 1.0)
        case "standard" | "log":
            scaled = _signed_log(finite) if spec.transform == "log" else finite
            mean, deviation = _moments(scaled, times) if len(scaled) else (0.0, 1.0)
            return Standard(name=spec.transform, mean=mean, deviation=deviation or 1.0)


def fit_bounds(buckets: int, x: Numbers, counts: Counts) -> Numbers:
    """The inner bounds of equally filled buckets; equal bounds count once, so there may be fewer.

    Args:
        buckets: how many at most.
        x: numbers; infinite ones and NaN are left out.
        counts: how often each occurs.

    Returns:
        The bounds, ascending: float64 [buckets - 1] or fewer.

    Shape:
        x: float64 [N].
        counts: int64 [N].

    Example:
        >>> fit_bounds(3, np.array([1.0, 2.0, 3.0]), np.array([1, 1, 1]))
        array([2.])
    """
    finite, times = _finite(x, counts)
    if not len(finite):
        return np.empty(0)
    order = np.argsort(finite, kind="stable")
    up_to = np.cumsum(times[order])
    # The quantile q of n rows is the one at place ceil(n q), the first being 1.
    places = np.ceil(up_to[-1] * (np.arange(1, buckets) / buckets))
    inner = finite[order][np.searchsorted(up_to, np.maximum(places, 1))]
    # A bound at the smallest value would leave the bucket below it empty.
    return np.unique(inner[inner > finite.min()])


def bucket_ids(bounds: Numbers, x: Numbers) -> npt.NDArray[np.int32]:
    """The bucket of each value as an id.

    Args:
        bounds: between buckets, ascending.
        x: float64 [N].

    Returns:
        int32 [N]: `MISSING` for NaN, `FIRST_TOKEN` for values below the first bound, and so on.

    Example:
        >>> bucket_ids(np.array([10.0, 20.0]), np.array([5.0, 10.0, 99.0, np.nan]))
        array([2, 3, 4, 0], dtype=int32)
    """
    ids = np.searchsorted(bounds, x, side="right") + FIRST_TOKEN
    return np.where(np.isnan(x), MISSING, ids).astype(np.int32)


def _finite(x: Numbers, counts: Counts) -> tuple[Numbers, Counts]:
    finite = np.isfinite(x) & (counts > 0)
    return x[finite], counts[finite]


def _moments(x: Numbers, counts: Counts) -> tuple[float, float]:
    """The mean and the standard deviation of numbers [N] that occur so often [N]."""
    if x.min() == x.max():  # a sum divided by its count need not give the number back
        return float(x[0]), 0.0
    rows = counts.sum()
    mean = (x * counts).sum() / rows
    return float(mean), float(np.sqrt(((x - mean) ** 2 * counts).sum() / rows))


def _signed_log(x: Numbers) -> Numbers:
    return np.sign(x) * np.log1p(np.abs(x))
