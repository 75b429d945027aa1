"""The feed-forward network that joint models (AutoInt+, Wide&Deep, DeepFM, ...) put beside their interactions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldwise.errors import SettingsError

Norm = Literal["batch", "layer", "layer_gain"]


def init_glorot_normal(linear: nn.Linear, *, normal_bias: bool) -> None:
    """Draw a linear layer's weights from N(0, 2 / (fan_in + fan_out)).

    Args:
        linear: The layer, with or without a bias.
        normal_bias: Draws the bias like the weights; else it is zero.

    Example:
        >>> linear = nn.Linear(3, 2)
        >>> init_glorot_normal(linear, normal_bias=False)
        >>> linear.bias.tolist()
        [0.0, 0.0]
    """
    std = math.sqrt(2.0 / (linear.in_features + linear.out_features))
    nn.init.normal_(linear.weight, std=std)
    if linear.bias is not None:
        if normal_bias:
            nn.init.normal_(linear.bias, std=std)
        else:
            nn.init.zeros_(linear.bias)


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that takes its running statistics where a training batch has a single row.

    A single row has no variance; PyTorch's own layer raises there, so that an epoch whose last batch has one row
    would end in an error.

    Arguments and attributes are those of `nn.BatchNorm1d`.

    Shape:
        [B, W] -> [B, W].

    Example:
        >>> import torch
        >>> BatchNorm(2, eps=0.0, affine=False)(torch.tensor([[3.0, 5.0]]))
        tensor([[3., 5.]])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise x [B, width], column by column."""
        if self.training and input.shape[0] < 2:
            return F.batch_norm(
                input,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                training=False,
                eps=self.eps,
            )
        return super().forward(input)


class LayerNormLinear(nn.Linear):
    """A linear layer that normalises each row before its bias: (x W^T - mean) / sqrt(variance + eps) + b.

    The MLPs of AIM's and AutoFIS's code (Zhu et al.; Liu et al., KDD 2020) have a trained gain too, and no epsilon. A
    positive gain can be taken over by the next layer's weights, for ReLU(g x) = g ReLU(x); a negative one cannot, and
    the step of an optimiser is another with it. `gain=True` has it.

    Args:
        in_features, out_features, bias: As for `nn.Linear`.
        gain: Whether each unit is multiplied by a weight, from 1 on, after the normalisation.

    Attributes:
        gain: The weights [out_features], or None.

    Shape:
        [..., in_features] -> [..., out_features].

    Example:
        >>> import torch
        >>> hidden = LayerNormLinear(3, 8, bias=False)(torch.randn(2, 3))
        >>> hidden.mean(dim=1).abs().max().item() < 1e-6
        True
    """

    gain: nn.Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, gain: bool = False) -> None:
        super().__init__(in_features, out_features, bias)
        self.register_parameter("gain", nn.Parameter(torch.ones(out_features)) if gain else None)

    def forward(self, input: Tensor) -> Tensor:
        """From x [..., in_features] to [..., out_features]."""
        normal = F.layer_norm(F.linear(input, self.weight), (self.out_features,), self.gain)
        return normal if self.bias is None else normal + self.bias


class MLP(nn.Module):
    """Linear -> (norm) -> ReLU -> dropout for each hidden layer, then a linear layer to one unit.

    Initialised as in the AutoInt authors' code: weights and hidden biases from N(0, 2 / (fan_in + fan_out)). The
    last bias is zero; the authors draw it from N(0, 1), which only shifts the first logits at random.

    Args:
        in_dim: Width of the input.
        hidden: Widths of the hidden layers; may be empty.
        dropout: Share of hidden units that training drops, in [0, 1).
        norm: Of each hidden layer before its ReLU: `batch`, `layer`, `layer_gain` (see `LayerNormLinear`) or None.
            Batch normalisation has PyTorch's momentum of 0.1, where the AutoInt authors' TensorFlow decay of 0.995
            would leave evaluation on the initial statistics for the first hundreds of steps.
        head: Whether the linear layer to one unit ends the network.

    Attributes:
        out_dim: 1 with the head, else the last hidden width.

    Shape:
        [B, in_dim] -> [B] with the head, else [B, out_dim].

    Raises:
        SettingsError: For a width below 1, a dropout out of range or an unknown normalisation.

    Example:
        >>> import torch
        >>> x = torch.randn(2, 6)
        >>> MLP(6, (8, 4))(x).shape, MLP(6, (8, 4), head=False)(x).shape
        (torch.Size([2]), torch.Size([2, 4]))
    """

    def __init__(
        self,
        in_dim: int,
        hidden: Sequence[int],
        *,
        dropout: float = 0.0,
        norm: Norm | None = None,
        head: bool = True,
    ) -> None:
        super().__init__()
        if min((in_dim, *hidden)) < 1:
            raise SettingsError(f"layer widths must be at least 1, got {in_dim} and hidden layers {tuple(hidden)}")
        if not 0.0 <= dropout < 1.0:
            raise SettingsError(f"dropout is the share to drop and must be in [0, 1), got {dropout}")
        if norm not in (*get_args(Norm), None):
            raise SettingsError(f"norm must be 'batch', 'layer', 'layer_gain' or None, got {norm!r}")
        layers: list[nn.Module] = []
        width = in_dim
        for next_width in hidden:
            linear: nn.Linear
            if norm in ("layer", "layer_gain"):
                linear = LayerNormLinear(width, next_width, gain=norm == "layer_gain")
            else:
                linear = nn.Linear(width, next_width)
            init_glorot_normal(linear, normal_bias=True)
            layers.append(linear)
            if norm == "batch":
                layers.append(BatchNorm(next_width))
            layers.append(nn.ReLU())
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = next_width
        self.layers = nn.Sequential(*layers)
        self.head: nn.Linear | None = None
        if head:
            self.head = nn.Linear(width, 1)
            init_glorot_normal(self.head, normal_bias=False)
        self.out_dim = 1 if head else width

    def forward(self, x: Tensor) -> Tensor:
        """From x [B, in_dim] to logits [B], or hidden units [B, out_dim] without the head."""
        x = self.layers(x)
        return x if self.head is None else self.head(x).squeeze(-1)
