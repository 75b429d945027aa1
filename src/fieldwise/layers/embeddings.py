"""Field embeddings: every field of a batch becomes one vector of D numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from fieldwise.data.batch import Batch
from fieldwise.errors import DataError, SettingsError
from fieldwise.layout import FIRST_TOKEN, MISSING, OOV, Kind, Layout

ZERO_ROW = 0
"""The row of the table that belongs to no field, is zero and is never updated."""


_ROWS_AT_A_TIME = 1 << 16


class _SparseGather(torch.autograd.Function):
    """Rows of a table, with a sparse gradient. `nn.Embedding` has one too, but it looks for padding among the rows and
    leaves it out, and on a GPU finding out how many are left means waiting; here the gradient of padding is zero.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, rows: Tensor, padded: bool) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.shape, ctx.padded = weight.shape, padded
        return weight.index_select(0, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (rows,) = ctx.saved_tensors
        if ctx.padded:
            grad = grad.masked_fill((rows == ZERO_ROW).unsqueeze(1), 0.0)
        return torch.sparse_coo_tensor(rows.unsqueeze(0), grad, ctx.shape, check_invariants=False), None, None


class FieldEmbedding(nn.Module):
    """Turns a batch into one vector per field, in schema order, out of ONE table [V, D].

    * categorical: the row of the field's id;
    * numeric: x * v_m, where v_m is the field's one value vector (Song et al., CIKM 2019, eq. 3);
    * multi-valued: the mean (or sum) over the rows of the field's ids; padding neither adds nor counts;
    * missing, of any kind (id 0, or NaN): the field's own learned vector, or the zero vector.

    All rows of a forward pass are read by one gather, for each further gather would cost a gradient as large as
    the whole table. Numeric fields gather their one or two rows once per batch, not once per row of it.

    Args:
        layout: The fields of the data; the table has a row for every id of theirs.
        dim: D, at least 1.
        fields: Positions in the layout of the fields to embed, ascending; default: all. F counts these alone.
        missing: What a missing value has: `learned`, a vector of its field's own, or `zero`, none, as in the AutoInt
            authors' code.
        pooling: How the vectors of a multi-valued field's tokens become one: `mean`, the AutoInt authors' choice, or
            `sum`.
        init_std: The table is drawn from N(0, init_std^2); the authors take 0.01.

    Attributes:
        layout: The fields that are embedded.
        fields: Their positions in the layout that was given.
        table: The embedding table; row 0 belongs to no field and stays zero.

    Shape:
        a batch of B rows -> [B, F, D].

    Raises:
        SettingsError: For an argument out of range.

    Example:
        >>> from fieldwise.layout import FieldLayout
        >>> layout = Layout((FieldLayout("user", "categorical", 9), FieldLayout("price", "numeric", 2)))
        >>> batch = Batch(categorical=torch.tensor([[3], [2]]), numeric=torch.tensor([[0.5], [0.0]]))
        >>> vectors = FieldEmbedding(layout, dim=4)(batch)
        >>> vectors.shape, vectors[1, 1].any().item()  # a price of 0 makes its vector 0
        (torch.Size([2, 2, 4]), False)
    """

    def __init__(
        self,
        layout: Layout,
        dim: int,
        *,
        fields: Sequence[int] | None = None,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
        init_std: float = 0.01,
    ) -> None:
        super().__init__()
        if dim < 1:
            raise SettingsError(f"an embedding needs at least 1 dimension, got {dim}")
        if missing not in ("learned", "zero"):
            raise SettingsError(f"missing must be 'learned' or 'zero', got {missing!r}")
        if pooling not in ("mean", "sum"):
            raise SettingsError(f"pooling must be 'mean' or 'sum', got {pooling!r}")
        if init_std < 0:
            raise SettingsError(f"init_std must be at least 0, got {init_std}")
        self._whole = layout
        self.fields = tuple(range(len(layout))) if fields is None else tuple(fields)
        if list(self.fields) != sorted({*self.fields} & {*range(len(layout))}):
            raise SettingsError(
                f"fields must be ascending positions from 0 to {len(layout) - 1}, each once, got {list(self.fields)}"
            )
        if fields is not None:
            layout = Layout(tuple(layout.fields[f] for f in self.fields))
        self.layout = layout
        self.missing = missing
        self.pooling = pooling
        self.table = nn.Embedding(layout.num_rows, dim, padding_idx=ZERO_ROW)
        nn.init.normal_(self.table.weight, std=init_std)
        with torch.no_grad():
            self.table.weight[ZERO_ROW] = 0.0

        # Ids below this one read the zero row: padding always, missing where it has no vector of its own.
        self._lowest_id = MISSING + 1 if missing == "zero" else MISSING
        offsets = layout.offsets
        self._multi_valued_offsets = tuple(offsets[f] for f in layout.multi_valued)
        self.categorical_offsets: Tensor
        self.numeric_rows: Tensor
        categorical = torch.tensor([offsets[f] for f in layout.categorical], dtype=torch.int64)
        self.register_buffer("categorical_offsets", categorical, persistent=False)
        starts = [offsets[f] for f in layout.numeric]
        rows = [start + OOV for start in starts] + [start + MISSING for start in starts if missing == "learned"]
        self.register_buffer("numeric_rows", torch.tensor(rows, dtype=torch.int64), persistent=False)

        # Each kind is computed in one piece; the pieces are cut where the schema changes from kind to kind,
        # so that one concatenation gives schema order and no permutation is needed.
        runs = [(kind, len(list(group))) for kind, group in groupby(field.kind for field in layout)]
        self._runs: dict[Kind, list[int]] = {"categorical": [], "numeric": [], "multi_valued": []}
        self._order: list[Kind] = []
        for kind, length in runs:
            # A multi-valued field is a piece of its own, for its lists are as long as they like.
            lengths = [1] * length if kind == "multi_valued" else [length]
            self._runs[kind] += lengths
            self._order += [kind] * len(lengths)

    @property
    def dim(self) -> int:
        """D, the numbers per field."""
        return self.table.embedding_dim

    def forward(self, batch: Batch) -> Tensor:
        """The vectors of all fields, [B, F, D] in schema order; B may be 0.

        Raises:
            DataError: Where the batch has not the layout's columns.
        """
        self._check(batch)
        if len(self.fields) < len(self._whole):
            batch = self._own_columns(batch)
        size = batch.size
        rows: list[Tensor] = []
        if self.layout.categorical:
            ids = batch.categorical + self.categorical_offsets
            if self._lowest_id > MISSING:
                ids = ids.masked_fill_(batch.categorical < self._lowest_id, ZERO_ROW)
            rows.append(ids.view(-1))
        if self.layout.numeric:
            rows.append(self.numeric_rows)
        for local, offset in zip(batch.multi_valued, self._multi_valued_offsets, strict=True):
            rows.append((local + offset).masked_fill_(local < self._lowest_id, ZERO_ROW).view(-1))

        gathered = self._gather(rows[0] if len(rows) == 1 else torch.cat(rows))
        vectors = iter(torch.split(gathered, [part.shape[0] for part in rows]) if len(rows) > 1 else (gathered,))

        pieces: dict[Kind, list[Tensor]] = {"categorical": [], "numeric": [], "multi_valued": []}
        if self.layout.categorical:
            every = next(vectors).view(size, len(self.layout.categorical), self.dim)
            pieces["categorical"] = self._cut(every, "categorical")
        if self.layout.numeric:
            pieces["numeric"] = self._cut(self._scale(batch.numeric, next(vectors)), "numeric")
        pieces["multi_valued"] = [self._pool(local, next(vectors)) for local in batch.multi_valued]
        if len(self._order) == 1:
            return pieces[self._order[0]][0]
        queues = {kind: iter(parts) for kind, parts in pieces.items()}
        return torch.cat([next(queues[kind]) for kind in self._order], dim=1)

    @torch.no_grad()
    def fill_oov(self, counts: Tensor, *, min_occurrences: int = 32) -> list[int]:
        """Give a field's out-of-vocabulary row `OOV` a meaning where training gave it none.

        Unseen tokens read the row `OOV`. Where training had no or hardly any rare tokens (a small vocabulary, or
        a field in which every token counts), that row is still about what it was drawn as, and a prediction
        for a new token would rest on noise. Such a row becomes the mean of the field's token rows, weighted by
        their counts: the vector that a row of the training data has on average. Trainer calls it before every
        evaluation.

        Args:
            counts: int64 [V], how often training read each row of a table of the whole layout (`Layout.offsets`).
            min_occurrences: Fields whose `OOV` was read at least that often keep what they learned.

        Returns:
            The fields filled, as positions in the whole layout, ascending. Fields without a counted token, and numeric
            fields, stay as they are.

        Raises:
            DataError: For counts of another shape.
        """
        if counts.shape != (self._whole.num_rows,):
            raise DataError(
                f"counts must have one entry per table row, shape ({self._whole.num_rows},), got {tuple(counts.shape)}"
            )
        weight = self.table.weight
        filled = []
        for position, field, start in zip(self.fields, self.layout, self.layout.offsets, strict=True):
            origin = self._whole.offsets[position]  # of the field's rows in `counts`
            if int(counts[origin + OOV]) >= min_occurrences:
                continue
            tokens = slice(start + FIRST_TOKEN, start + field.size)  # none in a numeric field
            shares = counts[origin + FIRST_TOKEN : origin + field.size]
            shares = shares.to(device=weight.device, dtype=torch.float64)
            total = float(shares.sum())
            if total == 0:
                continue
            # Piece by piece: a field may have millions of rows, and float64 needs twice their memory.
            pieces = zip(*(torch.split(whole, _ROWS_AT_A_TIME) for whole in (shares, weight[tokens])), strict=True)
            mean = torch.stack([share @ rows.double() for share, rows in pieces]).sum(dim=0) / total
            weight[start + OOV] = mean.to(weight.dtype)
            filled.append(position)
        return filled

    def extra_repr(self) -> str:
        """What `print(model)` shows of the settings."""
        return f"fields={len(self.layout)}, missing={self.missing}, pooling={self.pooling}"

    def _check(self, batch: Batch) -> None:
        # A single column would broadcast against many fields without complaint, so the widths are compared.
        got = (batch.categorical.shape[1], batch.numeric.shape[1], len(batch.multi_valued))
        layout = self._whole
        expected = (len(layout.categorical), len(layout.numeric), len(layout.multi_valued))
        if got != expected:
            raise DataError(
                f"the batch has {got[0]} categorical, {got[1]} numeric and {got[2]} multi-valued columns, but the "
                f"layout has {expected[0]}, {expected[1]} and {expected[2]}; encode it with this model's encoder"
            )

    def _own_columns(self, batch: Batch) -> Batch:
        """The batch with the columns of the embedded fields only."""
        own = set(self.fields)
        kinds = (self._whole.categorical, self._whole.numeric, self._whole.multi_valued)
        categorical, numeric, multi_valued = ([c for c, f in enumerate(kind) if f in own] for kind in kinds)
        return replace(
            batch,
            categorical=batch.categorical[:, categorical],
            numeric=batch.numeric[:, numeric],
            multi_valued=tuple(batch.multi_valued[c] for c in multi_valued),
        )

    def _gather(self, rows: Tensor) -> Tensor:
        """Rows [n] of the table, [n, D]."""
        gathered: Tensor
        if not self.table.sparse:
            gathered = self.table(rows)
            return gathered
        padded = self.missing == "zero" or bool(self.layout.multi_valued)
        gathered = _SparseGather.apply(self.table.weight, rows, padded)  # type: ignore[no-untyped-call]
        return gathered

    def _cut(self, vectors: Tensor, kind: Kind) -> list[Tensor]:
        lengths = self._runs[kind]
        # One split, not many slices: the gradient of a slice is as large as the whole.
        return list(torch.split(vectors, lengths, dim=1)) if len(lengths) > 1 else [vectors]

    def _scale(self, x: Tensor, vectors: Tensor) -> Tensor:
        """Numbers x [B, N] times their fields' vectors [N or 2 N, D], missing ones replaced: [B, N, D]."""
        count = x.shape[1]
        missing = x.isnan()
        # The NaN must be gone before the product: 0 * NaN would reach the gradient of v_m.
        values = x.masked_fill(missing, 0.0).unsqueeze(-1) * vectors[:count]
        if self.missing == "zero":
            return values
        return torch.where(missing.unsqueeze(-1), vectors[count:], values)

    def _pool(self, local: Tensor, vectors: Tensor) -> Tensor:
        """Pool the lists of one field: ids [B, K], their vectors [B K, D] -> [B, 1, D]."""
        pooled = vectors.view(*local.shape, self.dim).sum(dim=1, keepdim=True)
        if self.pooling == "sum":
            return pooled
        values = (local >= MISSING).sum(dim=1).clamp_(min=1)
        return pooled / values.view(-1, 1, 1)
