"""Which rows a training row may learn from: never itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fieldwise.encoding.combinations import Codes, Floats, Scale

FOLDS = 5


class Others:
    """Of each row, what is known of the rows that it may learn from. Here those of the other folds.

    Args:
        label: of each row, float64 [N].
        seed: deals the rows into folds.
    """

    def __init__(self, label: Floats, *, seed: int) -> None:
        self.label = label
        # Without a look at the labels: else a row's fold, and with it its statistics, would tell of its own.
        self._fold = np.random.default_rng(seed).permutation(len(label)) % FOLDS

    def mean(self, scale: Scale) -> Floats:
        """Of each row m, the mean of the rows that it may learn from, and of one click and one that is none.

        Args:
            scale: `logit` where labels are 0 and 1; else the mean of these rows and of one 0.

        Returns:
            float64 [N].
        """
        rows, labels = self.sums(np.zeros(len(self.label), np.int32), 1, self.label)
        return (labels + 1.0) / (rows + 2.0) if scale == "logit" else labels / (rows + 1.0)

    def sums(self, codes: Codes, size: int, what: Floats) -> tuple[Floats, Floats]:
        """How many of the other rows have the same code, and the sum of something over these.

        Args:
            codes: of each row, below `size`.
            size: how many codes there are.
            what: to be added up, float64 [N].

        Returns:
            Both float64 [N].
        """
        place = codes * np.int64(FOLDS) + self._fold
        rows = np.bincount(place, minlength=size * FOLDS).astype(np.float64)
        sums = np.bincount(place, weights=what, minlength=size * FOLDS)
        all_rows, all_sums = rows.reshape(-1, FOLDS).sum(axis=1), sums.reshape(-1, FOLDS).sum(axis=1)
        return all_rows[codes] - rows[place], all_sums[codes] - sums[place]

    def counts(self, codes: Codes, size: int, rows: Floats) -> Floats:
        """How many other rows have the same code, for the count, which needs no fold.

        Args:
            codes: of each row, below `size`.
            size: how many codes there are.
            rows: what `sums` gave.

        Returns:
            float64 [N].
        """
        return np.bincount(codes, minlength=size).astype(np.float64)[codes] - 1.0


class Earlier(Others):
    """The rows of an earlier time.

    Args:
        label: of each row, float64 [N].
        time: of each row, [N], of what can be sorted.
    """

    def __init__(self, label: Floats, time: npt.NDArray[np.generic]) -> None:
        self.label = label
        self._order = np.argsort(time, kind="stable")
        self._when = np.unique(time, return_inverse=True)[1][self._order]

    def sums(self, codes: Codes, size: int, what: Floats) -> tuple[Floats, Floats]:
        """As above, of earlier rows."""
        ordered = codes[self._order]
        grouped = np.argsort(ordered, kind="stable")
        code, when = ordered[grouped], self._when[grouped]
        back = self._order[grouped]
        first_of_code = np.append(True, code[1:] != code[:-1])
        first_of_time = first_of_code | np.append(True, when[1:] != when[:-1])
        place = np.arange(len(codes))
        up_to = np.append(0.0, np.cumsum(what[back]))
        begin = np.maximum.accumulate(np.where(first_of_code, place, 0))
        end = np.maximum.accumulate(np.where(first_of_time, place, 0))
        rows, sums = np.empty(len(codes)), np.empty(len(codes))
        rows[back] = end - begin
        # The difference of two long sums would not be 0 where there is nothing to add up.
        sums[back] = np.where(end > begin, up_to[end] - up_to[begin], 0.0)
        return rows, sums

    def counts(self, codes: Codes, size: int, rows: Floats) -> Floats:
        """As above: the earlier rows."""
        return rows
