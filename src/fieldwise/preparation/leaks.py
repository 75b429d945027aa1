"""Fields that alone predict the label almost perfectly, which usually means that they were known only after the click.

Each field is scored by mean labels (click rates, where labels are clicks) that are learned on the training rows: of its
ids (categorical), of narrow buckets (numeric), or as the mean over a row's ids (multi-valued). A mean is drawn towards
that of all rows as if `PRIOR_ROWS` further rows had been seen, so that an id seen once says little and an unseen one
nothing. What counts is how well these scores tell the labels of rows that were held out, by the objective's measure
(the AUC of clicks, R² of numbers); an id that never comes again, such as a row key, tells nothing there.

All of it is computed from column profiles with sums of labels by distinct value, and so without the rows. A value of
a multi-valued column is a whole cell there, text with separators or a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fieldwise.columns.profile import ColumnProfile
from fieldwise.encoding.encoded import EncodingReport, Ragged
from fieldwise.encoding.encoder import Encoder
from fieldwise.encoding.fields import FieldEncoding, NumericEncoding
from fieldwise.objectives import Objective
from fieldwise.wording import argument

PRIOR_ROWS = 1.0
_BOUNDS_PER_STRATUM = 127

Profiles = Mapping[str, ColumnProfile]
Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Leak:
    """A field, and what it reaches alone on held-out rows by the objective's measure."""

    field: str
    measure: str
    value: float

    def __str__(self) -> str:
        # Cut, not rounded: 0.9996 must not read as a perfect 1.000.
        shown = int(self.value * 1000) / 1000
        return (
            f"column '{self.field}' alone predicts the label with {self.measure} {shown:.3f}: was it known before "
            f"the label was? If not, leave it out ({argument('fields', {self.field: 'ignore'})})"
        )


def find_leaks(
    encoder: Encoder, objective: Objective, train: Profiles, held_out: Profiles, *, threshold: float = 0.99
) -> list[Leak]:
    """The fields that alone tell the labels of training and held-out rows better than `threshold`.

    The means are learned on the training rows; `Leak.value` is measured on the held-out ones. Where the labels of
    either are all the same there is nothing to measure and no leak. Row weights are not used. Linear in distinct
    values and fields.

    Args:
        encoder: the fields, and how their values become ids and numbers.
        objective: what the labels are.
        train: profiles of the columns that fields read, counted with labels (lists therefore whole) and with a part
            `train`.
        held_out: the same with a part `valid`; best the same object, where both are rows of one table.
        threshold: by the objective's measure.

    Returns:
        The leaks, in the order of the schema.
    """
    leaks = []
    for encoding in encoder.encodings:
        column = encoder.schema.column_of(encoding.name)
        profile = train[column]
        value = _measure(
            encoding, profile, profile if held_out is train else held_out[column], objective, threshold=threshold
        )
        if value is None:
            return []  # so it is with any field, since the labels are the same
        if value > threshold:
            leaks.append(Leak(encoding.name, objective.separation_name, value))
    return leaks


def _measure(
    encoding: FieldEncoding, train: ColumnProfile, held_out: ColumnProfile, objective: Objective, *, threshold: float
) -> float | None:
    """What a field reaches on held-out rows, or on training rows where only luck brought it above the threshold."""
    known, new = _Rows.of(train, "train"), _Rows.of(held_out, "valid")
    if not (known.can_be_told_apart(objective) and new.can_be_told_apart(objective)):
        return None
    known_ids: Ids | Ragged
    new_ids: Ids | Ragged
    if isinstance(encoding, NumericEncoding):
        x = encoding.encode(_values(train), EncodingReport())
        y = x if held_out is train else encoding.encode(_values(held_out), EncodingReport())
        bounds = _bounds(x, known, objective)
        size, known_ids, new_ids = len(bounds) + 2, _buckets(bounds, x), _buckets(bounds, y)
    else:
        size, known_ids = encoding.size, encoding.encode(_values(train), EncodingReport())
        new_ids = known_ids if held_out is train else encoding.encode(_values(held_out), EncodingReport())
    means = _mean_labels(known_ids, known, size)
    value = _separation(objective, means, new_ids, new)
    if value <= threshold:
        return value
    # Of many fields one may do well by chance on few held-out rows, but hardly on both.
    learned = _separation(objective, means, known_ids, known)
    return value if learned > threshold else learned


