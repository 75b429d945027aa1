"""IPNN: a feed-forward network over embeddings and the inner products of their pairs.

Y. Qu, H. Cai, K. Ren, W. Zhang, Y. Yu, Y. Wen, J. Wang: "Product-based Neural Networks for User Response Prediction",
ICDM 2016, arXiv 1611.00144.

    E      = field embeddings                                                         [B, F, D]
    p      = ( <e_i, e_j> for every pair i < j )                                      [B, P], P = F (F - 1) / 2
    logit  = MLP([ flatten(E) ; p ])                                                  [B]

With an `architecture` p has the values of the interactions that a search has found, each by its own function, and every
order and function has vectors of its own beside E (AIM, arXiv 2111.03318, table 10).

There is no first-order term; the MLP's bias is the only one.

Where the paper, the authors' later code (Atomu2014/product-nets-distributed) and this file differ:

                        paper                                  authors' later code             here
    first layer         D1 units l_z from E, D1 units l_p      one linear layer over           code: the same function
                        from p, added with a bias              [E ; p]
    weights of p        rank one: theta_n theta_n^T            one free weight per pair        code
    pairs               all (i, j), also i = j and j < i       i < j                           code
    norm                none                                   LN in the AIM paper's tables    `dnn_norm`
    missing values      unsaid                                 an id like any other            a learned vector

Presets: `aim-avazu` and `aim-criteo` are the settings of the AIM paper.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from fieldwise.data.batch import Batch
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.interactions import RAW, ArchitectureSetting, Interactions
from fieldwise.layers.mlp import MLP
from fieldwise.layers.products import inner_products, pairs_of
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, Dropout, Hidden, Width
from fieldwise.models.registry import register

_AIM = {"dnn_hidden": (700,) * 5, "dnn_dropout": 0.0, "dnn_norm": "layer", "missing": "zero", "pooling": "mean"}


@register(
    "ipnn",
    summary="feed-forward network over embeddings and their inner products (PNN; Qu et al., ICDM 2016)",
    presets={"aim-avazu": {"embedding_dim": 40, **_AIM}, "aim-criteo": {"embedding_dim": 20, **_AIM}},
)
class IPNN(CTRModel):
    """An MLP over the embeddings and the inner products of all pairs of fields; logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, how many numbers an embedding has.
        architecture: What a search has found, in place of all pairs; it brings its own D.
        dnn_hidden: Widths of the MLP's hidden layers; empty for a linear read-out.
        dnn_dropout, dnn_norm: See `MLP`.
        missing, pooling: See `FieldEmbedding`.

    Raises:
        SettingsError: For an architecture of fields that the layout lacks.
    """

    rows_in_cache = 1024

    def __init__(
        self,
        layout: Layout,
        *,
        embedding_dim: Width = 16,
        architecture: ArchitectureSetting = None,
        dnn_hidden: Hidden = (400, 400),
        dnn_dropout: Dropout = 0.0,
        dnn_norm: Literal["batch", "layer", "layer_gain"] | None = None,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        self.embedding: FieldEmbedding | Interactions
        self.first: Tensor
        self.second: Tensor
        if architecture is None:
            self.embedding = FieldEmbedding(layout, embedding_dim, missing=missing, pooling=pooling)
            for name, fields in zip(("first", "second"), pairs_of(len(layout)), strict=True):
                self.register_buffer(name, fields, persistent=False)
            products = len(self.first)
        else:
            self.embedding = Interactions(
                layout, architecture, also=[RAW], first_order=False, missing=missing, pooling=pooling
            )
            products = len(self.embedding.interactions)
        self.dnn = MLP(len(layout) * self.embedding.dim + products, dnn_hidden, dropout=dnn_dropout, norm=dnn_norm)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        if isinstance(self.embedding, Interactions):
            vectors = self.embedding.embed(batch).vectors
            values = [self.embedding.values(vectors, order) for order in self.embedding.orders]
            inputs = [self.embedding.slot(vectors, RAW), *values]
        else:
            embedded = self.embedding(batch)  # [B, F, D]
            inputs = [embedded.flatten(1), inner_products(embedded, self.first, self.second)]
        logit: Tensor = self.dnn(torch.cat(inputs, dim=1))
        return logit
