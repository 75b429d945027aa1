"""Cross layers against loops over rows and coordinates in float64, their identities, and gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fieldwise.errors import SettingsError
from fieldwise.layers.cross import LowRankCross, MatrixCross, VectorCross

WIDTH = 6


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 0.5


def randomise(layer: torch.nn.Module) -> None:
    """Float64 parameters at random, so that biases are tested too."""
    layer.double()
    with torch.no_grad():
        for seed, parameter in enumerate(layer.parameters(), start=1):
            parameter.copy_(draw(*parameter.shape, seed=seed))


def crossed_by_hand(layer: VectorCross, x: Tensor) -> Tensor:
    """DCN's equation with the outer product x_0 x_l^T written out, one row and coordinate after another."""
    states = x.tolist()
    for weight, bias in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True):
        following = []
        for start, state in zip(x.tolist(), states, strict=True):
            outer = [[a * b for b in state] for a in start]
            product = [sum(o * w for o, w in zip(row, weight, strict=True)) for row in outer]
            following.append([p + b + s for p, b, s in zip(product, bias, state, strict=True)])
        states = following
    return torch.tensor(states, dtype=torch.float64)


@pytest.mark.parametrize("num_layers", [0, 1, 3])
def test_vector_cross_equals_outer_products_written_out(num_layers):
    layer, x = VectorCross(WIDTH, num_layers), draw(4, WIDTH)
    randomise(layer)
    torch.testing.assert_close(layer(x), crossed_by_hand(layer, x))


@pytest.mark.parametrize("num_layers", [0, 1, 2, 5])
@pytest.mark.parametrize("size", [5, 1, 0])
def test_read_out_in_one_pass_equals_the_layers_one_after_another_with_gradients(num_layers, size):
    layer, x, weight = VectorCross(WIDTH, num_layers), draw(size, WIDTH).requires_grad_(), draw(WIDTH, seed=9)
    randomise(layer)
    weight.requires_grad_()
    inputs = [x, weight, *(p for p in layer.parameters() if p.numel())]
    slow, fast = layer(x) @ weight, layer.read_out(x, weight)
    torch.testing.assert_close(fast, slow)
    pull = draw(size, seed=5)
    # A layer's bias reaches the read-out by c_{l+1} = c_l + b_l; the last one only by the sum.
    expected = torch.autograd.grad(slow, inputs, pull)
    for got, want in zip(torch.autograd.grad(fast, inputs, pull), expected, strict=True):
        torch.testing.assert_close(got, want)


def test_read_out_keeps_float32_under_autocast():
    torch.manual_seed(0)
    layer, x, weight = VectorCross(64, 3), torch.randn(8, 64), torch.randn(64)
    with torch.autocast("cpu", torch.bfloat16):
        got = layer.read_out(x, weight)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, layer(x) @ weight, rtol=1e-4, atol=1e-4)


def test_a_cross_layer_by_hand():
    layer = VectorCross(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, -1.0]]))
        layer.bias.copy_(torch.tensor([[0.5, 0.25]]))
    # w . x = 3 - 2 = 1, so x_1 = x_0 + b + x_0
    assert layer(torch.tensor([[1.0, 2.0]])).tolist() == [[2.5, 4.25]]
    assert layer.read_out(torch.tensor([[1.0, 2.0]]), torch.tensor([1.0, 10.0])).tolist() == [45.0]


def test_matrix_cross_equals_a_loop_over_coordinates():
    layer, x_0, x = MatrixCross(WIDTH), draw(3, WIDTH), draw(3, WIDTH, seed=1)
    randomise(layer)
    w, b = layer.linear.weight.detach(), layer.linear.bias.detach()
    expected = [
        [x_0[r, i] * (sum(w[i, j] * x[r, j] for j in range(WIDTH)) + b[i]) + x[r, i] for i in range(WIDTH)]
        for r in range(3)
    ]
    torch.testing.assert_close(layer(x_0, x), torch.tensor(expected, dtype=torch.float64))


