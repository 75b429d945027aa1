"""Function-wise embeddings: several vectors per field, of which a field may keep some dimensions only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from fieldwise.data.batch import Batch
from fieldwise.errors import SettingsError
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layout import Layout

MOST_NUMBERS = 1 << 22
"""Dimensions of all vectors of a row; what a hostile file may ask for must have a bound."""

Dimensions = Sequence[Sequence[Sequence[int]]]
"""Slot -> field -> the embedding dimensions that it keeps, ascending."""


class _Arrange(torch.autograd.Function):
    """What the tables give, each [B, W_t], as vectors [S F D, B] and the sums of their first-order weights [B].

    Side by side, the tables' numbers are N. index: which of them each place takes, none twice; N for none, unless
    every place takes one (complete). inverse: which place each number has gone to, any for first-order weights.
    weights: which numbers those are.

    Tables are copied as matrices, for torch transposes those in blocks; more dimensions take it many times as long.
    """

    @staticmethod
    def forward(
        ctx: Any, index: Tensor, inverse: Tensor, weights: Tensor, complete: bool, *tables: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.widths = [table.shape[1] for table in tables]
        ctx.save_for_backward(inverse, weights)
        count = sum(ctx.widths)
        numbers = tables[0].new_empty(count + (not complete), tables[0].shape[0])
        for part, table in zip(torch.split(numbers[:count], ctx.widths), tables, strict=True):
            part.copy_(table.t())
        first_order = numbers.index_select(0, weights).sum(dim=0)
        if not complete:
            numbers[-1] = 0.0
        return numbers.index_select(0, index), first_order

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, grad_first_order: Tensor) -> tuple[Tensor | None, ...]:
        inverse, weights = ctx.saved_tensors
        numbers = grad.index_select(0, inverse) if len(grad) else grad.new_empty(len(inverse), grad.shape[1])
        numbers.index_copy_(0, weights, grad_first_order.expand(len(weights), -1))
        return None, None, None, None, *(part.t().contiguous() for part in torch.split(numbers, ctx.widths))


class FunctionEmbedding(nn.Module):
    """S vectors for every field, and the logit of a first-order model.

    A slot s is one embedding of all fields, such as that of one interaction function at one order (AIM, section 3.2).
    In slot s, field f has numbers in the dimensions that it keeps, and zeros elsewhere (section 3.3, its map from
    dimensions to a compact table). Nothing is stored for a removed dimension: fields that keep equally many numbers in
    all slots together share a table of that width, and every table row ends with the first-order weight. A batch
    therefore reads and updates one row per id, whatever the number of slots.

    Args:
        layout: The F fields.
        slots: S, may be 0.
        dim: D.
        dimensions: What is kept; None keeps everything.
        first_order: False leaves out the first-order weights and the bias; the logits are then zero.
        missing, pooling, init_std: See `FieldEmbedding`.

    Shape:
        vectors: [S, F, D, B].
        first-order logits: [B].

    Raises:
        SettingsError: For more than 4 million numbers in S x F x D.

    Example:
        >>> from fieldwise.layout import FieldLayout
        >>> layout = Layout((FieldLayout("user", "categorical", 9), FieldLayout("movie", "categorical", 7)))
        >>> embedding = FunctionEmbedding(layout, 1, 4, dimensions=[[(0, 3), (1,)]])
        >>> vectors, first_order = embedding(Batch(categorical=torch.tensor([[3, 2]]), numeric=torch.empty(1, 0)))
        >>> vectors.shape, first_order.shape
        (torch.Size([1, 2, 4, 1]), torch.Size([1]))
        >>> (vectors[0, 0, :, 0] != 0).tolist()
        [True, False, False, True]
    """

    def __init__(
        self,
        layout: Layout,
        slots: int,
        dim: int,
        *,
        dimensions: Dimensions | None = None,
        first_order: bool = True,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
        init_std: float = 0.01,
    ) -> None:
        super().__init__()
        self.slots, self.fields, self.dim, self.init_std = slots, len(layout), dim, init_std
        if slots * len(layout) * dim > MOST_NUMBERS:
            raise SettingsError(
                f"{slots} embeddings of {len(layout)} fields with {dim} dimensions each are more than the "
                f"{MOST_NUMBERS:,} numbers that can be told apart; lower embedding_dim"
            )
        if dimensions is None:
            dimensions = [[range(dim)] * len(layout)] * slots
        widths = [sum(len(by_field[f]) for by_field in dimensions) + first_order for f in range(len(layout))]
        self.tables = nn.ModuleList()
        index = np.full((slots, len(layout), dim), -1)
        weights = []
        start = 0
        for width in sorted(set(widths) - {0}):
            members = [f for f, wide in enumerate(widths) if wide == width]
            table = FieldEmbedding(layout, width, fields=members, missing=missing, pooling=pooling, init_std=init_std)
            self.tables.append(table)
            for f in members:
                for s, by_field in enumerate(dimensions):
                    index[s, f, list(by_field[f])] = np.arange(start, start + len(by_field[f]))
                    start += len(by_field[f])
                if first_order:
                    weights.append(start)
                    start += 1
            if first_order:
                with torch.no_grad():
                    table.table.weight[:, -1] = 0.0
        flat = index.reshape(-1)
        inverse = np.zeros(start, dtype=np.int64)
        inverse[flat[flat >= 0]] = np.flatnonzero(flat >= 0)
        self._complete = bool((flat >= 0).all())
        flat[flat < 0] = start
        self.index: Tensor
        self.inverse: Tensor
        self.weights: Tensor
        self.register_buffer("index", torch.tensor(flat), persistent=False)
        self.register_buffer("inverse", torch.tensor(inverse), persistent=False)
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.int64), persistent=False)
        self.bias = nn.Parameter(torch.zeros(())) if first_order else None

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The vectors [S, F, D, B] and first-order logits [B]."""
        if not self.tables:
            nothing = torch.zeros(self.slots, self.fields, self.dim, batch.size, device=self.index.device)
            return nothing, self._with_bias(nothing.new_zeros(batch.size))
        tables = [table(batch).flatten(1) for table in self.tables]
        if torch.compiler.is_exporting():
            vectors, first_order = self._arrange(tables)
        else:
            vectors, first_order = _Arrange.apply(  # type: ignore[no-untyped-call]
                self.index, self.inverse, self.weights, self._complete, *tables
            )
        shape = self.slots, self.fields, self.dim, batch.size
        return vectors.view(shape), self._with_bias(first_order)

    def _arrange(self, tables: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The readable form of `_Arrange`, which is exported: it writes nothing in place."""
        numbers = torch.cat([table.t() for table in tables])
        first_order = numbers.index_select(0, self.weights).sum(dim=0)
        if not self._complete:
            numbers = torch.cat([numbers, torch.zeros_like(numbers[:1])])
        return numbers.index_select(0, self.index), first_order

    def _with_bias(self, first_order: Tensor) -> Tensor:
        return first_order if self.bias is None else first_order + self.bias
