"""Which rows train, which select the model (validation) and which are touched once at the end (test)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from fieldwise.errors import DataError
from fieldwise.wording import argument

SplitMethod = Literal["stratified", "random", "time"]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Row numbers of the three parts; no row is in two of them, a part may be empty.

    Attributes:
        train: rows that train.
        valid: rows that select the model.
        test: rows that are touched once at the end.

    Shape:
        train, valid, test: int64 [rows of the part].
    """

    train: Rows
    valid: Rows
    test: Rows


def split_rows(
    num_rows: int,
    *,
    method: SplitMethod = "stratified",
    valid_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
    strata: npt.NDArray[np.int64] | None = None,
    time: npt.NDArray[np.generic] | None = None,
) -> Split:
    """Split the rows 0 to `num_rows` - 1; the same arguments give the same split on every machine.

    Args:
        num_rows: how many there are, N.
        method: `random`: every row has the same chance. `stratified`: random within each of `strata`, so that the parts
            share one click rate. `time`: the latest rows (by `time`) test, the ones before them validate; rows of one
            moment may stand on both sides.
        valid_fraction: share of the rows that validate.
        test_fraction: share of the rows that test.
        seed: decides which, but for `time`.
        strata: the stratum of each row: the clicks and the rest, say.
        time: of each row, anything that numpy sorts.

    Returns:
        The parts, each in the order of the table.

    Raises:
        DataError: a fraction is not in [0, 1), nothing is left to train on, or `strata` or `time` is missing.

    Shape:
        strata: int64 [N].
        time: [N].

    Example:
        >>> split = split_rows(10, method="time", time=np.arange(10), test_fraction=0.2)
        >>> split.train, split.valid, split.test
        (array([0, 1, 2, 3, 4, 5, 6]), array([7]), array([8, 9]))
    """
    for name, fraction in (("valid_fraction", valid_fraction), ("test_fraction", test_fraction)):
        if not 0 <= fraction < 1:
            raise DataError(f"{name} must lie in [0, 1), got {fraction}")
    if valid_fraction + test_fraction >= 1:
        raise DataError(f"valid_fraction {valid_fraction} and test_fraction {test_fraction} leave no rows to train on")
    if method == "time":
        if time is None:
            raise DataError(f"a time-ordered split needs a time column; name it: {argument('time', 'COLUMN')}")
        groups = [np.argsort(time, kind="stable")]
    else:
        shuffled = np.random.default_rng(seed).permutation(num_rows)
        if method == "stratified":
            if strata is None:
                raise DataError("a stratified split needs the strata of the rows")
            groups = [shuffled[strata[shuffled] == stratum] for stratum in np.unique(strata)]
        else:
            groups = [shuffled]
    parts: tuple[list[Rows], list[Rows], list[Rows]] = ([], [], [])
    for group in groups:
        test = round(len(group) * test_fraction)
        valid = round(len(group) * valid_fraction)
        train = len(group) - valid - test
        for part, rows in zip(parts, np.split(group, [train, train + valid]), strict=True):
            part.append(rows.astype(np.int64, copy=False))
    split = Split(*(np.sort(np.concatenate(part)) for part in parts))
    if num_rows and not len(split.train):
        raise DataError(f"{num_rows} rows are too few for this split: none is left to train on")
    return split
