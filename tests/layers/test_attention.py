"""The quick interacting layer equals the readable one, gradients included."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from fieldwise.layers.attention import attend
from fieldwise.layers.interacting import InteractingLayer

SHAPES: list[dict[str, Any]] = [
    {},
    {"qkv_activation": None, "residual_activation": None},
    {"residual_activation": None},
    {"residual": False},
    {"in_dim": 12, "residual_projection": False},
    {"in_dim": 12, "residual_projection": False, "residual_activation": None},
    {"num_heads": 1, "scale": False, "qkv_bias": False, "layer_norm": False},
    {"num_heads": 4},
]


def layer_of(shape: dict[str, Any], dtype: torch.dtype = torch.float64) -> InteractingLayer:
    torch.manual_seed(0)
    settings = {"in_dim": 6, "attention_dim": 12, "num_heads": 3, **shape}
    layer = InteractingLayer(**settings).to(dtype)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return layer


def readable(layer: InteractingLayer, x: Tensor) -> Tensor:
    """The output of the readable form."""
    quick, layer.quick = layer.quick, False
    output: Tensor = layer(x)
    layer.quick = quick
    return output


def gradients(layer: InteractingLayer, x: Tensor, output: Tensor) -> list[Tensor]:
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    return list(torch.autograd.grad((output * weights).sum(), [x, *layer.parameters()]))


@pytest.mark.parametrize("shape", SHAPES)
def test_quick_equals_readable(shape: dict[str, Any]) -> None:
    layer = layer_of(shape)
    assert layer.quick
    x = torch.randn(5, 7, layer.in_dim, dtype=torch.float64, requires_grad=True)
    quick, slow = layer(x), readable(layer, x)
    torch.testing.assert_close(quick, slow)
    for got, expected in zip(gradients(layer, x, quick), gradients(layer, x, slow), strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("shape", [{"output_projection": True}, {"qkv_activation": None}])
def test_forms_without_a_quick_one_take_the_readable(shape: dict[str, Any]) -> None:
    layer = layer_of(shape)
    x = torch.randn(2, 7, layer.in_dim, dtype=torch.float64, requires_grad=True)
    assert not layer.quick
    assert torch.equal(layer(x), readable(layer, x))


def test_dropout_by_hand() -> None:
    projected = torch.randn(3, 5, 24, dtype=torch.float64)
    ours = projected.clone().requires_grad_()
    torch.manual_seed(3)
    output = attend(ours * 1.0, None, width=8, num_heads=1, relu=0, dropout=0.4)
    torch.manual_seed(3)
    kept = torch.empty(3, 5, 5, dtype=torch.float64).bernoulli_(0.6)
    assert 0 < kept.mean() < 1
    theirs = projected.clone().requires_grad_()
    query, key, value = theirs.split(8, dim=-1)
    expected = ((torch.softmax(query @ key.transpose(1, 2), dim=-1) * kept / 0.6) @ value).relu()
    torch.testing.assert_close(output, expected)
    weights = torch.randn_like(output)
    torch.testing.assert_close(
        torch.autograd.grad((output * weights).sum(), ours), torch.autograd.grad((expected * weights).sum(), theirs)
    )


def test_dropout_ends_with_training() -> None:
    layer = layer_of({"dropout": 0.5})
    x = torch.randn(4, 7, layer.in_dim, dtype=torch.float64, requires_grad=True)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))
    torch.testing.assert_close(layer(x), readable(layer, x))


def test_bfloat16_is_near_float32() -> None:
    layer = layer_of({}, torch.float32)
    x = torch.randn(64, 7, layer.in_dim, requires_grad=True)
    exact = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = copy.deepcopy(layer)(x)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, rtol=0.1, atol=0.1)
    got, expected = gradients(layer, x, layer(x)), gradients(layer, x, exact)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0.1, atol=0.1)
