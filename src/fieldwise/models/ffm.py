"""FFM: a factorisation machine in which every token has another vector for each field that it meets.

Y. Juan, Y. Zhuang, W.-S. Chin, C.-J. Lin: "Field-aware Factorization Machines for CTR Prediction", RecSys 2016.

    e_ij   = vector of field i for field j, i != j                                    [B, F, F - 1, D]
    logit  = b + sum over fields m of w[id_m] * value_m
               + sum over pairs i < j of <e_ij, e_ji>                                 [B]

A row of the table holds F - 1 vectors, the one for field j in slot j - 1 where j > i and in slot j where j < i, and
the first-order weight behind them.

Where the paper, the authors' LIBFFM, the AIM authors' code and this file differ:

                           paper           LIBFFM              AIM                    here
    vectors per token      F               F                   F - 1                  F - 1: none for its own field
    first-order terms      left out        none                weights, bias          weights, bias
    rows of length 1       yes             yes, by default     no                     no: x is scaled by the encoder
    vectors drawn from     U(0, 1 / D^.5)  U(0, 1 / D^.5)      Glorot-uniform         N(0, 0.01^2), as the other
                                                                                      models here

Parameters: V (D (F - 1) + 1) + 1. AIM counts 645,195 * (23 * 4 + 1) = 60,003,135 for Avazu and leaves the bias out.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from fieldwise.data.batch import Batch
from fieldwise.layers.field_aware import field_aware_products, partners_of
from fieldwise.layers.first_order import FirstOrderEmbedding
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel
from fieldwise.models.registry import register

_AIM = {"embedding_dim": 4, "missing": "zero", "pooling": "mean"}


@register(
    "ffm",
    summary="field-aware factorisation machine: a vector per token and field that it meets (Juan et al., RecSys 2016)",
    presets={"aim-avazu": _AIM, "aim-criteo": _AIM},
)
class FFM(CTRModel):
    """First-order terms plus field-aware inner products of all pairs of fields; logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, of each of the F - 1 vectors of a token, hence much smaller than elsewhere.
        missing, pooling: See `FieldEmbedding`.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        embedding_dim: Annotated[int, Field(ge=1, le=4096)] = 4,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        self.slots = len(layout) - 1
        self.dim = embedding_dim
        self.embedding = FirstOrderEmbedding(layout, self.slots * embedding_dim, missing=missing, pooling=pooling)
        self.partners: Tensor
        self.register_buffer("partners", partners_of(len(layout)), persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        vectors, first_order = self.embedding(batch)
        vectors = vectors.unflatten(2, (self.slots, self.dim))
        logit: Tensor = first_order + field_aware_products(vectors, self.partners)
        return logit
