"""The ANOVA kernel against loops over all tuples in float64; power sums against the recurrence."""

from __future__ import annotations

import itertools

import pytest
import torch

from fieldwise.errors import SettingsError
from fieldwise.layers.anova import anova, anova_recurrence
from fieldwise.layers.products import pooled_pairs


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("fields", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [4, 0])
def test_equals_a_loop_over_tuples(order, fields, size):
    x = drawn(size, fields, 3)
    expected = torch.zeros(size, 3, dtype=torch.float64)
    for chosen in itertools.combinations(range(fields), order):
        expected += x[:, list(chosen)].prod(dim=1)
    torch.testing.assert_close(anova_recurrence(x, order), expected)
    torch.testing.assert_close(anova(x, order), expected)
    if order > fields:
        assert not anova(x, order).any()


def test_order_two_is_half_the_difference_of_squares():
    x = drawn(4, 6, 3)
    half = 0.5 * (x.sum(dim=1) ** 2 - (x**2).sum(dim=1))
    torch.testing.assert_close(anova(x, 2), half)
    assert torch.equal(anova(x, 2), pooled_pairs(x))
    torch.testing.assert_close(anova_recurrence(x, 2), half)


def test_order_three_counts_each_triple_once_only_with_all_coefficients_of_its_power_sums():
    x = drawn(4, 6, 3)
    p1, p2, p3 = (x.pow(k).sum(dim=1) for k in (1, 2, 3))
    torch.testing.assert_close(anova_recurrence(x, 3), (p1**3 - 3 * p1 * p2 + 2 * p3) / 6)
    ones = torch.ones(1, 39, 1, dtype=torch.float64)
    assert anova(ones, 3).item() == 9139
    assert anova(ones, 4).item() == 82251


@pytest.mark.parametrize("order", [2, 3, 4])
def test_sums_that_cancel_are_not_taken_in_half_precision(order):
    x = torch.full((1, 5, 1), 0.1).bfloat16()
    x[:, 0] = 10.0
    kernel = anova(x, order)
    assert kernel.dtype == torch.float32
    torch.testing.assert_close(kernel.double(), anova_recurrence(x.double(), order), rtol=1e-3, atol=0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(anova(x.float(), order), kernel)


def test_nothing_cancels_in_the_recurrence():
    x = torch.full((1, 5, 1), 0.01)
    x[:, 0] = 100.0
    expected = anova_recurrence(x.double(), 3)
    torch.testing.assert_close(anova_recurrence(x, 3).double(), expected, rtol=1e-6, atol=0)
    # Four digits between the fields are too many for the power sums, the price of their speed.
    assert not torch.allclose(anova(x, 3).double(), expected, rtol=0.1, atol=0)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_gradients(order):
    x = drawn(2, 5, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: anova(x, order), (x,))
    assert torch.autograd.gradcheck(lambda x: anova_recurrence(x, order), (x,))


def test_order_below_one_is_refused():
    with pytest.raises(SettingsError, match="at least 1, got 0"):
        anova(drawn(1, 2, 3), 0)
