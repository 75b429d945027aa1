"""Gates: the normalisation before them by hand, the scale at which they begin, and what evaluation takes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fieldwise.architecture import Architecture
from fieldwise.data.batch import Batch
from fieldwise.layers.gates import INITIAL_GATE, INITIAL_SHARE, Gates
from fieldwise.layers.interactions import Interactions, gates_of, interaction_gates
from fieldwise.layout import FIRST_TOKEN, FieldLayout, Layout


def draw(*shape: int, std: float = 1.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * std


def make(count: int, *, initial_std: float = 0.5, begin: float = 0.3, copies: int = 1) -> Gates:
    """Gates in float64, each another number."""
    gates = Gates(count, initial_std=initial_std, begin=begin, copies=copies).double()
    with torch.no_grad():
        gates.weight.copy_(torch.linspace(-0.5, 1.0, count))
    return gates


def test_signals_are_normalised_over_the_batch_and_gated() -> None:
    gates, x = make(3), draw(50, 3) * torch.tensor([0.1, 1.0, 7.0]) + torch.tensor([3.0, 0.0, -2.0])
    eps = 0.5**2 * (1 / 0.3**2 - 1)
    spread = ((x - x.mean(dim=0)) ** 2).mean(dim=0)
    expected = gates.weight * (x - x.mean(dim=0)) / (spread + eps).sqrt()
    torch.testing.assert_close(gates(x), expected)
    torch.testing.assert_close(gates.total(x), expected.sum(dim=1))


def test_the_gates_are_all_that_is_learned() -> None:
    # A scale of the normalisation's own would leave the size of a gate without a meaning.
    gates = Gates(4, initial_std=1.0, begin=0.5)
    assert [name for name, _ in gates.named_parameters()] == ["weight"]
    assert (gates.weight.detach() - INITIAL_GATE).abs().max() <= 1e-3
    assert gates.weight.unique().numel() == 4


@pytest.mark.parametrize("initial_std", [1.0, 4e-4, 4e-6, 4e-8])
@pytest.mark.parametrize("begin", [0.5, 0.1, 0.01])
def test_signals_at_their_initial_scale_begin_where_they_shall(initial_std: float, begin: float) -> None:
    gates = Gates(5, initial_std=initial_std, begin=begin)
    spread = gates.norm(draw(4000, 5, std=initial_std).float()).std(dim=0)
    torch.testing.assert_close(spread, torch.full((5,), begin), rtol=0.05, atol=0)


def test_grown_signals_come_to_variance_one() -> None:
    gates = Gates(5, initial_std=1e-4, begin=0.01)
    spread = gates.norm(draw(4000, 5).float()).std(dim=0)
    torch.testing.assert_close(spread, torch.ones(5), rtol=0.05, atol=0)


def test_more_than_a_half_is_no_beginning() -> None:
    x = draw(50, 2)
    large, half = make(2, begin=1.0), make(2, begin=0.5)
    assert torch.equal(large(x), half(x))


def test_copies_share_their_gates() -> None:
    gates, x = make(3, copies=2), draw(20, 6)
    gated = gates(x)
    torch.testing.assert_close(gated, gates.norm(x) * torch.tensor([-0.5, 0.25, 1.0, -0.5, 0.25, 1.0]))
    torch.testing.assert_close(gates.total(x), gated.sum(dim=1))
    counts = draw(20, 6)
    (gated * counts).sum().backward()  # type: ignore[no-untyped-call]
    assert gates.weight.grad is not None
    torch.testing.assert_close(gates.weight.grad, (gates.norm(x) * counts).sum(dim=0).view(2, 3).sum(dim=0))


def test_evaluation_takes_the_running_statistics() -> None:
    gates, x = make(3), draw(50, 3) * 2 + 1
    mean, spread = torch.zeros(3, dtype=torch.float64), torch.full((3,), 0.5**2, dtype=torch.float64)
    for _ in range(4):
        gates(x)
        mean, spread = 0.9 * mean + 0.1 * x.mean(dim=0), 0.9 * spread + 0.1 * x.var(dim=0)
    gates.eval()
    expected = gates.weight * (x - mean) / (spread + gates.norm.eps).sqrt()
    torch.testing.assert_close(gates(x), expected)
    torch.testing.assert_close(gates(x[:1]), expected[:1])  # whatever else is in the batch
    assert gates(x[:0]).shape == (0, 3)


def test_evaluation_begins_at_the_scale_of_the_signals() -> None:
    # Running statistics that began at variance one would swallow small signals for hundreds of steps.
    gates, x = Gates(5, initial_std=4e-8, begin=0.1), draw(4000, 5, std=4e-8).float()
    trained = gates(x)
    torch.testing.assert_close(gates.eval()(x), trained, rtol=0.05, atol=0.01)


def test_a_batch_of_one_row_takes_the_running_statistics() -> None:
    gates, x = make(3), draw(1, 3)
    single, total = gates(x), gates.total(x)
    assert gates.training
    assert single.any()
    gates.eval()
    assert torch.equal(single, gates(x))
    assert torch.equal(total, gates.total(x))


@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("dim", [4, 16])
def test_drawn_interactions_are_neither_swallowed_nor_as_large_as_learned_ones(order: int, dim: int) -> None:
    """A constant eps of 1e-3 would leave nearly nothing of them, and without one noise would come to variance one."""
    torch.manual_seed(0)
    layout = Layout(tuple(FieldLayout(f"f{i}", "categorical", 500) for i in range(6)))
    functions = ["inner", "vector_kernel", "scalar_kernel", "outer"]
    everything = Architecture.everything(layout, order=order, functions=functions, embedding_dim=dim)
    interactions = Interactions(layout, everything)
    batch = Batch(torch.randint(FIRST_TOKEN, 500, (2000, 6)), torch.zeros(2000, 0))
    values = interactions.values(interactions.embed(batch).vectors, order).detach()
    gates = gates_of(interaction_gates(interactions), order)
    assert float(values.std()) < 1e-3
    begin = INITIAL_SHARE / (INITIAL_GATE * values.shape[1] ** 0.5)
    # Within what one draw of a few kernels and projections makes of the scale.
    assert 0.5 * begin < float(gates.norm(values).square().mean().sqrt()) < 2 * begin
    assert 0.5 * INITIAL_SHARE < float(gates.total(values).detach().std()) < 2 * INITIAL_SHARE
    assert float(torch.nn.functional.batch_norm(values, None, None, training=True, eps=1e-3).std()) < 0.02
    assert float(torch.nn.functional.batch_norm(values, None, None, training=True, eps=1e-30).std()) > 0.9
