"""Numbers: reading them from any column, scaling them, and cutting them into buckets.

Missing is NaN throughout: null, NaN, an empty cell, or one of the words in `MISSING_WORDS`. A value that is infinite,
or beyond float32 when scaled, counts as missing and is reported. Booleans, and the texts true and false, are 1 and 0.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fieldwise.encoding.tokens import BLANKS, is_missing, plain_column
from fieldwise.errors import DataError
from fieldwise.layout import FIRST_TOKEN, MISSING
from fieldwise.schema import Numeric

Numbers = npt.NDArray[np.float64]

MISSING_WORDS = frozenset({"", "na", "n/a", "nan", "null", "none", "\\n", "?", "-"})
_BOOLEANS = {"true": 1.0, "false": 0.0}
_LARGEST = float(np.finfo(np.float32).max)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?inf(?:inity)?", re.IGNORECASE)


def number(value: Any) -> float:
    """One Python value as a float; NaN where it is missing. Raises DataError for anything that is no number."""
    if is_missing(value):
        return float("nan")
    if isinstance(value, str):
        text = value.strip(BLANKS)
        if text.lower() in MISSING_WORDS:
            return float("nan")
        if text.lower() in _BOOLEANS:
            return _BOOLEANS[text.lower()]
        if _NUMBER.fullmatch(text):
            return float(text)
        raise DataError(f"expected a number, got {value!r:.60}")
    try:
        return float(value)
    except OverflowError:  # a whole number beyond float64, which as text reads as infinite too
        return float("inf") if value > 0 else float("-inf")
    except (TypeError, ValueError):
        raise DataError(f"expected a number, got {type(value).__name__}: {value!r:.60}") from None


def number_column(column: pa.ChunkedArray) -> Numbers:
    """A whole column as float64 [N], NaN where missing; text is parsed.

    Raises DataError with the row (the first is 1) and the value of the first cell that is no number.
    """
    column = plain_column(column)
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        numbers: Numbers = column.cast(pa.float64(), safe=False).to_numpy()
        return numbers.astype(np.float64, copy=False)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        texts = pc.utf8_trim(column, characters=BLANKS)
        word = pc.is_in(pc.utf8_lower(texts), value_set=pa.array(sorted(MISSING_WORDS), kind))
        try:
            parsed = pc.if_else(word, None, texts).cast(pa.float64())
            return np.asarray(parsed.to_numpy(), dtype=np.float64)
        except pa.ArrowInvalid:
            pass  # a form that Arrow does not parse, or no number: the slow path tells which
    result = np.empty(len(column))
    for row, value in enumerate(column):
        try:
            result[row] = number(value.as_py())
        except DataError as error:
            raise DataError(f"row {row + 1}: {error}") from None
    return result


class _Scaling(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Identity(_Scaling):
    """The numbers as they are."""

    name: Literal["none"] = "none"

    def apply(self, x: Numbers) -> Numbers:
        """Scale x [N]; NaN stays NaN."""
        return x


class Standard(_Scaling):
    """(x - mean) / deviation; with `log`, of sign(x) ln(1 + |x|) instead of x."""

    name: Literal["standard", "log"] = "standard"
    mean: float
    deviation: float = Field(gt=0)

    def apply(self, x: Numbers) -> Numbers:
        """Scale x [N]; NaN stays NaN."""
        return ((_signed_log(x) if self.name == "log" else x) - self.mean) / self.deviation


class MinMax(_Scaling):
    """The training range mapped to [0, 1]; values outside it are mapped outside."""

    name: Literal["minmax"] = "minmax"
    low: float
    width: float = Field(gt=0)

    def apply(self, x: Numbers) -> Numbers:
        """Scale x [N]; NaN stays NaN."""
        return (x - self.low) / self.width


class LogSquared(_Scaling):
    """ln(x)^2 for x > 2, truncated to a whole number with `floor`; other values as they are.

    Source: the AutoInt authors' preprocessing; it is not monotonic at 2 (2 -> 2, 3 -> 1) and leaves negatives alone.
    """

    name: Literal["log_squared"] = "log_squared"
    floor: bool = True

    def apply(self, x: Numbers) -> Numbers:
        """Scale x [N]; NaN stays NaN."""
        squared = np.log(np.maximum(x, 2.0)) ** 2
        return np.where(x > 2, np.trunc(squared) if self.floor else squared, x)


Scaling = Annotated[Identity | Standard | MinMax | LogSquared, Field(discriminator="name")]


def scale(scaling: Scaling, x: Numbers) -> Numbers:
    """Scale x [N]; NaN stays NaN, and what float32 cannot hold is infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled: Numbers = scaling.apply(x)
    return np.where(np.abs(scaled) > _LARGEST, np.copysign(np.inf, scaled), scaled)


def fit_scaling(spec: Numeric, x: Numbers) -> Identity | Standard | MinMax | LogSquared:
    """The scaling that a specification asks for, with its figures taken from the finite values of x [N].

    Raises DataError where the values are so large that their spread is not a float64.
    """
    known = x[np.isfinite(x)]
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            return _fit(spec, known)
        except ValidationError:
            raise DataError(
                f"numbers up to {np.abs(known).max():.3g} are too large for the transform '{spec.transform}'; "
                "use log, or buckets"
            ) from None


def _fit(spec: Numeric, known: Numbers) -> Identity | Standard | MinMax | LogSquared:
    match spec.transform:
        case "none":
            return Identity()
        case "log_squared":
            return LogSquared(floor=spec.floor)
        case "minmax":
            low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
            return MinMax(low=low, width=(high - low) or 1.0)
        case "standard" | "log":
            scaled = _signed_log(known) if spec.transform == "log" else known
            mean, deviation = (float(scaled.mean()), float(scaled.std())) if len(scaled) else (0.0, 1.0)
            return Standard(name=spec.transform, mean=mean, deviation=deviation or 1.0)


def fit_bounds(buckets: int, x: Numbers) -> Numbers:
    """The inner bounds of at most `buckets` equally filled buckets; equal bounds count once, so there may be fewer."""
    known = x[np.isfinite(x)]
    if not len(known):
        return np.empty(0)
    inner = np.quantile(known, np.arange(1, buckets) / buckets, method="inverted_cdf")
    # A bound at the smallest value would leave the bucket below it empty.
    return np.unique(inner[inner > known.min()])


def bucket_ids(bounds: Numbers, x: Numbers) -> npt.NDArray[np.int32]:
    """The bucket of each value as an id: `MISSING` for NaN, `FIRST_TOKEN` for values below the first bound, ..."""
    ids = np.searchsorted(bounds, x, side="right") + FIRST_TOKEN
    return np.where(np.isnan(x), MISSING, ids).astype(np.int32)


def _signed_log(x: Numbers) -> Numbers:
    return np.sign(x) * np.log1p(np.abs(x))
