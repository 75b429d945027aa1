"""CIN and xDeepFM: explicit interactions of field vectors by a compressed interaction network.

J. Lian, X. Zhou, F. Zhang, Z. Chen, X. Xie, G. Sun: "xDeepFM: Combining Explicit and Implicit Feature Interactions for
Recommender Systems", KDD 2018, arXiv 1803.05170.

    X^0    = field embeddings                                                    [B, F, D]
    X^l_o  = sum over h, f of W^l_{o,h,f} ( X^{l-1}_h * X^0_f ), l = 1 .. L       [B, H_l, D]
    p      = sums over D of the rows of X^1 .. X^L that are pooled               [B, P]
    CIN:     logit = w . p + b                                                   [B]
    xDeepFM: logit = LR + w . p + b + MLP(flatten(X^0))       three logits added, each with its own bias

The model computes w . p without laying out p; `CompressedInteraction` says how.

Where paper and authors' code differ:

                              paper     authors' code                         here
    rows pooled               all       of layers before the last, the        code; `split_half`
                                        second half; the first goes on
    activation of X^l         none was    a setting                           none
                              best
    bias of the filters       none      optional                              none
    a layer on p              none      optional residual network             none

With split_half and widths 200, 200, 200 the filters of Criteo's 39 fields are 1,864,200 numbers, which is what the
AutoInt paper counts (1.9e6); without, it would be 3,424,200.

Presets: `autoint-paper` (sizes of xDeepFM's network known for Criteo only), `aim-avazu` and `aim-criteo` for xDeepFM,
from the AIM authors' list of settings, which names layer normalisation for other models but not for this one, and does
not say whether layers were split.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.layers.cin import CompressedInteraction
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.first_order import FirstOrderEmbedding
from fieldwise.layers.mlp import MLP, init_glorot_normal
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, Dropout, Hidden, Width
from fieldwise.models.registry import register

_AUTOINT = {"embedding_dim": 16, "cin_widths": (200, 200, 200), "split_half": True, "missing": "zero"}
_AIM_AVAZU = {"embedding_dim": 40, "cin_widths": (100,) * 2, "dnn_hidden": (700,) * 5, "missing": "zero"}
_AIM_CRITEO = {"embedding_dim": 20, "cin_widths": (100,) * 4, "dnn_hidden": (400,) * 3, "missing": "zero"}


@register(
    "xdeepfm",
    summary="CIN, logistic regression and a feed-forward network, trained jointly (Lian et al., KDD 2018)",
    presets={
        "autoint-paper": _AUTOINT | {"dnn_hidden": (400, 400)},
        "aim-avazu": _AIM_AVAZU,
        "aim-criteo": _AIM_CRITEO,
    },
    defaults={"first_order": True, "dnn_hidden": (400, 400)},
)
@register(
    "cin",
    summary="compressed interactions of field vectors, the core of xDeepFM (Lian et al., KDD 2018)",
    presets={"autoint-paper": _AUTOINT},
)
class XDeepFM(CTRModel):
    """A compressed interaction network; xDeepFM with `first_order` and a `dnn_hidden` that is not empty. Logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, how many numbers an embedding has.
        cin_widths: H_1 .. H_L, how many vectors each layer of the CIN has.
        split_half: See `CompressedInteraction`.
        first_order: Adds first-order terms, whose weights stand in the embedding table.
        dnn_hidden, dnn_dropout, dnn_norm: The feed-forward network beside the interactions; see `MLP`.
        missing, pooling: See `FieldEmbedding`.

    Raises:
        SettingsError: Where a layer is too narrow to be split.
    """

    # Larger parts are no faster, but their products take memory: [512 D, H F] is 64 MB in bfloat16 at the defaults.
    rows_in_cache = 512

    def __init__(
        self,
        layout: Layout,
        *,
        embedding_dim: Width = 16,
        cin_widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=64)] = (200, 200, 200),
        split_half: bool = True,
        first_order: bool = False,
        dnn_hidden: Hidden = (),
        dnn_dropout: Dropout = 0.0,
        dnn_norm: Literal["batch", "layer", "layer_gain"] | None = None,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        self.embedding: FieldEmbedding | FirstOrderEmbedding
        if first_order:
            self.embedding = FirstOrderEmbedding(layout, embedding_dim, missing=missing, pooling=pooling)
        else:
            self.embedding = FieldEmbedding(layout, embedding_dim, missing=missing, pooling=pooling)
        self.interaction = CompressedInteraction(len(layout), cin_widths, split_half=split_half)
        self.readout = nn.Linear(self.interaction.out_dim, 1)
        init_glorot_normal(self.readout, normal_bias=False)
        self.dnn: MLP | None = None
        if dnn_hidden:
            self.dnn = MLP(len(layout) * embedding_dim, dnn_hidden, dropout=dnn_dropout, norm=dnn_norm)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]: the interactions', plus the first-order term, plus the network's, where there are any."""
        first_order: Tensor | None = None
        if isinstance(self.embedding, FirstOrderEmbedding):
            vectors, first_order = self.embedding(batch)  # [B, F, D], [B]
        else:
            vectors = self.embedding(batch)
        logit = self.interaction.read_out(vectors, self.readout.weight[0]) + self.readout.bias
        if first_order is not None:
            logit = logit + first_order
        if self.dnn is not None:
            logit = logit + self.dnn(vectors.flatten(1))
        return logit
