"""Field-aware products against a loop over pairs in float64."""

from __future__ import annotations

import itertools

import pytest
import torch

from fieldwise.layers.field_aware import field_aware_products, partners_of, slot_of


def test_slots_leave_out_the_field_itself():
    """The slot is j - 1 for j > i and j for j < i."""
    for i in range(4):
        others = [j for j in range(4) if j != i]
        slots = slot_of(torch.tensor(i), torch.tensor(others)).tolist()
        assert slots == [j - 1 if j > i else j for j in others] == [0, 1, 2]


@pytest.mark.parametrize("fields", [1, 2, 3, 7])
def test_partners_undo_themselves(fields):
    partners = partners_of(fields)
    assert partners.shape == (fields * (fields - 1),)
    assert torch.equal(partners[partners], torch.arange(len(partners)))
    for i, j in itertools.permutations(range(fields), 2):
        here = i * (fields - 1) + (j - 1 if j > i else j)
        there = j * (fields - 1) + (i - 1 if i > j else i)
        assert partners[here] == there


@pytest.mark.parametrize("fields", [1, 2, 5])
@pytest.mark.parametrize("size", [4, 1, 0])
def test_equals_a_loop_over_pairs(fields, size):
    x = torch.randn(size, fields, fields - 1, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.zeros(size, dtype=torch.float64)
    for i, j in itertools.combinations(range(fields), 2):
        expected += (x[:, i, j - 1] * x[:, j, i]).sum(dim=1)
    torch.testing.assert_close(field_aware_products(x, partners_of(fields)), expected)


def test_gradients():
    x = torch.randn(2, 4, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: field_aware_products(x, partners_of(4)), (x,))


def test_the_sum_is_not_taken_in_half_precision():
    x = torch.randn(8, 6, 5, 4, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        products = field_aware_products(x, partners_of(6))
    assert torch.equal(products, field_aware_products(x, partners_of(6)))
    half = x.bfloat16()
    torch.testing.assert_close(
        field_aware_products(half, partners_of(6)), field_aware_products(half.float(), partners_of(6))
    )
