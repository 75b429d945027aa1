"""statistics_AUC: how well the mere click rates of a field tuple's values order the rows of another data set.

    CTR(v)          clicks / rows of the training rows whose fields have the values v
    score of a row  CTR of its own values; the CTR of all training rows where training never met these values together
    statistics_AUC  the AUC of these scores over the other rows

It needs no model, so it can be held against the gates that a search gives to the same tuples (AIM, section 4.4.2 and
Fig. 7; Zhu et al. 2021). The paper leaves open what unseen values score; the choice above is ours.

As a value counts: of a categorical field its id; of a numeric field one of at most 50 quantile buckets of the
training rows, missing being one more; of a multi-valued field the whole list, whatever the order of its ids.
With smoothing s: CTR(v) = (clicks + s * CTR of all) / (rows + s), as if s rows of the average kind were there too.
Row weights count where the data sets have them: every count is then a sum of weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fieldwise.data.dataset import Dataset
from fieldwise.encoding.encoded import Ragged
from fieldwise.errors import DataError, SettingsError, suggest
from fieldwise.metrics import auc, base_rate

MOST_BUCKETS = 50
"""Buckets that a numeric field is cut into at most, the one of missing values not counted."""

_MOST_CODES = 2**62
Codes = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]


class _Values(NamedTuple):
    """A field's values as codes from 0 to size - 1: of the training rows [N] and of the others [M]."""

    train: Codes
    other: Codes
    size: int


