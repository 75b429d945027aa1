"""CrossNet and DCN (Deep & Cross): explicit interactions of single coordinates, beside a feed-forward network.

R. Wang, B. Fu, G. Fu, M. Wang: "Deep & Cross Network for Ad Click Predictions", ADKDD 2017, arXiv 1708.05123.

    x_0      = flattened field embeddings                          [B, N], N = F D
    x_{l+1}  = x_0 (w_l . x_l) + b_l + x_l, l = 0 .. L-1           [B, N]
    CrossNet: logit = w . x_L + b                                  [B]
    DCN:      logit = w . [x_L ; h] + b, h the last hidden layer of an MLP on x_0

The model computes w . x_L in one pass over x_0 without laying out any state; `VectorCross` says how. It can, because
x_L is a multiple of x_0 plus a vector that is the same for all rows; more than that these layers cannot express.

Where this file and the paper differ:

                              paper                                  here
    numeric fields            log-scaled, straight into x_0          a vector times the value, like every field
    embedding sizes           6 (vocabulary size)^(1/4)              D for every field
    network                   batch normalisation                    off; `dnn_norm`
    training                  gradients clipped at 100               the trainer's

Preset `autoint-paper` has three layers, as many as AutoInt's. The AutoInt paper counts 3e3 parameters for CrossNet on
Criteo, where three layers at D = 16 have 3,744, and 4,369 with the read-out.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.layers.cross import VectorCross
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.mlp import MLP, init_glorot_normal
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, Dropout, Hidden, Width
from fieldwise.models.registry import register

_AUTOINT = {"embedding_dim": 16, "num_layers": 3, "missing": "zero"}


@register(
    "dcn",
    summary="cross layers beside a feed-forward network: Deep & Cross (Wang et al., ADKDD 2017)",
    presets={"autoint-paper": _AUTOINT | {"dnn_hidden": (400, 400)}},
    defaults={"dnn_hidden": (400, 400)},
)
@register(
    "crossnet",
    summary="cross layers alone, the core of Deep & Cross (Wang et al., ADKDD 2017)",
    presets={"autoint-paper": _AUTOINT},
)
class DCN(CTRModel):
    """Cross layers, read out linearly; with a `dnn_hidden` that is not empty, together with a network. Logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, how many numbers an embedding has.
        num_layers: L, cross layers; 0 reads out the embeddings linearly.
        dnn_hidden, dnn_dropout, dnn_norm: The feed-forward network beside the cross layers; see `MLP`.
        missing, pooling: See `FieldEmbedding`.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        embedding_dim: Width = 16,
        num_layers: Annotated[int, Field(ge=0, le=256)] = 3,
        dnn_hidden: Hidden = (),
        dnn_dropout: Dropout = 0.0,
        dnn_norm: Literal["batch", "layer", "layer_gain"] | None = None,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        self.embedding = FieldEmbedding(layout, embedding_dim, missing=missing, pooling=pooling)
        self.in_dim = len(layout) * embedding_dim
        self.cross = VectorCross(self.in_dim, num_layers)
        self.dnn: MLP | None = None
        if dnn_hidden:
            self.dnn = MLP(self.in_dim, dnn_hidden, dropout=dnn_dropout, norm=dnn_norm, head=False)
        self.readout = nn.Linear(self.in_dim + (self.dnn.out_dim if self.dnn else 0), 1)
        init_glorot_normal(self.readout, normal_bias=False)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]: the read-out of the cross layers and of the network, if there is one."""
        x = self.embedding(batch).flatten(1)  # [B, N]
        weight = self.readout.weight[0]
        logit = self.cross.read_out(x, weight[: self.in_dim]) + self.readout.bias
        if self.dnn is not None:
            logit = logit + self.dnn(x) @ weight[self.in_dim :]
        return logit
