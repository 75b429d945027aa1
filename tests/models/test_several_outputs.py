"""Models whose training looks at several outputs (FCN, QNN, TabM), from their equations in plain tensor code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fieldwise.errors import SettingsError
from fieldwise.models import CTRModel, build
from fieldwise.models.fcn import FCN
from fieldwise.models.qnn import QNN
from fieldwise.models.tabm import TabM
from fieldwise.objectives import Binary, Regression


def make(name: str, layout: Any, **settings: Any) -> Any:
    """A model in evaluation mode, in float64, with every parameter well away from its start."""
    model = build(name, layout, {"embedding_dim": 4, **settings}).double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.3)
            if parameter_name.endswith("table.weight"):
                parameter[0] = 0.0
    return model


def doubled(batch: Any) -> Any:
    return replace(batch, numeric=batch.numeric.double())


def log_loss(logit: Tensor, label: Tensor) -> Tensor:
    p = 1 / (1 + torch.exp(-logit))
    return -(label * p.log() + (1 - label) * (1 - p).log()).mean()


def test_fcn_by_its_equations(layouts: Any, make_batch: Any) -> None:
    layout = layouts["mixed"]
    model, batch = make("fcn", layout, exponential_layers=2, linear_layers=3), doubled(make_batch(layout, 6))
    assert isinstance(model, FCN)
    e = model.embedding(batch)
    x_0 = torch.cat([e[:, :, :2].reshape(6, -1), e[:, :, 2:].reshape(6, -1)], dim=1)

    def masked(weights: Any, x: Tensor) -> Tensor:
        c = x @ weights.linear.weight.T
        normal = (c - c.mean(1, keepdim=True)) / (c.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()
        mask = (normal * weights.norm.weight + weights.norm.bias).clamp(min=0)
        return torch.cat([c, c * mask], dim=1) + weights.bias

    x = x_0
    for weights in model.exponential:
        x = x * masked(weights, x) + x
    exponential = x @ model.exponential_readout.weight[0] + model.exponential_readout.bias
    x = x_0
    for weights in model.linear:
        x = x_0 * masked(weights, x) + x
    linear = x @ model.linear_readout.weight[0] + model.linear_readout.bias
    torch.testing.assert_close(model(batch), (exponential + linear) / 2)
    outputs = model.training_outputs(batch)
    torch.testing.assert_close(outputs, (exponential, linear))
    label = torch.tensor([0.0, 1, 1, 0, 1, 0], dtype=torch.float64)
    both = log_loss((exponential + linear) / 2, label)
    expected = both
    for logit in (exponential, linear):
        expected = expected + torch.clamp(log_loss(logit, label) - both, min=0) * log_loss(logit, label)
    torch.testing.assert_close(model.training_loss(outputs, label, None, Binary()), expected)
    with pytest.raises(SettingsError, match="must be even"):
        build("fcn", layout, {"embedding_dim": 3})


@pytest.mark.parametrize("batch_norm", [False, True])
def test_qnn_by_its_equations(layouts: Any, make_batch: Any, batch_norm: bool) -> None:
    layout = layouts["mixed"]
    model, batch = make("qnn", layout, num_layers=2, rows=3, batch_norm=batch_norm), doubled(make_batch(layout, 6))
    assert isinstance(model, QNN)
    x = model.embedding(batch).flatten(1)
    width = x.shape[1]
    for layer in model.layers:
        total = torch.zeros_like(x)
        for r in range(3):
            part = slice(r * width, (r + 1) * width)
            h = x @ layer.linear.weight[part].T + layer.linear.bias[part]
            if batch_norm:
                norm = layer.norm
                spread = (norm.running_var[part] + norm.eps).sqrt()
                h = (h - norm.running_mean[part]) / spread * norm.weight[part] + norm.bias[part]
            total = total + h.clamp(min=0)
        x = x * total + x
    torch.testing.assert_close(model(batch), x @ model.readout.weight[0] + model.readout.bias)


def test_qnn_teaches_itself() -> None:
    layout_loss = torch.tensor([0.0, 1.0], dtype=torch.float64)
    one, two = torch.tensor([1.0, -1.0]).double(), torch.tensor([3.0, 0.5]).double()
    mean = (one + two) / 2
    taught = torch.sigmoid(mean)
    expected = log_loss(mean, layout_loss) + log_loss(one, taught) + log_loss(two, taught)
    loss = QNN.training_loss(None, (one, two), layout_loss, None, Binary())  # type: ignore[arg-type]
    torch.testing.assert_close(loss, expected)
    assert QNN.training_loss(None, (one,), layout_loss, None, Binary()) == log_loss(one, layout_loss)  # type: ignore[arg-type]
    numbers = Regression(mean=10.0, deviation=2.0)
    label = torch.tensor([12.0, 8.0], dtype=torch.float64)
    expected = (
        ((mean - torch.tensor([1.0, -1.0])) ** 2).mean() + ((one - mean) ** 2).mean() + ((two - mean) ** 2).mean()
    )
    torch.testing.assert_close(QNN.training_loss(None, (one, two), label, None, numbers), expected)  # type: ignore[arg-type]


def test_tabm_by_its_equations(layouts: Any, make_batch: Any) -> None:
    layout = layouts["mixed"]
    model, batch = make("tabm", layout, members=3, dnn_hidden=(5, 4)), doubled(make_batch(layout, 6))
    assert isinstance(model, TabM)
    logits = []
    for i in range(3):
        x = model.embedding(batch).flatten(1)
        for layer in model.layers:
            x = F.relu((x * layer.r[i]) @ layer.weight.T * layer.s[i] + layer.bias[i])
        logits.append(x @ model.readout[i] + model.bias[i])
    torch.testing.assert_close(model(batch), torch.stack(logits).mean(0))
    torch.testing.assert_close(model.training_outputs(batch), tuple(logits))
    label = torch.tensor([0.0, 1, 1, 0, 1, 0], dtype=torch.float64)
    expected = torch.stack([log_loss(logit, label) for logit in logits]).mean()
    torch.testing.assert_close(model.training_loss(logits, label, None, Binary()), expected)


def test_members_of_tabm_begin_different(layouts: Any, make_batch: Any) -> None:
    model = build("tabm", layouts["mixed"], {"members": 4}).eval()
    logits = np.stack([logit.detach().numpy() for logit in model.training_outputs(make_batch(layouts["mixed"], 8))])
    assert (logits.std(axis=0) > 1e-4).all()


def test_other_models_have_one_output(layouts: Any, make_batch: Any) -> None:
    layout = layouts["mixed"]
    model, batch = build("fm", layout).eval(), make_batch(layout, 6)
    (output,) = CTRModel.training_outputs(model, batch)
    torch.testing.assert_close(output, model(batch))
