"""The fields of a row as nodes of a graph that exchange messages along weighted edges."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldwise.errors import SettingsError

_SLOPE = 0.01


class EdgeWeights(nn.Module):
    """How much each field hears of each other one.

    Z. Li et al., "Fi-GNN", CIKM 2019, section 3.4.1 (attentional edge weights):

        a_ij = softmax over j != i of LeakyReLU( w . [ e_i ; e_j ] ),    a_ii = 0

    Row i holds the weights with which node i takes in the others; it adds up to 1. Of two fields, each hears the other
    with weight 1 whatever w were, so there is no w; a single field has no edges, and its weight is 0. w is
    Glorot-uniform. It has no bias, which the softmax would all but ignore.

    Args:
        fields: F.
        dim: D.

    Shape:
        [B, F, D] -> [B, F, F].

    Example:
        >>> EdgeWeights(2, dim=4)(torch.randn(1, 2, 4))
        tensor([[[0., 1.],
                 [1., 0.]]])
    """

    def __init__(self, fields: int, dim: int) -> None:
        super().__init__()
        # The two halves of w, for the field that hears and for the one that is heard: w . [e_i ; e_j] falls apart into
        # a sum, and no [B, F, F, 2 D] is needed.
        self.weight: nn.Parameter | None = None
        if fields > 2:
            self.weight = nn.Parameter(torch.empty(2, dim))
            bound = (6.0 / (2 * dim + 1)) ** 0.5
            nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Edge weights [B, F, F] of field vectors x [B, F, D]."""
        itself = torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
        if self.weight is None:
            return (~itself).to(x.dtype).expand(x.shape[0], -1, -1)
        hearing, heard = torch.split(F.linear(x, self.weight), 1, dim=2)  # [B, F, 1] each
        logits = F.leaky_relu(hearing + heard.transpose(1, 2), _SLOPE)
        return torch.softmax(logits.masked_fill(itself, -torch.inf), dim=2)


class FieldGraph(nn.Module):
    """Gated message passing between all fields.

    Z. Li et al., "Fi-GNN", CIKM 2019, section 3.4, with edge weights a from `EdgeWeights` and h^1 = x:

        m_i     = W_in,i ( sum over j of a_ij W_out,j h_j^t ) + b
        h^(t+1) = GRU(m, h^t) + h^1,    t = 1 .. T

    Every node has matrices of its own, and so has every step; all share one GRU. The GRU is PyTorch's, which resets
    after the product, U (h) * r, where the paper and TensorFlow reset before, U (h * r). Weights are Glorot-uniform,
    each matrix on its own; biases start at zero.

    Args:
        fields: F.
        dim: D.
        steps: T, at least 1.
        shared_steps: All steps use the same matrices, as in the paper's formulas; the authors' code has them by step.

    Shape:
        [B, F, D] -> [B, F, D].

    Raises:
        SettingsError: For less than one step.

    Example:
        >>> FieldGraph(3, dim=4, steps=2)(torch.randn(2, 3, 4)).shape
        torch.Size([2, 3, 4])
    """

    def __init__(self, fields: int, dim: int, *, steps: int = 3, shared_steps: bool = False) -> None:
        super().__init__()
        if steps < 1:
            raise SettingsError(f"steps must be at least 1, got {steps}")
        self.steps = steps
        self.edges = EdgeWeights(fields, dim)
        kinds = 1 if shared_steps else steps
        self.out = nn.Parameter(torch.empty(kinds, fields, dim, dim))
        self.into = nn.Parameter(torch.empty(kinds, fields, dim, dim))
        self.bias = nn.Parameter(torch.zeros(kinds, dim))
        self.gru = nn.GRUCell(dim, dim)
        bound = (6.0 / (2 * dim)) ** 0.5
        for weight in (self.out, self.into, self.gru.weight_ih, self.gru.weight_hh):
            nn.init.uniform_(weight, -bound, bound)
        for bias in (self.gru.bias_ih, self.gru.bias_hh):
            nn.init.zeros_(bias)

    def forward(self, x: Tensor) -> Tensor:
        """The nodes' states [B, F, D] after T steps that started from x [B, F, D]."""
        weights = self.edges(x)  # [B, F, F]
        # The states lie field by field, [F, B, D], so that the nodes' own matrices multiply them in one batch.
        start = x.transpose(0, 1).contiguous()
        state = start
        for step in range(self.steps):
            kind = min(step, len(self.bias) - 1)
            sent = torch.bmm(state, self.out[kind])  # [F, B, D]
            heard = torch.bmm(weights, sent.transpose(0, 1)).transpose(0, 1)  # [F, B, D]
            message = torch.bmm(heard, self.into[kind]) + self.bias[kind]
            updated: Tensor = self.gru(message.flatten(0, 1), state.flatten(0, 1))
            state = updated.view_as(start) + start
        return state.transpose(0, 1)
