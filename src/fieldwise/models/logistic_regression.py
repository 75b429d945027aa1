"""Logistic regression: the first-order baseline of the AutoInt and AIM papers.

    logit = b + sum over fields m of w[id_m] * value_m                    [B]

One weight per token, one per numeric field (times its value), the mean over the values of a multi-valued field.
Weights and bias start at zero: the loss is convex, so there is no symmetry to break, and the weight of a token
that training never saw then adds exactly nothing.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel
from fieldwise.models.registry import register


@register(
    "lr",
    summary="logistic regression: one weight per token, no interactions",
    presets={"paper": {"missing": "zero"}},
)
class LogisticRegression(CTRModel):
    """One weight per token or numeric field, and a bias; logits [B].

    Args:
        layout: The fields of the data.
        missing: `learned` gives a field's missing values a weight of their own, `zero` lets them add nothing.
        pooling: How the weights of a multi-valued field's tokens become one: `mean` or `sum`.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        self.weights = FieldEmbedding(layout, 1, missing=missing, pooling=pooling, init_std=0.0)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        first_order: Tensor = self.weights(batch).sum(dim=(1, 2))
        return first_order + self.bias
