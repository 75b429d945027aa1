"""Attention over pairs of fields: a weight for each pair of a row, and the sum of the products so weighted."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fieldwise.errors import SettingsError
from fieldwise.layers.mlp import init_glorot_normal
from fieldwise.layers.products import pairs_of


class PairAttention(nn.Module):
    """Attention-weighted sum over pairs of fields.

    J. Xiao et al., "Attentional Factorization Machines", IJCAI 2017, eq. 5. With h_ij = x_i * x_j:

        a_ij   = softmax over the pairs i < j ( q . ReLU(W h_ij + b) / t )        [B, P]
        output = sum over pairs of a_ij h_ij                                      [B, D]

    W and b are drawn from N(0, 2 / (D + A)) and q from N(0, 1), as in the authors' code.

    Args:
        fields: F, at least 2.
        dim: D.
        attention_dim: The rows of W [A, D].
        temperature: t, above 0; a small one lets a few pairs take all the weight.
        dropout: Share of the weights a_ij that training drops, in [0, 1).

    Shape:
        [B, F, D] -> [B, D].

    Raises:
        SettingsError: For an argument out of range.

    Example:
        >>> attention = PairAttention(3, dim=4, attention_dim=8)
        >>> x = torch.randn(2, 3, 4)
        >>> attention(x).shape, attention.weights(x).shape
        (torch.Size([2, 4]), torch.Size([2, 3]))
    """

    def __init__(
        self, fields: int, dim: int, *, attention_dim: int, temperature: float = 1.0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if fields < 2:
            raise SettingsError(f"attention over pairs needs at least 2 fields, got {fields}")
        if attention_dim < 1:
            raise SettingsError(f"attention_dim must be at least 1, got {attention_dim}")
        if not temperature > 0.0:
            raise SettingsError(f"temperature divides the attention's logits and must be above 0, got {temperature}")
        if not 0.0 <= dropout < 1.0:
            raise SettingsError(f"dropout is the share to drop and must be in [0, 1), got {dropout}")
        self.temperature = temperature
        self.hidden = nn.Linear(dim, attention_dim)
        init_glorot_normal(self.hidden, normal_bias=True)
        self.query = nn.Parameter(torch.randn(attention_dim))
        self.dropout = nn.Dropout(dropout)
        first, second = pairs_of(fields)
        self.first: Tensor
        self.second: Tensor
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Field vectors x [B, F, D] -> [B, D]."""
        products = self._products(x)
        weights = self.dropout(self._weigh(products))
        return torch.bmm(weights.unsqueeze(1), products.to(weights.dtype)).squeeze(1)

    def weights(self, x: Tensor) -> Tensor:
        """The weights a_ij [B, P] before dropout, in the order of `pairs_of`; each row adds up to 1."""
        return self._weigh(self._products(x))

    def _products(self, x: Tensor) -> Tensor:
        # The ReLU wants a vector per pair. Without them, as x W_k x^T for every unit k, it took three times as long.
        return x.index_select(1, self.first) * x.index_select(1, self.second)

    def _weigh(self, products: Tensor) -> Tensor:
        logits = torch.matmul(self.hidden(products).relu(), self.query)
        # The softmax and its logits over a small temperature in float32 at least.
        precise = torch.promote_types(logits.dtype, torch.float32)
        return torch.softmax(logits.to(precise) / self.temperature, dim=1)
