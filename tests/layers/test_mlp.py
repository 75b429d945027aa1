"""MLP against a NumPy loop, its initialisation, and batch normalisation of a single row."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from fieldwise.errors import SettingsError
from fieldwise.layers.mlp import MLP, LayerNormLinear


def linears(network: nn.Module) -> list[tuple[np.ndarray, np.ndarray]]:
    return [
        (m.weight.detach().double().numpy(), m.bias.detach().double().numpy())
        for m in network.modules()
        if isinstance(m, nn.Linear)
    ]


@pytest.mark.parametrize("hidden", [(), (4,), (6, 3)])
@pytest.mark.parametrize("head", [True, False])
def test_equals_numpy(hidden, head):
    torch.manual_seed(0)
    network = MLP(5, hidden, head=head)
    x = torch.randn(7, 5)
    expected = x.double().numpy()
    layers = linears(network)
    for weight, bias in layers[: len(hidden)]:
        expected = np.maximum(expected @ weight.T + bias, 0.0)
    if head:
        weight, bias = layers[-1]
        expected = (expected @ weight.T + bias)[:, 0]
    assert network(x).shape == expected.shape
    assert network.out_dim == (1 if head else (hidden or (5,))[-1])
    np.testing.assert_allclose(network(x).detach().numpy(), expected, atol=1e-5)


def test_hidden_weights_and_biases_are_glorot_normal_and_the_last_bias_zero():
    torch.manual_seed(0)
    network = MLP(600, (1000, 1000))
    (first, first_bias), (second, second_bias), (last, last_bias) = linears(network)
    assert first.std() == pytest.approx(math.sqrt(2 / 1600), rel=0.01)
    assert first_bias.std() == pytest.approx(math.sqrt(2 / 1600), rel=0.1)
    assert second.std() == pytest.approx(math.sqrt(2 / 2000), rel=0.01)
    assert second_bias.std() == pytest.approx(math.sqrt(2 / 2000), rel=0.1)
    assert last.std() == pytest.approx(math.sqrt(2 / 1001), rel=0.1)
    assert last_bias == 0.0


def test_dropout_acts_in_training_only():
    network = MLP(5, (50,), dropout=0.5, head=False)
    x = torch.ones(2, 5)
    torch.manual_seed(0)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_batch_norm_stands_before_the_relu():
    network = MLP(3, (4, 4), norm="batch", dropout=0.1)
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == ["Linear", "BatchNorm", "ReLU", "Dropout"] * 2
    torch.manual_seed(0)
    normalised = network.layers[1](network.layers[0](torch.randn(64, 3)))
    torch.testing.assert_close(normalised.mean(0), torch.zeros(4), atol=1e-5, rtol=0)


def test_a_training_batch_of_one_row_uses_the_running_statistics():
    network = MLP(3, (4,), norm="batch")
    x = torch.randn(1, 3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    trained = network(x)
    after = network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert torch.equal(trained, network.eval()(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": (4, 0)}, "at least 1"),
        ({"hidden": (4,), "dropout": 1.0}, "dropout"),
        ({"hidden": (4,), "dropout": -0.1}, "dropout"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(SettingsError, match=message):
        MLP(3, **arguments)


def test_layer_norm_stands_between_weights_and_bias_and_has_no_gain():
    torch.manual_seed(0)
    network = MLP(3, (4,), norm="layer", head=False)
    assert sum(parameter.numel() for parameter in network.parameters()) == 3 * 4 + 4
    ((weight, bias),) = linears(network)
    x = torch.randn(5, 3)
    product = x.double().numpy() @ weight.T
    centred = product - product.mean(axis=1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(network(x).detach().numpy(), np.maximum(normal + bias, 0.0), atol=1e-5)


def test_an_unknown_norm_is_refused():
    with pytest.raises(SettingsError, match="norm must be"):
        MLP(3, (4,), norm="group")


def test_a_gain_stands_between_the_normalisation_and_the_bias() -> None:
    torch.manual_seed(0)
    plain, gained = LayerNormLinear(3, 4), LayerNormLinear(3, 4, gain=True)
    assert plain.gain is None
    assert gained.gain is not None
    gained.load_state_dict({**plain.state_dict(), "gain": torch.tensor([1.0, -2.0, 0.5, 1.0])})
    x = torch.randn(5, 3)
    normal = plain(x) - plain.bias
    torch.testing.assert_close(gained(x), normal * torch.tensor([1.0, -2.0, 0.5, 1.0]) + plain.bias)
    network = MLP(3, (4,), norm="layer_gain")
    network(x).sum().backward()
    assert sum(name.endswith("gain") and p.grad is not None for name, p in network.named_parameters()) == 1
