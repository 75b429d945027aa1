"""Attention over pairs against a loop over rows and pairs in NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from fieldwise.errors import SettingsError
from fieldwise.layers.pair_attention import PairAttention


def make(fields: int = 4, dim: int = 3, attention_dim: int = 5, **settings: float) -> PairAttention:
    torch.manual_seed(0)
    return PairAttention(fields, dim, attention_dim=attention_dim, **settings)


def drawn(size: int, fields: int, dim: int) -> torch.Tensor:
    return torch.randn(size, fields, dim, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("fields", [2, 4])
@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_equals_numpy(fields, temperature):
    layer, x = make(fields, temperature=temperature), drawn(6, fields, 3)
    p = {name: value.detach().double().numpy() for name, value in layer.named_parameters()}
    outputs, all_weights = [], []
    for row in x.double().numpy():
        products = [row[i] * row[j] for i, j in itertools.combinations(range(fields), 2)]
        logits = [
            p["query"] @ np.maximum(p["hidden.weight"] @ h + p["hidden.bias"], 0.0) / temperature for h in products
        ]
        shares = np.exp(np.array(logits) - max(logits))
        weights = shares / shares.sum()
        all_weights.append(weights)
        outputs.append(sum(weight * h for weight, h in zip(weights, products, strict=True)))
    np.testing.assert_allclose(layer(x).detach().numpy(), np.array(outputs), atol=1e-5)
    np.testing.assert_allclose(layer.weights(x).detach().numpy(), np.array(all_weights), atol=1e-5)


def test_weights_add_up_to_one_over_the_pairs_of_a_row():
    """Not over coordinates."""
    layer, x = make(5), drawn(6, 5, 3)
    assert layer.weights(x).shape == (6, 10)
    torch.testing.assert_close(layer.weights(x).sum(dim=1), torch.ones(6))


def test_the_temperature_divides_the_logits():
    x = drawn(6, 4, 3)
    warm, cold = make(temperature=1.0).weights(x), make(temperature=0.5).weights(x)
    torch.testing.assert_close(cold, torch.softmax(2.0 * warm.log(), dim=1))


def test_even_attention_is_the_mean_of_the_products():
    layer, x = make(), drawn(6, 4, 3)
    with torch.no_grad():
        layer.query.zero_()
    products = [x[:, i] * x[:, j] for i, j in itertools.combinations(range(4), 2)]
    torch.testing.assert_close(layer(x), torch.stack(products).mean(dim=0))


def test_dropout_drops_weights_in_training_only():
    layer, x = make(dropout=0.5), drawn(6, 4, 3)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))
    assert torch.equal(layer(x), make()(x))


def test_no_rows():
    assert make()(drawn(0, 4, 3)).shape == (0, 3)


def test_gradients():
    layer = make(attention_dim=2).double()
    x = drawn(2, 4, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(layer, (x,))


def test_the_softmax_is_not_taken_in_half_precision():
    layer, x = make(temperature=0.01), drawn(6, 4, 3)
    with torch.autocast("cpu", torch.bfloat16):
        weights = layer.weights(x)
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(6))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fields": 1}, "at least 2 fields, got 1"),
        ({"attention_dim": 0}, "attention_dim must be at least 1, got 0"),
        ({"temperature": 0.0}, "temperature .* must be above 0, got 0.0"),
        ({"dropout": 1.0}, "dropout .* got 1.0"),
    ],
)
def test_arguments_out_of_range_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        make(**settings)