class ClickStatistics:
    """Click rates of the training rows, held against other rows. The codes of a field are computed once.

    Memory beyond the data sets: 1 byte per row for each numeric field asked for, 8 for each multi-valued one.

    Args:
        train: N rows with labels.
        other: M rows with labels, encoded by the same encoder.
        smoothing: Pseudo rows, at least 0.

    Raises:
        DataError: Where labels are missing, where there are no rows, where `other` has no click or nothing but clicks,
            and where the data sets have different fields.
        SettingsError: For a negative smoothing.

    >>> from fieldwise.encoding.encoded import EncodedRows, EncodingReport
    >>> from fieldwise.layout import FieldLayout, Layout
    >>> layout = Layout((FieldLayout("hour", "categorical", 5), FieldLayout("site", "categorical", 4)))
    >>> ids = np.array([[3, 2], [3, 3], [4, 2], [4, 3]], dtype=np.int32)
    >>> rows = EncodedRows(ids, np.empty((4, 0), np.float32), (), EncodingReport())
    >>> data = Dataset(layout, rows, label=np.array([1, 1, 0, 0], dtype=np.float32))
    >>> ClickStatistics(data, data).best(1)
    {('hour',): 1.0, ('site',): 0.5}
    """

    def __init__(self, train: Dataset, other: Dataset, *, smoothing: float = 0.0) -> None:
        if not (math.isfinite(smoothing) and smoothing >= 0):
            raise SettingsError(f"smoothing: expected a number of pseudo rows, 0 or more; got {smoothing}")
        if train.layout != other.layout:
            raise DataError("the training rows and the other rows have different fields; encode both with one encoder")
        self.train, self.other, self.smoothing = train, other, smoothing
        self._train_shown, self._train_clicks = _counts(train, "training")
        self._other_shown, self._other_clicks = _counts(other, "other")
        self.base_rate = base_rate(train.label if train.label is not None else [], weight=train.weight)
        if not 0 < self._other_clicks.sum() < self._other_shown.sum():
            raise DataError(
                "the other rows hold clicks only or none at all, for which no AUC is defined; take more rows"
            )
        self._codes: dict[int, _Values] = {}

    def auc(self, fields: Sequence[int] | Sequence[str]) -> float:
        """statistics_AUC of a field tuple; a single field is one too.

        Args:
            fields: Positions in the layout, or names.

        Raises:
            SettingsError: For an unknown field, one twice, or none.
        """
        values = self._combined(self._positions(fields))
        # Rows of one value have one score, so the AUC over values with their counts is that over rows.
        scores = self._rates(values)
        clicks = np.bincount(values.other, self._other_clicks, minlength=values.size)
        others = np.bincount(values.other, self._other_shown - self._other_clicks, minlength=values.size)
        clicked, passed = np.flatnonzero(clicks > 0), np.flatnonzero(others > 0)
        value = auc(
            np.repeat([1.0, 0.0], [len(clicked), len(passed)]),
            np.concatenate([scores[clicked], scores[passed]]),
            weight=np.concatenate([clicks[clicked], others[passed]]),
        )
        assert value is not None
        return value

    def best(
        self, order: int, tuples: Iterable[Sequence[int] | Sequence[str]] | None = None, *, most: int | None = None
    ) -> dict[tuple[str, ...], float]:
        """statistics_AUC of many tuples of one order, the largest first; names stand in schema order.

        Args:
            order: How many fields each has.
            tuples: None takes all C(n, order) of them.
            most: How many to return; None returns all.

        Raises:
            SettingsError: As `auc` does, for a tuple of another order, and for an order out of range.
        """
        names = self.train.layout.names
        if not 1 <= order <= len(names):
            raise SettingsError(f"order: expected 1 to {len(names)}, the number of fields; got {order}")
        if tuples is None:
            tuples = combinations(range(len(names)), order)
        statistics: dict[tuple[str, ...], float] = {}
        for fields in tuples:
            positions = sorted(self._positions(fields))
            if len(positions) != order:
                raise SettingsError(f"the tuple {tuple(fields)} has {len(positions)} fields; expected {order}")
            statistics[tuple(names[f] for f in positions)] = self.auc(positions)
        ranked = sorted(statistics.items(), key=lambda entry: -entry[1])
        return dict(ranked if most is None else ranked[:most])

    def _positions(self, fields: Sequence[int] | Sequence[str]) -> list[int]:
        names = self.train.layout.names
        positions = []
        for field in [fields] if isinstance(fields, str) else fields:
            if isinstance(field, str):
                if field not in names:
                    raise SettingsError(f"there is no field '{field}'; {suggest(field, names)}")
                positions.append(names.index(field))
            elif 0 <= field < len(names):
                positions.append(int(field))
            else:
                raise SettingsError(f"there is no field {field}; expected 0 to {len(names) - 1}")
        if not positions or len(set(positions)) < len(positions):
            raise SettingsError(f"expected one field or several different ones, got {tuple(fields)}")
        return positions

    def _rates(self, values: _Values) -> Floats:
        """The CTR of each value [size]; of a value without training rows (or weight) that of all training rows."""
        shown = np.bincount(values.train, self._train_shown, minlength=values.size)
        clicks = np.bincount(values.train, self._train_clicks, minlength=values.size)
        rates = np.full(values.size, self.base_rate)
        met = shown > 0
        rates[met] = (clicks[met] + self.smoothing * self.base_rate) / (shown[met] + self.smoothing)
        return rates

    def _combined(self, positions: Sequence[int]) -> _Values:
        """The tuple's values as one code per row."""
        combined = self._values(positions[0])
        for position in positions[1:]:
            values = self._values(position)
            if combined.size * values.size > _MOST_CODES:
                combined = _met(combined)
            combined = _Values(
                combined.train.astype(np.int64) * values.size + values.train,
                combined.other.astype(np.int64) * values.size + values.other,
                combined.size * values.size,
            )
        # Counting takes memory for every code there could be; where these outnumber the rows, those that occur will do.
        return combined if combined.size <= len(self.train) + len(self.other) else _met(combined)

    def _values(self, position: int) -> _Values:
        layout = self.train.layout
        field = layout.fields[position]
        if field.kind == "categorical":
            column = layout.categorical.index(position)
            return _Values(self.train.rows.categorical[:, column], self.other.rows.categorical[:, column], field.size)
        if position not in self._codes:
            if field.kind == "numeric":
                column = layout.numeric.index(position)
                values = _buckets(self.train.rows.numeric[:, column], self.other.rows.numeric[:, column])
            else:
                column = layout.multi_valued.index(position)
                values = _lists(self.train.rows.multi_valued[column], self.other.rows.multi_valued[column], field.size)
            self._codes[position] = values
        return self._codes[position]


