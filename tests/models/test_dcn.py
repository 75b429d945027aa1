"""CrossNet and DCN: the paper's equations, published counts, and what they are without cross layers or network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fieldwise.layout import FieldLayout, Layout
from fieldwise.models import build, count_parameters, presets, resolve
from fieldwise.models.dcn import DCN

CRITEO = Layout(
    tuple(FieldLayout(f"I{i}", "numeric", 2) for i in range(1, 14))
    + tuple(FieldLayout(f"C{i}", "categorical", 5) for i in range(1, 27))
)


def make(layout: Layout, name: str = "dcn", **settings: object) -> DCN:
    """A float64 model in evaluation mode with every parameter well away from its start."""
    model = build(name, layout, {"embedding_dim": 3, **settings}).eval().double()
    assert isinstance(model, DCN)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
            if parameter_name.endswith("table.weight"):
                parameter[0] = 0.0
    return model


def hidden(model: DCN, x: Tensor) -> Tensor:
    """The network's last hidden layer, from its weights."""
    assert model.dnn is not None
    for linear in (layer for layer in model.dnn.layers if isinstance(layer, torch.nn.Linear)):
        x = (x @ linear.weight.t() + linear.bias).clamp(min=0)
    return x


def test_published_parameter_counts():
    model = build("crossnet", CRITEO, resolve("crossnet", preset="autoint-paper"))
    assert isinstance(model, DCN)
    assert count_parameters(model.cross) == 3_744
    assert count_parameters(model, embeddings=False) == 4_369
    joint = build("dcn", CRITEO, resolve("dcn", preset="autoint-paper"))
    dnn = (624 * 400 + 400) + (400 * 400 + 400)
    assert count_parameters(joint, embeddings=False) == 3_744 + dnn + (624 + 400 + 1)


def test_logits_are_a_linear_read_out_of_both_parts_side_by_side(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 6)
    model = make(layout, dnn_hidden=(7, 4), num_layers=2)
    x = model.embedding(batch).flatten(1)
    state = x
    for weight, bias in zip(model.cross.weight, model.cross.bias, strict=True):
        state = x * (state * weight).sum(1, keepdim=True) + bias + state
    side_by_side = torch.cat([state, hidden(model, x)], dim=1)
    torch.testing.assert_close(model(batch), side_by_side @ model.readout.weight[0] + model.readout.bias)


def test_without_cross_layers_dcn_is_a_network_plus_a_linear_read_out(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 6)
    model = make(layout, num_layers=0, dnn_hidden=(7, 4))
    x = model.embedding(batch).flatten(1)
    linear, deep = model.readout.weight[0].split([15, 4])
    torch.testing.assert_close(model(batch), hidden(model, x) @ deep + x @ linear + model.readout.bias)


def test_crossnet_without_layers_is_a_linear_head(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 6)
    model = make(layout, "crossnet", num_layers=0)
    assert model.dnn is None
    torch.testing.assert_close(model(batch), model.readout(model.embedding(batch).flatten(1)).squeeze(1))


def test_one_field_crosses_with_itself(make_batch):
    layout = Layout((FieldLayout("only", "categorical", 8),))
    model, batch = make(layout, "crossnet", num_layers=1), make_batch(layout, 4)
    x = model.embedding(batch).flatten(1)
    expected = x * (x @ model.cross.weight[0]).unsqueeze(1) + model.cross.bias[0] + x
    torch.testing.assert_close(model(batch), model.readout(expected).squeeze(1))


@pytest.mark.parametrize("norm", ["batch", "layer", None])
def test_the_network_takes_norm_and_dropout(layouts, make_batch, norm):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 6)
    model = build("dcn", layout, {"dnn_hidden": (8,), "dnn_norm": norm, "dnn_dropout": 0.5})
    assert model.train()(batch).isfinite().all()
    assert any(isinstance(module, torch.nn.Dropout) for module in model.modules())


def test_presets_have_as_many_layers_as_autoint():
    assert set(presets("crossnet")) == set(presets("dcn")) == {"autoint-paper"}
    alone, joint = resolve("crossnet", preset="autoint-paper"), resolve("dcn", preset="autoint-paper")
    assert (alone["num_layers"], alone["embedding_dim"], alone["dnn_hidden"], alone["missing"]) == (3, 16, [], "zero")
    assert joint == alone | {"dnn_hidden": [400, 400]}
