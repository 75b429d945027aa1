"""Deep Crossing: a feed-forward network with residual layers on the concatenated embeddings.

Y. Shan, T. R. Hoens, J. Jiao, H. Wang, D. Yu, J. C. Mao: "Deep Crossing: Web-Scale Modeling without Manually Crafted
Combinatorial Features", KDD 2016.

    x_0     = flattened field embeddings                                       [B, N], N = F D
    classic:   x_{l+1} = ReLU( W'_l ReLU( W_l x_l + b_l ) + b'_l + x_l )        [B, N], width W within
    width100:  x_{l+1} = ReLU( W_l x_l + b_l + x_l ), x_0 in the shortcut of the first layer as M x_0     [B, W]
    logit   = w . x_L + b                                                      [B]

`classic` is the residual unit of the paper. The AutoInt paper compares itself with "four feed-forward layers" of 100
units and 1.6e5 parameters on Criteo; four classic units would have 502,721. `width100` is the network that fits:
155,301. That is an inference, for its authors published no code for it. Since M x_0 and W_0 x_0 are added before the
ReLU, the first layer can express nothing that W_0 alone could not, and is computed with W_0 + M.

Preset `autoint-paper` is `width100`.

Where this file and the paper differ:

                              paper                                  here
    embeddings                ReLU(W x + b) of each text field,      a table without activation; every field alike,
                              short fields taken as they are         numeric ones as a vector times the value
    dropout                   none                                   `dnn_dropout`, after every layer
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.errors import SettingsError
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.mlp import init_glorot_normal
from fieldwise.layers.residual import ResidualLayer, ResidualUnit
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, Dropout, Width
from fieldwise.models.registry import register

_AUTOINT = {"embedding_dim": 16, "variant": "width100", "num_layers": 4, "width": 100, "missing": "zero"}


@register(
    "deepcrossing",
    summary="a feed-forward network with residual layers (Shan et al., KDD 2016)",
    presets={"autoint-paper": _AUTOINT},
)
class DeepCrossing(CTRModel):
    """Residual layers on the concatenated embeddings, read out linearly; logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, how many numbers an embedding has.
        variant: `width100`, layers of one width, or `classic`, units that return to the width N.
        num_layers: L, layers or units; 0 reads out the embeddings linearly.
        width: W, of the layers or within the units.
        dnn_dropout: Share of every layer's outputs that training drops.
        missing, pooling: See `FieldEmbedding`.

    Raises:
        SettingsError: For an unknown variant.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        embedding_dim: Width = 16,
        variant: Literal["width100", "classic"] = "width100",
        num_layers: Annotated[int, Field(ge=0, le=256)] = 4,
        width: Width = 100,
        dnn_dropout: Dropout = 0.0,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        if variant not in ("width100", "classic"):
            raise SettingsError(f"variant must be 'width100' or 'classic', got {variant!r}")
        self.embedding = FieldEmbedding(layout, embedding_dim, missing=missing, pooling=pooling)
        in_dim = len(layout) * embedding_dim
        layers: list[nn.Module] = []
        for layer in range(num_layers):
            if variant == "classic":
                layers.append(ResidualUnit(in_dim, width))
            else:
                # A matrix in the first shortcut even where the widths happen to agree: one rule for every layout.
                layers.append(ResidualLayer(in_dim if layer == 0 else width, width, project=layer == 0))
            if dnn_dropout:
                layers.append(nn.Dropout(dnn_dropout))
        self.layers = nn.Sequential(*layers)
        self.readout = nn.Linear(width if variant == "width100" and num_layers else in_dim, 1)
        init_glorot_normal(self.readout, normal_bias=False)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        logit: Tensor = self.readout(self.layers(self.embedding(batch).flatten(1))).squeeze(-1)
        return logit
