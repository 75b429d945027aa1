"""Micro-networks against a loop over rows and pairs in float64."""

from __future__ import annotations

import itertools

import pytest
import torch

from fieldwise.errors import SettingsError
from fieldwise.layers.micro_networks import MicroNetworks


def make(fields: int, widths: tuple[int, ...], *, layer_norm: bool = True) -> MicroNetworks:
    torch.manual_seed(0)
    layer = MicroNetworks(fields, 3, widths, layer_norm=layer_norm).double()
    with torch.no_grad():
        for bias in layer.biases:
            bias.normal_()
    return layer


def by_loop(layer: MicroNetworks, x: torch.Tensor) -> torch.Tensor:
    """What the networks give for x [B, F, D], row by row and pair by pair."""
    rows = []
    for row in x:
        states = [torch.cat([row[i], row[j], row[i] * row[j]]) for i, j in itertools.combinations(range(len(row)), 2)]
        for depth, (weight, bias) in enumerate(zip(layer.weights, layer.biases, strict=True)):
            states = [state @ weight[p] for p, state in enumerate(states)]
            if layer.layer_norm:  # one mean and one variance for all networks of the row
                every = torch.cat(states)
                spread = torch.sqrt(every.var(correction=0) + 1e-5)
                states = [(state - every.mean()) / spread for state in states]
            states = [state + bias[p] for p, state in enumerate(states)]
            if depth < len(layer.weights) - 1:
                states = [state.clamp(min=0) for state in states]
        rows.append(torch.stack(states))
    return torch.stack(rows)


@pytest.mark.parametrize("widths", [(2,), (4, 2), (4, 3, 2)])
@pytest.mark.parametrize("layer_norm", [True, False])
@pytest.mark.parametrize("fields", [2, 5])
def test_networks_equal_a_loop_over_pairs(widths, layer_norm, fields):
    layer = make(fields, widths, layer_norm=layer_norm)
    x = torch.randn(4, fields, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    output = layer(x)
    assert output.shape == (4, fields * (fields - 1) // 2, 2)
    torch.testing.assert_close(output, by_loop(layer, x))


def test_the_layer_normalisation_is_over_all_networks_of_a_row():
    layer = MicroNetworks(4, 3, (5,)).double()
    x = torch.randn(6, 4, 3, dtype=torch.float64)
    output = layer(x).detach()  # biases are still zero
    torch.testing.assert_close(output.mean(dim=(1, 2)), torch.zeros(6).double(), atol=1e-10, rtol=0)
    torch.testing.assert_close(output.var(dim=(1, 2), correction=0), torch.ones(6).double(), atol=1e-3, rtol=0)
    assert float(output.mean(dim=2).abs().min()) > 1e-6  # not over those of one network


def test_equal_numbers_are_normalised_to_zero_and_not_to_nan():
    assert torch.equal(MicroNetworks(3, 2, (4,))(torch.zeros(2, 3, 2)), torch.zeros(2, 3, 4))


def test_no_rows():
    assert make(3, (4, 2))(torch.zeros(0, 3, 3).double()).shape == (0, 3, 2)


def test_gradients_of_micro_networks():
    layer = make(3, (3, 2))
    x = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


def test_settings_that_cannot_be():
    with pytest.raises(SettingsError, match="at least 2 fields, got 1"):
        MicroNetworks(1, 3, (2,))
    for widths in [(), (4, 0)]:
        with pytest.raises(SettingsError, match="at least 1 unit"):
            MicroNetworks(3, 3, widths)


def test_lower_precision_products_change_little():
    layer = make(5, (4, 2)).float()
    x = torch.randn(64, 5, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(x)
    output.float().square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    torch.testing.assert_close(output.float(), layer(x), atol=0.06, rtol=0.06)
