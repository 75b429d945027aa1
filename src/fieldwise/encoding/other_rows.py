"""Which rows a training row may learn from: never itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fieldwise.encoding.combinations import Codes, Floats, Scale

FOLDS = 5
BLOCKS = 10


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
    """The rows of earlier blocks of time.

    The rows are cut by time into `BLOCKS` blocks; rows of one time stay together. That a row does not take those just
    before it is as it will be: new rows come when the training rows have ended, and what held in the hour before them
    will not be known.

    Args:
        label: of each row, float64 [N].
        time: of each row, [N], of what can be sorted.
    """

    def __init__(self, label: Floats, time: npt.NDArray[np.generic]) -> None:
        self.label = label
        _, when, rows = np.unique(time, return_inverse=True, return_counts=True)
        before = np.cumsum(rows) - rows
        self._block = before[when] * BLOCKS // max(1, len(label))

    def sums(self, codes: Codes, size: int, what: Floats) -> tuple[Floats, Floats]:
        """As above, of rows of earlier blocks."""
        place = codes * np.int64(BLOCKS) + self._block
        found = []
        for weights in (None, what):
            by_block = np.bincount(place, weights, size * BLOCKS).reshape(size, BLOCKS)
            up_to = np.zeros((size, BLOCKS))
            np.cumsum(by_block[:, :-1], axis=1, out=up_to[:, 1:])
            found.append(up_to.reshape(-1)[place])
        return found[0], found[1]

    def counts(self, codes: Codes, size: int, rows: Floats) -> Floats:
        """As above: the rows of earlier blocks."""
        return rows
