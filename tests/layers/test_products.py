"""Products of field vectors against loops over pairs in float64."""

from __future__ import annotations

import itertools

import pytest
import torch

from fieldwise.layers.products import inner_products, pairs_of, pooled_pairs, weighted_pairs


@pytest.mark.parametrize("fields", [1, 2, 5])
def test_pairs_come_in_order_each_once(fields):
    first, second = pairs_of(fields)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == list(itertools.combinations(range(fields), 2))


@pytest.mark.parametrize("fields", [1, 2, 5])
def test_products_equal_a_loop_over_pairs(fields):
    x = torch.randn(4, fields, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pairs = list(itertools.combinations(range(fields), 2))
    products = [x[:, i] * x[:, j] for i, j in pairs]
    expected = sum(products, start=torch.zeros(4, 3, dtype=torch.float64))
    torch.testing.assert_close(pooled_pairs(x), expected)
    inner = torch.stack([product.sum(dim=1) for product in products], dim=1) if pairs else torch.zeros(4, 0).double()
    torch.testing.assert_close(inner_products(x, *pairs_of(fields)), inner)


@pytest.mark.parametrize("fields", [1, 2, 5])
@pytest.mark.parametrize("size", [4, 1, 0])
def test_weighted_pairs_equal_a_loop_over_pairs(fields, size):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(size, fields, 3, generator=generator, dtype=torch.float64)
    pairs = list(itertools.combinations(range(fields), 2))
    weights = torch.randn(len(pairs), generator=generator, dtype=torch.float64)
    expected = torch.zeros(size, dtype=torch.float64)
    for weight, (i, j) in zip(weights, pairs, strict=True):
        expected += weight * (x[:, i] * x[:, j]).sum(dim=1)
    torch.testing.assert_close(weighted_pairs(x, weights, *pairs_of(fields)), expected)


def test_weighted_pairs_may_be_some_of_all_pairs():
    x = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first, second = torch.tensor([0, 2]), torch.tensor([3, 4])
    expected = 2.0 * (x[:, 0] * x[:, 3]).sum(dim=1) - (x[:, 2] * x[:, 4]).sum(dim=1)
    torch.testing.assert_close(weighted_pairs(x, torch.tensor([2.0, -1.0]).double(), first, second), expected)


def test_a_sum_that_cancels_is_not_taken_in_half_precision():
    x = torch.full((1, 2, 4), 100.0, dtype=torch.bfloat16)
    x[:, 1] = 0.01
    expected = (x[:, 0].double() * x[:, 1].double()).float()
    torch.testing.assert_close(pooled_pairs(x), expected, rtol=1e-2, atol=0)


def test_gradients_of_products():
    x = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pooled_pairs, (x,))
    assert torch.autograd.gradcheck(lambda x: inner_products(x, *pairs_of(4)), (x,))
    weights = torch.randn(6, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: weighted_pairs(x, w, *pairs_of(4)), (x, weights))
