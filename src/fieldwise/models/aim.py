"""AIM: interactions that a search has found, each by its own function, with a feed-forward network over them.

C. Zhu, B. Chen, W. Zhang, J. Lai, R. Tang, X. He, Z. Li, Y. Yu: "AIM: Automatic Interaction Machine for Click-Through
Rate Prediction", arXiv 2111.03318; code: zhuchenxv/AIM.

    e_i^pk   = vector of field i for order p and function k                           [B, D], D numbers or fewer
    f_u      = function k of the vectors of the fields of interaction u               a value [B] and a vector [B, W_u]
    S_p      = sum over interactions u of order p of alpha_u * BN(f_u)                [B]
    logit    = b + sum over fields of w[id] * value + S_2 + S_3 + ... + MLP(vectors of all f_u side by side)

AIM finds the interactions and their functions (`Interactions` with gates alpha trained by GRDA) and then the embedding
dimensions (`EmbeddingSearch`, gates beta); `fieldwise.recipes.search` says how. This file has the networks.

Where the paper, the authors' code and this file differ:

                        paper                       authors' code                   here
    parts of the logit  added                       each times a learned number     added; `part_weights = learned`
    alpha afterwards    unsaid                      kept, trained by Adam           kept; `gates = false` drops them
    MLP reads           "introduce an MLP"          the vectors f_u alone           as the code
    MLP's normalisation LN (appendix)               BN without affine               `dnn_norm`
    BN's eps            unsaid                      1e-3, at order 4 1e-10          follows the scale, see `Gates`
    beta                [F, D] for all functions    [4, F, D] per order             code; paper: `share_dimensions`
    removed dimensions  shorter tables              full tables times a mask        shorter tables, equal in output
    phi, s, projections drawn from                  N(0, 1e-6), Xavier              one scale for all functions
    embeddings          drawn from                  U(+-sqrt(6 / (V + D)))          N(0, 1e-4)

Presets: `aim-avazu` and `aim-criteo` are the paper's settings (D = 40 and 20, five layers of 700 with LN).
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fieldwise.architecture import Architecture
from fieldwise.data.batch import Batch
from fieldwise.layers.gates import INITIAL_GATE, INITIAL_SHARE, Gates
from fieldwise.layers.interaction_functions import function_names
from fieldwise.layers.interactions import ArchitectureSetting, Interactions, gates_of, interaction_gates
from fieldwise.layers.mlp import MLP
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, Dropout, Hidden, Width
from fieldwise.models.registry import register
from fieldwise.models.searchable import SearchHooks

_PAPER: dict[str, Any] = {
    "dnn_hidden": (700,) * 5,
    "dnn_dropout": 0.0,
    "dnn_norm": "layer",
    "missing": "zero",
    "pooling": "mean",
}


@register(
    "aim",
    summary="interactions, their functions and embedding sizes found by a search (AIM; Zhu et al., 2021)",
    presets={"aim-avazu": {"embedding_dim": 40, **_PAPER}, "aim-criteo": {"embedding_dim": 20, **_PAPER}},
    search=SearchHooks(while_searching={"dnn_hidden": (), "gates": True}),
)
class AIM(CTRModel):
    """First-order terms, the gated interactions of an architecture, and an MLP over their vectors; logits [B].

    An architecture without interactions leaves the first-order terms alone.

    Args:
        layout: The fields of the data.
        architecture: What a search has found (an `Architecture`, its file or the directory of a search). Training
            without one searches first; a network built without one has every pair of fields by every function.
        embedding_dim: D of the search; an architecture brings its own.
        dnn_hidden: Widths of the MLP's hidden layers; empty for no MLP.
        dnn_dropout, dnn_norm: See `MLP`.
        gates: Whether each value is normalised and has a gate; else values are added as they are.
        part_weights: `learned` multiplies each part of the logit but the bias by a number, drawn as in the authors'
            code from U(-sqrt(6), sqrt(6)).
        missing, pooling: See `FieldEmbedding`.

    Raises:
        SettingsError: For an architecture of fields that the layout lacks.

    Example:
        >>> from fieldwise.layout import FieldLayout
        >>> layout = Layout((FieldLayout("user", "categorical", 9), FieldLayout("movie", "categorical", 7)))
        >>> pairs = Architecture.everything(layout, functions=["inner", "outer"], embedding_dim=4)
        >>> model = AIM(layout, architecture=pairs, dnn_hidden=(8,))
        >>> [str(interaction) for interaction in model.interactions.interactions]
        ['inner(user, movie)', 'outer(user, movie)']
    """

    def __init__(
        self,
        layout: Layout,
        *,
        architecture: ArchitectureSetting = None,
        embedding_dim: Width = 16,
        dnn_hidden: Hidden = (400, 400),
        dnn_dropout: Dropout = 0.0,
        dnn_norm: Literal["batch", "layer", "layer_gain"] | None = None,
        gates: bool = True,
        part_weights: Literal["fixed", "learned"] = "fixed",
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        if architecture is None:
            architecture = Architecture.everything(layout, functions=function_names(), embedding_dim=embedding_dim)
        self.interactions = Interactions(layout, architecture, missing=missing, pooling=pooling)
        self.gates = interaction_gates(self.interactions) if gates else nn.ModuleDict()
        self.dnn: MLP | None = None
        if dnn_hidden and self.interactions.width:
            self.dnn = MLP(self.interactions.width, dnn_hidden, dropout=dnn_dropout, norm=dnn_norm)
        self.part_weights: nn.Parameter | None = None
        if part_weights == "learned":
            bound = math.sqrt(6)
            self.part_weights = nn.Parameter(
                torch.empty(1 + len(self.interactions.orders) + (self.dnn is not None)).uniform_(-bound, bound)
            )

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        embedded = self.interactions.embed(batch)
        parts = [embedded.first_order]
        if self.dnn is None:
            values = {order: self.interactions.values(embedded.vectors, order) for order in self.interactions.orders}
        else:
            values, features = self.interactions.features(embedded.vectors)
        for order, value in values.items():
            parts.append(gates_of(self.gates, order).total(value) if self.gates else value.sum(dim=1))
        if self.dnn is not None:
            parts.append(self.dnn(features))
        if self.part_weights is None:
            return torch.stack(parts).sum(dim=0)
        # The bias belongs to no part.
        bias = self.interactions.embedding.bias
        assert bias is not None
        parts[0] = parts[0] - bias
        return self.part_weights @ torch.stack(parts) + bias


class EmbeddingSearch(CTRModel):
    """The network of AIM's search for embedding dimensions (section 3.3): logits [B] of first order and interactions.

    Every number of every vector is normalised over the batch and multiplied by its gate beta before the interactions,
    which have no gates and no normalisation of their own here: the two kinds would rescale each other.

    Args:
        layout: The fields of the data.
        architecture: The interactions.
        share_dimensions: One beta for all functions of an order, as in the paper, where the authors' code has one for
            each.
        missing, pooling: See `FieldEmbedding`.

    Attributes:
        gates: By order, one gate per slot, field and dimension, [S F D] or [F D], in that order.

    Example:
        >>> from fieldwise.layout import FieldLayout
        >>> layout = Layout((FieldLayout("user", "categorical", 9), FieldLayout("movie", "categorical", 7)))
        >>> pairs = Architecture.everything(layout, functions=["inner"], embedding_dim=2)
        >>> network = EmbeddingSearch(layout, pairs)
        >>> _ = network.gates["2"].weight.data.copy_(torch.tensor([0.6, 0.0, 0.6, 0.6]))
        >>> network.kept_dimensions()
        {2: {'inner': {'user': (0,), 'movie': (0, 1)}}}
    """

    def __init__(
        self,
        layout: Layout,
        architecture: Architecture,
        *,
        share_dimensions: bool = False,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        self.interactions = Interactions(layout, architecture, missing=missing, pooling=pooling)
        self.gates = nn.ModuleDict()
        dim = self.interactions.dim
        for order in self.interactions.orders:
            slots = len(self.slots_of(order))
            # So that the sum over D dimensions and all interactions begins at the same small share of the logit.
            terms = dim * len(self.interactions.interactions)
            begin = (INITIAL_SHARE / math.sqrt(terms)) ** (1 / order) / INITIAL_GATE
            self.gates[str(order)] = Gates(
                (1 if share_dimensions else slots) * len(layout) * dim,
                initial_std=self.interactions.embedding.init_std,
                begin=begin,
                copies=slots if share_dimensions else 1,
            )

    def slots_of(self, order: int) -> list[int]:
        """Where an order's slots stand among all."""
        return [number for number, slot in enumerate(self.interactions.slots) if slot[0] == order]

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        embedded = self.interactions.embed(batch)
        logit = embedded.first_order
        gated = []
        for order in self.interactions.orders:
            slots = self.slots_of(order)
            vectors = embedded.vectors[slots[0] : slots[-1] + 1]
            gated.append(self.gates[str(order)](vectors.flatten(0, 2).t()).t().reshape(vectors.shape))
        if gated:
            vectors = torch.cat(gated)
            logit = logit + self.interactions.sum(vectors)
        return logit

    def kept_dimensions(self) -> dict[int, dict[str, dict[str, tuple[int, ...]]]]:
        """The dimensions whose gates are open: order -> function -> field, for the fields that an interaction reads."""
        dimensions: dict[int, dict[str, dict[str, tuple[int, ...]]]] = {}
        for order in self.interactions.orders:
            gates = gates_of(self.gates, order)
            weights = gates.weight.detach().repeat(gates.copies).view(-1, len(self.layout), self.interactions.dim)
            for number, place in enumerate(self.slots_of(order)):
                slot = self.interactions.slots[place]
                dimensions.setdefault(order, {})[slot[1]] = {
                    name: tuple(weights[number, field].nonzero().flatten().tolist())
                    for field, name in enumerate(self.layout.names)
                    if name in self.interactions.read_by(slot)
                }
        return dimensions
