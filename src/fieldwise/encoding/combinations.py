"""Statistics of field combinations: how often the training labels were clicks where several fields had these values.

For a tuple of fields, of order 1 to 3, and the combination of values that a row has in them, let n training rows have
the same, with labels that add up to s. With m, the mean of all, the row's statistics are

    rate    logit((s + A m) / (n + A)) - logit(m)       clicks; A = 10 rows of the mean are added to every combination
    mean    ((s + A m) / (n + A) - m) / deviation       numbers
    count   log(1 + n) / log(1 + N)                     of N training rows; for orders 1 and 2

A row that trains takes n and s from other rows alone, see `fieldwise.encoding.combination_fitting`. The idea is that of
target statistics (D. Micci-Barreca, SIGKDD Explorations 3, 2001) and of CatBoost's combinations (L. Prokhorenkova et
al., NeurIPS 2018, arXiv 1706.09516). Categorical fields take part with their ids, numbers with one of `BUCKETS` equally
filled intervals, lists as a whole and whatever their order. A combination that one training row alone has is not kept:
of it no row that trains could know anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

from fieldwise.encoding.encoded import EncodedRows
from fieldwise.encoding.scaling import bucket_ids
from fieldwise.errors import PredictorFormatError
from fieldwise.layout import Layout

Combination = tuple[int, ...]
"""Positions of fields in a layout, ascending."""
Scale = Literal["logit", "identity"]
Codes = npt.NDArray[np.int32]
Hashes = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]

PRIOR_ROWS = 10.0
BUCKETS = 15
MOST_ORDER = 3
MOST_COUNTED_ORDER = 2
_LARGEST = 5.0
_LONGEST = 64
_PIECE = 1 << 17

CELLS_SCHEMA = pa.schema([("combination", pa.uint64()), ("rows", pa.int64()), ("labels", pa.float64())])
"""The Arrow form of what was counted: a mark of each combination of values, ascending, how many rows, and their sum."""


class Smoothing(BaseModel):
    """From counts to statistics.

    Attributes:
        scale: `logit` for clicks, `identity` for other numbers.
        mean: of all training labels, m.
        deviation: of the training labels; 1 for clicks.
        rows: how many train, N.

    Example:
        >>> smoothing = Smoothing(scale="logit", mean=0.5, deviation=1.0, rows=99)
        >>> smoothing.value(np.array([0.0, 90.0]), np.array([0.0, 85.0])).round(3)
        array([0.   , 2.197])
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    scale: Scale
    mean: float
    deviation: Annotated[float, Field(gt=0)]
    rows: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _mean_is_a_rate(self) -> Smoothing:
        if self.scale == "logit" and not 0 < self.mean < 1:
            raise ValueError("a rate lies between 0 and 1")
        return self

    def value(self, rows: Floats, labels: Floats, mean: Floats | None = None) -> Floats:
        """The rate or mean of combinations.

        Args:
            rows: n of each.
            labels: s of each.
            mean: m of each; default: of all training labels.

        Returns:
            float64, as many.
        """
        prior = self.mean if mean is None else mean
        smooth = (labels + PRIOR_ROWS * prior) / (rows + PRIOR_ROWS)
        value = _logit(smooth) - _logit(prior) if self.scale == "logit" else (smooth - prior) / self.deviation
        return np.clip(value, -_LARGEST, _LARGEST)

    def count(self, rows: Floats) -> Floats:
        """The count of combinations.

        Args:
            rows: n of each.

        Returns:
            float64, as many.
        """
        return np.asarray(np.log1p(rows) / np.log1p(self.rows))


