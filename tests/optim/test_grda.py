"""GRDA against its closed form and against a slow scalar form."""

import copy

import pytest
import torch
from torch import nn

from fieldwise.errors import SettingsError
from fieldwise.optim.grda import GRDA, choose_c


def weights(*values: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


def run(parameter: nn.Parameter, optimizer: GRDA, gradients: list[list[float]]) -> None:
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient, dtype=parameter.dtype)
        optimizer.step()


def test_the_test_vector_without_gradients():
    gate = weights(0.6)
    optimizer = GRDA([gate], lr=0.1, c=0.05, mu=0.6)
    run(gate, optimizer, [[0.0]] * 100)
    assert float(optimizer.state[gate]["threshold"]) == pytest.approx(0.0629463, abs=5e-8)
    assert gate.item() == pytest.approx(0.5370537, abs=5e-8)


def test_steps_follow_the_written_equations():
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    rates = [0.3 * 0.75 ** (step // 10) for step in range(50)]
    gate = weights(0.6, -0.6, 0.0)
    optimizer = GRDA([gate], lr=1.0, c=0.1, mu=0.7)
    v, threshold = [0.6, -0.6, 0.0], 0.0
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True)):
        optimizer.param_groups[0]["lr"] = rate
        run(gate, optimizer, [gradient.tolist()])
        threshold += 0.1 * rate**1.2 * ((step + 1) ** 0.7 - step**0.7)
        v = [x - rate * float(g) for x, g in zip(v, gradient, strict=True)]
        wanted = [max(abs(x) - threshold, 0.0) * (1 if x > 0 else -1) for x in v]
        assert gate.tolist() == pytest.approx(wanted, abs=1e-12)


def test_zeros_are_exact_and_can_come_back():
    gate = weights(0.1)
    optimizer = GRDA([gate], lr=1.0, c=0.2, mu=0.5)
    run(gate, optimizer, [[0.0]])
    assert gate.item() == 0.0
    run(gate, optimizer, [[-0.5]])
    # The accumulator was not shrunk with the gate: 0.1 + 0.5, not 0 + 0.5.
    assert gate.item() == pytest.approx(0.6 - 0.2 * 2**0.5)


def test_proximal_gradient_descent_is_another_algorithm():
    gate, shrunk = weights(1.0), 1.0
    optimizer = GRDA([gate], lr=0.5, c=0.1, mu=1.0)
    for _ in range(3):
        run(gate, optimizer, [[0.2]])
        shrunk = max(shrunk - 0.5 * 0.2 - 0.1 * 0.5**1.5, 0.0)
    assert gate.item() == pytest.approx(shrunk)  # the same while it is linear ...
    run(gate, optimizer, [[3.0]])
    run(gate, optimizer, [[-3.0]])
    assert gate.item() == pytest.approx(1.0 - 0.3 - 5 * 0.1 * 0.5**1.5)  # ... but zero is not forgotten


def test_the_chosen_c_reaches_the_threshold():
    rates = [0.1 * 0.99**step for step in range(200)]
    gate = weights(0.0)
    optimizer = GRDA([gate], lr=0.1, c=choose_c(0.8, mu=0.6, rates=rates), mu=0.6)
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        run(gate, optimizer, [[0.0]])
    assert float(optimizer.state[gate]["threshold"]) == pytest.approx(0.8)


def test_a_restored_state_goes_on_alike():
    first, second = (nn.Parameter(torch.tensor([0.6, 0.2])) for _ in range(2))
    settings = {"lr": 0.1, "c": 0.3, "mu": 0.6}
    one, other = GRDA([first], **settings), GRDA([second], **settings)
    run(first, one, [[0.1, -0.2]] * 5)
    with torch.no_grad():
        second.copy_(first)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    for gate, optimizer in ((first, one), (second, other)):
        run(gate, optimizer, [[0.3, -0.4]] * 5)
    assert torch.equal(first, second)
    assert torch.equal(one.state[first]["threshold"], other.state[second]["threshold"])


@pytest.mark.parametrize("wrong", [{"lr": 0.0}, {"c": -1.0}, {"mu": 1.5}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError):
        GRDA([weights(0.6)], **{"lr": 0.1, "c": 0.1, "mu": 0.6, **wrong})


def test_a_threshold_needs_steps():
    with pytest.raises(SettingsError, match="cannot be reached"):
        choose_c(0.8, mu=0.6, rates=[])
    gate = weights(0.6)
    gate.grad = torch.sparse_coo_tensor([[0]], [1.0], (1,), dtype=torch.float64, check_invariants=True)
    with pytest.raises(SettingsError, match="dense"):
        GRDA([gate], lr=0.1, c=0.1, mu=0.6).step()
