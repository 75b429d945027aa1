"""Fi-GNN: its read-out by a loop, its edges as attention, one field only, counts."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from fieldwise.errors import SettingsError
from fieldwise.layout import FieldLayout, Layout
from fieldwise.models import ExplainsByAttention, build, count_parameters
from fieldwise.models.fignn import FiGNN

CRITEO = Layout(tuple(FieldLayout(f"f{i}", "categorical", 4) for i in range(39)))


def make(layout: Layout, **settings: object) -> FiGNN:
    torch.manual_seed(0)
    model = build("fignn", layout, settings).double().eval()
    assert isinstance(model, FiGNN)
    with torch.no_grad():
        model.embedding.table.weight[1:].normal_()
    return model


def test_logits_equal_a_loop_over_fields(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 7)
    model = make(layout)
    states = model.graph(model.embedding(batch))
    for row, logit in zip(states.tolist(), model(batch).tolist(), strict=True):
        flat = [value for field in row for value in field]
        total = 0.0
        for field, gate in zip(row, model.gate.weight.tolist(), strict=True):
            gated = 1 / (1 + math.exp(-sum(v * w for v, w in zip(flat, gate, strict=True))))
            total += gated * sum(v * w for v, w in zip(field, model.score.weight[0].tolist(), strict=True))
        assert logit == pytest.approx(total, rel=1e-6)


def test_attention_is_the_edges_without_self_loops(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 7)
    model = make(layout)
    assert isinstance(model, ExplainsByAttention)
    (weights,) = model.attention(batch)
    assert weights.shape == (7, 1, 5, 5)
    assert torch.equal(weights[:, 0], model.graph.edges(model.embedding(batch)))
    assert not weights.diagonal(dim1=2, dim2=3).any()


@pytest.mark.parametrize("kind", ["categorical", "numeric", "multi_valued"])
def test_one_field_has_no_edges_and_no_nan(kind, make_batch):
    layout = Layout((FieldLayout("only", kind, 2 if kind == "numeric" else 8),))
    model, batch = build("fignn", layout), make_batch(layout, 6)
    F.binary_cross_entropy_with_logits(model(batch), batch.label).backward()
    assert model(batch).isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert not model.attention(batch)[0].any()
    assert model(make_batch(layout, 0)).shape == (0,)


def test_an_attention_layer_may_come_first(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 7)
    model = make(layout, attention_heads=2)
    nodes = model.attending(model.embedding(batch))
    assert torch.equal(model.graph.edges(nodes), model.attention(batch)[0][:, 0])
    expected = model.graph(nodes)
    logits = (torch.sigmoid(model.gate(expected.flatten(1))) * model.score(expected).squeeze(2)).sum(dim=1)
    torch.testing.assert_close(model(batch), logits)
    with pytest.raises(SettingsError, match="attention_heads must divide embedding_dim, got 3 and 16"):
        build("fignn", layout, {"attention_heads": 3})


def test_parameter_counts():
    gru, readout = 6 * 16 * 16 + 6 * 16, 39 * 16 * 39 + 16
    by_step = 2 * 39 * 16 * 16 + 16
    assert count_parameters(build("fignn", CRITEO), embeddings=False) == 3 * by_step + 2 * 16 + gru + readout
    shared = build("fignn", CRITEO, {"shared_steps": True})
    assert count_parameters(shared, embeddings=False) == by_step + 2 * 16 + gru + readout
