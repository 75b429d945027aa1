"""Kernel products against a loop over pairs in float64, and the inner products that identity kernels give."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from fieldwise.layers.kernel_products import KernelProducts
from fieldwise.layers.products import inner_products, pairs_of


def vectors(fields: int, *, size: int = 4, dim: int = 3) -> torch.Tensor:
    return torch.randn(size, fields, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("fields", [1, 2, 5])
@pytest.mark.parametrize("size", [4, 0])
def test_products_equal_a_loop_over_pairs(fields, size):
    torch.manual_seed(0)
    layer, x = KernelProducts(fields, 3).double(), vectors(fields, size=size)
    pairs = list(itertools.combinations(range(fields), 2))
    expected = torch.zeros(size, len(pairs), dtype=torch.float64)
    for p, (i, j) in enumerate(pairs):
        for b in range(size):
            expected[b, p] = x[b, i] @ layer.kernels[p] @ x[b, j]
    torch.testing.assert_close(layer(x), expected)


def test_identity_kernels_give_inner_products():
    layer, x = KernelProducts(5, 3).double(), vectors(5)
    with torch.no_grad():
        layer.kernels.copy_(torch.eye(3).expand_as(layer.kernels))
    torch.testing.assert_close(layer(x), inner_products(x, *pairs_of(5)))


def test_the_first_axis_of_a_kernel_belongs_to_the_lower_field():
    layer = KernelProducts(2, 2)
    with torch.no_grad():
        layer.kernels.copy_(torch.tensor([[[0.0, 1.0], [0.0, 0.0]]]))
    x = torch.tensor([[[2.0, 3.0], [5.0, 7.0]]])
    assert layer(x).tolist() == [[2.0 * 7.0]]


def test_gradients_of_kernel_products():
    layer, x = KernelProducts(4, 2).double(), vectors(4, size=2, dim=2).requires_grad_()
    inputs = (x, layer.kernels)
    assert torch.autograd.gradcheck(lambda x, _: layer(x), inputs)


def test_kernels_start_as_in_the_authors_code():
    torch.manual_seed(0)
    kernels = KernelProducts(20, 16).kernels
    bound = math.sqrt(3 / 16)
    assert float(kernels.detach().abs().max()) <= bound
    assert float(kernels.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.02)
