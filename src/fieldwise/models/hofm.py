"""HOFM: factorisation machines of higher order.

M. Blondel, A. Fujino, N. Ueda, M. Ishihata: "Higher-Order Factorization Machines", NIPS 2016, arXiv 1607.07195.

    e^m_i  = vector of field i for interactions of order m, m = 2 .. M                [B, F, D] each
    logit  = b + sum over fields i of w[id_i] * value_i
               + sum over orders m of sum over coordinates of ANOVA_m(e^m)            [B]
    ANOVA_m(e) = sum over tuples i_1 < ... < i_m of e_i1 * ... * e_im                 [B, D]; see `layers/anova.py`

Tuples are never enumerated: 39 fields have 9,139 triples, but the third order takes three sums over the fields.
A table row holds the vectors of all orders, and the first-order weight behind them. Order 2 alone is FM.

Where the authors' polylearn, tffm (the usual public implementation; the AutoInt paper does not name the one it took)
and this file differ:

                              polylearn                 tffm                      here
    vectors of the orders     shared, or separate       separate                  separate
    ANOVA kernel              recurrence over fields    power sums, any order     power sums to order 3, then recurrence
    sign per coordinate       random                    plus                      plus, as in FM
    vectors drawn from        N(0, 0.01^2)              U(-0.01, 0.01)            N(0, 0.01^2)
    w, b start at             zero                      U(-0.01, 0.01), 0.01      zero
    largest order             3                         any                       any

Parameters: V (D (M - 1) + 1) + 1. Orders above F have no tuples and take no columns.

Preset: `autoint-paper`, the AutoInt paper's third order with D = 16.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from fieldwise.data.batch import Batch
from fieldwise.layers.anova import anova
from fieldwise.layers.first_order import FirstOrderEmbedding
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel
from fieldwise.models.registry import register


@register(
    "hofm",
    summary="factorisation machine of order 3 and higher (Blondel et al., NIPS 2016)",
    presets={"autoint-paper": {"embedding_dim": 16, "order": 3, "missing": "zero", "pooling": "mean"}},
)
class HOFM(CTRModel):
    """First-order terms plus the ANOVA kernels of order 2 to `order`; logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, of each order.
        order: M, up to how many fields an interaction has; 2 is FM.
        missing, pooling: See `FieldEmbedding`.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        embedding_dim: Annotated[int, Field(ge=1, le=65_536)] = 16,
        order: Annotated[int, Field(ge=2, le=64)] = 3,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        self.dim = embedding_dim
        self.orders = range(2, min(order, len(layout)) + 1)
        width = len(self.orders) * embedding_dim
        self.embedding = FirstOrderEmbedding(layout, width, missing=missing, pooling=pooling)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        vectors, first_order = self.embedding(batch)
        logit: Tensor = first_order
        for order, of_order in zip(self.orders, torch.split(vectors, self.dim, dim=2), strict=False):
            logit = logit + anova(of_order, order).sum(dim=1)
        return logit
