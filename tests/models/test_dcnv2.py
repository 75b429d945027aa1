"""DCN-V2: its two structures from its layers, and what is left of it without cross layers or network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fieldwise.errors import SettingsError
from fieldwise.layers.cross import LowRankCross, MatrixCross
from fieldwise.layout import FieldLayout, Layout
from fieldwise.models import build, count_parameters
from fieldwise.models.dcnv2 import DCNV2

CRITEO = Layout(
    tuple(FieldLayout(f"I{i}", "numeric", 2) for i in range(1, 14))
    + tuple(FieldLayout(f"C{i}", "categorical", 5) for i in range(1, 27))
)
DNN = (624 * 400 + 400) + (400 * 400 + 400)


def make(layout: Layout, **settings: object) -> DCNV2:
    """A model in evaluation mode with every parameter well away from its start."""
    model = build("dcnv2", layout, {"embedding_dim": 3, "dnn_hidden": (7, 4), **settings}).eval()
    assert isinstance(model, DCNV2)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
            if name.endswith("table.weight"):
                parameter[0] = 0.0
    return model


def crossed(model: DCNV2, x_0: Tensor) -> Tensor:
    x = x_0
    for layer in model.cross:
        x = layer(x_0, x)
    return x


@pytest.mark.parametrize("rank", [None, 2])
def test_parallel_reads_out_both_parts_side_by_side(layouts, make_batch, rank):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 6)
    model = make(layout, rank=rank)
    assert model.dnn is not None
    x = model.embedding(batch).flatten(1)
    side_by_side = torch.cat([crossed(model, x), model.dnn(x)], dim=1)
    torch.testing.assert_close(model(batch), model.readout(side_by_side).squeeze(1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("rank", [None, 2])
def test_stacked_puts_the_network_on_the_last_state(layouts, make_batch, rank):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 6)
    model = make(layout, rank=rank, structure="stacked")
    assert model.dnn is not None
    assert model.readout.in_features == 4
    last = crossed(model, model.embedding(batch).flatten(1))
    torch.testing.assert_close(model(batch), model.readout(model.dnn(last)).squeeze(1))


def test_without_a_network_both_structures_read_out_the_last_state(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 6)
    for structure in ("parallel", "stacked"):
        model = make(layout, dnn_hidden=(), structure=structure)
        last = crossed(model, model.embedding(batch).flatten(1))
        torch.testing.assert_close(model(batch), model.readout(last).squeeze(1))


def test_without_cross_layers_only_network_and_linear_read_out_are_left(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 6)
    stacked, parallel = (make(layout, num_layers=0, structure=name) for name in ("stacked", "parallel"))
    assert stacked.dnn is not None
    assert parallel.dnn is not None
    x = stacked.embedding(batch).flatten(1)
    torch.testing.assert_close(stacked(batch), stacked.readout(stacked.dnn(x)).squeeze(1))
    x = parallel.embedding(batch).flatten(1)
    linear, deep = parallel.readout.weight[0].split([15, 4])
    torch.testing.assert_close(parallel(batch), x @ linear + parallel.dnn(x) @ deep + parallel.readout.bias)


def test_counted_parameters_of_full_and_low_rank_layers():
    full = build("dcnv2", CRITEO)
    assert count_parameters(full, embeddings=False) == 3 * (624 * 624 + 624) + DNN + (624 + 400 + 1)
    mixture = build("dcnv2", CRITEO, {"rank": 64, "experts": 4, "structure": "stacked"})
    layer = 4 * (2 * 624 * 64 + 64 * 64) + 624 + 4 * 624
    assert count_parameters(mixture, embeddings=False) == 3 * layer + DNN + (400 + 1)


def test_rank_chooses_the_kind_of_layer(layouts):
    assert all(isinstance(layer, MatrixCross) for layer in make(layouts["mixed"]).cross)
    assert all(isinstance(layer, LowRankCross) for layer in make(layouts["mixed"], rank=1).cross)


def test_every_parameter_of_a_mixture_is_trained(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 32)
    model = make(layout, rank=2, experts=3, structure="stacked")
    model(batch).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_an_unknown_structure_is_refused(layouts):
    with pytest.raises(SettingsError, match="structure must be 'parallel' or 'stacked', got 'both'"):
        DCNV2(layouts["mixed"], structure="both")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="setting 'structure' cannot be 'both'"):
        build("dcnv2", layouts["mixed"], {"structure": "both"})
