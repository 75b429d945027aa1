"""DCN-V2: cross layers with matrices, or mixtures of low-rank ones, before or beside a feed-forward network.

R. Wang, R. Shivanna, D. Z. Cheng, S. Jain, D. Lin, L. Hong, E. H. Chi: "DCN V2: Improved Deep & Cross Network and
Practical Lessons for Web-scale Learning to Rank Systems", WWW 2021, arXiv 2008.13535.

    x_0      = flattened field embeddings                            [B, N], N = F D
    x_{l+1}  = x_0 * (W_l x_l + b_l) + x_l, l = 0 .. L-1             [B, N]        W_l [N, N]
    or, with `rank` R and M `experts`,
    x_{l+1}  = sum over k of G_k(x_l) ( x_0 * (U_k g(C_k g(V_k^T x_l)) + b_l) ) + x_l
                                                                     U_k, V_k [N, R], C_k [R, R], G(x) [B, M]
    parallel: logit = w . [x_L ; h] + b, h the last hidden layer of an MLP on x_0
    stacked:  logit = MLP(x_L)

Where the paper leaves a choice, this file takes:

                              paper                                  here
    gate G                    sigmoid or softmax, say                softmax over the experts, linear in x_l
    activation g              any                                    tanh; `expert_activation`; None leaves C out too
    embedding sizes           differ by field                        D for every field
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.errors import SettingsError
from fieldwise.layers.cross import LowRankCross, MatrixCross
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.mlp import MLP, init_glorot_normal
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, Dropout, Hidden, Width
from fieldwise.models.registry import register


@register(
    "dcnv2",
    summary="cross layers with matrices and a feed-forward network: DCN-V2 (Wang et al., WWW 2021)",
)
class DCNV2(CTRModel):
    """Matrix cross layers with an MLP beside (`parallel`) or after them (`stacked`); logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, how many numbers an embedding has.
        num_layers: L, cross layers; 0 leaves the network alone, in parallel with a linear read-out.
        rank: R of the low-rank matrices (`LowRankCross`); None for full ones.
        experts: M, low-rank matrices of a layer, which a gate mixes; of no meaning without a rank.
        expert_activation: Function g within the experts, `tanh`, `relu` or None; of no meaning without a rank.
        structure: Where the network stands: beside the cross layers (`parallel`) or after them (`stacked`).
        dnn_hidden, dnn_dropout, dnn_norm: See `MLP`; without hidden layers both structures read out x_L linearly.
        missing, pooling: See `FieldEmbedding`.

    Raises:
        SettingsError: For an unknown structure.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        embedding_dim: Width = 16,
        num_layers: Annotated[int, Field(ge=0, le=256)] = 3,
        rank: Width | None = None,
        experts: Annotated[int, Field(ge=1, le=1024)] = 4,
        expert_activation: Literal["tanh", "relu"] | None = "tanh",
        structure: Literal["parallel", "stacked"] = "parallel",
        dnn_hidden: Hidden = (400, 400),
        dnn_dropout: Dropout = 0.0,
        dnn_norm: Literal["batch", "layer", "layer_gain"] | None = None,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        if structure not in ("parallel", "stacked"):
            raise SettingsError(f"structure must be 'parallel' or 'stacked', got {structure!r}")
        self.stacked = structure == "stacked"
        self.embedding = FieldEmbedding(layout, embedding_dim, missing=missing, pooling=pooling)
        self.in_dim = len(layout) * embedding_dim
        self.cross = nn.ModuleList(
            MatrixCross(self.in_dim)
            if rank is None
            else LowRankCross(self.in_dim, rank, experts=experts, activation=expert_activation)
            for _ in range(num_layers)
        )
        self.dnn: MLP | None = None
        if dnn_hidden:
            self.dnn = MLP(self.in_dim, dnn_hidden, dropout=dnn_dropout, norm=dnn_norm, head=False)
        hidden = self.dnn.out_dim if self.dnn is not None else 0
        self.readout = nn.Linear(hidden if self.stacked and hidden else self.in_dim + hidden, 1)
        init_glorot_normal(self.readout, normal_bias=False)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        x_0 = self.embedding(batch).flatten(1)  # [B, N]
        x = x_0
        for layer in self.cross:
            x = layer(x_0, x)
        if self.dnn is None:
            logit: Tensor = self.readout(x).squeeze(-1)
        elif self.stacked:
            logit = self.readout(self.dnn(x)).squeeze(-1)
        else:
            weight = self.readout.weight[0]
            logit = x @ weight[: self.in_dim] + self.dnn(x_0) @ weight[self.in_dim :] + self.readout.bias
        return logit
