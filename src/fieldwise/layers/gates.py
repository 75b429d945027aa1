"""Gates: numbers that a search drives to exact zeros, behind a normalisation that makes them comparable."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldwise.layers.mlp import BatchNorm

INITIAL_GATE = 0.6
"""Where the authors of AutoFIS and AIM let every gate begin."""

INITIAL_SHARE = 0.3
"""What all gated signals together may add to the logit of a network as it is drawn, as a standard deviation."""


class Gates(nn.Module):
    """Normalises signals [B, n] over the batch and multiplies each by its gate.

        y = gate * (x - mean) / sqrt(variance + eps),   eps = initial_std^2 * (1 / begin^2 - 1)

    The normalisation has no weights of its own, for with them the size of a gate would mean nothing (AIM, section 3.2).

    The authors' eps is a constant of 1e-3, which swallows products of small vectors (as they noticed at order 4, where
    they take 1e-10), and an eps near zero lets signals that are still noise, each of variance one, drown the
    first-order part. So eps follows the scale at which the network is drawn: gated signals begin beneath the
    first-order part at every order and dimension, and come to variance one as vectors grow.

    count: gates. copies: how many signals in a row share each gate; n = copies * count, signal k has gate k mod count.
    initial_std: the standard deviation of the signals as the network is drawn. begin: what the normalisation shall make
    of it, in (0, 1].
    """

    def __init__(self, count: int, *, initial_std: float, begin: float, copies: int = 1) -> None:
        super().__init__()
        self.copies = copies
        eps = initial_std**2 * (1 / min(begin, 0.5) ** 2 - 1)
        self.norm = BatchNorm(copies * count, eps=max(eps, torch.finfo(torch.float32).tiny), affine=False)
        self.weight = nn.Parameter(torch.empty(count))
        # Gates that begin equal would stay equal where their signals are.
        nn.init.uniform_(self.weight, INITIAL_GATE - 1e-3, INITIAL_GATE + 1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """The gated signals, [B, n] -> [B, n]."""
        normal: Tensor = self.norm(x)
        return normal * self.weight.repeat(self.copies)

    def total(self, x: Tensor) -> Tensor:
        """The sum of the gated signals, [B, n] -> [B]."""
        # In bfloat16 hundreds of signals would add up to noise.
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(self.norm(x), self.weight.repeat(self.copies).unsqueeze(0)).squeeze(1)
