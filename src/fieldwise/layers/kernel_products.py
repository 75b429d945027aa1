"""Products by matrix kernels: for every pair of fields a bilinear form of their vectors, by a matrix of its own."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fieldwise.layers.products import pairs_of


class KernelProducts(nn.Module):
    """The product e_i^T Phi_ij e_j of every pair of fields i < j.

    Y. Qu et al., "Product-based Neural Networks for User Response Prediction over Multi-field Categorical Data",
    TOIS 2018, section 4: an inner product in a space of the pair's own. Phi_ij is a free matrix [D, D], its first
    axis belongs to the lower field; identity matrices give the inner products. The matrices are drawn from
    U(-sqrt(3 / D), sqrt(3 / D)), as in the authors' code: a vector keeps its length.

    Args:
        fields: F.
        dim: D.

    Shape:
        [B, F, D] -> [B, P], P = F (F - 1) / 2.

    Example:
        >>> products = KernelProducts(2, dim=2)
        >>> _ = products.kernels.data.copy_(torch.eye(2))
        >>> products(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])).tolist()
        [[11.0]]
    """

    def __init__(self, fields: int, dim: int) -> None:
        super().__init__()
        self.first: Tensor
        self.second: Tensor
        for name, positions in zip(("first", "second"), pairs_of(fields), strict=True):
            self.register_buffer(name, positions, persistent=False)
        self.kernels = nn.Parameter(torch.empty(len(self.first), dim, dim))
        bound = math.sqrt(3.0 / dim)
        nn.init.uniform_(self.kernels, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Products [B, P] of field vectors x [B, F, D], pairs in the order of `pairs_of`."""
        # Pair by pair in one batched product of [B, D] and [D, D]. Products by field, [B, D] and [D, (F - 1) D], would
        # gather less but leave [B, F, F - 1, D] behind, and took 1.5 times as long.
        by_field = x.transpose(0, 1).contiguous()  # [F, B, D]
        projected = torch.bmm(by_field.index_select(0, self.first), self.kernels)  # [P, B, D]
        return (projected * by_field.index_select(0, self.second)).sum(dim=2).t()
