"""Cross layers of Deep & Cross networks: products of a row's flat vector with its own first state.

x_0 [B, N] is the row's flattened field vectors, N = F D. Each layer multiplies its input by x_0 once more, so that the
l-th state is a polynomial of degree l + 1 in x_0.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldwise.errors import SettingsError
from fieldwise.layers.mlp import init_glorot_normal


class VectorCross(nn.Module):
    """All cross layers of DCN.

    R. Wang, B. Fu, G. Fu, M. Wang: "Deep & Cross Network for Ad Click Predictions", ADKDD 2017, eq. 3:

        x_{l+1} = x_0 (w_l . x_l) + b_l + x_l        w_l, b_l [N]

    The product with the number w_l . x_l comes first: the outer product x_0 x_l^T is never laid out. w_l is drawn from
    N(0, 2 / (N + 1)); b_l starts at zero.

    Args:
        in_dim: N, at least 1.
        num_layers: L, may be 0.

    Shape:
        [B, N] -> [B, N].

    Raises:
        SettingsError: For an argument out of range.

    Example:
        >>> cross = VectorCross(2, num_layers=1)
        >>> _ = cross.weight.data.copy_(torch.tensor([[1.0, 0.0]]))
        >>> cross(torch.tensor([[3.0, 5.0]])).tolist()  # x_0 * 3 + x_0
        [[12.0, 20.0]]
    """

    def __init__(self, in_dim: int, num_layers: int) -> None:
        super().__init__()
        if in_dim < 1 or num_layers < 0:
            raise SettingsError(
                f"cross layers need a width of at least 1 and num_layers >= 0, got {in_dim}, {num_layers}"
            )
        self.weight = nn.Parameter(torch.empty(num_layers, in_dim).normal_(std=math.sqrt(2.0 / (in_dim + 1))))
        self.bias = nn.Parameter(torch.zeros(num_layers, in_dim))

    def forward(self, x: Tensor) -> Tensor:
        """The last state x_L [B, N], layer by layer as in the paper."""
        state = x
        for weight, bias in zip(self.weight, self.bias, strict=True):
            state = x * (state @ weight).unsqueeze(1) + bias + state
        return state

    def read_out(self, x: Tensor, weight: Tensor) -> Tensor:
        """The number weight . x_L of each row: `forward(x) @ weight` without laying out a state.

        Every state is a multiple of x_0 plus a vector that is the same for all rows:

            x_l = a_l x_0 + c_l,    a_{l+1} = a_l (1 + w_l . x_0) + w_l . c_l,    c_{l+1} = c_l + b_l

        so all that is needed of a row are its products with w_0 .. w_{L-1} and with `weight`: one pass over x_0, in
        the precision of x, for the numbers a_l are products of L factors and 8 bits of each would not do.

        Args:
            x: x_0.
            weight: Of each number of x_L.

        Shape:
            [B, N] and [N] -> [B].
        """
        with torch.autocast(x.device.type, enabled=False):
            products = x @ torch.cat([self.weight, weight.unsqueeze(0)]).t()  # [B, L + 1]
            constant = self.bias.cumsum(dim=0)  # c_1 .. c_L, [L, N]
            shifts = (self.weight * (constant - self.bias)).sum(dim=1)  # w_l . c_l, [L]
            scale = torch.ones_like(products[:, 0])  # a_0, [B]
            for product, shift in zip(products.unbind(1)[:-1], shifts.unbind(), strict=True):
                scale = scale * (1.0 + product) + shift
            return scale * products[:, -1] + self.bias.sum(dim=0) @ weight

    def extra_repr(self) -> str:
        """What `print(model)` shows of the settings."""
        return f"in_dim={self.weight.shape[1]}, num_layers={self.weight.shape[0]}"


class MatrixCross(nn.Module):
    """One cross layer of DCN-V2 with a full matrix, x_{l+1} = x_0 * (W x_l + b) + x_l.

    R. Wang et al.: "DCN V2", WWW 2021, eq. 1. With W = 1 w^T and no bias it is DCN's layer. W is Glorot-normal, b
    starts at zero.

    Args:
        in_dim: N.

    Shape:
        x_0 [B, N] and x_l [B, N] -> [B, N].

    Example:
        >>> x = torch.randn(2, 6)
        >>> MatrixCross(6)(x, x).shape
        torch.Size([2, 6])
    """

    def __init__(self, in_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_dim, in_dim)
        init_glorot_normal(self.linear, normal_bias=False)

    def forward(self, x_0: Tensor, x: Tensor) -> Tensor:
        """The next state [B, N] from x_0 [B, N] and the current state x [B, N]."""
        crossed: Tensor = self.linear(x)
        return x_0 * crossed + x


class LowRankCross(nn.Module):
    """One cross layer of DCN-V2 as a mixture of low-rank experts.

    R. Wang et al.: "DCN V2", WWW 2021, eq. 3 and 4, M experts of rank R:

        x_{l+1} = sum over experts k of G_k(x_l) E_k(x_l) + x_l
        E_k(x)  = x_0 * ( U_k g( C_k g( V_k^T x ) ) + b )        U_k, V_k [N, R], C_k [R, R]; b [N] for all experts
        G(x)    = softmax( x Wg )                                Wg [N, M]

    Without an activation g there is no C_k: E_k(x) = x_0 * (U_k V_k^T x + b). The gates of a row add up to 1, so b need
    not be multiplied by them, and a single expert needs no gate. The V_k stand side by side in one matrix, and so do
    the U_k, which reads the gated experts and adds them up in one product. Matrices are Glorot-normal, each expert's as
    a matrix of its own; b starts at zero.

    Args:
        in_dim: N.
        rank: R, at least 1.
        experts: M, at least 1.
        activation: g, `tanh`, `relu` or None.

    Shape:
        x_0 [B, N] and x_l [B, N] -> [B, N].

    Raises:
        SettingsError: For an argument out of range.

    Example:
        >>> x = torch.randn(2, 6)
        >>> LowRankCross(6, rank=2, experts=4)(x, x).shape
        torch.Size([2, 6])
    """

    def __init__(
        self, in_dim: int, rank: int, *, experts: int = 1, activation: Literal["tanh", "relu"] | None = "tanh"
    ) -> None:
        super().__init__()
        if rank < 1 or experts < 1:
            raise SettingsError(f"rank and experts must be at least 1, got {rank} and {experts}")
        if activation not in ("tanh", "relu", None):
            raise SettingsError(f"activation must be 'tanh', 'relu' or None, got {activation!r}")
        self.rank, self.experts, self.activation = rank, experts, activation
        std = math.sqrt(2.0 / (in_dim + rank))
        self.down = nn.Parameter(torch.empty(experts * rank, in_dim).normal_(std=std))  # V^T, expert after expert
        self.up = nn.Parameter(torch.empty(in_dim, experts * rank).normal_(std=std))  # U
        self.bias = nn.Parameter(torch.zeros(in_dim))
        self.core: nn.Parameter | None = None
        if activation is not None:
            self.core = nn.Parameter(torch.empty(experts, rank, rank).normal_(std=math.sqrt(1.0 / rank)))  # C
        self.gate: nn.Linear | None = None
        if experts > 1:
            self.gate = nn.Linear(in_dim, experts, bias=False)
            init_glorot_normal(self.gate, normal_bias=False)

    def forward(self, x_0: Tensor, x: Tensor) -> Tensor:
        """The next state [B, N] from x_0 [B, N] and the current state x [B, N]."""
        hidden = self._activate(F.linear(x, self.down)).view(x.shape[0], self.experts, self.rank)  # [B, M, R]
        if self.core is not None:
            hidden = torch.einsum("kor,bkr->bko", self.core, hidden)
            hidden = self._activate(hidden)
        if self.gate is not None:
            hidden = hidden * self.gate(x).softmax(dim=1).unsqueeze(2)
        crossed = F.linear(hidden.flatten(1), self.up, self.bias)
        return x_0 * crossed + x

    def extra_repr(self) -> str:
        """What `print(model)` shows of the settings."""
        return f"rank={self.rank}, experts={self.experts}, activation={self.activation}"

    def _activate(self, x: Tensor) -> Tensor:
        if self.activation is None:
            return x
        return x.tanh() if self.activation == "tanh" else x.relu()
