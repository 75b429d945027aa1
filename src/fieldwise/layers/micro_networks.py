"""Micro-networks: a small feed-forward network of its own for every pair of fields."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldwise.errors import SettingsError
from fieldwise.layers.products import pairs_of


class MicroNetworks(nn.Module):
    """What P small networks make of the P pairs of fields.

    Y. Qu et al., "Product-based Neural Networks for User Response Prediction over Multi-field Categorical Data",
    TOIS 2018, section 5: product-network in network. For the pair p = (i, j), i < j:

        h_0 = [ e_i ; e_j ; e_i * e_j ]                                               [3 D]
        h_l = ReLU( LN(h_(l-1) W_p,l) + b_p,l )                                       no ReLU after the last

    LN is the authors' fused one: mean and variance over the units of ALL networks of a row together, P times the width
    numbers; over the few units of one network they would be noise. Without a gain, as in `LayerNormLinear`. Weights are
    Glorot-uniform, each network's as matrices of its own; biases start at zero.

    Args:
        fields: F, at least 2.
        dim: D.
        widths: Of the layers; the last one is O.
        layer_norm: False leaves the LN out.

    Shape:
        [B, F, D] -> [B, P, O], P = F (F - 1) / 2, pairs in the order of `pairs_of`.

    Raises:
        SettingsError: For a width below 1 or no widths, and for less than two fields.

    Example:
        >>> MicroNetworks(3, dim=4, widths=(8, 5))(torch.randn(2, 3, 4)).shape
        torch.Size([2, 3, 5])
    """

    def __init__(self, fields: int, dim: int, widths: Sequence[int], *, layer_norm: bool = True) -> None:
        super().__init__()
        if fields < 2:
            raise SettingsError(f"micro-networks read pairs of fields and need at least 2 fields, got {fields}")
        if not widths or min(widths) < 1:
            raise SettingsError(f"micro-networks need layers of at least 1 unit, got widths {tuple(widths)}")
        self.first: Tensor
        self.second: Tensor
        for name, positions in zip(("first", "second"), pairs_of(fields), strict=True):
            self.register_buffer(name, positions, persistent=False)
        self.layer_norm = layer_norm
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for inside, outside in zip((3 * dim, *widths[:-1]), widths, strict=True):
            bound = math.sqrt(6.0 / (inside + outside))
            self.weights.append(nn.Parameter(torch.empty(len(self.first), inside, outside).uniform_(-bound, bound)))
            self.biases.append(nn.Parameter(torch.zeros(len(self.first), outside)))

    def forward(self, x: Tensor) -> Tensor:
        """Field vectors x [B, F, D] -> [B, P, O], pairs in the order of `pairs_of`."""
        by_field = x.transpose(0, 1).contiguous()  # [F, B, D]
        lower, upper = by_field.index_select(0, self.first), by_field.index_select(0, self.second)
        hidden = torch.cat([lower, upper, lower * upper], dim=2)  # [P, B, 3 D]
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if number:
                hidden = hidden.relu().transpose(0, 1)
            hidden = torch.bmm(hidden, weight).transpose(0, 1)  # [B, P, width]
            # In the precision of the product, as a linear layer adds its own: mixed, the sum would be the slowest step.
            shift = bias.to(hidden.dtype)
            hidden = F.layer_norm(hidden, bias.shape, bias=shift) if self.layer_norm else hidden + shift
        return hidden
