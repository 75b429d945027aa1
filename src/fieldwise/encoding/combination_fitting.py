"""Counting combinations of fields in training rows, and the statistics of these rows themselves.

No row's statistics are made with its own label. Where rows are split by time, a row takes those of earlier blocks of
time alone, m included; else rows are dealt into folds, and a row takes those of the other folds
(`fieldwise.encoding.other_rows`).

Which combinations: those that are asked for, or all of order 1 to 3 where they are at most `MOST`; else all single
fields, and of the others the best by what they tell beyond single fields. That is measured on at most `RANKING_ROWS`
rows: by how much the squared residuals of a logistic (for numbers: linear) regression on the single fields' statistics
become smaller by the mean residual of other rows with the same combination. It is the idea of FAST (Y. Lou, R. Caruana,
J. Gehrke, G. Hooker: "Accurate Intelligible Models with Pairwise Interactions", KDD 2013), out of fold. Triples are
tried where they hold one of the best pairs, and count for what they add to their best pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations as tuples_of
from math import comb

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fieldwise.encoding.combinations import (
    BUCKETS,
    CELLS_SCHEMA,
    MOST_COUNTED_ORDER,
    MOST_ORDER,
    PRIOR_ROWS,
    Combination,
    Combinations,
    Floats,
    Hashes,
    Scale,
    Smoothing,
    combination_hashes,
    field_hashes,
)
from fieldwise.encoding.encoded import EncodedRows
from fieldwise.encoding.other_rows import Earlier, Others
from fieldwise.encoding.scaling import fit_bounds
from fieldwise.layout import Layout

MOST = 100
RANKING_ROWS = 50_000
MOST_CELLS = 5_000_000
_BEST_PAIRS = 20
_MOST_TRIPLES = 300
_STEPS = 8


@dataclass(frozen=True, eq=False)
class FittedCombinations:
    """What was counted, and the statistics of the training rows.

    Attributes:
        combinations: for any other row.
        train: of the training rows, float16 [N, statistics].
        note: on what was left out for lack of room; empty where nothing was.
    """

    combinations: Combinations
    train: npt.NDArray[np.float16]
    note: str = ""


def fit_combinations(
    rows: EncodedRows,
    layout: Layout,
    label: npt.NDArray[np.floating],
    *,
    scale: Scale,
    asked_for: Sequence[Combination] | None = None,
    time: npt.NDArray[np.generic] | None = None,
    seed: int = 0,
) -> FittedCombinations:
    """Count combinations in training rows.

    Args:
        rows: N encoded training rows.
        layout: their fields.
        label: of each, [N].
        scale: `logit` where labels are 0 and 1.
        asked_for: the combinations; None: chosen here.
        time: of each row, where rows are split by time.
        seed: of folds and of the rows that combinations are ranked on.

    Returns:
        The statistics.

    Example:
        >>> from fieldwise.encoding.encoded import EncodingReport
        >>> from fieldwise.layout import FieldLayout
        >>> layout = Layout((FieldLayout("site", "categorical", 4), FieldLayout("device", "categorical", 4)))
        >>> ids = np.random.default_rng(0).integers(2, 4, (1000, 2)).astype(np.int32)
        >>> rows = EncodedRows(ids, np.empty((1000, 0), np.float32), (), EncodingReport(rows=1000))
        >>> fitted = fit_combinations(rows, layout, (ids[:, 0] == ids[:, 1]).astype(float), scale="logit")
        >>> fitted.combinations.names[:3]
        ('rate(site)', 'rate(device)', 'rate(site, device)')
        >>> (fitted.train[:, 2] > 0).tolist() == (ids[:, 0] == ids[:, 1]).tolist()
        True
    """
    y = np.asarray(label, dtype=np.float64)
    smoothing = _smoothing(y, scale)
    bounds = [_bounds(rows.numeric[:, k]) for k in range(len(layout.numeric))]
    hashes = field_hashes(rows, layout, bounds)
    if asked_for is None:
        some = np.arange(len(y))
        if len(y) > RANKING_ROWS:
            some = np.sort(np.random.default_rng(seed).choice(len(y), RANKING_ROWS, replace=False))
        sample = {f: marks[some] for f, marks in hashes.items()}
        chosen = choose_combinations(sample, layout, _others(y, time, seed, some), scale)
    else:
        chosen = list(asked_for)
    others = _others(y, time, seed)
    mean = others.mean(scale)
    place_of_count = {
        fields: len(chosen) + place
        for place, fields in enumerate(fields for fields in chosen if len(fields) <= MOST_COUNTED_ORDER)
    }
    train = np.empty((len(y), len(chosen) + len(place_of_count)), np.float16)

    def count(i: int) -> pa.Table:
        """Count a combination; what the training rows have of it goes to its places."""
        codes, size, distinct = _codes(combination_hashes(hashes, chosen[i]))
        rows, labels = others.sums(codes, size, y)
        train[:, i] = smoothing.value(rows, labels, mean)
        if chosen[i] in place_of_count:
            train[:, place_of_count[chosen[i]]] = smoothing.count(others.counts(codes, size, rows))
        all_rows = np.bincount(codes, minlength=size)
        some = all_rows > 1
        all_labels = np.bincount(codes, weights=y, minlength=size)
        return pa.table([distinct[some], all_rows[some], all_labels[some]], schema=CELLS_SCHEMA)

    with ThreadPoolExecutor(pa.cpu_count()) as pool:
        kept, cells, note = _within_room(pool.map(count, range(len(chosen))))
    cells = cells.take(pa.array(np.argsort(cells["combination"].to_numpy(), kind="stable")))
    if len(kept) < len(chosen):
        train = train[:, [*kept, *(place_of_count[chosen[i]] for i in kept if chosen[i] in place_of_count)]]
    combinations = Combinations(layout, [chosen[i] for i in kept], bounds, smoothing, cells)
    return FittedCombinations(combinations, train, note)


def _others(
    y: Floats, time: npt.NDArray[np.generic] | None, seed: int, rows: npt.NDArray[np.int64] | slice = slice(None)
) -> Others:
    return Others(y[rows], seed=seed) if time is None else Earlier(y[rows], time[rows])


def choose_combinations(
    hashes: dict[int, Hashes], layout: Layout, others: Others, scale: Scale, *, most: int = MOST
) -> list[Combination]:
    """The combinations that are worth counting.

    Args:
        hashes: of each field, uint64 [N].
        layout: the fields.
        others: of each row, what it may learn from.
        scale: `logit` where labels are 0 and 1.
        most: how many.

    Returns:
        By order; of a higher order the best first, unless all are taken.
    """
    fields = range(len(layout))
    orders = range(1, min(MOST_ORDER, len(layout)) + 1)
    if sum(comb(len(layout), order) for order in orders) <= most:
        return [each for order in orders for each in tuples_of(fields, order)]
    singles: list[Combination] = [(f,) for f in fields]
    room = most - len(singles)
    if room <= 0:
        return singles[:most]
    residual = _residuals(hashes, singles, others, scale)

    def gain(combination: Combination) -> float:
        codes, size, _ = _codes(combination_hashes(hashes, combination))
        rows, sums = others.sums(codes, size, residual)
        expected = sums / (rows + PRIOR_ROWS)
        return float(np.mean(expected * (2 * residual - expected)))

    with ThreadPoolExecutor(pa.cpu_count()) as pool:
        pairs: list[Combination] = list(tuples_of(fields, 2))
        of_pairs = dict(zip(pairs, pool.map(gain, pairs), strict=True))
        best = sorted(pairs, key=lambda pair: -of_pairs[pair])
        triples = dict.fromkeys(
            tuple(sorted((*pair, f))) for pair in best[:_BEST_PAIRS] for f in fields if f not in pair
        )
        asked = list(triples)[:_MOST_TRIPLES]
        of_triples = {
            triple: found - max(of_pairs[pair] for pair in tuples_of(triple, 2))
            for triple, found in zip(asked, pool.map(gain, asked), strict=True)
        }
    gains = {**of_pairs, **of_triples}
    useful = sorted((each for each in gains if gains[each] > 0), key=lambda each: -gains[each])[:room]
    return [*singles, *sorted(useful, key=len)]


def _residuals(hashes: dict[int, Hashes], singles: Sequence[Combination], others: Others, scale: Scale) -> Floats:
    """What single fields' statistics leave of the labels."""
    y = others.label
    smoothing, mean = _smoothing(y, scale), others.mean(scale)
    columns = [np.ones(len(y))]
    for combination in singles:
        codes, size, _ = _codes(combination_hashes(hashes, combination))
        columns.append(smoothing.value(*others.sums(codes, size, y), mean))
    x = np.stack(columns, axis=1)
    weights = np.zeros(x.shape[1])
    ridge = np.diag([0.0] + [1.0] * len(singles))
    for _ in range(_STEPS if scale == "logit" else 1):
        p = _predicted(x @ weights, scale)
        curvature = p * (1 - p) if scale == "logit" else np.ones(len(y))
        slope = x.T @ (y - p) - ridge @ weights
        weights = weights + np.linalg.lstsq(x.T @ (x * curvature[:, None]) + ridge, slope, rcond=None)[0]
    return np.asarray(y - _predicted(x @ weights, scale))


