"""NFM: a feed-forward network on the sum of the products of all pairs of fields.

X. He, T.-S. Chua: "Neural Factorization Machines for Sparse Predictive Analytics", SIGIR 2017, arXiv 1708.05027.

    e_m    = vector of field m                                                        [B, F, D]
    BI     = sum over pairs i < j of e_i * e_j = ((sum e)^2 - sum e^2) / 2            [B, D]
    logit  = b + sum over fields m of w[id_m] * value_m + MLP(BI)                     [B]

Where the paper, the authors' code and this file differ:

                              paper                   authors' code           here
    batch norm                of BI and the layers    one switch, on          off; `pooled_norm` of BI, `dnn_norm`
    dropout                   of BI and the layers    0.5 of BI, 0.2          0; `pooled_dropout` of BI, `dnn_dropout`
    bias of the last layer    none                    none                    yes, beside b
    no hidden layer           is FM                   last weights all one    last weights random, so not quite FM

Parameters without the table: D H + H + H + 1 with one hidden layer of H, 3,601 for the AutoInt paper's 16 and 200
("4e3" in its table 3), and b of the linear part, which that count leaves out.

Preset: `autoint-paper`, the AutoInt paper's one hidden layer of 200 units with D = 16.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.errors import SettingsError
from fieldwise.layers.first_order import FirstOrderEmbedding
from fieldwise.layers.mlp import MLP, BatchNorm
from fieldwise.layers.products import pooled_pairs
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, Dropout, Hidden, Width
from fieldwise.models.registry import register


@register(
    "nfm",
    summary="feed-forward network on the pooled products of all pairs of fields (He and Chua, SIGIR 2017)",
    presets={"autoint-paper": {"embedding_dim": 16, "dnn_hidden": (200,), "missing": "zero", "pooling": "mean"}},
)
class NFM(CTRModel):
    """First-order terms plus a feed-forward network on the pooled products of all pairs of fields; logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, how many numbers an embedding has.
        pooled_norm, pooled_dropout: Batch normalisation and dropout of the pooled products.
        dnn_hidden, dnn_dropout, dnn_norm: The network; see `MLP`.
        missing, pooling: See `FieldEmbedding`.

    Raises:
        SettingsError: For an unknown normalisation.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        embedding_dim: Width = 16,
        pooled_norm: Literal["batch"] | None = None,
        pooled_dropout: Dropout = 0.0,
        dnn_hidden: Hidden = (400, 400),
        dnn_dropout: Dropout = 0.0,
        dnn_norm: Literal["batch", "layer", "layer_gain"] | None = None,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        if pooled_norm not in ("batch", None):
            raise SettingsError(f"pooled_norm must be 'batch' or None, got {pooled_norm!r}")
        self.embedding = FirstOrderEmbedding(layout, embedding_dim, missing=missing, pooling=pooling)
        self.pooled_norm = BatchNorm(embedding_dim) if pooled_norm == "batch" else None
        self.pooled_dropout = nn.Dropout(pooled_dropout)
        self.dnn = MLP(embedding_dim, dnn_hidden, dropout=dnn_dropout, norm=dnn_norm)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        vectors, first_order = self.embedding(batch)
        pooled = pooled_pairs(vectors)  # [B, D]
        if self.pooled_norm is not None:
            pooled = self.pooled_norm(pooled)
        logit: Tensor = first_order + self.dnn(self.pooled_dropout(pooled))
        return logit
