"""The compiled kernel of RowAdam: as exact as its form in torch, whatever the threads."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fieldwise.native import rows as native
from fieldwise.optim.rows import RowAdam

pytestmark = pytest.mark.skipif(native.why_not() is not None, reason=f"no kernel: {native.why_not()}")


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def moved(dim: int, *, fused: bool, kind: torch.dtype = torch.float32, **settings: Any) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    embedding = nn.Embedding(500, dim, sparse=True)
    with torch.no_grad():
        embedding.weight.copy_(torch.randn(500, dim, generator=generator))
    embedding.to(kind)
    optimizer = RowAdam(embedding.parameters(), lr=0.05, fused=fused, **settings)
    for _ in range(6):
        optimizer.zero_grad()
        ids, scale = (
            torch.randint(0, 500, (300,), generator=generator),
            torch.randn(300, dim, generator=generator),
        )
        embedding(ids).sin().mul(scale.to(kind)).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    state = optimizer.state[embedding.weight]
    assert int(state["step"]) == 6
    return [embedding.weight.detach(), state["exp_avg"], state["exp_avg_sq"]]


@pytest.mark.parametrize("dim", [1, 3, 16, 33])
@pytest.mark.parametrize("settings", [{}, {"l2": 0.1, "weight_decay": 0.2, "eps": 1e-3, "betas": (0.5, 0.9)}])
def test_is_as_exact_as_torch(dim: int, settings: dict[str, Any]) -> None:
    exact = moved(dim, fused=False, kind=torch.float64, **settings)
    both = (moved(dim, fused=fused, **settings) for fused in (True, False))
    for mine, torchs, expected in zip(*both, exact, strict=True):
        error, allowed = ((found.double() - expected).abs() for found in (mine, torchs))
        assert float(error.max()) < 3e-6
        assert float(error.mean()) <= 1.5 * float(allowed.mean())


def test_the_number_of_threads_changes_nothing(threads) -> None:
    threads(1)
    expected = moved(16, fused=True)
    threads(3)
    assert all(torch.equal(a, b) for a, b in zip(moved(16, fused=True), expected, strict=True))


def test_threads_of_its_own_where_there_is_no_openmp(threads, monkeypatch: pytest.MonkeyPatch) -> None:
    threads(3)
    expected = moved(16, fused=True)
    monkeypatch.setattr(native, "torch_threads", lambda: None)
    assert all(torch.equal(a, b) for a, b in zip(moved(16, fused=True), expected, strict=True))


def test_rows_that_were_not_read_stay_as_they_are() -> None:
    embedding = nn.Embedding(12, 3, sparse=True)
    before = embedding.weight.detach().clone()
    optimizer = RowAdam(embedding.parameters(), lr=0.1, fused=True)
    embedding(torch.tensor([2, 5, 5])).sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    still = [row for row in range(12) if row not in (2, 5)]
    assert torch.equal(embedding.weight[still], before[still])
    assert not torch.equal(embedding.weight[[2, 5]], before[[2, 5]])


def test_no_rows_is_no_work() -> None:
    empty = torch.empty(0, 4)
    weight = torch.ones(3, 4)
    native.row_adam(
        torch.empty(0, dtype=torch.int64),
        empty,
        weight,
        weight,
        weight,
        step=1,
        lr=1.0,
        betas=(0.9, 0.99),
        eps=1e-8,
    )
    assert torch.equal(weight, torch.ones(3, 4))


def test_other_tensors_are_refused() -> None:
    weight = torch.ones(3, 4, dtype=torch.float64)
    with pytest.raises(ValueError, match="float32"):
        native.row_adam(
            torch.tensor([1]), torch.ones(1, 4), weight, weight, weight, step=1, lr=1.0, betas=(0.9, 0.99), eps=1e-8
        )