def _predicted(x: Floats, scale: Scale) -> Floats:
    return 1 / (1 + np.exp(-np.clip(x, -30, 30))) if scale == "logit" else x


def _codes(marks: Hashes) -> tuple[npt.NDArray[np.int32], int, Hashes]:
    """Numbers from 0 on for marks, how many there are, and the mark of each."""
    encoded = pa.array(marks).dictionary_encode()
    return encoded.indices.to_numpy(), len(encoded.dictionary), encoded.dictionary.to_numpy()


def _within_room(parts: Iterator[pa.Table]) -> tuple[list[int], pa.Table, str]:
    """The numbers of the combinations whose cells there is room for, these cells, and what is to be said."""
    kept: list[int] = []
    cells = [CELLS_SCHEMA.empty_table()]
    room, left_out = MOST_CELLS, 0
    for i, part in enumerate(parts):
        if part.num_rows > room:
            left_out += 1
            continue
        kept.append(i)
        cells.append(part)
        room -= part.num_rows
    note = f"{left_out} combinations of fields are left out: more than {MOST_CELLS:,} cells would have to be kept"
    return kept, pa.concat_tables(cells), note if left_out else ""


def _smoothing(y: Floats, scale: Scale) -> Smoothing:
    if scale == "logit":
        return Smoothing(scale=scale, mean=(float(y.sum()) + 1.0) / (len(y) + 2.0), deviation=1.0, rows=len(y))
    deviation = float(y.std())
    return Smoothing(scale=scale, mean=float(y.mean()), deviation=deviation if deviation > 0 else 1.0, rows=len(y))


def _bounds(x: npt.NDArray[np.float32]) -> Floats:
    values, counts = np.unique(x[~np.isnan(x)].astype(np.float64), return_counts=True)
    return fit_bounds(BUCKETS, values, counts)
