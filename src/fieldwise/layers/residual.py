"""Residual layers of Deep Crossing: feed-forward layers that add their input to their output."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from fieldwise.layers.mlp import init_glorot_normal


class ResidualLayer(nn.Module):
    """One layer with a shortcut, ReLU( W x + b + shortcut ).

    The shortcut is x itself, or M x with a matrix M. W x + M x is taken as (W + M) x, one product instead of two.
    Weights and biases are drawn as those of `MLP`.

    Args:
        in_dim, out_dim: The widths.
        project: Has a matrix M even where the widths agree; where they differ there always is one.

    Shape:
        [B, in_dim] -> [B, out_dim].

    Example:
        >>> import torch
        >>> ResidualLayer(6, 4)(torch.randn(2, 6)).shape
        torch.Size([2, 4])
    """

    def __init__(self, in_dim: int, out_dim: int, *, project: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(in_dim, out_dim)
        init_glorot_normal(self.linear, normal_bias=True)
        self.shortcut: nn.Linear | None = None
        if project or in_dim != out_dim:
            self.shortcut = nn.Linear(in_dim, out_dim, bias=False)
            init_glorot_normal(self.shortcut, normal_bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """From x [B, in_dim] to [B, out_dim]."""
        if self.shortcut is not None:
            return F.relu(F.linear(x, self.linear.weight + self.shortcut.weight, self.linear.bias))
        return F.relu(self.linear(x) + x)


class ResidualUnit(nn.Module):
    """Two layers with a shortcut around both, ReLU( W_1 ReLU( W_0 x + b_0 ) + b_1 + x ).

    Weights and biases are drawn as those of `MLP`.

    Args:
        in_dim: N, of input and output.
        width: Of the layer within.

    Shape:
        [B, N] -> [B, N].

    Example:
        >>> import torch
        >>> ResidualUnit(6, width=3)(torch.randn(2, 6)).shape
        torch.Size([2, 6])
    """

    def __init__(self, in_dim: int, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(in_dim, width)
        self.outer = nn.Linear(width, in_dim)
        for linear in (self.inner, self.outer):
            init_glorot_normal(linear, normal_bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """From x [B, N] to [B, N]."""
        return F.relu(self.outer(F.relu(self.inner(x))) + x)
