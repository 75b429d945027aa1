"""The compiled kernel of tuple products: as exact as its form in torch, whatever the threads."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import Tensor

from fieldwise.layers.tuple_products import summed_tuple_products, tuple_products
from fieldwise.native import tuple_products as native
from fieldwise.native.switch import fused_kernels

pytestmark = pytest.mark.skipif(native.why_not() is not None, reason=f"no kernel: {native.why_not()}")

FIELDS, DIM = 6, 5


def draw(order: int, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """x, places and weights; a tuple stands there twice, and so does a field in one."""
    generator = torch.Generator().manual_seed(order)
    tuples = [*combinations(range(FIELDS), order), tuple(range(order)), (0,) * order]
    x = torch.randn(FIELDS, DIM, rows, generator=generator)
    return x, torch.tensor(tuples).t(), torch.randn(len(tuples), DIM, generator=generator)


def calculated(order: int, rows: int, *, weighted: bool, summed: bool, kind: torch.dtype, fused: bool) -> list[Tensor]:
    """Products and gradients."""
    x, places, weights = draw(order, rows)
    inputs = [tensor.to(kind).requires_grad_() for tensor in ((x, weights) if weighted else (x,))]
    form = summed_tuple_products if summed else tuple_products
    with fused_kernels(fused):
        products = form(inputs[0], places, inputs[1] if weighted else None)
    counts = torch.linspace(-1, 2, products.numel(), dtype=kind).view_as(products)
    return [products.detach(), *torch.autograd.grad((products * counts).sum(), inputs)]


@pytest.mark.parametrize("order", [2, 3, 4, 5])
@pytest.mark.parametrize("rows", [1, 16, 63, 64, 65, 1100])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("summed", [False, True])
def test_is_as_exact_as_torch(order: int, rows: int, weighted: bool, summed: bool) -> None:
    def of(kind: torch.dtype, *, fused: bool) -> list[Tensor]:
        return calculated(order, rows, weighted=weighted, summed=summed, kind=kind, fused=fused)

    exact = of(torch.float64, fused=False)
    for mine, torchs, expected in zip(
        of(torch.float32, fused=True), of(torch.float32, fused=False), exact, strict=True
    ):
        assert mine.shape == expected.shape
        error, allowed = ((found.double() - expected).abs() for found in (mine, torchs))
        scale = float(expected.abs().max())
        assert float(error.max()) <= 1e-5 * scale
        assert float(error.mean()) <= 2 * float(allowed.mean()) + 1e-8 * scale


def test_training_uses_it_and_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    found = native.products

    def products(*args: Tensor, summed: bool) -> Tensor:
        calls.append(summed)
        return found(*args, summed=summed)

    monkeypatch.setattr(native, "products", products)
    x, places, weights = draw(2, 8)
    with fused_kernels():
        summed_tuple_products(x, places, weights)
        tuple_products(x, places)
        summed_tuple_products(x.double(), places)
    summed_tuple_products(x, places)
    with fused_kernels(enabled=False):
        tuple_products(x, places)
    assert calls == [True, False]


@pytest.mark.parametrize("summed", [False, True])
def test_the_number_of_threads_changes_nothing(summed: bool) -> None:
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(calculated(2, 5000, weighted=True, summed=summed, kind=torch.float32, fused=True))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, many) for one, many in zip(*found, strict=True))


@pytest.mark.parametrize("summed", [False, True])
@pytest.mark.parametrize(("count", "rows"), [(0, 3), (2, 0)])
def test_no_tuples_and_no_rows(count: int, rows: int, summed: bool) -> None:
    x, weights = torch.randn(FIELDS, DIM, rows), torch.randn(count, DIM)
    places = torch.zeros(3, count, dtype=torch.int64)
    products = native.products(x, places, weights, summed=summed)
    assert products.shape == ((count, rows) if summed else (count, DIM, rows))
    gradients = native.products_backward(x, places, weights, products, summed=summed)
    assert [g.shape for g in gradients if g is not None] == [x.shape, weights.shape]
    assert not any(g.any() for g in gradients if g is not None)


def test_one_row_that_is_not_finite_leaves_the_others_alone() -> None:
    x, places, _ = draw(3, 20)
    whole = native.products(x, places.contiguous(), None, summed=True)
    x[2, :, 7] = torch.nan
    products = native.products(x, places.contiguous(), None, summed=True)
    assert products[:, 7].isnan().any()
    others = [row for row in range(20) if row != 7]
    assert torch.equal(products[:, others], whole[:, others])


def test_what_it_refuses() -> None:
    x, places, weights = draw(2, 4)
    places = places.contiguous()
    with pytest.raises(ValueError, match=r"got torch\.float64"):
        native.products(x.double(), places, None, summed=True)
    with pytest.raises(ValueError, match="expected contiguous"):
        native.products(x, places, weights.t().contiguous().t(), summed=True)
    with pytest.raises(ValueError, match="expected tuples of 2 to 8 fields, got 9"):
        native.products(x, torch.zeros(9, 1, dtype=torch.int64), None, summed=True)
    # More fields than the kernel takes are left to torch.
    with fused_kernels():
        assert tuple_products(x, torch.zeros(9, 1, dtype=torch.int64)).shape == (1, DIM, 4)
