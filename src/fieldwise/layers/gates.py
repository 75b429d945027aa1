"""Gates: numbers that a search drives to exact zeros, behind a normalisation that makes them comparable."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from fieldwise.layers.mlp import BatchNorm

INITIAL_GATE = 0.6
"""Where the authors of AutoFIS and AIM let every gate begin."""

INITIAL_SHARE = 0.01
"""What all gated interactions together may add to the logit of a network as it is drawn, as a standard deviation.

So little that vectors must have grown by more than the random walk of a few hundred steps before an interaction counts
in full; with 0.3, and a learning rate of 0.01, a search on 20,000 rows kept dozens of pairs of noise."""


class Gates(nn.Module):
    """Normalises signals over the batch and multiplies each by its gate.

        y = gate * (x - mean) / sqrt(variance + eps),   eps = initial_std^2 * (1 / begin^2 - 1)

    The normalisation has no weights of its own, for with them the size of a gate would mean nothing (AIM, section 3.2).

    The authors' eps is a constant of 1e-3, which swallows products of small vectors (as they noticed at order 4, where
    they take 1e-10), and an eps near zero lets signals that are still noise, each of variance one, drown the
    first-order part. So eps follows the scale at which the network is drawn: gated signals begin beneath the
    first-order part at every order and dimension, and come to variance one as vectors grow. The running statistics that
    evaluation takes begin at that scale too, with PyTorch's momentum of 0.1, where the authors have 0.01.

    Signals are read fastest where each one's rows lie side by side, x.t() contiguous.

    Args:
        count: Gates.
        initial_std: The standard deviation of the signals as the network is drawn.
        begin: What the normalisation shall make of it, above 0; more than 0.5 is taken as 0.5, for at 1 there would be
            no eps at all.
        copies: How many signals in a row share each gate; n = copies * count, signal k has gate k mod count.

    Shape:
        signals: [B, n].
        gated signals: [B, n]; their sum, of `total`, [B].

    Example:
        >>> gates = Gates(2, initial_std=0.1, begin=0.01)
        >>> _ = gates.weight.data.copy_(torch.tensor([0.6, 0.0]))
        >>> (gates(torch.tensor([[1.0, 2.0], [3.0, 5.0]])) != 0).tolist()
        [[True, False], [True, False]]
    """

    def __init__(self, count: int, *, initial_std: float, begin: float, copies: int = 1) -> None:
        super().__init__()
        self.copies = copies
        eps = initial_std**2 * (1 / min(begin, 0.5) ** 2 - 1)
        self.norm = BatchNorm(copies * count, eps=max(eps, torch.finfo(torch.float32).tiny), affine=False)
        # From variance one, evaluation would swallow small signals until hundreds of steps had made it forget that.
        assert self.norm.running_var is not None
        self.norm.running_var.fill_(initial_std**2)
        self.weight = nn.Parameter(torch.empty(count))
        # Gates that begin equal would stay equal where their signals are.
        nn.init.uniform_(self.weight, INITIAL_GATE - 1e-3, INITIAL_GATE + 1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """The gated signals, [B, n] -> [B, n]."""
        with _full_precision(x):
            if not self._normalises_by(x):
                mean, scale = self._running()
                return (x - mean) * scale
            gated: Tensor
            gated, mean, variance = _Gate.apply(x.t(), self._weights(), self.norm.eps)  # type: ignore[no-untyped-call]
        self._remember(mean, variance, x.shape[0])
        return gated.t()

    def total(self, x: Tensor) -> Tensor:
        """The sum of the gated signals, [B, n] -> [B]."""
        with _full_precision(x):
            if not self._normalises_by(x):
                mean, scale = self._running()
                return (x - mean) @ scale
            sums: Tensor
            sums, mean, variance = _GatedSum.apply(  # type: ignore[no-untyped-call]
                x.t(), self._weights(), self.norm.eps
            )
        self._remember(mean, variance, x.shape[0])
        return sums

    def _weights(self) -> Tensor:
        return self.weight.repeat(self.copies) if self.copies > 1 else self.weight

    def _normalises_by(self, x: Tensor) -> bool:
        """Whether by the batch itself; a single row has no variance."""
        return self.training and x.shape[0] > 1

    def _running(self) -> tuple[Tensor, Tensor]:
        """The running mean, and gate over standard deviation, [n] each."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None
        assert variance is not None
        return mean, self._weights() * (variance + self.norm.eps).rsqrt()

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, rows: int) -> None:
        """Move the running statistics towards those of a batch."""
        norm = self.norm
        assert norm.momentum is not None
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * (rows / (rows - 1)), norm.momentum)


def _full_precision(x: Tensor) -> torch.autocast:
    """In bfloat16 hundreds of signals would add up to noise."""
    return torch.autocast(x.device.type, enabled=False)


def _centre(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The signals x [n, B] less their mean, the mean and the variance [n]; in two passes, for means may be larger."""
    mean = x.mean(dim=1)
    centred = x - mean.unsqueeze(1)
    return centred, mean, torch.bmm(centred.unsqueeze(1), centred.unsqueeze(2)).view(-1) / x.shape[1]


class _Gate(torch.autograd.Function):
    """weight * (x - mean) / sqrt(variance + eps) for x [n, B], and its mean and variance [n]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        centred, mean, variance = _centre(x)
        scale = (variance + eps).rsqrt_()
        ctx.save_for_backward(centred, weight, scale)
        ctx.mark_non_differentiable(mean, variance)
        return centred * (weight * scale).unsqueeze(1), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        centred, weight, scale = ctx.saved_tensors
        # The sum over rows of gradient times normalised signal: the gate's gradient, and a part of the signal's.
        moved = torch.bmm(grad.unsqueeze(1), centred.unsqueeze(2)).view(-1) * scale
        product = weight * scale
        grad_x = (grad - grad.mean(dim=1, keepdim=True)).mul_(product.unsqueeze(1))
        return grad_x.addcmul_(centred, (-product * scale * moved / centred.shape[1]).unsqueeze(1)), moved, None


class _GatedSum(torch.autograd.Function):
    """The sum over n of what `_Gate` computes, [B], without laying it out."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        centred, mean, variance = _centre(x)
        scale = (variance + eps).rsqrt_()
        ctx.save_for_backward(centred, weight, scale)
        ctx.mark_non_differentiable(mean, variance)
        return (weight * scale) @ centred, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        centred, weight, scale = ctx.saved_tensors
        moved = (centred @ grad) * scale
        product = weight * scale
        grad_x = torch.outer(product, grad - grad.mean())
        return grad_x.addcmul_(centred, (-product * scale * moved / centred.shape[1]).unsqueeze(1)), moved, None
