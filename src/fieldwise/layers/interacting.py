"""The interacting layer of AutoInt: multi-head self-attention over the fields of a row."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldwise.errors import SettingsError
from fieldwise.native import interacting as native
from fieldwise.native.switch import kernels_wanted


class InteractingLayer(nn.Module):
    """Multi-head self-attention over fields with a residual branch.

    W. Song et al., "AutoInt", CIKM 2019, eq. 5 to 8. With d_h = W / H and c = 1 / sqrt(d_h) or 1:

        Q, K, V = act(x Wq + b), act(x Wk + b), act(x Wv + b)        each [B, F, W], cut into H heads of d_h
        A_h     = softmax over keys( c Q_h K_h^T )                   [B, F, F]
        y       = [A_1 V_1 ; ... ; A_H V_H] (W_O)                    [B, F, W]
        output  = LayerNorm( ReLU( y + act'(x Wres + b) ) )          [B, F, W]

    The defaults are the authors' code. The paper itself has no biases, no `act`, no `act'`, no scale and no
    LayerNorm. Both write a learned Wres, and neither has W_O. Weights are Glorot-uniform, each of Q, K, V, Wres and W_O
    as a matrix of its own.

    Args:
        in_dim: d_in, the width of each field's vector.
        attention_dim: W, the TOTAL width over all heads, not the width of one.
        num_heads: H; must divide W.
        residual: Adds the residual branch.
        residual_projection: False adds x itself and needs in_dim == attention_dim.
        output_projection: Mixes the heads by a matrix W_O [W, W] before the residual is added.
        scale: Divides the attention logits by sqrt(d_h).
        qkv_bias: Biases, zero at first, on Q, K, V and the residual projection.
        qkv_activation: What Q, K and V pass through: `relu`, or None for nothing.
        residual_activation: What the residual branch passes through: `relu`, or None for nothing.
        layer_norm: Normalises after the outer ReLU (biased variance, 1e-8 inside the root, learned gain and bias).
        dropout: Share of attention weights that training drops, in [0, 1).

    Shape:
        [B, F, d_in] -> [B, F, W].

    Raises:
        SettingsError: Where the arguments contradict each other; it names the setting.

    Example:
        >>> layer = InteractingLayer(16, attention_dim=8, num_heads=2)
        >>> output, attention = layer.forward_with_attention(torch.randn(5, 3, 16))
        >>> output.shape, attention.shape
        (torch.Size([5, 3, 8]), torch.Size([5, 2, 3, 3]))
    """

    def __init__(
        self,
        in_dim: int,
        *,
        attention_dim: int = 64,
        num_heads: int = 2,
        residual: bool = True,
        residual_projection: bool = True,
        output_projection: bool = False,
        scale: bool = True,
        qkv_bias: bool = True,
        qkv_activation: Literal["relu"] | None = "relu",
        residual_activation: Literal["relu"] | None = "relu",
        layer_norm: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value in (("in_dim", in_dim), ("attention_dim", attention_dim), ("num_heads", num_heads)):
            if value < 1:
                raise SettingsError(f"{name} must be at least 1, got {value}")
        if attention_dim % num_heads:
            raise SettingsError(
                f"attention_dim is the total width over all heads, so num_heads must divide it: "
                f"got attention_dim {attention_dim} and num_heads {num_heads}"
            )
        if residual and not residual_projection and in_dim != attention_dim:
            raise SettingsError(
                f"a residual without projection needs vectors of the layer's own width: got vectors of "
                f"{in_dim} and attention_dim {attention_dim}; make them equal or set residual_projection"
            )
        if not 0.0 <= dropout < 1.0:
            raise SettingsError(f"dropout is the share to drop and must be in [0, 1), got {dropout}")
        for name, activation in (
            ("qkv_activation", qkv_activation),
            ("residual_activation", residual_activation),
        ):
            if activation not in ("relu", None):
                raise SettingsError(f"{name} must be 'relu' or None, got {activation!r}")
        self.in_dim = in_dim
        self.attention_dim = attention_dim
        self.num_heads = num_heads
        self.residual = residual
        self.residual_projection = residual and residual_projection
        self.scale = scale
        self.qkv_activation = qkv_activation
        self.residual_activation = residual_activation
        self.dropout = dropout

        # Rows of the fused weight: Q, K, V (each head after head), then Wres.
        blocks = 4 if self.residual_projection else 3
        self.projection = nn.Linear(in_dim, blocks * attention_dim, bias=qkv_bias)
        self.output_projection = nn.Linear(attention_dim, attention_dim, bias=False) if output_projection else None
        self.norm = nn.LayerNorm(attention_dim, eps=1e-8) if layer_norm else None
        head_dim = attention_dim // num_heads
        self._widths = [head_dim] * (3 * num_heads) + ([attention_dim] if self.residual_projection else [])
        self.query_scale: Tensor | None
        factors = torch.ones(blocks * attention_dim)
        factors[:attention_dim] = 1.0 / math.sqrt(head_dim)
        self.register_buffer("query_scale", factors if scale else None, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew: Glorot-uniform per block, biases zero, gains one."""
        # All blocks have the same fans, hence the same bound; that of the fused matrix would be too small.
        bound = math.sqrt(6.0 / (self.in_dim + self.attention_dim))
        nn.init.uniform_(self.projection.weight, -bound, bound)
        if self.projection.bias is not None:
            nn.init.zeros_(self.projection.bias)
        if self.output_projection is not None:
            nn.init.xavier_uniform_(self.output_projection.weight)
        if self.norm is not None:
            self.norm.reset_parameters()

    @property
    def has_fused_form(self) -> bool:
        """Whether the fused kernel computes a layer of this form and these widths."""
        return self.output_projection is None and native.fits(self.in_dim, self.attention_dim, self.num_heads)

    def forward(self, x: Tensor) -> Tensor:
        """Field vectors x [B, F, d_in] -> [B, F, W]."""
        if self._is_to_be_fused(x):
            return self._fused(x)
        return self._attend(x)[0]

    def forward_with_attention(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, and the attention weights.

        Returns:
            The output, and the weights before dropout: query field by key field, rows add up to 1.

        Shape:
            [B, F, d_in] -> [B, F, W] and [B, H, F, F].
        """
        output, attention = self._attend(x)
        return output, torch.stack(attention, dim=1)

    def _attend(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The output [B, F, W] and the attention weights of each head, [B, F, F]."""
        heads = list(torch.split(self._project(x), self._widths, dim=-1))
        residual = heads.pop() if self.residual_projection else x if self.residual else None
        if self.qkv_activation == "relu":
            heads = [head.relu() for head in heads]
        if residual is not None and self.residual_activation == "relu":
            residual = residual.relu()
        count = self.num_heads
        attention, mixed = [], []
        # bmm reads the heads where they lie in the fused projection; a [B, H, F, d_h] layout would copy them.
        for query, key, value in zip(heads[:count], heads[count : 2 * count], heads[2 * count :], strict=True):
            weights = torch.softmax(torch.bmm(query, key.transpose(1, 2)), dim=-1)
            attention.append(weights)
            if self.dropout:
                weights = F.dropout(weights, self.dropout, self.training)
            mixed.append(torch.bmm(weights, value))
        output = torch.cat(mixed, dim=-1)
        if self.output_projection is not None:
            output = self.output_projection(output)
        if residual is not None:
            output = output + residual.to(output.dtype)  # the vectors themselves may be of higher precision
        output = output.relu()
        return (output if self.norm is None else self.norm(output)), attention

    def _is_to_be_fused(self, x: Tensor) -> bool:
        return (
            kernels_wanted()
            and x.device.type == "cpu"
            and torch.is_autocast_enabled("cpu")
            and torch.get_autocast_dtype("cpu") == torch.bfloat16
            and x.dtype in (torch.float32, torch.bfloat16)
            and native.why_not() is None
            and x.shape[1] <= native.MOST_FIELDS
            and self.has_fused_form
        )

    def _fused(self, x: Tensor) -> Tensor:
        """`forward` by the fused kernel, LayerNorm included."""
        weight, bias = self._weights()
        options = native.Options(
            num_heads=self.num_heads,
            residual="projected" if self.residual_projection else "identity" if self.residual else None,
            relu_heads=self.qkv_activation == "relu",
            relu_residual=self.residual and self.residual_activation == "relu",
            dropout=self.dropout if self.training else 0.0,
            epsilon=0.0 if self.norm is None else self.norm.eps,
        )
        gain, shift = (None, None) if self.norm is None else (self.norm.weight, self.norm.bias)
        return native.interact(x, weight, bias, gain, shift, options)

    def _project(self, x: Tensor) -> Tensor:
        """Queries (scaled), keys, values, each head after head, and the residual, [B, F, 3 W or 4 W], before ReLU."""
        return F.linear(x.reshape(-1, self.in_dim), *self._weights()).view(*x.shape[:-1], sum(self._widths))

    def _weights(self) -> tuple[Tensor, Tensor | None]:
        """The projection's weight and bias, the scale of the queries included."""
        weight: Tensor = self.projection.weight
        bias: Tensor | None = self.projection.bias
        if self.query_scale is not None:
            # c > 0, so c ReLU(z) = ReLU(c z): scaling the few weights spares a pass over the attention logits.
            weight = weight * self.query_scale.unsqueeze(-1)
            bias = None if bias is None else bias * self.query_scale
        return weight, bias
