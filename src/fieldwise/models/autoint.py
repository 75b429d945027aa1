"""AutoInt and AutoInt+: feature interactions by multi-head self-attention over fields.

W. Song, C. Shi, Z. Xiao, Z. Duan, Y. Xu, M. Zhang, J. Tang: "AutoInt: Automatic Feature Interaction Learning via
Self-Attentive Neural Networks", CIKM 2019, arXiv 1810.11921.

    E^(0)  = field embeddings                                                         [B, F, D]
    E^(l)  = InteractingLayer(E^(l-1)), l = 1 .. L                                    [B, F, W]
             head h:  A_h = softmax over keys( Q_h K_h^T ),  y_h = A_h V_h            [B, F, F], [B, F, W/H]
             E^(l)  = ReLU( [y_1 ; ... ; y_H] + E^(l-1) Wres )
    logit  = w . flatten(E^(L)) + b                                                   [B]
    AutoInt+:  logit + MLP(flatten(E^(0)))        two logits added, each with its own bias

Where the paper and the authors' code differ, the defaults follow the code, which gave the published numbers:

                              paper     authors' code                   here
    Q, K, V, Wres biases      none      yes                             code; `qkv_bias`
    activation of Q, K, V     none      ReLU                            code; `qkv_activation`
    activation of residual    none      ReLU                            code; `residual_activation`
    scale of the logits       none      1 / sqrt(W / H)                 code; `scale`
    layer normalisation       none      after the ReLU of every layer   code; `layer_norm`
    first-order term          none      optional, without a bias        off; `wide`
    missing values            unsaid    zero vector                     a learned vector; `missing`
    output and DNN bias       unsaid    one draw from N(0, 1)           zero: a random base rate helps nobody
    DNN batch norm            none      optional, decay 0.995           off; momentum 0.1, see `MLP`
    width                     d' a head total over heads (64)           total; `attention_dim`

Further departures from the authors' code, which are not settings:

    loss                      clips the float32 sigmoid at 1e-7; here the exact logistic loss of the logit
    Adam                      TensorFlow's epsilon stands outside the bias correction, so that it weighs more in
                              the first steps; PyTorch's stands inside
    first-order weights       are trained by plain SGD there; here by Adam like all others
    batch norm's epsilon      1e-3 there, 1e-5 here
    `l2_reg`                  penalises the weights of the DNN there; here `training.embedding_l2` the embeddings alone
    read-out of a regression  begins at zero here; drawn as theirs it begins further from the labels than their mean is,
                              and ended with an RMSE of 0.80 where it ends with 0.60 (4,000 rows, three seeds)
    widths                    may differ from layer to layer there; here all layers have `attention_dim`

`reference` sets the model alone; for float32 and Adam over whole tables say `training.precision=float32` and
`training.embedding_optimizer=adam`.

Presets: `reference` is the authors' code (zero vectors for missing values), `paper` the equations above as printed,
`tutorial` the variant of a tutorial: residual without projection, an output matrix W_O as in the Transformer,
and a read-out of E^(0) and all layers.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.errors import SettingsError
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.interacting import InteractingLayer
from fieldwise.layers.mlp import MLP, init_glorot_normal
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, Dropout, Hidden, Width, count_parameters
from fieldwise.models.registry import register

_PUBLISHED = {
    "embedding_dim": 16,
    "num_layers": 3,
    "num_heads": 2,
    "attention_dim": 64,
    "residual": True,
    "residual_projection": True,
    "output_projection": False,
    "readout": "last",
    "wide": False,
    "missing": "zero",
    "pooling": "mean",
}
REFERENCE = _PUBLISHED | {
    "scale": True,
    "qkv_bias": True,
    "qkv_activation": "relu",
    "residual_activation": "relu",
    "layer_norm": True,
}
PAPER = _PUBLISHED | {
    "scale": False,
    "qkv_bias": False,
    "qkv_activation": None,
    "residual_activation": None,
    "layer_norm": False,
}
TUTORIAL = PAPER | {
    "embedding_dim": 32,
    "attention_dim": 32,
    "residual_projection": False,
    "output_projection": True,
    "scale": True,
    "readout": "all",
    "missing": "learned",
    "dropout": 0.1,
}


@register(
    "autoint+",
    summary="AutoInt trained jointly with a feed-forward network (Song et al., CIKM 2019)",
    presets={"reference": REFERENCE, "paper": PAPER},
    defaults={"dnn_hidden": (400, 400), "dnn_dropout": 0.5},
)
@register(
    "autoint",
    summary="multi-head self-attention over fields (Song et al., CIKM 2019)",
    presets={"reference": REFERENCE, "paper": PAPER, "tutorial": TUTORIAL},
)
class AutoInt(CTRModel):
    """Self-attention over fields, read out linearly; AutoInt+ where `dnn_hidden` is not empty. Logits [B].

    Args:
        layout: The fields of the data.
        embedding_dim: D, how many numbers an embedding has.
        num_layers: L, interacting layers; 0 reads out the embeddings linearly.
        num_heads: H, attention heads of a layer.
        attention_dim: W, the total width over the heads of a layer.
        residual, residual_projection, output_projection, scale: See `InteractingLayer`.
        qkv_bias, qkv_activation, residual_activation, layer_norm: See `InteractingLayer`.
        dropout: Share of attention weights dropped in training (the authors write keep probabilities, 1 - dropout).
        embedding_dropout: Share of single embedding coordinates dropped; attention and DNN see the same dropped tensor.
        dnn_hidden, dnn_dropout: The feed-forward network beside the attention; see `MLP`.
        dnn_batch_norm: Normalises each hidden layer of that network over the batch, before its ReLU.
        wide: Adds a first-order term, one weight per token drawn from N(0, 0.001^2), without a bias of its own.
        readout: `last` reads the last layer, `all` the embeddings and every layer.
        missing, pooling: See `FieldEmbedding`.

    Raises:
        SettingsError: Where heads do not divide the width, or a residual without projection does not fit.

    Example:
        >>> from fieldwise.layout import FieldLayout
        >>> layout = Layout((FieldLayout("user", "categorical", 9), FieldLayout("movie", "categorical", 7)))
        >>> model = AutoInt(layout, num_layers=3, num_heads=2)
        >>> batch = Batch(categorical=torch.tensor([[3, 2]]), numeric=torch.empty(1, 0))
        >>> [weights.shape for weights in model.attention(batch)] == 3 * [(1, 2, 2, 2)]
        True
    """

    rows_in_cache = 1024

    def __init__(
        self,
        layout: Layout,
        *,
        embedding_dim: Width = 16,
        num_layers: Annotated[int, Field(ge=0, le=256)] = 3,
        num_heads: Annotated[int, Field(ge=1, le=1024)] = 2,
        attention_dim: Width = 64,
        residual: bool = True,
        residual_projection: bool = True,
        output_projection: bool = False,
        scale: bool = True,
        qkv_bias: bool = True,
        qkv_activation: Literal["relu"] | None = "relu",
        residual_activation: Literal["relu"] | None = "relu",
        layer_norm: bool = True,
        dropout: Dropout = 0.0,
        embedding_dropout: Dropout = 0.0,
        dnn_hidden: Hidden = (),
        dnn_dropout: Dropout = 0.0,
        dnn_batch_norm: bool = False,
        wide: bool = False,
        readout: Literal["last", "all"] = "last",
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(layout)
        if readout not in ("last", "all"):
            raise SettingsError(f"readout must be 'last' or 'all', got {readout!r}")
        self.read_all = readout == "all"
        self.embedding = FieldEmbedding(layout, embedding_dim, missing=missing, pooling=pooling)
        self.embedding_dropout = nn.Dropout(embedding_dropout)
        widths = [embedding_dim] + [attention_dim] * num_layers
        self.layers = nn.ModuleList(
            InteractingLayer(
                in_dim,
                attention_dim=attention_dim,
                num_heads=num_heads,
                residual=residual,
                residual_projection=residual_projection,
                output_projection=output_projection,
                scale=scale,
                qkv_bias=qkv_bias,
                qkv_activation=qkv_activation,
                residual_activation=residual_activation,
                layer_norm=layer_norm,
                dropout=dropout,
            )
            for in_dim in widths[:-1]
        )
        self.readout = nn.Linear(len(layout) * (sum(widths) if self.read_all else widths[-1]), 1)
        init_glorot_normal(self.readout, normal_bias=False)
        self.dnn: MLP | None = None
        if dnn_hidden:
            in_dim = len(layout) * embedding_dim
            norm: Literal["batch"] | None = "batch" if dnn_batch_norm else None
            self.dnn = MLP(in_dim, dnn_hidden, dropout=dnn_dropout, norm=norm)
        self.wide: FieldEmbedding | None = None
        if wide:
            self.wide = FieldEmbedding(layout, 1, missing=missing, pooling=pooling, init_std=0.001)

    def begin_near_zero(self) -> None:
        """Begin the read-out at zero. As drawn, it turns normalised layers into outputs of a deviation above 1."""
        nn.init.zeros_(self.readout.weight)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]: attention, plus the DNN's, plus the first-order term, where there are any."""
        embedded = self.embedding_dropout(self.embedding(batch))  # [B, F, D]
        levels = [embedded]
        for layer in self.layers:
            levels.append(layer(levels[-1]))  # [B, F, W]
        inputs = torch.cat([level.flatten(1) for level in levels], 1) if self.read_all else levels[-1].flatten(1)
        logit: Tensor = self.readout(inputs).squeeze(-1)  # [B]
        if self.dnn is not None:
            logit = logit + self.dnn(embedded.flatten(1))
        if self.wide is not None:
            logit = logit + self.wide(batch).sum(dim=(1, 2))
        return logit

    @torch.no_grad()
    def attention(self, batch: Batch) -> list[Tensor]:
        """The attention weights of each layer, query field by key field; each row adds up to 1.

        Put the model into evaluation mode first, as for predictions: in training mode dropout makes them random.

        Shape:
            a batch of B rows -> [B, H, F, F] for each of L layers.
        """
        x = self.embedding_dropout(self.embedding(batch))
        weights = []
        for layer in self.layers:
            assert isinstance(layer, InteractingLayer)
            x, attention = layer.forward_with_attention(x)
            weights.append(attention)
        return weights

    def parameter_count(self, *, convention: Literal["paper", "code"] = "paper") -> int:
        """Parameters without embedding tables, counted as the paper's table 3 does or as the authors' code does.

        Args:
            convention: `paper` counts weight matrices and one output bias: 39,361 for Criteo's 39 fields at the
                published settings. `code` counts everything, biases and layer normalisation included: 40,513.

        Raises:
            SettingsError: For another convention.
        """
        if convention == "code":
            return count_parameters(self, embeddings=False)
        if convention != "paper":
            raise SettingsError(f"convention must be 'paper' or 'code', got {convention!r}")
        tables = {id(m.table.weight) for m in self.modules() if isinstance(m, FieldEmbedding)}
        return 1 + sum(p.numel() for p in self.parameters() if p.dim() > 1 and id(p) not in tables)