def statistics_auc(
    train: Dataset, other: Dataset, fields: Sequence[int] | Sequence[str], *, smoothing: float = 0.0
) -> float:
    """statistics_AUC of one field tuple: see the module. For many tuples build `ClickStatistics` once.

    Args:
        train, other, smoothing: As for `ClickStatistics`.
        fields: As for its `auc`.

    Raises:
        DataError, SettingsError: As `ClickStatistics` and its `auc` do.
    """
    return ClickStatistics(train, other, smoothing=smoothing).auc(fields)


def _counts(dataset: Dataset, which: str) -> tuple[Floats, Floats]:
    """What each row counts, and what it counts as a click: float64 [N] each."""
    if dataset.label is None:
        raise DataError(f"the {which} rows have no labels; click rates need them")
    base_rate(dataset.label, weight=dataset.weight)  # refuses what is no label or no weight
    shown = np.ones(len(dataset)) if dataset.weight is None else dataset.weight.astype(np.float64)
    return shown, shown * dataset.label


def _met(values: _Values) -> _Values:
    """Codes numbered anew: those of the training rows from 0, and one more for all that training never met."""
    codes, train = np.unique(values.train, return_inverse=True)
    place = np.minimum(np.searchsorted(codes, values.other), len(codes) - 1)
    return _Values(train, np.where(codes[place] == values.other, place, len(codes)), len(codes) + 1)


def _buckets(train: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> _Values:
    """Missing is 0; above it the bucket number."""
    numbers = train[~np.isnan(train)]
    starts = np.unique(numbers)
    if len(starts) > MOST_BUCKETS:
        cuts = np.quantile(numbers, np.arange(MOST_BUCKETS) / MOST_BUCKETS, method="lower")
        # A value that fills several buckets gets one of its own, and the next bucket starts with the next value:
        # a field that is mostly 0 would be a single bucket otherwise. Each use of this has freed a cut before.
        crowded = np.unique(cuts[1:][cuts[1:] == cuts[:-1]])
        following = np.searchsorted(starts, crowded, side="right")
        starts = np.unique(np.concatenate([cuts, starts[following[following < len(starts)]]]))

    def number(values: npt.NDArray[np.float32]) -> Codes:
        # Below the first start there is nothing in training; such values go with the first bucket.
        bucket = np.maximum(np.searchsorted(starts, values, side="right"), 1)
        return np.where(np.isnan(values), 0, bucket).astype(np.uint8)

    return _Values(number(train), number(other), len(starts) + 2)


def _lists(train: Ragged, other: Ragged, size: int) -> _Values:
    """Lists are numbered by growing prefixes: two are the same if the prefixes and the next ids are.

    All ids of one place are compared at once, so the loop is over the places of the longest list, not over rows.
    """
    lengths = np.concatenate([np.diff(train.offsets), np.diff(other.offsets)])
    rows = np.repeat(np.arange(len(lengths)), lengths)
    ids = np.sort(rows * size + np.concatenate([train.values, other.values])) - rows * size
    start = np.cumsum(lengths) - lengths
    prefix = np.zeros(len(lengths), dtype=np.int64)
    codes = np.zeros(len(lengths), dtype=np.int64)
    used = 1  # an empty list is 0
    open_rows = np.flatnonzero(lengths > 0)
    place = 0
    while len(open_rows):
        prefixes, number = np.unique(prefix[open_rows] * size + ids[start[open_rows] + place], return_inverse=True)
        prefix[open_rows] = number
        place += 1
        done = lengths[open_rows] == place
        codes[open_rows[done]] = used + number[done]
        used += len(prefixes)
        open_rows = open_rows[~done]
    return _Values(codes[: len(train)], codes[len(train) :], used)
