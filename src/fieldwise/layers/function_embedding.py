"""Function-wise embeddings: several vectors per field, of which a field may keep some positions only."""

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
"""Positions of all vectors of a row; what a hostile file may ask for must have a bound."""

Positions = Sequence[Sequence[Sequence[int]]]
"""Slot -> field -> the embedding positions that it keeps, ascending."""


class _Spread(torch.autograd.Function):
    """Rows of x [N, B] by an index in which a row occurs at most once; -1 gives zeros. Its gradient is a gather too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, inverse: Tensor, complete: bool) -> Tensor:
        ctx.save_for_backward(inverse)
        return _pick(x, index, complete)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (inverse,) = ctx.saved_tensors
        return _pick(grad, inverse, False), None, None, None


def _pick(x: Tensor, index: Tensor, complete: bool) -> Tensor:
    if complete:
        return x.index_select(0, index)
    # A last row of zeros, for -1.
    return torch.cat([x, x.new_zeros(1, x.shape[1])]).index_select(0, index % (len(x) + 1))


class FunctionEmbedding(nn.Module):
    """S vectors for every field, [S, F, D, B], and the logit of a logistic regression [B].

    A slot s is one embedding of all fields, such as that of one interaction function at one order (AIM, section 3.2).
    In slot s, field f has numbers at the positions that it keeps, and zeros elsewhere (section 3.3, its map from
    positions to a compact table). Nothing is stored for a removed position: fields that keep equally many numbers in
    all slots together share a table of that width, and every table row ends with the first-order weight. A batch
    therefore reads and updates one row per id, whatever the number of slots.

    layout: the fields. slots: S, may be 0. dim: D. positions: what is kept; None keeps everything.
    first_order: False leaves out the first-order weights and the bias; the logits are then zero.
    missing, pooling, init_std: see `FieldEmbedding`.
    Raises SettingsError for more than 4 million numbers in S x F x D.
    """

    def __init__(
        self,
        layout: Layout,
        slots: int,
        dim: int,
        *,
        positions: Positions | None = None,
        first_order: bool = True,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
        init_std: float = 0.01,
    ) -> None:
        super().__init__()
        self.slots, self.fields, self.dim, self.init_std = slots, len(layout), dim, init_std
        if slots * len(layout) * dim > MOST_NUMBERS:
            raise SettingsError(
                f"{slots} embeddings of {len(layout)} fields with {dim} positions each are more than the "
                f"{MOST_NUMBERS:,} positions that can be told apart; lower embedding_dim"
            )
        if positions is None:
            positions = [[range(dim)] * len(layout)] * slots
        widths = [sum(len(kept[f]) for kept in positions) + first_order for f in range(len(layout))]
        self.tables = nn.ModuleList()
        index = np.full((slots, len(layout), dim), -1)
        weights = []
        start = 0
        for width in sorted(set(widths) - {0}):
            members = [f for f, wide in enumerate(widths) if wide == width]
            table = FieldEmbedding(layout, width, fields=members, missing=missing, pooling=pooling, init_std=init_std)
            self.tables.append(table)
            for f in members:
                for s, kept in enumerate(positions):
                    index[s, f, list(kept[f])] = np.arange(start, start + len(kept[f]))
                    start += len(kept[f])
                if first_order:
                    weights.append(start)
                    start += 1
            if first_order:
                with torch.no_grad():
                    table.table.weight[:, -1] = 0.0
        flat = index.reshape(-1)
        inverse = np.full(start, -1)
        inverse[flat[flat >= 0]] = np.flatnonzero(flat >= 0)
        self.index: Tensor
        self.inverse: Tensor
        self.weights: Tensor
        self.register_buffer("index", torch.tensor(flat), persistent=False)
        self.register_buffer("inverse", torch.tensor(inverse), persistent=False)
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.int64), persistent=False)
        self._complete = bool((index >= 0).all())
        self.bias = nn.Parameter(torch.zeros(())) if first_order else None

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The vectors [S, F, D, B] and first-order logits [B]."""
        nothing = torch.empty(0, len(batch), device=self.index.device)
        numbers = torch.cat([nothing, *(table(batch).flatten(1).t() for table in self.tables)])  # [N, B]
        first_order = numbers.index_select(0, self.weights).sum(dim=0)
        if self.bias is not None:
            first_order = first_order + self.bias
        vectors: Tensor = _Spread.apply(  # type: ignore[no-untyped-call]
            numbers, self.index, self.inverse, self._complete
        )
        return vectors.view(self.slots, self.fields, self.dim, len(batch)), first_order