@dataclass(frozen=True, eq=False)
class _Rows:
    """Groups of rows: how many rows each has, and what their labels and squared labels come to, float64 [G] each."""

    rows: Floats
    labels: Floats
    squares: Floats

    @classmethod
    def of(cls, profile: ColumnProfile, part: str) -> _Rows:
        """By value, the last group being the rows without one."""
        counted = profile.parts[part]
        if counted.label_sums is None:
            raise ValueError("leaks need profiles that were counted with labels")
        rows = np.append(counted.counts, counted.missing).astype(np.float64)
        return cls(rows, counted.label_sums.labels, counted.label_sums.squares)

    def by(self, ids: Ids, size: int) -> _Rows:
        """By the ids [G] of the groups, each being one of `size`."""

        def added(amounts: Floats) -> Floats:
            return np.bincount(ids, weights=amounts, minlength=size).astype(np.float64, copy=False)

        return _Rows(added(self.rows), added(self.labels), added(self.squares))

    def repeat(self, times: npt.NDArray[np.int64]) -> _Rows:
        """Each group so many times [G]."""
        return _Rows(np.repeat(self.rows, times), np.repeat(self.labels, times), np.repeat(self.squares, times))

    def can_be_told_apart(self, objective: Objective) -> bool:
        """Whether there are different labels."""
        rows, labels, squares = (np.array([each.sum()]) for each in (self.rows, self.labels, self.squares))
        return objective.separation(np.zeros(1), rows, labels, squares) is not None


def _values(profile: ColumnProfile) -> pa.ChunkedArray:
    """The distinct values as a column, and last a missing one."""
    return pa.chunked_array([profile.values, pa.nulls(1, profile.values.type)])


def _bounds(x: npt.NDArray[np.float32], known: _Rows, objective: Objective) -> npt.NDArray[np.float32]:
    """Lower ends of buckets of the numbers x [G] that are equally filled with the rows of each stratum."""
    order = np.argsort(x)[: np.count_nonzero(~np.isnan(x))]  # NaN sorts last
    x = x[order]
    ends = []
    for rows in objective.strata_rows(known.rows[order], known.labels[order], known.squares[order]):
        up_to = np.cumsum(rows)
        total = up_to[-1] if len(x) else 0.0
        if total > 0:
            count = int(min(_BOUNDS_PER_STRATUM, max(total // objective.rows_per_bucket, 1)))
            ends.append(x[np.searchsorted(up_to, np.arange(count) * total / count, side="right")])
    return np.unique(np.concatenate(ends)) if ends else np.empty(0, np.float32)


def _buckets(bounds: npt.NDArray[np.float32], x: npt.NDArray[np.float32]) -> Ids:
    """The bucket of each number as an id: 0 for NaN, 1 below the first bound, ..."""
    ids = np.searchsorted(bounds, x, side="right") + 1
    return np.where(np.isnan(x), 0, ids).astype(np.int32)


def _mean_labels(ids: Ids | Ragged, known: _Rows, size: int) -> Floats:
    """The smoothed mean label of every id: float64 [size]."""
    overall = known.labels.sum() / known.rows.sum()
    if isinstance(ids, Ragged):
        known, ids = known.repeat(np.diff(ids.offsets)), ids.values
    by_id = known.by(ids, size)
    means: Floats = (by_id.labels + PRIOR_ROWS * overall) / (by_id.rows + PRIOR_ROWS)
    return means


def _separation(objective: Objective, means: Floats, ids: Ids | Ragged, groups: _Rows) -> float:
    if isinstance(ids, Ragged):
        score = np.add.reduceat(means[ids.values], ids.offsets[:-1]) / np.diff(ids.offsets)
    else:
        score, groups = means, groups.by(ids, len(means))
    value = objective.separation(score, groups.rows, groups.labels, groups.squares)
    assert value is not None
    return value
