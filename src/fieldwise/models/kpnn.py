"""KPNN: a feed-forward network over embeddings and the products of their pairs by matrix kernels.

Y. Qu, B. Fang, W. Zhang, R. Tang, M. Niu, H. Guo, Y. Yu, X. He: "Product-based Neural Networks for User Response
Prediction over Multi-field Categorical Data", ACM TOIS 37(1), 2018, arXiv 1807.00311.

    E      = field embeddings                                                         [B, F, D]
    p      = ( e_i^T Phi_ij e_j for every pair i < j ),  Phi_ij [D, D]                [B, P], P = F (F - 1) / 2
    logit  = MLP([ flatten(E) ; p ])                                                  [B]

IPNN with a matrix per pair: with Phi_ij the identity the two are one. P D^2 numbers more than IPNN: 189,696 for 39
fields of 16.

Where the paper, the authors' code (Atomu2014/product-nets-distributed) and this file differ: the code knows matrix,
vector and scalar kernels, this file matrices, the ones the paper defines; the code's options to fix the matrices or
keep them in the unit ball, and its L2 terms, are left out; AIM's copy of the code may add a bias per pair, which the
MLP's first bias makes superfluous.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from fieldwise.data.batch import Batch
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.kernel_products import KernelProducts
from fieldwise.layers.mlp import MLP
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, Dropout, Hidden, Width
from fieldwise.models.registry import register


@register(
    "kpnn",
    summary="feed-forward network over embeddings and products with a matrix per pair (Qu et al., TOIS 2018)",
)
class KPNN(CTRModel):
    """An MLP over the embeddings and a bilinear form of every pair of fields; logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, how many numbers an embedding has.
        dnn_hidden: Widths of the MLP's hidden layers; empty for a linear read-out.
        dnn_dropout, dnn_norm: See `MLP`.
        missing, pooling: See `FieldEmbedding`.
    """

    rows_in_cache = 512

    def __init__(
        self,
        layout: Layout,
        *,
        embedding_dim: Width = 16,
        dnn_hidden: Hidden = (400, 400),
        dnn_dropout: Dropout = 0.0,
        dnn_norm: Literal["batch", "layer", "layer_gain"] | None = None,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        self.embedding = FieldEmbedding(layout, embedding_dim, missing=missing, pooling=pooling)
        # A single field has no pairs, and a parameter without numbers would only be in the way.
        self.products = KernelProducts(len(layout), embedding_dim) if len(layout) > 1 else None
        pairs = len(layout) * (len(layout) - 1) // 2
        self.dnn = MLP(len(layout) * embedding_dim + pairs, dnn_hidden, dropout=dnn_dropout, norm=dnn_norm)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        embedded = self.embedding(batch)  # [B, F, D]
        inputs = embedded.flatten(1)
        if self.products is not None:
            inputs = torch.cat([inputs, self.products(embedded)], dim=1)
        logit: Tensor = self.dnn(inputs)
        return logit
