"""Counting columns with Arrow: a piece at a time, or the columns of a table in memory.

Consecutive pieces are counted one by one and their profiles merged (`ColumnCounter`), so that no column need be in
memory as a whole. A table that is in memory is counted through `TableProfile`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fieldwise.columns.access import get_column
from fieldwise.columns.profile import ColumnProfile, Counts, Floats, LabelSums, PartCounts, Rows, is_list
from fieldwise.columns.tokens import plain_column
from fieldwise.errors import DataError

Mask = npt.NDArray[np.bool_]

_MERGE_FROM = 1 << 16


def profile_column(
    column: pa.ChunkedArray | pa.Array,
    parts: Mapping[str, Mask] = MappingProxyType({}),
    *,
    label: npt.ArrayLike | None = None,
) -> ColumnProfile:
    """Count a column, or a piece of one.

    Args:
        column: the values of N rows.
        parts: which rows belong to a part, by the part's name: bool [N] each.
        label: the rows' labels [N], to be added up by part and value; lists are then counted whole.

    Returns:
        The profile.
    """
    numbered = _number(column)
    return (numbered if label is None else numbered.whole()).profile(_parts(parts, label))


def merge_profiles(pieces: Sequence[ColumnProfile]) -> ColumnProfile:
    """The profile of a column from those of its pieces, in the order of the rows; the same however it was cut.

    Args:
        pieces: at least one, all of one type and counted by the same parts.

    Returns:
        The profile of all rows.

    Raises:
        DataError: the pieces are of different types.
    """
    if len(pieces) == 1:
        return pieces[0]
    types = {piece.values.type for piece in pieces}
    if len(types) > 1 and all(_is_bytes(kind.value_type if is_list(kind) else kind) for kind in types):
        # Bytes count as text where they are text, which one piece may be and another not.
        pieces = [_as_bytes(piece) for piece in pieces]
    kinds = dict.fromkeys(piece.kind for piece in pieces)
    if len(kinds) > 1:
        raise DataError(f"the column is of type {' in one piece and '.join(map(str, kinds))} in another")
    values = pieces[0].values
    codes = np.empty(0, np.int32)
    if any(piece.distinct for piece in pieces):
        values, codes = _merged([piece.values for piece in pieces])
    distinct = len(values)
    starts = np.cumsum([0, *(piece.rows for piece in pieces)])
    first = np.concatenate([piece.first + start for piece, start in zip(pieces, starts[:-1], strict=True)])
    parts = {
        part: PartCounts(
            rows=sum(piece.parts[part].rows for piece in pieces),
            missing=sum(piece.parts[part].missing for piece in pieces),
            counts=_added(codes, [piece.parts[part].counts for piece in pieces], distinct),
            label_sums=_added_labels(codes, [piece.parts[part].label_sums for piece in pieces], distinct),
        )
        for part in pieces[0].parts
    }
    return ColumnProfile(
        kind=pieces[0].kind,
        values=values,
        counts=_added(codes, [piece.counts for piece in pieces], distinct),
        first=first[_first_places(codes, distinct)],
        rows=int(starts[-1]),
        missing=sum(piece.missing for piece in pieces),
        parts=parts,
    )


class ColumnCounter:
    """Counts a column that comes in pieces. What it keeps grows with the distinct values, not with the rows.

    Example:
        >>> import pyarrow as pa
        >>> counter = ColumnCounter()
        >>> for piece in (["a", "b"], ["b", None]):
        ...     counter.add(pa.array(piece))
        >>> counter.profile().values.to_pylist(), counter.profile().counts.tolist()
        (['a', 'b'], [1, 2])
    """

    def __init__(self) -> None:
        self._pieces: list[ColumnProfile] = []

    def add(
        self,
        column: pa.ChunkedArray | pa.Array,
        parts: Mapping[str, Mask] = MappingProxyType({}),
        *,
        label: npt.ArrayLike | None = None,
    ) -> None:
        """Count the next rows.

        Args:
            column: their values [n].
            parts: which of them belong to a part, by the part's name: bool [n] each; the same names in each call.
            label: their labels [n], as in `profile_column`; in each call or in none.

        Raises:
            DataError: the rows are of another type than those before.
        """
        self._pieces.append(profile_column(column, parts, label=label))
        # Merging only when as much has come in again keeps the work linear in the rows.
        waiting = sum(piece.distinct for piece in self._pieces[1:])
        if waiting > max(_MERGE_FROM, self._pieces[0].distinct):
            self._pieces = [merge_profiles(self._pieces)]

    def profile(self) -> ColumnProfile:
        """The profile of all rows so far; there must have been some."""
        self._pieces = [merge_profiles(self._pieces)]
        return self._pieces[0]


class TableProfile(Mapping[str, ColumnProfile]):
    """The profiles of a table's columns, by name. A column is counted when it is first asked for, and only once.

    What stays in memory of a counted column is which of its distinct values each row has (one to four bytes a row).
    So a table can be counted before it is known which rows train: `by_part` gives the same profiles with the counts
    by part, without going through the values again. `forget` lets go of it.

    Example:
        >>> import numpy as np, pyarrow as pa
        >>> profiles = TableProfile(pa.table({"site": ["a", "b", "a"]}))
        >>> profiles["site"].counts.tolist()
        [2, 1]
        >>> profiles.by_part({"train": np.array([1, 2])})["site"].parts["train"].counts.tolist()
        [1, 1]
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._parts: dict[str, _Part] = {}
        self._whole = False
        self._counted: dict[str, _Numbered] = {}

    def by_part(self, parts: Mapping[str, Rows], *, label: npt.ArrayLike | None = None) -> TableProfile:
        """The same profiles with counts by part.

        Args:
            parts: row numbers, by the part's name.
            label: the labels of all rows [N], to be added up by part and value; lists are then counted whole.

        Returns:
            The profiles; they share what was counted.
        """
        masks = {part: np.zeros(self._table.num_rows, dtype=bool) for part in parts}
        for part, rows in parts.items():
            masks[part][rows] = True
        divided = TableProfile(self._table)
        divided._counted = self._counted
        divided._parts = _parts(masks, label)
        divided._whole = label is not None
        return divided

    def forget(self) -> None:
        """Let go of what was counted; a column that is asked for again is counted again."""
        self._counted.clear()

    def __getitem__(self, name: str) -> ColumnProfile:
        if name not in self._counted:
            if name not in self._table.column_names:
                raise KeyError(name)
            self._counted[name] = _number(get_column(self._table, name))
        numbered = self._counted[name]
        return (numbered.whole() if self._whole else numbered).profile(self._parts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.column_names)

    def __len__(self) -> int:
        return len(self._table.column_names)

    def __contains__(self, name: object) -> bool:
        return name in self._table.column_names


