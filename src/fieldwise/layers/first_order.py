"""Field vectors together with the first-order term that most factorisation models add to their interactions."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layout import Layout


class FirstOrderEmbedding(nn.Module):
    """Field vectors and the logit of a first-order model, read from ONE table [V, D + 1].

        first_order = bias + sum over fields m of w[id_m] * value_m

    The last number of every table row is its first-order weight w, so that a batch reads and updates one row per id
    where two tables would mean two. w and the bias start at zero, as in logistic regression, for there is no symmetry
    to break; the vectors are drawn from N(0, init_std^2).

    Args:
        layout: The fields of the data.
        dim: D; 0 leaves the first-order weights alone.
        missing, pooling, init_std: See `FieldEmbedding`.

    Shape:
        vectors: [B, F, D] in schema order.
        first-order logits: [B].

    Raises:
        SettingsError: For an argument out of range.

    Example:
        >>> from fieldwise.layout import FieldLayout
        >>> layout = Layout((FieldLayout("user", "categorical", 9), FieldLayout("movie", "categorical", 7)))
        >>> batch = Batch(categorical=torch.tensor([[3, 2]]), numeric=torch.empty(1, 0))
        >>> vectors, first_order = FirstOrderEmbedding(layout, dim=4)(batch)
        >>> vectors.shape, first_order.tolist()
        (torch.Size([1, 2, 4]), [0.0])
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
