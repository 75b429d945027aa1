"""Adam for networks is torch's, in as many threads as are worth waking."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fieldwise.native.threads import torch_threads
from fieldwise.optim.adam import FEW_WEIGHTS, NetworkAdam


def weights(*sizes: int) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(size, generator=generator)) for size in sizes]


@pytest.mark.parametrize("sizes", [(3, 70, 1), (FEW_WEIGHTS * 3, 5)])
def test_it_moves_weights_as_torch_does(sizes: tuple[int, ...]) -> None:
    ours, theirs = weights(*sizes), weights(*sizes)
    optimizers = [NetworkAdam(ours, lr=0.1), torch.optim.Adam(theirs, lr=0.1, foreach=False)]
    for step in range(3):
        for group in (ours, theirs):
            for weight in group:
                weight.grad = torch.sin(weight.detach() + step)
        for optimizer in optimizers:
            optimizer.step()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.skipif(torch_threads() is None, reason="torch's threads here are not OpenMP's")
@pytest.mark.parametrize(
    ("sizes", "threads"),
    [((FEW_WEIGHTS, FEW_WEIGHTS), 1), ((FEW_WEIGHTS, FEW_WEIGHTS + 1), 2), ((2 * FEW_WEIGHTS - 1, 1), 1)],
)
def test_small_weights_are_moved_in_one_thread(
    monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...], threads: int
) -> None:
    used: list[int] = []
    monkeypatch.setattr(torch.optim.Adam, "step", lambda *_: used.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        step: Any = NetworkAdam(weights(*sizes), lr=0.1).step
        step()
        assert (used, torch.get_num_threads()) == ([threads], 2)
    finally:
        torch.set_num_threads(before)
