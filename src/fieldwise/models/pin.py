"""PIN: product-network in network, a small network for every pair of fields below a large one.

Y. Qu, B. Fang, W. Zhang, R. Tang, M. Niu, H. Guo, Y. Yu, X. He: "Product-based Neural Networks for User Response
Prediction over Multi-field Categorical Data", ACM TOIS 37(1), 2018, arXiv 1807.00311.

    E      = field embeddings                                                         [B, F, D]
    f_ij   = sub_ij([ e_i ; e_j ; e_i * e_j ]) for every pair i < j                   [B, P, O], P = F (F - 1) / 2
             sub_ij: linear -> fused LN -> + bias -> ReLU, the last layer without ReLU; weights of the pair's own
    logit  = MLP(flatten(f))                                                          [B]

The large network sees the embeddings only through the pairs (`raw_embeddings` shows them to it as well). A layout of
one field has no pairs; there the MLP reads the embedding itself.

Where the paper, the authors' code (Atomu2014/product-nets-distributed, and its copy in the AIM repository) and this
file differ:

    layer normalisation   fused in both: mean and variance over the units of all sub-networks of a row (see
                          `MicroNetworks`). The code divides by the standard deviation without an epsilon, which a row
                          of equal numbers turns into NaN; here 1e-5. Its gain is left out.
    input of sub_ij       the code's first version had [e_i ; e_j] only; the product is an option there and always here
    sizes                 not in the AIM repository beyond a default of 5 units; a comment in the authors' code has
                          60 and 5 with LN after both and ReLU between. Here 40 and 5, for smaller embeddings.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from fieldwise.data.batch import Batch
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.micro_networks import MicroNetworks
from fieldwise.layers.mlp import MLP
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, Dropout, Hidden, Width
from fieldwise.models.registry import register


@register(
    "pin",
    summary="a small network for every pair of fields below a large one (Qu et al., TOIS 2018)",
)
class PIN(CTRModel):
    """An MLP over what a small network per pair of fields makes of its two vectors; logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, how many numbers an embedding has.
        sub_widths: Widths of the layers of the sub-networks, at least one; the last is O.
        sub_layer_norm: Fused layer normalisation in the sub-networks.
        raw_embeddings: The MLP reads the embeddings beside the sub-networks' outputs.
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
        sub_widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=64)] = (40, 5),
        sub_layer_norm: bool = True,
        raw_embeddings: bool = False,
        dnn_hidden: Hidden = (400, 400),
        dnn_dropout: Dropout = 0.0,
        dnn_norm: Literal["batch", "layer", "layer_gain"] | None = None,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        fields = len(layout)
        self.embedding = FieldEmbedding(layout, embedding_dim, missing=missing, pooling=pooling)
        self.subs = MicroNetworks(fields, embedding_dim, sub_widths, layer_norm=sub_layer_norm) if fields > 1 else None
        self.raw_embeddings = raw_embeddings or fields == 1
        width = fields * (fields - 1) // 2 * sub_widths[-1] + (fields * embedding_dim if self.raw_embeddings else 0)
        self.dnn = MLP(width, dnn_hidden, dropout=dnn_dropout, norm=dnn_norm)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        embedded = self.embedding(batch)  # [B, F, D]
        inputs = [embedded.flatten(1)] if self.raw_embeddings else []
        if self.subs is not None:
            inputs.append(self.subs(embedded).flatten(1))  # [B, P O]
        logit: Tensor = self.dnn(inputs[0] if len(inputs) == 1 else torch.cat(inputs, dim=1))
        return logit