def test_matrix_cross_with_equal_rows_and_no_bias_is_vector_cross():
    vector, matrix, x = VectorCross(WIDTH, 1), MatrixCross(WIDTH), draw(3, WIDTH)
    randomise(vector)
    matrix.double()
    with torch.no_grad():
        vector.bias.zero_()
        matrix.linear.weight.copy_(vector.weight.expand(WIDTH, WIDTH))
        matrix.linear.bias.zero_()
    torch.testing.assert_close(matrix(x, x), vector(x))


def test_matrix_cross_with_a_diagonal_matrix_lets_no_coordinates_meet():
    layer, x = MatrixCross(WIDTH).double(), draw(3, WIDTH)
    diagonal = draw(WIDTH, seed=4)
    with torch.no_grad():
        layer.linear.weight.copy_(diagonal.diag())
        layer.linear.bias.zero_()
    torch.testing.assert_close(layer(x, x), x * (1 + diagonal * x))


@pytest.mark.parametrize("activation", ["tanh", "relu", None])
@pytest.mark.parametrize("experts", [1, 3])
def test_low_rank_cross_equals_a_loop_over_experts(activation, experts):
    rank, layer = 2, LowRankCross(WIDTH, 2, experts=experts, activation=activation)
    randomise(layer)
    x_0, x = draw(4, WIDTH), draw(4, WIDTH, seed=1)
    g = {"tanh": torch.tanh, "relu": torch.relu, None: lambda value: value}[activation]
    rows = []
    for start, state in zip(x_0, x, strict=True):
        scores = torch.zeros(1).double() if layer.gate is None else layer.gate.weight @ state
        gates = [math.exp(score) / sum(math.exp(s) for s in scores.tolist()) for score in scores.tolist()]
        total = state.clone()
        for k, gate in enumerate(gates):
            own = slice(k * rank, (k + 1) * rank)
            hidden = g(layer.down[own] @ state)
            if layer.core is not None:
                hidden = g(layer.core[k] @ hidden)
            total = total + gate * start * (layer.up[:, own] @ hidden + layer.bias)
        rows.append(total)
    torch.testing.assert_close(layer(x_0, x), torch.stack(rows))


def test_one_linear_expert_is_a_matrix_cross_of_low_rank():
    low, full, x = LowRankCross(WIDTH, 2, activation=None), MatrixCross(WIDTH).double(), draw(4, WIDTH)
    randomise(low)
    assert low.core is None
    assert low.gate is None
    with torch.no_grad():
        full.linear.weight.copy_(low.up @ low.down)
        full.linear.bias.copy_(low.bias)
    torch.testing.assert_close(low(x, x), full(x, x))


def test_equal_experts_are_one_expert_whatever_the_gates():
    one, many, x = LowRankCross(WIDTH, 2), LowRankCross(WIDTH, 2, experts=3), draw(4, WIDTH)
    randomise(one)
    randomise(many)
    assert one.core is not None
    assert many.core is not None
    with torch.no_grad():
        many.down.copy_(one.down.repeat(3, 1))
        many.up.copy_(one.up.repeat(1, 3))
        many.core.copy_(one.core.expand(3, -1, -1))
        many.bias.copy_(one.bias)
    torch.testing.assert_close(many(x, x), one(x, x))


def test_gradients_of_cross_layers():
    x = draw(2, WIDTH).requires_grad_()
    for layer in (MatrixCross(WIDTH), LowRankCross(WIDTH, 2, experts=2)):
        randomise(layer)
        assert torch.autograd.gradcheck(lambda x, layer=layer: layer(x, layer(x, x)), (x,))
    vector, weight = VectorCross(WIDTH, 2), draw(WIDTH, seed=3).requires_grad_()
    randomise(vector)
    assert torch.autograd.gradcheck(vector.read_out, (x, weight))


def test_arguments_out_of_range_are_refused():
    with pytest.raises(SettingsError, match="num_layers >= 0, got 3, -1"):
        VectorCross(3, -1)
    with pytest.raises(SettingsError, match="rank and experts must be at least 1, got 0 and 1"):
        LowRankCross(3, 0)
    with pytest.raises(SettingsError, match="activation must be 'tanh', 'relu' or None, got 'gelu'"):
        LowRankCross(3, 1, activation="gelu")  # type: ignore[arg-type]
