"""FwFM: a factorisation machine with a weight for each pair of fields.

J. Pan, J. Xu, A. Lobos Ruiz, W. Zhao, S. Pan, Y. Sun, Q. Lu: "Field-weighted Factorization Machines for Click-Through
Rate Prediction in Display Advertising", WWW 2018, arXiv 1806.03514.

    e_m    = vector of field m                                                        [B, F, D]
    logit  = b + linear + sum over pairs i < j of r_ij <e_i, e_j>                     [B]      r: [P]
    linear = LW:    sum over fields m of w[id_m] * value_m             a number per token
             FeLV:  sum over fields m of <e_m, u[id_m]>                a second vector per token
             FiLV:  sum over fields m of <e_m, u_m>                    a vector per field

Where the paper, the authors' code and this file differ:

                              paper                  authors' code              here
    linear part               all three              FiLV                       all three; `linear`
    r drawn from              unsaid                 truncated normal           0.7, as AIM does; `initial_weight`
    bias per field            none                   optional                   none
    regularisation            L2                     L2 on V, u and r           none in the model (AIM: L1 and L2 on r)

AIM does not say which linear part it takes; its presets take LW. In the FeLV form a number x scales both its field's
vectors; one of the two x is taken out again, so that the term is linear in x as in the paper. A list of tokens is
pooled before the product.

Parameters: V (D + 1) + P + 1 (LW), 2 V D + P + 1 (FeLV), V D + F D + P + 1 (FiLV), where P = F (F - 1) / 2.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.errors import SettingsError
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.first_order import FirstOrderEmbedding
from fieldwise.layers.mlp import init_glorot_normal
from fieldwise.layers.products import pairs_of, weighted_pairs
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel
from fieldwise.models.registry import register

_AIM = {"linear": "LW", "initial_weight": 0.7, "missing": "zero", "pooling": "mean"}


@register(
    "fwfm",
    summary="factorisation machine with a weight per pair of fields (Pan et al., WWW 2018)",
    presets={"aim-avazu": _AIM | {"embedding_dim": 40}, "aim-criteo": _AIM | {"embedding_dim": 20}},
)
class FwFM(CTRModel):
    """A linear part plus the weighted inner products of all pairs of fields; logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, how many numbers an embedding has.
        linear: `LW` has a number per token, `FeLV` a second vector per token, `FiLV` a vector per field.
        initial_weight: What the weight of every pair, r_ij, starts at.
        missing, pooling: See `FieldEmbedding`.

    Raises:
        SettingsError: For an unknown linear part.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        embedding_dim: Annotated[int, Field(ge=1, le=65_536)] = 16,
        linear: Literal["LW", "FeLV", "FiLV"] = "LW",
        initial_weight: float = 0.7,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        if linear not in ("LW", "FeLV", "FiLV"):
            raise SettingsError(f"linear must be 'LW', 'FeLV' or 'FiLV', got {linear!r}")
        self.dim = embedding_dim
        self.embedding: FirstOrderEmbedding | FieldEmbedding
        self.field_linear: nn.Linear | None = None
        if linear == "LW":
            self.embedding = FirstOrderEmbedding(layout, embedding_dim, missing=missing, pooling=pooling)
        else:
            # A token's two vectors lie in one row of one table, so that a batch reads and updates one row per id.
            width = 2 * embedding_dim if linear == "FeLV" else embedding_dim
            self.embedding = FieldEmbedding(layout, width, missing=missing, pooling=pooling)
            self.bias = nn.Parameter(torch.zeros(()))
        if linear == "FiLV":
            self.field_linear = nn.Linear(len(layout) * embedding_dim, 1, bias=False)
            init_glorot_normal(self.field_linear, normal_bias=False)
        first, second = pairs_of(len(layout))
        self.pair_weights = nn.Parameter(torch.full((len(first),), initial_weight))
        self.first: Tensor
        self.second: Tensor
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        vectors, linear = self._linear(batch)
        logit: Tensor = linear + weighted_pairs(vectors, self.pair_weights, self.first, self.second)
        return logit

    def _linear(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Vectors [B, F, D], and the linear part with the bias [B]."""
        if isinstance(self.embedding, FirstOrderEmbedding):
            vectors, first_order = self.embedding(batch)
            return vectors, first_order
        vectors = self.embedding(batch)
        if self.field_linear is not None:
            return vectors, self.field_linear(vectors.flatten(1)).squeeze(1) + self.bias
        vectors, others = torch.split(vectors, [self.dim, self.dim], dim=2)
        products = (vectors * others).sum(dim=2)  # [B, F]
        return vectors, (products * self._undo_scaling(batch, products)).sum(dim=1) + self.bias

    def _undo_scaling(self, batch: Batch, products: Tensor) -> Tensor:
        """1 / x for the number x of a numeric field, 1 for all else: [B, F]."""
        factors = torch.ones_like(products)
        if self.layout.numeric:
            x = batch.numeric.to(factors.dtype)
            # The vector of a missing value is not scaled; where x is (next to) zero so is the product.
            unscaled = x.isnan() | (x.abs() < 1e-18)
            factors[:, list(self.layout.numeric)] = x.masked_fill(unscaled, 1.0).reciprocal()
        return factors