class CombinationsState(BaseModel):
    """The JSON part of saved combinations.

    Attributes:
        fields: the positions of each combination's fields in the schema.
        bounds: between the intervals of each numeric field.
        smoothing: from counts to statistics.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    fields: list[Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=MOST_ORDER)]]
    bounds: list[list[float]]
    smoothing: Smoothing


class Combinations:
    """What was counted of some combinations of fields in training rows: statistics for any row.

    Args:
        layout: the fields.
        combinations: of their positions.
        bounds: between the intervals of each numeric field, ascending.
        smoothing: from counts to statistics.
        cells: what was counted, a table of `CELLS_SCHEMA`.

    Raises:
        PredictorFormatError: the parts do not fit together.
    """

    def __init__(
        self,
        layout: Layout,
        combinations: Sequence[Combination],
        bounds: Sequence[Floats],
        smoothing: Smoothing,
        cells: pa.Table,
    ) -> None:
        self.layout = layout
        self.combinations = tuple(combinations)
        self.bounds = tuple(bounds)
        self.smoothing = smoothing
        self.cells = cells
        self._cells = _Cells(cells, smoothing)
        self._counted = np.flatnonzero([len(fields) <= MOST_COUNTED_ORDER for fields in self.combinations])
        # The fields of each, filled up with one behind the last that adds nothing to a mark.
        self._fields = np.full((len(self.combinations), MOST_ORDER), len(layout))
        for i, fields in enumerate(self.combinations):
            self._fields[i, : len(fields)] = fields

    def state(self) -> CombinationsState:
        """The JSON part; `cells` is the other."""
        return CombinationsState(
            fields=[list(fields) for fields in self.combinations],
            bounds=[bounds.tolist() for bounds in self.bounds],
            smoothing=self.smoothing,
        )

    @classmethod
    def from_state(cls, layout: Layout, state: CombinationsState, cells: pa.Table) -> Combinations:
        """Rebuild it from what `state` gave.

        Args:
            layout: the fields.
            state: the JSON part.
            cells: what was counted.

        Returns:
            The combinations.

        Raises:
            PredictorFormatError: the parts do not fit together.
        """
        if any(a >= b for fields in state.fields for a, b in pairwise([*fields, len(layout)])):
            raise PredictorFormatError("a combination must name fields of the schema, in its order")
        if len(state.bounds) != len(layout.numeric) or any(a >= b for each in state.bounds for a, b in pairwise(each)):
            raise PredictorFormatError("combinations need increasing bounds for every numeric field")
        if any(column.null_count for column in cells.columns):
            raise PredictorFormatError("the cells of combinations have empty places")
        rows, labels = cells["rows"].to_numpy(), cells["labels"].to_numpy()
        most = rows if state.smoothing.scale == "logit" else np.inf
        least = 0 if state.smoothing.scale == "logit" else -np.inf
        if not (np.isfinite(labels) & (rows > 0) & (labels >= least) & (labels <= most)).all():
            raise PredictorFormatError("the cells of combinations hold impossible counts")
        bounds = [np.array(each, dtype=np.float64) for each in state.bounds]
        return cls(layout, [tuple(fields) for fields in state.fields], bounds, state.smoothing, cells)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What each statistic is called: `rate(site, device)`, `count(site, device)`."""
        what = "rate" if self.smoothing.scale == "logit" else "mean"
        shown = [f"({', '.join(self.layout.names[f] for f in fields)})" for fields in self.combinations]
        return (*(what + fields for fields in shown), *("count" + shown[i] for i in self._counted))

    def encode(self, rows: EncodedRows) -> npt.NDArray[np.float16]:
        """The statistics of rows that did not train.

        Args:
            rows: N encoded rows.

        Returns:
            float16 [N, statistics], in the order of `names`.
        """
        number = len(self.combinations)
        out = np.empty((len(rows), len(self.names)), dtype=np.float16)
        hashes = field_hashes(rows, self.layout, self.bounds)
        step = max(1, _PIECE // max(1, number))
        starts = range(0, len(rows), step)

        def fill(start: int) -> None:
            part = slice(start, start + step)
            of_fields = np.stack([*(hashes[f][part] for f in range(len(self.layout))), np.zeros_like(hashes[0][part])])
            marks = of_fields[self._fields].sum(axis=1, dtype=np.uint64)  # [combinations, rows]
            found = self._cells.find(marks.reshape(-1)).reshape(marks.shape)
            out[part, :number] = self._cells.values[found].T
            out[part, number:] = self._cells.counts[found[self._counted]].T

        if len(starts) > 1:
            with ThreadPoolExecutor(min(len(starts), pa.cpu_count())) as pool:
                list(pool.map(fill, starts))
        else:
            for start in starts:
                fill(start)
        return out


class _Cells:
    """A hash table: the marks are numbers of 64 random bits, ascending, and their first bits say where to look."""

    def __init__(self, cells: pa.Table, smoothing: Smoothing) -> None:
        marks = cells["combination"].to_numpy()
        rows, labels = cells["rows"].to_numpy().astype(np.float64), cells["labels"].to_numpy()
        if (marks[1:] <= marks[:-1]).any():
            raise PredictorFormatError("the combinations are not in ascending order")
        bits = max(1, int(2 * len(marks)).bit_length())
        self._shift = np.uint64(64 - bits)
        starts = np.searchsorted(marks, np.arange(1 << bits, dtype=np.uint64) << self._shift)
        self._starts = starts.astype(np.int32 if len(marks) < 2**31 else np.int64)
        self._longest = int(np.diff(np.append(starts, len(marks))).max(initial=0))
        if self._longest > _LONGEST:  # as good as impossible by chance; to look for them would take for ever
            raise PredictorFormatError("the marks of combinations are not spread out")
        # Behind the last one stands what no combination can be taken for, and the statistics of an unseen one.
        self._marks = np.append(marks, np.zeros(self._longest + 1, np.uint64))
        nothing = np.zeros(1)
        self.values = np.append(smoothing.value(rows, labels), nothing).astype(np.float16)
        self.counts = np.append(smoothing.count(rows), nothing).astype(np.float16)

    def find(self, marks: Hashes) -> npt.NDArray[np.int32 | np.int64]:
        """The number of the cell of each mark; of an unseen one that behind the last."""
        at: npt.NDArray[np.int32 | np.int64] = self._starts[marks >> self._shift]
        unseen = len(self.values) - 1
        wrong = np.flatnonzero(self._marks[at] != marks)
        for _ in range(1, self._longest):
            at[wrong] += 1
            wrong = wrong[self._marks[at[wrong]] != marks[wrong]]
        at[wrong] = unseen
        return at


def field_hashes(rows: EncodedRows, layout: Layout, bounds: Sequence[Floats]) -> dict[int, Hashes]:
    """Of each field 64 bits per row, equal where the value counts as the same.

    Args:
        rows: N encoded rows.
        layout: their fields.
        bounds: between the intervals of each numeric field.

    Returns:
        uint64 [N] by position.
    """
    hashes = {f: _hash(rows.categorical[:, k], f) for k, f in enumerate(layout.categorical)}
    for k, f in enumerate(layout.numeric):
        hashes[f] = _hash(bucket_ids(bounds[k], rows.numeric[:, k].astype(np.float64)), f)
    for ragged, f in zip(rows.multi_valued, layout.multi_valued, strict=True):
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_hash(ragged.values, f), dtype=np.uint64)])
        hashes[f] = _mixed(sums[ragged.offsets[1:]] - sums[ragged.offsets[:-1]])
    return hashes


def combination_hashes(hashes: dict[int, Hashes], fields: Combination) -> Hashes:
    """64 bits per row for a combination of fields: the sum of theirs.

    Args:
        hashes: of each field.
        fields: by position.

    Returns:
        uint64 [N].
    """
    total = hashes[fields[0]]
    for f in fields[1:]:
        total = total + hashes[f]
    return total


def _hash(ids: npt.NDArray[np.int32], field: int) -> Hashes:
    return _mixed(ids.astype(np.uint64) + (np.uint64(field + 1) << np.uint64(32)))


def _mixed(x: Hashes) -> Hashes:
    """The finaliser of SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, OOPSLA 2014): every bit depends on all."""
    x = x * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _logit(p: Floats | float) -> Floats:
    return np.asarray(np.log(p) - np.log1p(-np.asarray(p)), dtype=np.float64)