@dataclass(frozen=True, eq=False)
class _Part:
    """Some rows: which of all they are, bool [N], and their labels and squared labels, float64 [rows] each."""

    mask: Mask
    label: Floats | None
    square: Floats | None


def _parts(masks: Mapping[str, Mask], label: npt.ArrayLike | None) -> dict[str, _Part]:
    if label is None:
        return {part: _Part(mask, None, None) for part, mask in masks.items()}
    every = np.asarray(label, dtype=np.float64)
    labels = {part: every[mask] for part, mask in masks.items()}
    return {part: _Part(mask, labels[part], labels[part] ** 2) for part, mask in masks.items()}


@dataclass(frozen=True, eq=False)
class _Numbered:
    """A column with a number for each of its values: `values[codes[i]]`, a code of `len(values)` is no value.

    codes: unsigned, as narrow as they can be [N], or of the elements of N lists. lengths: of the lists, int64 [N].
    """

    kind: pa.DataType
    values: pa.Array
    codes: npt.NDArray[Any]
    lengths: Counts | None

    def whole(self) -> _Numbered:
        """The same column with a number for each of its lists instead of their elements, if it holds lists."""
        if self.lengths is None or not is_list(self.kind):
            return self
        # Arrow cannot tell lists apart, but the bytes of their elements' numbers.
        offsets = np.concatenate([[0], np.cumsum(self.lengths)])
        lists = _encode(pa.chunked_array([_as_cells(self.codes, offsets * self.codes.itemsize)]))
        assert lists is not None
        _, ends, numbers = lists.dictionary.buffers()
        ends = np.frombuffer(ends, np.int64, count=len(lists.dictionary) + 1) // self.codes.itemsize
        members = np.frombuffer(numbers, self.codes.dtype, count=int(ends[-1])) if numbers else self.codes[:0]
        elements = self.values.take(pa.array(members, mask=members == len(self.values)))
        values, codes = pa.LargeListArray.from_arrays(pa.array(ends), elements), lists.indices.to_numpy()
        return _without(values, codes, np.diff(ends) == 0, self.kind)

    def profile(self, parts: Mapping[str, _Part]) -> ColumnProfile:
        distinct = len(self.values)
        first = _first_places(self.codes, distinct)
        row_of = None if self.lengths is None else np.repeat(np.arange(len(self.lengths)), self.lengths)
        every = self._count(None, row_of)
        return ColumnProfile(
            kind=self.kind,
            values=self.values,
            counts=every.counts,
            first=first if row_of is None else row_of[first],
            rows=every.rows,
            missing=every.missing,
            parts={name: self._count(part, row_of) for name, part in parts.items()},
        )

    def _count(self, part: _Part | None, row_of: Rows | None) -> PartCounts:
        mask = None if part is None else part.mask
        lengths = self.lengths if mask is None or self.lengths is None else self.lengths[mask]
        codes = self.codes if mask is None else self.codes[mask if row_of is None else mask[row_of]]
        counted = np.bincount(codes, minlength=len(self.values) + 1).astype(np.int64, copy=False)
        if lengths is None:
            return PartCounts(len(codes), int(counted[-1]), counted[:-1], _label_sums(codes, part, len(counted)))
        return PartCounts(len(lengths), int(np.count_nonzero(lengths == 0)), counted[:-1])


