"""AFM: a factorisation machine whose pairs are weighted by attention.

J. Xiao, H. Ye, X. He, H. Zhang, F. Wu, T.-S. Chua: "Attentional Factorization Machines: Learning the Weight of Feature
Interactions via Attention Networks", IJCAI 2017, arXiv 1708.04617.

    e_m    = vector of field m                                                        [B, F, D]
    h_ij   = e_i * e_j, element-wise, for the pairs i < j                             [B, P, D]
    a_ij   = softmax over the pairs ( q . ReLU(W h_ij + c) / t )                      [B, P]     W: [A, D]
    logit  = b + sum over fields m of w[id_m] * value_m
               + p . sum over pairs of a_ij h_ij                                      [B]        p: [D]

The softmax runs over the pairs of a row, not over coordinates, and its weights add up to 1: where attention is even,
as at first, the pairs count 1 / P of what they count in FM.

Where the paper, the authors' code and this file differ:

                              paper                  authors' code               here
    temperature t             none                   none                        1; `temperature`, as AIM's settings
    dropout                   on the pairs           on a, on the pooled sum     as the code; off
    p starts at               unsaid                 ones                        code
    q starts at               unsaid                 N(0, 1)                     code
    W, c start at             unsaid                 N(0, 2 / (D + A))           code
    L2 on W                   yes                    yes                         none in the model
    FM trained first          yes                    optional                    no

With two fields there is one pair, whose weight is 1 whatever the attention says, and no attention network is made.

Parameters: V (D + 1) + 1 + A D + 2 A + D.

Presets: `autoint-paper` has the D of the AutoInt paper, which does not say its A; 16 is that of the AFM authors' code.
`aim-avazu` and `aim-criteo` are the AIM paper's settings.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.layers.first_order import FirstOrderEmbedding
from fieldwise.layers.pair_attention import PairAttention
from fieldwise.layers.products import pooled_pairs
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, Dropout, Width
from fieldwise.models.registry import register

_PUBLISHED = {"missing": "zero", "pooling": "mean"}


@register(
    "afm",
    summary="factorisation machine with attention over pairs of fields (Xiao et al., IJCAI 2017)",
    presets={
        "autoint-paper": _PUBLISHED | {"embedding_dim": 16, "attention_dim": 16, "temperature": 1.0},
        "aim-avazu": _PUBLISHED | {"embedding_dim": 40, "attention_dim": 256, "temperature": 1.0},
        "aim-criteo": _PUBLISHED | {"embedding_dim": 20, "attention_dim": 32, "temperature": 0.01},
    },
)
class AFM(CTRModel):
    """First-order terms plus the attention-weighted products of all pairs of fields; logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, how many numbers an embedding has.
        attention_dim: A, the width of the attention's hidden layer.
        temperature: t, divides the attention's logits.
        attention_dropout: Share of the weights a_ij that training drops.
        pooled_dropout: Share of the coordinates of the weighted sum that training drops.
        missing, pooling: See `FieldEmbedding`.
    """

    # No faster than larger parts, but the products of all pairs take some 300 kB a row.
    rows_in_cache = 1024

    def __init__(
        self,
        layout: Layout,
        *,
        embedding_dim: Width = 16,
        attention_dim: Width = 16,
        temperature: Annotated[float, Field(gt=0.0)] = 1.0,
        attention_dropout: Dropout = 0.0,
        pooled_dropout: Dropout = 0.0,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        self.embedding = FirstOrderEmbedding(layout, embedding_dim, missing=missing, pooling=pooling)
        self.pairs: PairAttention | None = None
        if len(layout) > 2:
            self.pairs = PairAttention(
                len(layout),
                embedding_dim,
                attention_dim=attention_dim,
                temperature=temperature,
                dropout=attention_dropout,
            )
        self.pooled_dropout = nn.Dropout(pooled_dropout)
        self.projection = nn.Parameter(torch.ones(embedding_dim))

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        vectors, first_order = self.embedding(batch)
        pooled = pooled_pairs(vectors) if self.pairs is None else self.pairs(vectors)  # [B, D]
        logit: Tensor = first_order + (self.pooled_dropout(pooled) * self.projection).sum(dim=1)
        return logit

    @torch.no_grad()
    def pair_weights(self, batch: Batch) -> Tensor:
        """The weights a_ij before dropout, of the pairs (0, 1), (0, 2), ..., (1, 2), ...; each row adds up to 1.

        Shape:
            a batch of B rows -> [B, P].
        """
        vectors: Tensor = self.embedding(batch)[0]
        if self.pairs is not None:
            return self.pairs.weights(vectors)
        return vectors.new_ones(vectors.shape[0], len(self.layout) - 1)  # the one pair of two fields, none of one field
