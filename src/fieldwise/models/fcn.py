"""FCN: two towers of masked cross layers, one of linearly and one of exponentially growing order, without any MLP.

H. Li, Y. Zhang, Y. Zhang, H. Li, L. Sang, J. Zhu: "FCN: Fusing Exponential and Linear Cross Network for Click-Through
Rate Prediction", arXiv 2407.13349 (first called DCNv3).

    x_0      = [first halves of all field embeddings ; second halves]               [B, N], N = F D, D even
    m(x, l)  = [c ; c * ReLU(LayerNorm(c))] + b_l,  c = W_l x                        W_l [N / 2, N], b_l [N]
    linear:       x_{l+1} = x_0 * m(x_l, l) + x_l                                    orders 2, 3, 4, ...
    exponential:  x_{l+1} = x_l * m(x_l, l) + x_l                                    orders 2, 4, 8, ...
    logit    = (logit_e + logit_l) / 2, each a linear layer on its tower's last x
    loss     = L + v_e L_e + v_l L_l,  v = max(0, L_tower - L): a tower that is worse than both learns for itself

Where paper and the authors' code leave a choice, this file follows the code: the weights v are not detached, dropout
stands behind every layer, b begins at a draw from U(0, 1). Theirs may cut the embeddings into heads; here there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.errors import SettingsError
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.mlp import init_glorot_normal
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, Dropout, LearnsLabels, Width
from fieldwise.models.registry import register


@register("fcn", summary="masked cross layers of linear and exponential order: FCN, or DCNv3 (Li et al., 2024)")
class FCN(CTRModel):
    """Two towers of cross layers that filter noise by masks; logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, how many numbers an embedding has; even.
        exponential_layers: Of the tower whose order doubles with every layer.
        linear_layers: Of the tower whose order grows by one.
        exponential_dropout, linear_dropout: Behind every layer of a tower.
        missing, pooling: See `FieldEmbedding`.

    Raises:
        SettingsError: For an odd embedding size.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        embedding_dim: Width = 16,
        exponential_layers: Annotated[int, Field(ge=0, le=16)] = 4,
        linear_layers: Annotated[int, Field(ge=0, le=256)] = 4,
        exponential_dropout: Dropout = 0.1,
        linear_dropout: Dropout = 0.3,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        if embedding_dim % 2:
            raise SettingsError(f"embedding_dim must be even, for one half of it is masked; got {embedding_dim}")
        self.masked_from = embedding_dim // 2
        self.embedding = FieldEmbedding(layout, embedding_dim, missing=missing, pooling=pooling)
        width = len(layout) * embedding_dim
        self.exponential = nn.ModuleList(MaskedWeights(width) for _ in range(exponential_layers))
        self.linear = nn.ModuleList(MaskedWeights(width) for _ in range(linear_layers))
        self.exponential_dropout = nn.Dropout(exponential_dropout)
        self.linear_dropout = nn.Dropout(linear_dropout)
        self.exponential_readout, self.linear_readout = nn.Linear(width, 1), nn.Linear(width, 1)
        for readout in (self.exponential_readout, self.linear_readout):
            init_glorot_normal(readout, normal_bias=False)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        exponential, linear = self.training_outputs(batch)
        return (exponential + linear) / 2

    def training_outputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """The logits [B] of the exponential and of the linear tower."""
        e = self.embedding(batch)
        x_0 = torch.cat([e[..., : self.masked_from].flatten(1), e[..., self.masked_from :].flatten(1)], dim=1)
        x = x_0
        for weights in self.exponential:
            x = self.exponential_dropout(x * weights(x) + x)
        exponential = self.exponential_readout(x).squeeze(1)
        x = x_0
        for weights in self.linear:
            x = self.linear_dropout(x_0 * weights(x) + x)
        return exponential, self.linear_readout(x).squeeze(1)

    def training_loss(
        self, outputs: Sequence[Tensor], label: Tensor, weight: Tensor | None, objective: LearnsLabels
    ) -> Tensor:
        """The loss of both together, and of each as far as it is worse."""
        exponential, linear = outputs
        both = objective.loss((exponential + linear) / 2, label, weight)
        towers = [objective.loss(logit, label, weight) for logit in (exponential, linear)]
        return both + sum((F.relu(loss - both) * loss for loss in towers), start=torch.zeros_like(both))


class MaskedWeights(nn.Module):
    """What a cross layer multiplies by: half of it linear in x, half of that where the mask lets it through.

    Args:
        width: N.

    Shape:
        [B, N] -> [B, N].

    Example:
        >>> MaskedWeights(6)(torch.ones(2, 6)).shape
        torch.Size([2, 6])
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width // 2, bias=False)
        nn.init.xavier_normal_(self.linear.weight)
        self.norm = nn.LayerNorm(width // 2)
        self.bias = nn.Parameter(torch.rand(width))

    def forward(self, x: Tensor) -> Tensor:
        """Weights [B, N] of x [B, N]."""
        c = self.linear(x)
        return torch.cat([c, c * F.relu(self.norm(c))], dim=-1) + self.bias
