"""The field graph against a loop over nodes and edges in float64."""

from __future__ import annotations

import math

import pytest
import torch

from fieldwise.errors import SettingsError
from fieldwise.layers.graph import EdgeWeights, FieldGraph


def make(fields: int, *, steps: int = 3, shared_steps: bool = False) -> FieldGraph:
    torch.manual_seed(0)
    graph = FieldGraph(fields, 4, steps=steps, shared_steps=shared_steps).double()
    with torch.no_grad():
        for parameter in graph.parameters():
            parameter.normal_(std=0.7)
    return graph


def vectors(fields: int, size: int = 3) -> torch.Tensor:
    return torch.randn(size, fields, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def edge_loop(edges: EdgeWeights, row: torch.Tensor) -> torch.Tensor:
    """Edge weights [F, F] of one row [F, D], edge by edge."""
    fields = len(row)
    weights = torch.zeros(fields, fields, dtype=torch.float64)
    for i in range(fields):
        shares = {}
        for j in range(fields):
            if j == i:
                continue
            z = 0.0 if edges.weight is None else float(edges.weight.detach().flatten() @ torch.cat([row[i], row[j]]))
            shares[j] = math.exp(z if z > 0 else 0.01 * z)
        for j, share in shares.items():
            weights[i, j] = share / sum(shares.values())
    return weights


def graph_loop(graph: FieldGraph, row: torch.Tensor) -> torch.Tensor:
    """States [F, D] of one row [F, D] after all steps, node by node."""
    a, state = edge_loop(graph.edges, row), row
    gru = graph.gru
    for step in range(graph.steps):
        kind = 0 if len(graph.bias) == 1 else step
        after = []
        for i in range(len(row)):
            heard = torch.zeros(row.shape[1], dtype=torch.float64)
            for j in range(len(row)):
                heard = heard + a[i, j] * (state[j] @ graph.out[kind, j])
            message = heard @ graph.into[kind, i] + graph.bias[kind]
            from_message = (gru.weight_ih @ message + gru.bias_ih).chunk(3)
            from_state = (gru.weight_hh @ state[i] + gru.bias_hh).chunk(3)
            reset = torch.sigmoid(from_message[0] + from_state[0])
            keep = torch.sigmoid(from_message[1] + from_state[1])
            new = torch.tanh(from_message[2] + reset * from_state[2])
            after.append((1 - keep) * new + keep * state[i] + row[i])
        state = torch.stack(after)
    return state


@pytest.mark.parametrize("fields", [1, 2, 3, 5])
def test_edge_weights_equal_a_loop_over_edges(fields):
    edges, x = make(fields).edges, vectors(fields)
    torch.testing.assert_close(edges(x), torch.stack([edge_loop(edges, row) for row in x]))


@pytest.mark.parametrize("fields", [1, 2, 5])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("shared_steps", [True, False])
def test_graph_equals_a_loop_over_nodes(fields, steps, shared_steps):
    graph, x = make(fields, steps=steps, shared_steps=shared_steps), vectors(fields)
    torch.testing.assert_close(graph(x), torch.stack([graph_loop(graph, row) for row in x]))


def test_no_field_hears_itself():
    weights = make(5).edges(vectors(5))
    assert not weights.diagonal(dim1=1, dim2=2).any()
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(3, 5).double())
    assert (weights > 0).sum() == 3 * 5 * 4


@pytest.mark.parametrize("fields", [1, 2])
def test_one_field_has_no_edges_and_two_have_nothing_to_weigh(fields):
    edges = EdgeWeights(fields, 4)
    assert not list(edges.parameters())
    assert edges(vectors(fields)).tolist() == [(1 - torch.eye(fields)).tolist()] * 3


def test_one_field_alone_has_finite_states_and_gradients():
    graph = make(1)
    graph(vectors(1)).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in graph.parameters())


def test_no_rows():
    assert make(5)(vectors(5, size=0)).shape == (0, 5, 4)


def test_gradients_of_the_graph():
    assert torch.autograd.gradcheck(make(3, steps=2), (vectors(3, size=2).requires_grad_(),))


def test_shared_steps_have_one_set_of_matrices():
    assert make(5, shared_steps=True).out.shape == (1, 5, 4, 4)
    assert make(5).out.shape == (3, 5, 4, 4)


def test_a_graph_without_steps_is_refused():
    with pytest.raises(SettingsError, match="steps must be at least 1, got 0"):
        FieldGraph(3, 4, steps=0)
