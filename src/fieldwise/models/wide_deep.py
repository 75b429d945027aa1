"""Wide & Deep: logistic regression and a feed-forward network, trained jointly.

H.-T. Cheng et al.: "Wide & Deep Learning for Recommender Systems", DLRS 2016, arXiv 1606.07792.

    E      = field embeddings                                              [B, F, D]
    wide   = b + sum over fields m of w[id_m] * value_m                    [B]
    logit  = wide + MLP(flatten(E))                                        [B]

The weights w and the vectors of E stand in one table, row by row. Both parts have a bias of their own, as in the
AutoInt authors' joint model.

Where this file and the paper differ:

                              paper                                        here
    wide part                 also hand-made products of features          first order, as the AutoInt and AIM papers
                                                                           compare it
    numeric fields            scaled to [0, 1] by quantiles, straight      a vector times the value, like every field
                              into the deep part
    training                  FTRL with L1 (wide), AdaGrad (deep)          one optimiser, the trainer's

Preset `autoint-paper` is the joint model of AutoInt's table 5; the sizes of its network are known for Criteo only.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from fieldwise.data.batch import Batch
from fieldwise.layers.first_order import FirstOrderEmbedding
from fieldwise.layers.mlp import MLP
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, Dropout, Hidden, Width
from fieldwise.models.registry import register


@register(
    "wide_deep",
    summary="logistic regression and a feed-forward network, trained jointly (Cheng et al., DLRS 2016)",
    presets={"autoint-paper": {"embedding_dim": 16, "dnn_hidden": (400, 400), "missing": "zero"}},
)
class WideDeep(CTRModel):
    """A first-order term plus an MLP on the embeddings; logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, how many numbers an embedding has.
        dnn_hidden, dnn_dropout, dnn_norm: See `MLP`; without hidden layers it is linear.
        missing, pooling: See `FieldEmbedding`.
    """

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
        self.embedding = FirstOrderEmbedding(layout, embedding_dim, missing=missing, pooling=pooling)
        self.dnn = MLP(len(layout) * embedding_dim, dnn_hidden, dropout=dnn_dropout, norm=dnn_norm)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]: the first-order term plus the network's."""
        vectors, first_order = self.embedding(batch)  # [B, F, D], [B]
        logit: Tensor = first_order + self.dnn(vectors.flatten(1))
        return logit
