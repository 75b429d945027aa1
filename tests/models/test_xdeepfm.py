"""CIN and xDeepFM: published counts, the sum of its three parts, and their settings."""

from __future__ import annotations

import pytest
import torch

from fieldwise.errors import SettingsError
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.first_order import FirstOrderEmbedding
from fieldwise.layout import FieldLayout, Layout
from fieldwise.models import build, count_parameters, presets, resolve
from fieldwise.models.xdeepfm import XDeepFM

CRITEO = Layout(
    tuple(FieldLayout(f"I{i}", "numeric", 2) for i in range(1, 14))
    + tuple(FieldLayout(f"C{i}", "categorical", 5) for i in range(1, 27))
)


def make(layout: Layout, name: str, **settings: object) -> XDeepFM:
    """A model in evaluation mode with every parameter well away from its start."""
    model = build(name, layout, {"embedding_dim": 3, "cin_widths": (6, 4), **settings}).eval()
    assert isinstance(model, XDeepFM)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
            if parameter_name.endswith("table.weight"):
                parameter[0] = 0.0
    return model


def test_published_parameter_counts():
    model = build("cin", CRITEO, resolve("cin", preset="autoint-paper"))
    assert isinstance(model, XDeepFM)
    assert count_parameters(model.interaction) == 1_864_200
    assert count_parameters(model, embeddings=False) == 1_864_200 + 400 + 1
    joint = build("xdeepfm", CRITEO, resolve("xdeepfm", preset="autoint-paper"))
    dnn = (624 * 400 + 400) + (400 * 400 + 400) + (400 + 1)
    assert (
        count_parameters(joint, embeddings=False) == 1_864_200 + 400 + 1 + dnn + 1
    )  # the last is the first-order bias
    assert count_parameters(joint) == count_parameters(joint, embeddings=False) + CRITEO.num_rows * (16 + 1)


def test_cin_is_a_linear_read_out_of_the_pooled_rows(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 6)
    model = make(layout, "cin")
    assert isinstance(model.embedding, FieldEmbedding)
    pooled = model.interaction(model.embedding(batch))
    torch.testing.assert_close(model(batch), model.readout(pooled).squeeze(1), atol=1e-4, rtol=1e-4)


def test_xdeepfm_is_the_sum_of_three_logits_from_one_table(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 6)
    model = make(layout, "xdeepfm", dnn_hidden=(5,))
    assert isinstance(model.embedding, FirstOrderEmbedding)
    assert model.dnn is not None
    tables = [module for module in model.modules() if isinstance(module, FieldEmbedding)]
    assert [table.dim for table in tables] == [3 + 1]
    vectors, first_order = model.embedding(batch)
    cin = model.readout(model.interaction(vectors)).squeeze(1)
    expected = first_order + cin + model.dnn(vectors.flatten(1))
    torch.testing.assert_close(model(batch), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_one_field_interacts_with_itself(make_batch):
    layout = Layout((FieldLayout("only", "categorical", 8),))
    model, batch = make(layout, "cin", cin_widths=(1,)), make_batch(layout, 4)
    squares = model.embedding(batch).square().sum(dim=(1, 2))
    expected = squares * model.interaction.filters[0].flatten() * model.readout.weight[0] + model.readout.bias
    torch.testing.assert_close(model(batch), expected)


def test_presets_are_the_settings_of_the_papers():
    assert set(presets("cin")) == {"autoint-paper"}
    assert set(presets("xdeepfm")) == {"autoint-paper", "aim-avazu", "aim-criteo"}
    alone = resolve("cin", preset="autoint-paper")
    assert (alone["cin_widths"], alone["split_half"], alone["first_order"]) == ([200, 200, 200], True, False)
    joint = resolve("xdeepfm", preset="autoint-paper")
    assert joint == alone | {"first_order": True, "dnn_hidden": [400, 400]}
    avazu, criteo = resolve("xdeepfm", preset="aim-avazu"), resolve("xdeepfm", preset="aim-criteo")
    assert (avazu["embedding_dim"], avazu["cin_widths"], avazu["dnn_hidden"]) == (40, [100] * 2, [700] * 5)
    assert (criteo["embedding_dim"], criteo["cin_widths"], criteo["dnn_hidden"]) == (20, [100] * 4, [400] * 3)
    assert avazu["dnn_norm"] is criteo["dnn_norm"] is None
    assert avazu["missing"] == criteo["missing"] == "zero"


def test_a_layer_too_narrow_to_be_split_is_refused(layouts):
    with pytest.raises(SettingsError, match="split_half needs widths of at least 2"):
        build("cin", layouts["mixed"], {"cin_widths": (1, 4)})
    with pytest.raises(SettingsError, match="setting 'cin_widths' cannot be"):
        build("cin", layouts["mixed"], {"cin_widths": ()})
