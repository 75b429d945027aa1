"""FM: the factorisation machine of order 2.

S. Rendle: "Factorization Machines", ICDM 2010.

    e_m    = vector of field m                                                        [B, F, D]
    logit  = b + sum over fields m of w[id_m] * value_m
               + sum over pairs i < j of <e_i, e_j>                                   [B]

The sum over pairs is half the squared sum less half the sum of squares (lemma 3.1), O(F D) in time and memory.

Where the paper, the author's libFM and this file differ:

                                 paper            libFM             here
    interactions                 between all      as the paper      between fields: the tokens of a multi-valued field
                                 features                           are pooled first and do not meet each other
    vectors drawn from           unsaid           N(0, 0.1^2)       N(0, 0.01^2), as the other models here
    regularisation               L2, by group     L2, by group      none in the model; see the training settings

With an `architecture` the second sum runs over the interactions that a search has found, each by its own function
(AIM, arXiv 2111.03318, sections 4.4.2 and 4.5); every order and function has vectors of its own.

Parameters: V (D + 1) + 1. AIM counts 645,195 * 41 = 26,452,995 for Avazu and leaves the bias out.

Presets: `autoint-paper` has the size that the AutoInt paper gave its baselines, `aim-avazu` and `aim-criteo` those of
the AIM paper.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from fieldwise.data.batch import Batch
from fieldwise.layers.first_order import FirstOrderEmbedding
from fieldwise.layers.interactions import ArchitectureSetting, Interactions
from fieldwise.layers.products import pooled_pairs
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, Width
from fieldwise.models.registry import register

_PUBLISHED = {"missing": "zero", "pooling": "mean"}


@register(
    "fm",
    summary="factorisation machine: inner products of all pairs of fields (Rendle, ICDM 2010)",
    presets={
        "autoint-paper": _PUBLISHED | {"embedding_dim": 16},
        "aim-avazu": _PUBLISHED | {"embedding_dim": 40},
        "aim-criteo": _PUBLISHED | {"embedding_dim": 20},
    },
)
class FM(CTRModel):
    """First-order terms plus the inner products of all pairs of fields; logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, how many numbers an embedding has.
        architecture: What a search has found, in place of all pairs; it brings its own D.
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
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        self.embedding: FirstOrderEmbedding | Interactions
        if architecture is None:
            self.embedding = FirstOrderEmbedding(layout, embedding_dim, missing=missing, pooling=pooling)
        else:
            self.embedding = Interactions(layout, architecture, missing=missing, pooling=pooling)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        if isinstance(self.embedding, Interactions):
            lookup = self.embedding.embed(batch)
            return lookup.first_order + self.embedding.sum(lookup.vectors)
        vectors, first_order = self.embedding(batch)
        logit: Tensor = first_order + pooled_pairs(vectors).sum(dim=1)
        return logit
