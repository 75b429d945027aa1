"""DeepFM: a factorisation machine and a feed-forward network over the same embeddings.

H. Guo, R. Tang, Y. Ye, Z. Li, X. He: "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction",
IJCAI 2017, arXiv 1703.04247.

    E      = field embeddings                                                         [B, F, D]
    y_1    = b + sum over fields m of w[id_m] * value_m                               [B]
    y_2    = sum over pairs i < j of <e_i, e_j>                                       [B]
    logit  = y_1 + y_2 + MLP(flatten(E))                                              [B]

The three parts read one table of D + 1 numbers per token. Without hidden layers there is no MLP and the model is the
factorisation machine itself; without y_2 it would be Wide&Deep.

With an `architecture` y_2 is the sum of the interactions that a search has found, each by its own function, and every
order and function has vectors of its own beside E (AIM, arXiv 2111.03318, table 10).

Where the paper, the code of those who compare with it, and this file differ:

    numeric fields      a vector times x, in all three parts (AutoInt's convention); the paper takes x "or a one-hot
                        of its interval"
    biases              one in y_1 and one in the MLP, whose sum is all that counts; product-nets and DeepCTR have one
    hidden layers       ReLU, as in the paper's best setting; LN or BN before the ReLU: `dnn_norm`
    dropout             on hidden units only, as here; the paper drops at a rate of 0.5

Presets: `autoint-paper` is how the AutoInt paper set its joint models (two layers of 400), `aim-avazu` and
`aim-criteo` those of the AIM paper (five layers of 700 with layer normalisation; 2,636,201 numbers in Avazu's MLP).
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from fieldwise.data.batch import Batch
from fieldwise.layers.first_order import FirstOrderEmbedding
from fieldwise.layers.interactions import RAW, ArchitectureSetting, Interactions
from fieldwise.layers.mlp import MLP
from fieldwise.layers.products import pooled_pairs
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, Dropout, Hidden, Width
from fieldwise.models.registry import register

_AIM = {"dnn_hidden": (700,) * 5, "dnn_dropout": 0.0, "dnn_norm": "layer", "missing": "zero", "pooling": "mean"}


@register(
    "deepfm",
    summary="factorisation machine and feed-forward network over one embedding (Guo et al., IJCAI 2017)",
    presets={
        "autoint-paper": {
            "embedding_dim": 16,
            "dnn_hidden": (400, 400),
            "dnn_dropout": 0.0,
            "dnn_norm": None,
            "missing": "zero",
            "pooling": "mean",
        },
        "aim-avazu": {"embedding_dim": 40, **_AIM},
        "aim-criteo": {"embedding_dim": 20, **_AIM},
    },
)
class DeepFM(CTRModel):
    """First-order terms, inner products of all pairs of fields, and an MLP; logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, how many numbers an embedding has.
        architecture: What a search has found, in place of all pairs; it brings its own D.
        dnn_hidden: Widths of the MLP's hidden layers; empty for no MLP, which leaves an FM.
        dnn_dropout, dnn_norm: See `MLP`.
        missing, pooling: See `FieldEmbedding`.

    Raises:
        SettingsError: For an architecture of fields that the layout lacks.
    """

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
        self.embedding: FirstOrderEmbedding | Interactions
        if architecture is None:
            self.embedding = FirstOrderEmbedding(layout, embedding_dim, missing=missing, pooling=pooling)
        else:
            also = [RAW] if dnn_hidden else []
            self.embedding = Interactions(layout, architecture, also=also, missing=missing, pooling=pooling)
        self.dnn: MLP | None = None
        if dnn_hidden:
            self.dnn = MLP(len(layout) * self.embedding.dim, dnn_hidden, dropout=dnn_dropout, norm=dnn_norm)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]: first order, plus pairs, plus the MLP's where there is one."""
        logit: Tensor
        if isinstance(self.embedding, Interactions):
            lookup = self.embedding.embed(batch)
            logit = lookup.first_order + self.embedding.sum(lookup.vectors)
            return logit if self.dnn is None else logit + self.dnn(self.embedding.slot(lookup.vectors, RAW))
        embedded, first_order = self.embedding(batch)  # [B, F, D], [B]
        logit = first_order + pooled_pairs(embedded).sum(dim=1)
        return logit if self.dnn is None else logit + self.dnn(embedded.flatten(1))