def _number(column: pa.ChunkedArray | pa.Array) -> _Numbered:
    column = _plain(column)
    kind, lengths = column.type, None
    if is_list(kind):
        lengths = pc.list_value_length(column).fill_null(0).to_numpy().astype(np.int64, copy=False)
        column = _plain(pc.list_flatten(column))
    if pa.types.is_null(column.type):
        return _Numbered(kind, pa.array([], pa.null()), np.zeros(len(column), np.uint8), lengths)
    encoded = _encode(column)
    if encoded is None:
        # Each row like a list of at most one element, so that what is null counts as missing.
        lengths = column.is_valid().to_numpy().astype(np.int64) if lengths is None else lengths
        return _Numbered(kind, pa.array([], pa.null()), np.zeros(lengths.sum(), np.uint8), lengths)
    values = encoded.dictionary
    codes = _codes(encoded, missing=len(values))
    missing = np.zeros(len(values), dtype=bool)
    if pa.types.is_floating(values.type):
        missing = np.isnan(values.to_numpy(zero_copy_only=False))
    return replace(_without(values, codes, missing, kind), lengths=lengths)


def _without(values: pa.Array, codes: npt.NDArray[np.int32], missing: Mask, kind: pa.DataType) -> _Numbered:
    """A numbered column of which some values [values] are none."""
    if missing.any():
        number = np.append(np.cumsum(~missing) - 1, len(values) - missing.sum())
        number[:-1][missing] = number[-1]
        values, codes = values.filter(pa.array(~missing)), number[codes]
    return _Numbered(kind, values, codes.astype(np.min_scalar_type(len(values)), copy=False), None)


def _as_cells(codes: npt.NDArray[Any], offsets: npt.NDArray[np.int64]) -> pa.Array:
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(codes))]
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def _label_sums(codes: npt.NDArray[Any], part: _Part | None, places: int) -> LabelSums | None:
    if part is None or part.label is None or part.square is None:
        return None
    sums: Floats = np.bincount(codes, weights=part.label, minlength=places).astype(np.float64, copy=False)
    squares: Floats = np.bincount(codes, weights=part.square, minlength=places).astype(np.float64, copy=False)
    return LabelSums(sums, squares)


def _plain(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray:
    column = plain_column(pa.chunked_array([column]) if isinstance(column, pa.Array) else column)
    return column.cast(pa.large_binary()) if pa.types.is_binary(column.type) else column


def _encode(column: pa.ChunkedArray) -> pa.DictionaryArray | None:
    """The column as a dictionary; None where Arrow cannot tell its values apart (structs, intervals)."""
    if pa.types.is_nested(column.type):
        return None
    try:
        if not len(column):  # as chunks, Arrow cannot put a dictionary together from nothing
            return pa.array([], column.type).dictionary_encode()
        return pc.dictionary_encode(column).unify_dictionaries().combine_chunks()
    except pa.ArrowNotImplementedError:
        # Older versions of Arrow number no half floats.
        return _encode(column.cast(pa.float32())) if pa.types.is_float16(column.type) else None


def _codes(encoded: pa.DictionaryArray, *, missing: int) -> npt.NDArray[np.int32]:
    indices = encoded.indices.fill_null(missing) if encoded.indices.null_count else encoded.indices
    codes: npt.NDArray[np.int32] = indices.to_numpy(zero_copy_only=False)
    return codes


def _first_places(codes: npt.NDArray[Any], distinct: int) -> Rows:
    """Where each of the codes 0, 1, ... appears first: int64 [distinct]."""
    first = np.zeros(distinct + 1, np.int64)
    # Of several values for one place, the last one written stays.
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return first[:distinct]


def _merged(values: Sequence[pa.Array]) -> tuple[pa.Array, npt.NDArray[Any]]:
    """The distinct values of some arrays, and which of them each value is."""
    column = pa.chunked_array(values)
    if is_list(column.type):
        lists = _number(column).whole()
        return lists.values, lists.codes
    encoded = _encode(column)
    assert encoded is not None  # its pieces could be encoded
    return encoded.dictionary, _codes(encoded, missing=0)


def _added(codes: npt.NDArray[Any], amounts: Sequence[npt.NDArray[Any]], distinct: int) -> npt.NDArray[Any]:
    every = np.concatenate(amounts)
    total = np.zeros(distinct, every.dtype)
    np.add.at(total, codes, every)
    return total


def _added_labels(codes: npt.NDArray[Any], sums: Sequence[LabelSums | None], distinct: int) -> LabelSums | None:
    given = [each for each in sums if each is not None]
    if len(given) < len(sums):
        return None

    def added(pieces: Sequence[Floats]) -> Floats:
        return np.append(_added(codes, [piece[:-1] for piece in pieces], distinct), sum(piece[-1] for piece in pieces))

    return LabelSums(added([each.labels for each in given]), added([each.squares for each in given]))


def _is_bytes(kind: pa.DataType) -> bool:
    return kind in (pa.large_string(), pa.large_binary())


def _as_bytes(profile: ColumnProfile) -> ColumnProfile:
    kind = profile.kind if profile.is_list else pa.large_binary()
    whole = is_list(profile.values.type)
    return replace(
        profile, kind=kind, values=profile.values.cast(pa.large_list(pa.large_binary()) if whole else pa.large_binary())
    )
