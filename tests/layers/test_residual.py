"""Residual layers against their equations in float64."""

from __future__ import annotations

import torch

from fieldwise.layers.residual import ResidualLayer, ResidualUnit


def linear(x: torch.Tensor, layer: torch.nn.Linear) -> torch.Tensor:
    return torch.stack([layer.weight @ row for row in x])


def test_residual_layer_adds_its_input_before_the_relu():
    layer, x = ResidualLayer(5, 5).double(), torch.randn(4, 5, dtype=torch.float64)
    assert layer.shortcut is None
    torch.testing.assert_close(layer(x), (linear(x, layer.linear) + layer.linear.bias + x).clamp(min=0))


def test_residual_layer_projects_its_input_where_widths_differ_or_it_is_told_to():
    for out_dim in (3, 5):
        layer, x = ResidualLayer(5, out_dim, project=True).double(), torch.randn(4, 5, dtype=torch.float64)
        assert layer.shortcut is not None
        expected = linear(x, layer.linear) + layer.linear.bias + linear(x, layer.shortcut)
        torch.testing.assert_close(layer(x), expected.clamp(min=0))
    assert ResidualLayer(5, 3).shortcut is not None


def test_residual_unit_adds_its_input_to_two_layers():
    unit, x = ResidualUnit(5, 3).double(), torch.randn(4, 5, dtype=torch.float64)
    inner = (linear(x, unit.inner) + unit.inner.bias).clamp(min=0)
    torch.testing.assert_close(unit(x), (linear(inner, unit.outer) + unit.outer.bias + x).clamp(min=0))
