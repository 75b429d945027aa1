"""TabM: many feed-forward networks in one, which share their weights but for a few vectors and are trained each alone.

Y. Gorishniy, A. Kotelnikov, A. Babenko: "TabM: Advancing Tabular Deep Learning with Parameter-Efficient Ensembling",
ICLR 2025, arXiv 2410.24210; the sharing is that of BatchEnsemble (Y. Wen, D. Tran, J. Ba, ICLR 2020, arXiv 2002.06715).

    x_0      = flattened field embeddings, the same for every member                 [B, N], N = F D
    member i, layer l:  x_{l+1} = dropout(ReLU((x_l * r_li) W_l * s_li + b_li))      r, s, b vectors of its own
    logit_i  = w_i . x_L + c_i                                                       nothing is shared here
    loss     = mean over i of the members' own losses; logit = mean of logit_i

All r and s begin at 1, but for r_0, which begins at a draw from N(0, 1): that is what makes the members different. The
paper predicts the mean of the members' probabilities; here it is that of their logits, so that the same holds for
numbers. Numbers are fields with an embedding here, as in all models of this library; the paper feeds them as they are,
or encoded piecewise, and one-hot tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, Dropout, Hidden, LearnsLabels, Width
from fieldwise.models.registry import register


@register("tabm", summary="an ensemble of networks that share their weights: TabM (Gorishniy et al., ICLR 2025)")
class TabM(CTRModel):
    """Members of an ensemble in one network; logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, how many numbers an embedding has.
        members: K, how many networks.
        dnn_hidden: Widths of the hidden layers, the same for all members; none reads out the embeddings linearly.
        dnn_dropout: Share of hidden units that training drops.
        missing, pooling: See `FieldEmbedding`.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        embedding_dim: Width = 16,
        members: Annotated[int, Field(ge=1, le=256)] = 16,
        dnn_hidden: Hidden = (256, 256),
        dnn_dropout: Dropout = 0.1,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        self.members = members
        self.embedding = FieldEmbedding(layout, embedding_dim, missing=missing, pooling=pooling)
        widths = (len(layout) * embedding_dim, *dnn_hidden)
        self.layers = nn.ModuleList(SharedLinear(*pair, members) for pair in pairwise(widths))
        if dnn_hidden:
            nn.init.normal_(self.layers[0].get_parameter("r"))
        self.dropout = nn.Dropout(dnn_dropout)
        self.readout = nn.Parameter(torch.empty(members, widths[-1]))
        nn.init.normal_(self.readout, std=math.sqrt(2.0 / (widths[-1] + 1)))
        self.bias = nn.Parameter(torch.zeros(members))

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        return self._of_members(batch).mean(1)

    def training_outputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """The logits [B] of each member."""
        return self._of_members(batch).unbind(1)

    def training_loss(
        self, outputs: Sequence[Tensor], label: Tensor, weight: Tensor | None, objective: LearnsLabels
    ) -> Tensor:
        """The mean of the members' losses."""
        return torch.stack([objective.loss(logit, label, weight) for logit in outputs]).mean()

    def _of_members(self, batch: Batch) -> Tensor:
        """[B, K]."""
        x = self.embedding(batch).flatten(1).unsqueeze(1)  # [B, 1, N]
        x = x.expand(-1, self.members, -1)
        for layer in self.layers:
            x = self.dropout(F.relu(layer(x)))
        logits: Tensor = (x * self.readout).sum(-1) + self.bias
        return logits


class SharedLinear(nn.Module):
    """A linear layer of K members with one weight matrix: (x * r) W * s + b.

    Args:
        in_dim: Width of the input.
        out_dim: Width of the output.
        members: K.

    Shape:
        [B, K, in_dim] -> [B, K, out_dim].

    Example:
        >>> SharedLinear(6, 2, 3)(torch.ones(4, 3, 6)).shape
        torch.Size([4, 3, 2])
    """

    def __init__(self, in_dim: int, out_dim: int, members: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in_dim)
        self.weight = nn.Parameter(torch.empty(out_dim, in_dim).uniform_(-bound, bound))
        self.r = nn.Parameter(torch.ones(members, in_dim))
        self.s = nn.Parameter(torch.ones(members, out_dim))
        self.bias = nn.Parameter(torch.empty(members, out_dim).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """From x [B, K, in_dim] to [B, K, out_dim]."""
        out: Tensor = F.linear(x * self.r, self.weight) * self.s + self.bias
        return out
