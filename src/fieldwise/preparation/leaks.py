"""Fields that alone predict the label almost perfectly, which usually means that they were known only after the click.

Each field is scored by click rates that are learned on the training rows: of its ids (categorical), of narrow buckets
(numeric), or as the mean over a row's ids (multi-valued). A rate is drawn towards the base rate as if `PRIOR_ROWS`
further rows had been seen, so that an id seen once says little and an unseen one nothing. What counts is the AUC of
these scores on rows that were held out; an id that never comes again, such as a row key, has none there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fieldwise.data.dataset import Dataset
from fieldwise.encoding.encoded import Ragged
from fieldwise.metrics import auc

PRIOR_ROWS = 1.0
_BOUNDS_PER_CLASS = 127

Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Leak:
    """A field, and the AUC that it reaches alone on held-out rows."""

    field: str
    auc: float

    def __str__(self) -> str:
        # Cut, not rounded: 0.9996 must not read as a perfect 1.000.
        shown = int(self.auc * 1000) / 1000
        return (
            f"column '{self.field}' alone predicts the label with AUC {shown:.3f}: was it known before the click? "
            f"If not, leave it out (--field {self.field}=ignore)"
        )


def find_leaks(train: Dataset, held_out: Dataset, *, threshold: float = 0.99) -> list[Leak]:
    """The fields that alone have an AUC above `threshold` on both data sets, in the order of the schema.

    The rates are learned on `train`; `Leak.auc` is measured on `held_out`. Both need labels; where one of them lacks
    clicks or non-clicks there is nothing to measure and no leak. Row weights are not used. Linear in rows and fields.
    """
    if not (_both_classes(train) and _both_classes(held_out)):
        return []
    assert train.label is not None
    assert held_out.label is not None
    leaks = []
    for name, size, known, new in _fields(train, held_out):
        rates = _click_rates(known, train.label, size)
        found = _auc(rates, new, held_out.label)
        # Of many fields one may do well by chance on few held-out rows, but hardly on both.
        if found > threshold and _auc(rates, known, train.label) > threshold:
            leaks.append(Leak(name, found))
    return leaks


def _both_classes(dataset: Dataset) -> bool:
    return dataset.label is not None and len(dataset) > 0 and bool(dataset.label.min() != dataset.label.max())


def _fields(train: Dataset, held_out: Dataset) -> Iterator[tuple[str, int, Ids | Ragged, Ids | Ragged]]:
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
                bounds = _bounds(known, train.label)
                yield field.name, len(bounds) + 2, _buckets(bounds, known), _buckets(bounds, new)


def _bounds(x: npt.NDArray[np.float32], label: Any) -> npt.NDArray[np.float32]:
    """Lower ends of buckets that are equally filled with clicks, and of such with non-clicks.

    Were they filled with rows alone, few clicks among many rows could share a bucket with what is not like them.
    """
    ends = []
    for clicked in (True, False):
        values = np.sort(x[((label > 0) == clicked) & ~np.isnan(x)])
        if len(values):
            ends.append(values[np.arange(_BOUNDS_PER_CLASS) * len(values) // _BOUNDS_PER_CLASS])
    return np.unique(np.concatenate(ends)) if ends else np.empty(0, np.float32)


def _buckets(bounds: npt.NDArray[np.float32], x: npt.NDArray[np.float32]) -> Ids:
    """The bucket of each number as an id: 0 for NaN, 1 below the first bound, ..."""
    ids = np.searchsorted(bounds, x, side="right") + 1
    return np.where(np.isnan(x), 0, ids).astype(np.int32)


def _click_rates(ids: Ids | Ragged, label: npt.NDArray[np.float32], size: int) -> Floats:
    """The smoothed click rate of every id: float64 [size]."""
    base_rate = float(label.mean(dtype=np.float64))
    if isinstance(ids, Ragged):
        label = np.repeat(label, np.diff(ids.offsets))
        ids = ids.values
    clicks = np.bincount(ids, weights=label, minlength=size)
    rows = np.bincount(ids, minlength=size)
    rates: Floats = (clicks + PRIOR_ROWS * base_rate) / (rows + PRIOR_ROWS)
    return rates


def _auc(rates: Floats, ids: Ids | Ragged, label: npt.NDArray[np.float32]) -> float:
    if isinstance(ids, Ragged):
        mean = np.add.reduceat(rates[ids.values], ids.offsets[:-1]) / np.diff(ids.offsets)
        found = auc(label, mean)
    else:
        # Rows with one id have one score, so that ids can be sorted instead of rows.
        rows = np.bincount(ids, minlength=len(rates))
        seen = np.flatnonzero(rows)
        clicks = np.bincount(ids, weights=label, minlength=len(rates))[seen]
        weight = np.concatenate([clicks, rows[seen] - clicks])
        found = auc(np.repeat([1, 0], len(seen)), np.tile(rates[seen], 2), weight=weight)
    assert found is not None
    return found
