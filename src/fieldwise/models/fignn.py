"""Fi-GNN: the fields of a row as a graph whose nodes exchange messages.

Z. Li, Z. Cui, S. Wu, X. Zhang, L. Wang: "Fi-GNN: Modeling Feature Interactions via Graph Neural Networks for CTR
Prediction", CIKM 2019, arXiv 1910.05552.

    E        = field embeddings                                                       [B, F, D]
    h^1      = E, or one AutoInt layer over E (`attention_heads`)                     [B, F, D]
    a_ij     = softmax over j != i of LeakyReLU( w . [ h_i^1 ; h_j^1 ] )              [B, F, F]
    m_i      = W_in,i ( sum over j of a_ij W_out,j h_j^t ) + b                        [B, F, D]
    h^(t+1)  = GRU(m, h^t) + h^1,    t = 1 .. T                                       [B, F, D]
    logit    = sum over fields i of sigmoid( V flatten(h) )_i * (u . h_i)             [B]

No edge joins a field with itself, and a layout of one field has no edges at all. There is no output bias: the base
rate is learned by the GRU's.

Where the paper, the authors' code (CRIPAC-DIG/Fi_GNN, code/fignn.py), FuxiCTR's model and this file differ:

                        paper                        authors' code                FuxiCTR        here
    h^1                 multi-head attention on E    the same, an AutoInt layer   E              E; `attention_heads`
    edge weights        attention, no self-loops     1 for all others             attention      attention
    matrices by step    one set in the formulas      a set per step               both           per step;
                                                                                                 `shared_steps`
    GRU resets          before the product           before (TensorFlow)          after          after (PyTorch)
    read-out            attentional                  linear in flatten(h)         attentional    attentional
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.errors import SettingsError
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.graph import FieldGraph
from fieldwise.layers.interacting import InteractingLayer
from fieldwise.layers.mlp import init_glorot_normal
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, Width
from fieldwise.models.registry import register


@register(
    "fignn",
    summary="fields as nodes of a graph that exchange gated messages (Li et al., CIKM 2019)",
)
class FiGNN(CTRModel):
    """Gated message passing between fields with an attentional read-out; logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, how many numbers an embedding has.
        num_steps: T, rounds of messages.
        shared_steps: See `FieldGraph`.
        attention_heads: Heads of an AutoInt layer (as its authors code it) between embeddings and graph; 0 for none.
        missing, pooling: See `FieldEmbedding`.

    Raises:
        SettingsError: Where the heads do not divide D.
    """

    rows_in_cache = 1024

    def __init__(
        self,
        layout: Layout,
        *,
        embedding_dim: Width = 16,
        num_steps: Annotated[int, Field(ge=1, le=256)] = 3,
        shared_steps: bool = False,
        attention_heads: Annotated[int, Field(ge=0, le=1024)] = 0,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        if attention_heads and embedding_dim % attention_heads:
            raise SettingsError(f"attention_heads must divide embedding_dim, got {attention_heads} and {embedding_dim}")
        self.embedding = FieldEmbedding(layout, embedding_dim, missing=missing, pooling=pooling)
        self.attending: InteractingLayer | None = None
        if attention_heads:
            self.attending = InteractingLayer(embedding_dim, attention_dim=embedding_dim, num_heads=attention_heads)
        self.graph = FieldGraph(len(layout), embedding_dim, steps=num_steps, shared_steps=shared_steps)
        self.gate = nn.Linear(len(layout) * embedding_dim, len(layout), bias=False)
        self.score = nn.Linear(embedding_dim, 1, bias=False)
        for linear in (self.gate, self.score):
            init_glorot_normal(linear, normal_bias=False)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        states = self.graph(self._nodes(batch))  # [B, F, D]
        gates = torch.sigmoid(self.gate(states.flatten(1)))  # [B, F]
        logit: Tensor = (gates * self.score(states).squeeze(2)).sum(dim=1)
        return logit

    @torch.no_grad()
    def attention(self, batch: Batch) -> list[Tensor]:
        """Edge weights as attention weights of one layer and head: the node that hears by the one that is heard.

        Each row adds up to 1 and has 0 for the node itself; with one field only, the single weight is 0.

        Shape:
            a batch of B rows -> [B, 1, F, F], once.
        """
        weights: Tensor = self.graph.edges(self._nodes(batch))
        return [weights.unsqueeze(1)]

    def _nodes(self, batch: Batch) -> Tensor:
        embedded: Tensor = self.embedding(batch)
        return embedded if self.attending is None else self.attending(embedded)
