"""QNN: layers that are quadratic in their input, several products to a layer, and a model that teaches itself.

H. Li, Y. Zhang, Y. Zhang, L. Sang, J. Zhu: "Revisiting Feature Interactions from the Perspective of Quadratic Neural
Networks for Click-through Rate Prediction" (QNN-alpha), arXiv 2505.17999.

    x_0      = flattened field embeddings                                            [B, N], N = F D
    h_r      = dropout(ReLU(BatchNorm(W_r x_l + b_r))), r = 1 .. R                   W_r [N, N]
    x_{l+1}  = dropout(x_l * (h_1 + ... + h_R) + x_l)                                orders 2, 4, 8, ...
    logit    = w . x_L + b
    loss     = L(y) + L(y_1, stop(y)) + L(y_2, stop(y))     y_1 and y_2 of two passes through dropout, y their mean

The authors' code takes the mean of two probabilities; here y is that of the mean logit, so that the same holds for
numbers. Theirs may cut the embeddings into heads, whose products then stand in another order than the x that is added;
here there is one. Their biases begin at zero, their weights at Xavier's draw, and so do these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.mlp import BatchNorm, init_glorot_normal
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, Dropout, LearnsLabels, Width
from fieldwise.models.registry import register


@register("qnn", summary="quadratic layers that teach themselves: QNN-alpha (Li et al., 2025)")
class QNN(CTRModel):
    """Layers in which the input is multiplied by sums of its own linear maps; logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, how many numbers an embedding has.
        num_layers: L; 0 reads out the embeddings linearly.
        rows: R, linear maps in a layer.
        dropout: Of these maps, and behind every layer.
        batch_norm: Normalise the maps over the batch.
        self_teaching: Whether training passes twice through dropout and draws both results towards their mean.
        missing, pooling: See `FieldEmbedding`.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        embedding_dim: Width = 16,
        num_layers: Annotated[int, Field(ge=0, le=16)] = 4,
        rows: Annotated[int, Field(ge=1, le=256)] = 5,
        dropout: Dropout = 0.1,
        batch_norm: bool = True,
        self_teaching: bool = True,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        self.embedding = FieldEmbedding(layout, embedding_dim, missing=missing, pooling=pooling)
        width = len(layout) * embedding_dim
        self.layers = nn.ModuleList(
            QuadraticLayer(width, rows, dropout=dropout, batch_norm=batch_norm) for _ in range(num_layers)
        )
        self.self_teaching = self_teaching
        self.readout = nn.Linear(width, 1)
        init_glorot_normal(self.readout, normal_bias=False)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        return self._pass(self.embedding(batch).flatten(1))

    def training_outputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """The logits [B] of two passes, which dropout makes different, or of one."""
        x = self.embedding(batch).flatten(1)
        return (self._pass(x), self._pass(x)) if self.self_teaching else (self._pass(x),)

    def training_loss(
        self, outputs: Sequence[Tensor], label: Tensor, weight: Tensor | None, objective: LearnsLabels
    ) -> Tensor:
        """The loss of the mean, and how far each pass is from it."""
        mean = sum(outputs[1:], start=outputs[0]) / len(outputs)
        loss = objective.loss(mean, label, weight)
        if len(outputs) == 1:
            return loss
        taught = objective.as_label(mean.detach())
        return loss + sum((objective.loss(logit, taught, weight) for logit in outputs), start=loss.new_zeros(()))

    def _pass(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        logit: Tensor = self.readout(x).squeeze(1)
        return logit


class QuadraticLayer(nn.Module):
    """x * (h_1 + ... + h_R) + x, as above.

    Args:
        width: N.
        rows: R.
        dropout: Of the maps and of the result.
        batch_norm: Normalise the maps over the batch.

    Shape:
        [B, N] -> [B, N].

    Example:
        >>> import torch
        >>> QuadraticLayer(6, 2, dropout=0.0, batch_norm=True)(torch.ones(2, 6)).shape
        torch.Size([2, 6])
    """

    def __init__(self, width: int, rows: int, *, dropout: float, batch_norm: bool) -> None:
        super().__init__()
        self.rows = rows
        self.linear = nn.Linear(width, width * rows)
        nn.init.xavier_normal_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.norm = BatchNorm(width * rows) if batch_norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """From x [B, N] to [B, N]."""
        h = self.dropout(F.relu(self.norm(self.linear(x))))
        out: Tensor = self.dropout(x * h.unflatten(1, (self.rows, -1)).sum(1) + x)
        return out
