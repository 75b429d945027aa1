"""Field vectors together with the first-order term that most factorisation models add to their interactions."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layout import Layout


class FirstOrderEmbedding(nn.Module):
    """Field vectors [B, F, D] and the logit of a logistic regression [B], read from ONE table [V, D + 1].

        first_order = bias + sum over fields m of w[id_m] * value_m

    The last number of every table row is its first-order weight w, so that a batch reads and updates one row per id
    where two tables would mean two. w and the bias start at zero, as in logistic regression, for there is no symmetry
    to break; the vectors are drawn from N(0, init_std^2).

    layout, missing, pooling: see `FieldEmbedding`. dim: D; 0 leaves the first-order weights alone.
    Raises SettingsError for an argument out of range.
    """

    def __init__(
        self,
        layout: Layout,
        dim: int,
        *,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
        init_std: float = 0.01,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.embedding = FieldEmbedding(layout, dim + 1, missing=missing, pooling=pooling, init_std=init_std)
        with torch.no_grad():
            self.embedding.table.weight[:, dim] = 0.0
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Vectors [B, F, D] in schema order, and first-order logits [B]."""
        vectors, weights = torch.split(self.embedding(batch), [self.dim, 1], dim=2)
        return vectors, weights.sum(dim=(1, 2)) + self.bias
