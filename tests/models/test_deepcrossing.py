"""Deep Crossing: its two forms against their equations, and published counts."""

from __future__ import annotations

import pytest
import torch

from fieldwise.errors import SettingsError
from fieldwise.layout import FieldLayout, Layout
from fieldwise.models import build, count_parameters, presets, resolve
from fieldwise.models.deepcrossing import DeepCrossing

CRITEO = Layout(
    tuple(FieldLayout(f"I{i}", "numeric", 2) for i in range(1, 14))
    + tuple(FieldLayout(f"C{i}", "categorical", 5) for i in range(1, 27))
)


def make(layout: Layout, **settings: object) -> DeepCrossing:
    model = build("deepcrossing", layout, {"embedding_dim": 3, "width": 4, "num_layers": 2, **settings}).eval()
    assert isinstance(model, DeepCrossing)
    with torch.no_grad():  # embeddings well away from their start
        model.embedding.table.weight[1:].normal_()
    return model


def test_published_parameter_counts():
    paper = build("deepcrossing", CRITEO, resolve("deepcrossing", preset="autoint-paper"))
    assert count_parameters(paper, embeddings=False) == 155_301
    classic = build("deepcrossing", CRITEO, {"variant": "classic"})
    assert count_parameters(classic, embeddings=False) == 502_721


def test_width100_has_a_projected_shortcut_in_its_first_layer_only(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 6)
    for width in (4, 15):  # 15 is also the width of the embeddings
        model = make(layout, width=width)
        p = dict(model.named_parameters())
        assert [name for name in p if "shortcut" in name] == ["layers.0.shortcut.weight"]
        x = model.embedding(batch).flatten(1)
        first = x @ p["layers.0.linear.weight"].t() + p["layers.0.linear.bias"] + x @ p["layers.0.shortcut.weight"].t()
        x = first.clamp(min=0)
        x = (x @ p["layers.1.linear.weight"].t() + p["layers.1.linear.bias"] + x).clamp(min=0)
        torch.testing.assert_close(model(batch), model.readout(x).squeeze(1))


def test_classic_units_return_to_the_width_of_the_embeddings(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 6)
    model = make(layout, variant="classic")
    p = dict(model.named_parameters())
    x = model.embedding(batch).flatten(1)
    for unit in ("layers.0", "layers.1"):
        inner = (x @ p[f"{unit}.inner.weight"].t() + p[f"{unit}.inner.bias"]).clamp(min=0)
        assert inner.shape == (6, 4)
        x = (inner @ p[f"{unit}.outer.weight"].t() + p[f"{unit}.outer.bias"] + x).clamp(min=0)
    torch.testing.assert_close(model(batch), model.readout(x).squeeze(1))


@pytest.mark.parametrize("variant", ["width100", "classic"])
def test_without_layers_it_is_a_linear_read_out(layouts, make_batch, variant):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 6)
    model = make(layout, variant=variant, num_layers=0)
    torch.testing.assert_close(model(batch), model.readout(model.embedding(batch).flatten(1)).squeeze(1))


def test_dropout_follows_every_layer(layouts):
    model = make(layouts["mixed"], dnn_dropout=0.25)
    assert [layer.p for layer in model.layers if isinstance(layer, torch.nn.Dropout)] == [0.25, 0.25]


def test_preset_has_four_layers_of_100():
    assert set(presets("deepcrossing")) == {"autoint-paper"}
    chosen = resolve("deepcrossing", preset="autoint-paper")
    assert (chosen["variant"], chosen["num_layers"], chosen["width"]) == ("width100", 4, 100)
    assert (chosen["embedding_dim"], chosen["missing"]) == (16, "zero")


def test_an_unknown_variant_is_refused(layouts):
    with pytest.raises(SettingsError, match="variant must be 'width100' or 'classic', got 'wide'"):
        DeepCrossing(layouts["mixed"], variant="wide")  # type: ignore[arg-type]
