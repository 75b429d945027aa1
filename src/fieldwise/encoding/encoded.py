"""Encoded rows as plain numpy arrays, and the account of what could not be encoded as it stood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Ragged:
    """N lists of ids, one after another: row i holds `values[offsets[i]:offsets[i + 1]]`, at least one id.

    Attributes:
        values: all ids.
        offsets: where each list begins, and where the last one ends.

    Shape:
        values: int32 [total].
        offsets: int64 [N + 1].

    Example:
        >>> lists = Ragged.from_lists([[2, 3], [0], [4]])
        >>> lists.values, lists.offsets
        (array([2, 3, 0, 4], dtype=int32), array([0, 2, 3, 4]))
        >>> lists.take(np.array([2, 0])).values
        array([4, 2, 3], dtype=int32)
    """

    values: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, rows: npt.NDArray[np.int64]) -> Ragged:
        """The lists of some rows.

        Args:
            rows: by number, int64 [n].

        Returns:
            These lists, in that order.
        """
        lengths = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        # Position of every value: its row's start, plus its place within the row.
        places = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - self.offsets[rows], lengths)
        return Ragged(self.values[places], offsets)

    @classmethod
    def from_lists(cls, lists: Sequence[Sequence[int]]) -> Ragged:
        """From Python lists of ids."""
        offsets = np.cumsum([0, *(len(ids) for ids in lists)], dtype=np.int64)
        return cls(np.array([i for ids in lists for i in ids], dtype=np.int32), offsets)


@dataclass
class EncodingReport:
    """What the encoder met; counts per field name, fields without any left out.

    Attributes:
        rows: how many were encoded.
        unseen: values outside the vocabulary; they take the field's out-of-vocabulary (OOV) id.
        missing: rows without a value.
        infinite: infinite numbers, which count as missing too.
        unreadable: values that are no number or no date, which count as missing where the field allows them.
        outside: numbers that lie further outside the range of training than that range is wide.
        zones: what is to be said of times whose zone is told here and was not in training, or the other way round.
        examples: up to five of the unseen and unreadable values.

    Example:
        >>> report = EncodingReport(rows=10, unseen={"user": 2}, examples={"user": ["zoe", "yan"]})
        >>> report.lines()
        ['user: 2 of 10 values are not in the vocabulary (for example zoe, yan)']
    """

    rows: int = 0
    unseen: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    infinite: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, int] = field(default_factory=dict)
    outside: dict[str, int] = field(default_factory=dict)
    zones: dict[str, str] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    MOST_EXAMPLES = 5
    FEWEST_ROWS_TO_JUDGE = 10

    def add(self, other: EncodingReport) -> None:
        """Take in the account of further rows."""
        self.rows += other.rows
        for mine, theirs in (
            (self.unseen, other.unseen),
            (self.missing, other.missing),
            (self.infinite, other.infinite),
            (self.unreadable, other.unreadable),
            (self.outside, other.outside),
        ):
            for name, count in theirs.items():
                mine[name] = mine.get(name, 0) + count
        self.zones.update(other.zones)
        for name, examples in other.examples.items():
            merged = dict.fromkeys([*self.examples.get(name, []), *examples])
            self.examples[name] = list(merged)[: self.MOST_EXAMPLES]

    def lines(self) -> list[str]:
        """One plain sentence per field and per thing worth telling: unseen values and what `reading_lines` tells."""
        return [*map(self._unseen_line, self.unseen), *self.reading_lines()]

    def mostly_unseen(self) -> list[str]:
        """One sentence for every field of which most values are outside the vocabulary, from ten rows on."""
        return [
            f"{self._unseen_line(name)}; are they written as they were in training?"
            for name, count in self.unseen.items()
            if self.rows >= self.FEWEST_ROWS_TO_JUDGE and 2 * count > self.rows
        ]

    def reading_lines(self) -> list[str]:
        """One plain sentence per field that met infinite, unreadable or far values, or times of other zones."""
        return [
            *(f"{name}: {n:,} infinite values taken as missing" for name, n in self.infinite.items()),
            *(
                f"{name}: {n:,} values that cannot be read are taken as missing{self._examples(name)}"
                for name, n in self.unreadable.items()
            ),
            *(f"{name}: {n:,} numbers lie far outside the range of training" for name, n in self.outside.items()),
            *(f"{name}: {text}" for name, text in self.zones.items()),
        ]

    def _unseen_line(self, name: str) -> str:
        count = self.unseen[name]
        return f"{name}: {count:,} of {self.rows:,} values are not in the vocabulary{self._examples(name)}"

    def _examples(self, name: str) -> str:
        return f" (for example {', '.join(self.examples[name])})" if self.examples.get(name) else ""


@dataclass(frozen=True)
class EncodedRows:
    """N encoded rows; columns follow the Layout's `categorical`, `numeric` and `multi_valued` fields.

    Attributes:
        categorical: ids.
        numeric: scaled numbers, NaN where missing.
        multi_valued: the ids of each such field.
        report: what was met on the way.
        statistics: of combinations of fields; None where none are used.

    Shape:
        categorical: int32 [N, number of categorical fields].
        numeric: float32 [N, number of numeric fields].
        statistics: float16 [N, number of statistics].
    """

    categorical: npt.NDArray[np.int32]
    numeric: npt.NDArray[np.float32]
    multi_valued: tuple[Ragged, ...]
    report: EncodingReport
    statistics: npt.NDArray[np.float16] | None = None

    def __len__(self) -> int:
        return len(self.categorical)

    def take(self, rows: npt.NDArray[np.int64]) -> EncodedRows:
        """Some rows; the account stays that of all rows.

        Args:
            rows: by number, int64 [n].

        Returns:
            These rows, in that order.
        """
        return EncodedRows(
            self.categorical[rows],
            self.numeric[rows],
            tuple(ragged.take(rows) for ragged in self.multi_valued),
            self.report,
            None if self.statistics is None else self.statistics[rows],
        )
