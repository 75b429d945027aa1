"""Adam for the weights of networks, most of which are small."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from fieldwise.native.threads import one_thread

FEW_WEIGHTS = 1 << 16
"""Up to so many to a tensor, on the average, one thread is done before others are awake."""


class NetworkAdam(torch.optim.Adam):
    """`torch.optim.Adam` in one kernel for all weights, and on the CPU in one thread where its tensors are small.

    The kernel shares every single tensor among the threads, and to wake them takes longer than to move a small one.
    What comes out is the same.

    Args:
        params: The weights, on one device.
        lr: The learning rate.

    Example:
        >>> weight = nn.Parameter(torch.ones(3))
        >>> weight.grad = torch.ones(3)
        >>> NetworkAdam([weight], lr=0.5).step()
        >>> weight.data
        tensor([0.5000, 0.5000, 0.5000])
    """

    def __init__(self, params: Iterable[nn.Parameter], *, lr: float) -> None:
        weights = list(params)
        super().__init__(weights, lr=lr, fused=True)
        sizes = [weight.numel() for weight in weights if not weight.is_cuda]
        self._threads: Callable[[], Any] = one_thread if sum(sizes) <= FEW_WEIGHTS * len(sizes) else nullcontext

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Move the weights by their gradients.

        Args:
            closure: as all optimisers of torch have it.

        Returns:
            What `closure` gives.
        """
        with self._threads():
            return super().step(closure)
