"""The compressed interaction network against loops over rows, pairs and coordinates in float64, and by hand."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from fieldwise.errors import SettingsError
from fieldwise.layers.cin import CompressedInteraction

SETTINGS = [
    (4, (6,), True),
    (4, (6, 5, 3), True),
    (4, (6, 5, 3), False),
    (1, (2, 2), True),
]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 0.7


def make(fields: int, widths: tuple[int, ...], split_half: bool) -> CompressedInteraction:
    layer = CompressedInteraction(fields, widths, split_half=split_half).double()
    with torch.no_grad():
        for seed, filters in enumerate(layer.filters, start=1):
            filters.copy_(draw(*filters.shape, seed=seed))
    return layer


@torch.no_grad()
def enumerated(layer: CompressedInteraction, x: Tensor) -> Tensor:
    """The paper's equations, one row of one layer and one pair (h, f) after another."""
    size, fields, dim = x.shape
    output = []
    for row in x:
        state, pooled = list(row), []
        for number, filters in enumerate(layer.filters, start=1):
            rows = []
            for weights in filters:
                vector = torch.zeros(dim, dtype=torch.float64)
                for h, f in itertools.product(range(len(state)), range(fields)):
                    vector = vector + weights[h, f] * state[h] * row[f]
                rows.append(vector)
            half = len(rows) // 2
            goes_no_further = rows[half:] if layer.split_half and number < len(layer.filters) else rows
            pooled += [float(vector.sum()) for vector in goes_no_further]
            state = rows[:half] if layer.split_half else rows
        output.append(pooled)
    return torch.tensor(output, dtype=torch.float64).view(size, -1)


@pytest.mark.parametrize(("fields", "widths", "split_half"), SETTINGS)
def test_compressed_interactions_equal_an_enumeration_of_pairs(fields, widths, split_half):
    layer, x = make(fields, widths, split_half), draw(3, fields, 2)
    expected = enumerated(layer, x)
    assert layer(x).shape == (3, layer.out_dim)
    torch.testing.assert_close(layer(x), expected)
    weight = draw(layer.out_dim, seed=9)
    torch.testing.assert_close(layer.read_out(x, weight), expected @ weight)


@pytest.mark.parametrize(("fields", "widths", "split_half"), SETTINGS)
@pytest.mark.parametrize("size", [3, 1, 0])
def test_read_out_equals_the_layers_one_after_another_with_gradients(fields, widths, split_half, size):
    layer, x = make(fields, widths, split_half), draw(size, fields, 3).requires_grad_()
    weight = draw(layer.out_dim, seed=9).requires_grad_()
    slow, fast = layer(x) @ weight, layer.read_out(x, weight)
    torch.testing.assert_close(fast, slow)
    inputs, pull = [x, weight, *layer.parameters()], draw(size, seed=5)
    expected = torch.autograd.grad(slow, inputs, pull)
    for got, want in zip(torch.autograd.grad(fast, inputs, pull), expected, strict=True):
        torch.testing.assert_close(got, want)


def test_compressed_interactions_by_hand():
    layer = CompressedInteraction(2, (1,))
    with torch.no_grad():
        layer.filters[0].copy_(torch.tensor([[[1.0, 10.0], [100.0, 1000.0]]]))
    x = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    # <e_1, e_1> = 5, <e_1, e_2> = 11 twice, <e_2, e_2> = 25
    assert layer(x).tolist() == [[5.0 + 110.0 + 1100.0 + 25000.0]]
    assert layer.read_out(x, torch.tensor([2.0])).tolist() == [2 * 26215.0]


def test_trap_30_all_layers_but_the_last_are_split_in_halves():
    split = CompressedInteraction(39, (200, 200, 200))
    assert [tuple(filters.shape) for filters in split.filters] == [(200, 39, 39), (200, 100, 39), (200, 100, 39)]
    assert sum(filters.numel() for filters in split.filters) == 1_864_200
    assert split.kept == [100, 100, 0]
    assert split.out_dim == 100 + 100 + 200
    whole = CompressedInteraction(39, (200, 200, 200), split_half=False)
    assert sum(filters.numel() for filters in whole.filters) == 3_424_200
    assert whole.out_dim == 600


@torch.no_grad()
def test_a_sum_over_coordinates_is_taken_in_float32_under_autocast():
    layer, x = CompressedInteraction(1, (2, 1)), torch.ones(1, 1, 257)  # 257 has more digits than bfloat16
    for filters in layer.filters:
        filters.fill_(1.0)
    with torch.autocast("cpu", torch.bfloat16):
        got = layer.read_out(x, torch.ones(2))
    assert got.dtype == torch.float32
    assert got.tolist() == [2 * 257.0]


def test_gradients_of_compressed_interactions():
    layer, x = make(3, (4, 2), True), draw(2, 3, 2).requires_grad_()
    weight = draw(layer.out_dim, seed=9).requires_grad_()
    assert torch.autograd.gradcheck(layer, (x,))
    assert torch.autograd.gradcheck(layer.read_out, (x, weight))


def test_widths_that_are_too_small_are_refused():
    with pytest.raises(SettingsError, match="layer widths of at least 1"):
        CompressedInteraction(3, ())
    with pytest.raises(SettingsError, match="layer widths of at least 1"):
        CompressedInteraction(3, (4, 0))
    with pytest.raises(SettingsError, match=r"split_half needs widths of at least 2 .* got \(1, 4\)"):
        CompressedInteraction(3, (1, 4))
    assert CompressedInteraction(3, (1, 1), split_half=False).out_dim == 2
