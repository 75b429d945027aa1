"""Fields that alone predict the label almost perfectly, which usually means that they were known only after the click.

Each field is scored by mean labels (click rates, where labels are clicks) that are learned on the training rows: of its
ids (categorical), of narrow buckets (numeric), or as the mean over a row's ids (multi-valued). A mean is drawn towards
that of all rows as if `PRIOR_ROWS` further rows had been seen, so that an id seen once says little and an unseen one
nothing. What counts is how well these scores tell the labels of rows that were held out, by the objective's measure
(the AUC of clicks, R² of numbers); an id that never comes again, such as a row key, tells nothing there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fieldwise.data.dataset import Dataset
from fieldwise.encoding.encoded import Ragged
from fieldwise.objectives import Objective

PRIOR_ROWS = 1.0
_BOUNDS_PER_STRATUM = 127

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
            f"the label? If not, leave it out (--field {self.field}=ignore)"
        )


def find_leaks(train: Dataset, held_out: Dataset, objective: Objective, *, threshold: float = 0.99) -> list[Leak]:
    """The fields that alone tell the labels of both data sets better than `threshold`, in the order of the schema.

    The means are learned on `train`; `Leak.value` is measured on `held_out`. Both need labels; where those of one are
    all the same there is nothing to measure and no leak. Row weights are not used. Linear in rows and fields.
    """
    if not (_has_different_labels(train) and _has_different_labels(held_out)):
        return []
    leaks = []
    for name, size, known, new in _fields(train, held_out, objective):
        means = _mean_labels(known, _labels(train), size)
        value = _separation(objective, means, new, _labels(held_out))
        # Of many fields one may do well by chance on few held-out rows, but hardly on both.
        if value > threshold and _separation(objective, means, known, _labels(train)) > threshold:
            leaks.append(Leak(name, objective.separation_name, value))
    return leaks


def _has_different_labels(dataset: Dataset) -> bool:
    return dataset.label is not None and len(dataset) > 0 and bool(dataset.label.min() != dataset.label.max())


def _labels(dataset: Dataset) -> npt.NDArray[np.float32]:
    assert dataset.label is not None
    return dataset.label


def _fields(
    train: Dataset, held_out: Dataset, objective: Objective
) -> Iterator[tuple[str, int, Ids | Ragged, Ids | Ragged]]:
    """Per field its name, how many ids it has, and the ids of both data sets."""
    layout = train.layout
    for f, field in enumerate(layout):
        match field.kind:
            case "categorical":
                i = layout.categorical.index(f)
                yield field.name, field.size, train.rows.categorical[:, i], held_out.rows.categorical[:, i]
            case "multi_valued":
                i = layout.multi_valued.index(f)
                yield field.name, field.size, train.rows.multi_valued[i], held_out.rows.multi_valued[i]
            case "numeric":
                known, new = (part.rows.numeric[:, layout.numeric.index(f)] for part in (train, held_out))
                bounds = _bounds(known, objective.strata(_labels(train)))
                yield field.name, len(bounds) + 2, _buckets(bounds, known), _buckets(bounds, new)


def _bounds(x: npt.NDArray[np.float32], strata: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Lower ends of buckets that are equally filled with the rows of each stratum of the labels.

    Were they filled with rows alone, few clicks among many rows could share a bucket with what is not like them.
    """
    ends = []
    for stratum in np.unique(strata):
        values = np.sort(x[(strata == stratum) & ~np.isnan(x)])
        if len(values):
            ends.append(values[np.arange(_BOUNDS_PER_STRATUM) * len(values) // _BOUNDS_PER_STRATUM])
    return np.unique(np.concatenate(ends)) if ends else np.empty(0, np.float32)


def _buckets(bounds: npt.NDArray[np.float32], x: npt.NDArray[np.float32]) -> Ids:
    """The bucket of each number as an id: 0 for NaN, 1 below the first bound, ..."""
    ids = np.searchsorted(bounds, x, side="right") + 1
    return np.where(np.isnan(x), 0, ids).astype(np.int32)


def _mean_labels(ids: Ids | Ragged, label: npt.NDArray[np.float32], size: int) -> Floats:
    """The smoothed mean label of every id: float64 [size]."""
    overall = float(label.mean(dtype=np.float64))
    if isinstance(ids, Ragged):
        label = np.repeat(label, np.diff(ids.offsets))
        ids = ids.values
    sums = np.bincount(ids, weights=label, minlength=size)
    rows = np.bincount(ids, minlength=size)
    means: Floats = (sums + PRIOR_ROWS * overall) / (rows + PRIOR_ROWS)
    return means


def _separation(objective: Objective, means: Floats, ids: Ids | Ragged, label: npt.NDArray[np.float32]) -> float:
    if isinstance(ids, Ragged):
        score = np.add.reduceat(means[ids.values], ids.offsets[:-1]) / np.diff(ids.offsets)
        value = objective.separation(label, score)
    else:
        value = _separation_by_id(objective, means, ids, label)
    assert value is not None
    return value


def _separation_by_id(objective: Objective, means: Floats, ids: Ids, label: npt.NDArray[np.float32]) -> float | None:
    classes = np.unique([label.min(), label.max()])
    if not np.isin(label, classes).all():
        return objective.separation(label, means[ids])
    # Rows with one id have one score, so that where there are two labels ids can be sorted instead of rows.
    rows = [np.bincount(ids[label == one], minlength=len(means)) for one in classes]
    seen = np.flatnonzero(sum(rows))
    weight = np.concatenate([counts[seen] for counts in rows]).astype(np.float64)
    labels = np.repeat(classes, len(seen))
    return objective.separation(labels, np.tile(means[seen], len(classes)), weight)
