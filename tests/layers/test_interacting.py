"""InteractingLayer against a float64 loop over rows, fields and heads, and against numbers worked out by hand."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

from fieldwise.errors import SettingsError
from fieldwise.layers.interacting import InteractingLayer

REFERENCE: dict[str, Any] = {}
PAPER: dict[str, Any] = {
    "scale": False,
    "qkv_bias": False,
    "qkv_activation": None,
    "residual_activation": None,
    "layer_norm": False,
}
TUTORIAL: dict[str, Any] = PAPER | {"scale": True, "residual_projection": False, "output_projection": True}


def randomise(layer: InteractingLayer, seed: int = 0) -> InteractingLayer:
    """Draws every parameter at random, so that biases and gains are tested too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return layer


def naive(layer: InteractingLayer, x: np.ndarray, settings: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Output [B, F, W] and attention [B, H, F, F], one row, head and field after another."""
    given = {"residual": True, "residual_projection": True, "scale": True, "layer_norm": True} | settings
    weights = {name: p.detach().numpy().astype(np.float64) for name, p in layer.named_parameters()}
    width, heads = layer.attention_dim, layer.num_heads
    size = width // heads
    blocks = weights["projection.weight"].reshape(-1, width, layer.in_dim)
    biases = weights.get("projection.bias", np.zeros(len(blocks) * width)).reshape(-1, width)

    def act(values: np.ndarray, name: str) -> np.ndarray:
        return np.maximum(values, 0.0) if given.get(name, "relu") == "relu" else values

    batch, fields, _ = x.shape
    output = np.zeros((batch, fields, width))
    attention = np.zeros((batch, heads, fields, fields))
    for b in range(batch):
        query, key, value = (
            np.stack([act(block @ x[b, m] + bias, "qkv_activation") for m in range(fields)])
            for block, bias in zip(blocks[:3], biases[:3], strict=True)
        )
        mixed = np.zeros((fields, width))
        for h, m in itertools.product(range(heads), range(fields)):
            own = slice(h * size, (h + 1) * size)
            logits = np.array([query[m, own] @ key[k, own] for k in range(fields)])
            if given["scale"]:
                logits /= math.sqrt(size)
            shares = np.exp(logits - logits.max())
            shares /= shares.sum()
            attention[b, h, m] = shares
            mixed[m, own] = sum(shares[k] * value[k, own] for k in range(fields))
        for m in range(fields):
            y = mixed[m]
            if "output_projection.weight" in weights:
                y = weights["output_projection.weight"] @ y
            if given["residual"]:
                branch = blocks[3] @ x[b, m] + biases[3] if given["residual_projection"] else x[b, m]
                y = y + act(branch, "residual_activation")
            y = np.maximum(y, 0.0)
            if given["layer_norm"]:
                y = (y - y.mean()) / np.sqrt(y.var() + 1e-8) * weights["norm.weight"] + weights["norm.bias"]
            output[b, m] = y
    return output, attention


@pytest.mark.parametrize(
    "settings",
    [
        REFERENCE,
        PAPER,
        TUTORIAL,
        PAPER | {"qkv_activation": "relu"},
        PAPER | {"residual_activation": "relu"},
        PAPER | {"qkv_bias": True, "scale": True},
        PAPER | {"residual": False},
        REFERENCE | {"residual": False},
        REFERENCE | {"residual_projection": False},
        REFERENCE | {"residual_projection": False, "residual_activation": None},
        REFERENCE | {"residual_projection": False, "qkv_activation": None},
        REFERENCE | {"output_projection": True},
        REFERENCE | {"num_heads": 1},
        PAPER | {"num_heads": 8},
    ],
    ids=str,
)
def test_equals_the_naive_loop(settings):
    layer = randomise(InteractingLayer(8, **{"attention_dim": 8, "num_heads": 2} | settings))
    x = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(1))
    before = x.clone()
    output, attention = naive(layer, x.double().numpy(), settings)
    got, weights = layer.forward_with_attention(x)
    np.testing.assert_allclose(got.detach().numpy(), output, atol=2e-5, rtol=1e-4)
    np.testing.assert_allclose(weights.detach().numpy(), attention, atol=1e-6, rtol=1e-4)
    assert torch.equal(layer(x), got)
    assert torch.equal(x, before)  # nothing was done in place to the input


def test_gradients_are_those_of_the_equations():
    """The in-place steps and the scale folded into the weights must not disturb differentiation."""
    for settings in (REFERENCE, PAPER, TUTORIAL, PAPER | {"qkv_activation": "relu"}):
        layer = randomise(InteractingLayer(4, **{"attention_dim": 4, "num_heads": 2} | settings)).double()
        x = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True)
        parameters = list(layer.parameters())
        assert torch.autograd.gradcheck(lambda x, *_: layer(x), (x, *parameters), atol=1e-6)  # noqa: B023


def test_hand_computed_example():
    """Two fields, one head, identity projections, no scale: attention logits x_m . x_k."""
    layer = InteractingLayer(2, attention_dim=2, num_heads=1, **PAPER)
    with torch.no_grad():
        layer.projection.weight.copy_(torch.cat([torch.eye(2)] * 3 + [-torch.eye(2)]))
    x = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    a = math.e / (math.e + 1)  # the first field: logits 1 and 0
    c = 1 / (1 + math.e**4)  # the second field: logits 0 and 4
    output, attention = layer.forward_with_attention(x)
    torch.testing.assert_close(attention, torch.tensor([[[[a, 1 - a], [c, 1 - c]]]]))
    # residual -x, then ReLU: [a - 1, 2 - 2a] and [c, 2 - 2c - 2]
    torch.testing.assert_close(output, torch.tensor([[[0.0, 2 - 2 * a], [c, 0.0]]]))


def test_layer_norm_comes_after_the_relu_with_biased_variance():
    layer = InteractingLayer(1, attention_dim=2, num_heads=1)
    with torch.no_grad():
        layer.projection.weight.zero_()
        layer.projection.bias.copy_(torch.tensor([0.0, 0, 0, 0, 0, 0, 3, -9]))  # residual: ReLU gives [3, 0]
    torch.testing.assert_close(layer(torch.zeros(1, 1, 1)), torch.tensor([[[1.0, -1.0]]]))


def test_equal_values_of_a_row_do_not_divide_by_zero():
    layer = InteractingLayer(2, attention_dim=4, num_heads=2)
    x = torch.zeros(2, 3, 2, requires_grad=True)
    output = layer(x)
    output.square().sum().backward()
    assert torch.equal(output, torch.zeros(2, 3, 4))
    assert x.grad.isfinite().all()


def test_scale_changes_the_logits_by_the_root_of_the_head_width():
    x = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(0))
    scaled = randomise(InteractingLayer(6, attention_dim=8, num_heads=2, scale=True))
    plain = randomise(InteractingLayer(6, attention_dim=8, num_heads=2, scale=False))
    a, b = (layer.forward_with_attention(x)[1].log() for layer in (scaled, plain))
    # Differences of log weights within a row are differences of logits.
    torch.testing.assert_close((a - a[..., :1]) * math.sqrt(4), b - b[..., :1], atol=1e-4, rtol=1e-4)


def test_dropout_drops_attention_weights_in_training_only():
    layer = InteractingLayer(4, attention_dim=8, num_heads=2, dropout=0.5)
    x = torch.randn(4, 6, 4, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    assert not torch.equal(layer(x), layer(x))
    _, attention = layer.forward_with_attention(x)
    torch.testing.assert_close(attention.sum(-1), torch.ones(4, 2, 6))
    layer.eval()
    assert torch.equal(layer(x), layer(x))


def test_no_rows_and_other_widths():
    layer = InteractingLayer(4, attention_dim=6, num_heads=3)
    output, attention = layer.forward_with_attention(torch.zeros(0, 5, 4))
    assert output.shape == (0, 5, 6)
    assert attention.shape == (0, 3, 5, 5)


def test_each_block_is_glorot_uniform_and_biases_are_zero():
    torch.manual_seed(0)
    layer = InteractingLayer(100, attention_dim=200, output_projection=True)
    for fans, weights in ((300, layer.projection.weight.chunk(4)), (400, [layer.output_projection.weight])):
        bound = math.sqrt(6 / fans)
        for block in weights:
            assert float(block.detach().abs().max()) <= bound
            assert float(block.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert not layer.projection.bias.any()
    assert layer.output_projection.bias is None


def test_the_state_holds_no_constants():
    names = set(InteractingLayer(4, attention_dim=4).state_dict())
    assert names == {"projection.weight", "projection.bias", "norm.weight", "norm.bias"}


def test_bfloat16_autocast_stays_near_float32():
    layer = InteractingLayer(16)
    x = torch.randn(4, 7, 16, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = layer(x)
    low.sum().backward()
    torch.testing.assert_close(low.float(), layer(x), atol=0.08, rtol=0.08)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attention_dim": 10, "num_heads": 3}, "attention_dim 10 and num_heads 3"),
        ({"num_heads": 0}, "num_heads must be at least 1"),
        ({"residual_projection": False}, "vectors of 16 and attention_dim 64"),
        ({"dropout": 1.0}, "dropout"),
        ({"qkv_activation": "gelu"}, "qkv_activation"),
        ({"residual_activation": "tanh"}, "residual_activation"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(SettingsError, match=message):
        InteractingLayer(16, **arguments)


def test_no_residual_needs_no_equal_widths():
    assert InteractingLayer(16, residual=False, residual_projection=False)(torch.ones(1, 2, 16)).shape == (1, 2, 64)
