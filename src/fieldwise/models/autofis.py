"""AutoFIS: a factorisation model that keeps only the interactions whose gates a search has left open.

B. Liu, C. Zhu, G. Li, W. Zhang, J. Lai, R. Tang, X. He, Z. Li, Y. Yu: "AutoFIS: Automatic Feature Interaction
Selection in Factorization Models for Click-Through Rate Prediction", KDD 2020, arXiv 2003.11235; code in zhuchenxv/AIM.

    E       = field embeddings                                                        [B, F, D]
    s_u     = alpha_u * BN(inner product of the fields of interaction u)              [B]
    fm      logit = b + sum over fields of w[id] * value + sum over u of s_u          [B]
    deepfm  logit = the same + MLP(flatten(E))                                        [B]
    ipnn    logit = MLP([flatten(E) ; (s_u for every u)])                             [B]

Training without an architecture searches first, over all pairs by the inner product, with the gates alpha trained by
GRDA and the network as it is, MLP included; then a new network is trained with the interactions whose gates are not
zero, gates alpha like any other weight. Interactions of three and more fields have an embedding of their own.

Where the paper, the authors' code and this file differ:

                        paper                       authors' code                   here
    candidates, order 3 all triples                 all triples                     all where they are few, else as AIM
    MLP's normalisation LN                          BN without affine, or LN        `dnn_norm`
    BN's eps            unsaid                      1e-3                            follows the scale, see `Gates`

Presets: `aim-avazu` and `aim-criteo` are the settings of AIM's tables (base DeepFM).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from fieldwise.architecture import Architecture
from fieldwise.data.batch import Batch
from fieldwise.layers.interactions import ArchitectureSetting, Interactions, gates_of, interaction_gates
from fieldwise.layers.mlp import MLP
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, Dropout, Hidden, Width
from fieldwise.models.registry import register
from fieldwise.models.searchable import SearchHooks

_AIM = {"dnn_hidden": (700,) * 5, "dnn_dropout": 0.0, "dnn_norm": "layer", "missing": "zero", "pooling": "mean"}


@register(
    "autofis",
    summary="factorisation model with the interactions that a search has kept (AutoFIS; Liu et al., KDD 2020)",
    presets={"aim-avazu": {"embedding_dim": 40, **_AIM}, "aim-criteo": {"embedding_dim": 20, **_AIM}},
    # The MLP explains a part of what the pairs could, so their gates are pulled less than AIM's.
    search=SearchHooks(defaults={"functions": ("inner",), "embedding_sizes": False, "threshold": 0.65}),
)
class AutoFIS(CTRModel):
    """Gated inner products over a factorisation machine, DeepFM or IPNN; logits [B].

    Args:
        layout: The fields of the data.
        architecture: What a search has found (an `Architecture`, its file or the directory of a search). Training
            without one searches first; a network built without one has every pair of fields.
        base: The model that the gated inner products stand in.
        embedding_dim: D of the search; an architecture brings its own.
        dnn_hidden: Widths of the MLP's hidden layers; empty for no MLP with base `deepfm`, for a linear read-out with
            `ipnn`; base `fm` has none.
        dnn_dropout, dnn_norm: See `MLP`.
        missing, pooling: See `FieldEmbedding`.

    Raises:
        SettingsError: For an architecture of fields that the layout lacks.

    Example:
        >>> from fieldwise.layout import FieldLayout
        >>> layout = Layout((FieldLayout("user", "categorical", 9), FieldLayout("movie", "categorical", 7)))
        >>> [str(interaction) for interaction in AutoFIS(layout, base="fm").interactions.interactions]
        ['inner(user, movie)']
    """

    def __init__(
        self,
        layout: Layout,
        *,
        architecture: ArchitectureSetting = None,
        base: Literal["fm", "deepfm", "ipnn"] = "deepfm",
        embedding_dim: Width = 16,
        dnn_hidden: Hidden = (400, 400),
        dnn_dropout: Dropout = 0.0,
        dnn_norm: Literal["batch", "layer", "layer_gain"] | None = None,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        if architecture is None:
            architecture = Architecture.everything(layout, functions=["inner"], embedding_dim=embedding_dim)
        self.base = base
        self.slot = (2, "shared" if architecture.shared_embedding else "inner")
        has_dnn = base == "ipnn" or (base == "deepfm" and bool(dnn_hidden))
        # The embedding that pairs multiply is also what the MLP reads, whole.
        self.interactions = Interactions(
            layout,
            architecture,
            also=[self.slot] if has_dnn else [],
            first_order=base != "ipnn",
            missing=missing,
            pooling=pooling,
        )
        self.gates = interaction_gates(self.interactions)
        self.dnn: MLP | None = None
        if has_dnn:
            width = len(layout) * self.interactions.dim
            width += len(self.interactions.interactions) if base == "ipnn" else 0
            self.dnn = MLP(width, dnn_hidden, dropout=dnn_dropout, norm=dnn_norm)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        embedded = self.interactions.embed(batch)
        orders = self.interactions.orders
        values = {order: self.interactions.values(embedded.vectors, order) for order in orders}
        if self.base == "ipnn":
            assert self.dnn is not None
            signals = [gates_of(self.gates, order)(value) for order, value in values.items()]
            logit: Tensor = self.dnn(torch.cat([self.interactions.slot(embedded.vectors, self.slot), *signals], dim=1))
            return logit
        logit = embedded.first_order
        for order, value in values.items():
            logit = logit + gates_of(self.gates, order).total(value)
        if self.dnn is not None:
            logit = logit + self.dnn(self.interactions.slot(embedded.vectors, self.slot))
        return logit
