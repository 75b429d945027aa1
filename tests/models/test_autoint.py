"""AutoInt against an independent NumPy network in the authors' input form, published counts, and its switches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fieldwise.data.batch import PADDING, Batch
from fieldwise.errors import SettingsError
from fieldwise.layers.interacting import InteractingLayer
from fieldwise.layout import MISSING, OOV, FieldLayout, Layout
from fieldwise.models import CTRModel, build, count_parameters, presets, resolve
from fieldwise.models.autoint import AutoInt

CRITEO = Layout(
    tuple(FieldLayout(f"I{i}", "numeric", 2) for i in range(1, 14))
    + tuple(FieldLayout(f"C{i}", "categorical", 5) for i in range(1, 27))
)


def make(layout: Layout, *, preset: str | None = None, **settings: object) -> AutoInt:
    """A model in evaluation mode with every parameter well away from its start."""
    model = build("autoint", layout, resolve("autoint", preset=preset, settings=settings)).eval()
    assert isinstance(model, AutoInt)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
            if name.endswith("table.weight"):
                parameter[0] = 0.0
    return model


def index_and_value(layout: Layout, batch: Batch, row: int) -> list[list[tuple[int, float]]]:
    """A row in the authors' form: per field the (global index, value) pairs; a missing value has value 0."""
    pairs = []
    columns = {f: c for kind in (layout.categorical, layout.numeric, layout.multi_valued) for c, f in enumerate(kind)}
    for position, (field, start) in enumerate(zip(layout, layout.offsets, strict=True)):
        column = columns[position]
        if field.kind == "numeric":
            x = float(batch.numeric[row, column])
            pairs.append([(start + OOV, 0.0 if math.isnan(x) else x)])
            continue
        ids = [int(batch.categorical[row, column])]
        if field.kind == "multi_valued":
            ids = [i for i in batch.multi_valued[column][row].tolist() if i != PADDING]
        pairs.append([(start + i, float(i != MISSING) / len(ids)) for i in ids])
    return pairs


def authors_network(model: CTRModel, batch: Batch) -> np.ndarray:
    """Logits [B] in float64 as the authors' TensorFlow code computes them: 3 layers, 2 heads, wide part and DNN."""
    p = {name: value.detach().double().numpy() for name, value in model.named_parameters()}
    rows = [index_and_value(model.layout, batch, row) for row in range(len(batch))]

    def look_up(table: np.ndarray) -> np.ndarray:
        return np.array([[sum(table[i] * v for i, v in field) for field in row] for row in rows])

    def relu(x: np.ndarray) -> np.ndarray:
        return np.maximum(x, 0.0)

    embedded = look_up(p["embedding.table.weight"])
    x = embedded
    for layer in range(3):
        kernels = np.split(p[f"layers.{layer}.projection.weight"], 4)
        biases = np.split(p[f"layers.{layer}.projection.bias"], 4)
        q, k, v, residual = (relu(np.einsum("bmi,oi->bmo", x, w) + b) for w, b in zip(kernels, biases, strict=True))
        heads = []
        for qh, kh, vh in zip(*(np.split(t, 2, axis=2) for t in (q, k, v)), strict=True):
            shares = np.exp(np.einsum("bmo,bno->bmn", qh, kh) / math.sqrt(qh.shape[-1]))
            heads.append(np.einsum("bmn,bno->bmo", shares / shares.sum(-1, keepdims=True), vh))
        x = relu(np.concatenate(heads, axis=2) + residual)
        spread = np.sqrt(x.var(-1, keepdims=True) + 1e-8)
        x = (x - x.mean(-1, keepdims=True)) / spread * p[f"layers.{layer}.norm.weight"] + p[f"layers.{layer}.norm.bias"]
    logit = x.reshape(len(x), -1) @ p["readout.weight"][0] + p["readout.bias"]
    deep = embedded.reshape(len(x), -1)
    for layer in (0, 2):  # a ReLU between
        deep = relu(deep @ p[f"dnn.layers.{layer}.weight"].T + p[f"dnn.layers.{layer}.bias"])
    deep = deep @ p["dnn.head.weight"][0] + p["dnn.head.bias"]
    return logit + deep + look_up(p["wide.table.weight"]).sum(axis=(1, 2))


def test_reference_preset_equals_the_authors_network(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 12)
    model = make(layout, preset="reference", wide=True, dnn_hidden=(7, 5), embedding_dim=6, attention_dim=8)
    np.testing.assert_allclose(model(batch).detach().numpy(), authors_network(model, batch), atol=1e-4, rtol=1e-4)


def test_published_parameter_counts():
    model = build("autoint", CRITEO, resolve("autoint", preset="reference"))
    assert isinstance(model, AutoInt)
    assert model.parameter_count(convention="paper") == 39_361
    assert model.parameter_count(convention="code") == 40_513
    paper = build("autoint", CRITEO, resolve("autoint", preset="paper", settings={"wide": True}))
    assert isinstance(paper, AutoInt)
    assert paper.parameter_count(convention="paper") == paper.parameter_count(convention="code") == 39_361
    with pytest.raises(SettingsError, match="convention must be 'paper' or 'code', got 'papers'"):
        paper.parameter_count(convention="papers")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="readout must be 'last' or 'all', got 'first'"):
        AutoInt(CRITEO, readout="first")  # type: ignore[arg-type]


def test_counted_parameters_with_and_without_tables():
    joint = build("autoint+", CRITEO, {"wide": True})
    dnn = (39 * 16 * 400 + 400) + (400 * 400 + 400) + (400 + 1)
    assert count_parameters(joint, embeddings=False) == 40_513 + dnn
    assert count_parameters(joint) == 40_513 + dnn + CRITEO.num_rows * (16 + 1)


@pytest.mark.parametrize("readout", ["last", "all"])
def test_attention_maps_are_those_of_the_forward_pass(layouts, make_batch, readout):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 6)
    model = make(layout, readout=readout, num_heads=4, num_layers=2)
    seen = []
    x = model.embedding(batch)
    for layer in model.layers:
        assert isinstance(layer, InteractingLayer)
        output, weights = layer.forward_with_attention(x)
        assert torch.equal(output, layer(x))
        seen.append(weights)
        x = output
    maps = model.attention(batch)
    assert [m.shape for m in maps] == [(6, 4, 5, 5)] * 2
    assert all(torch.equal(a, b) for a, b in zip(maps, seen, strict=True))
    assert not any(m.requires_grad for m in maps)


def test_no_layers_is_a_linear_readout_of_the_embeddings(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 6)
    for readout in ("last", "all"):
        model = make(layout, num_layers=0, readout=readout)
        expected = model.embedding(batch).flatten(1) @ model.readout.weight[0] + model.readout.bias
        torch.testing.assert_close(model(batch), expected)
        assert model.attention(batch) == []


def test_readout_of_all_layers_begins_with_the_embeddings(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 6)
    model = make(layout, preset="tutorial")
    assert model.readout.in_features == 5 * 32 * 4
    parts = [model.embedding(batch)]
    for layer in model.layers:
        parts.append(layer(parts[-1]))
    weights = model.readout.weight[0].split(5 * 32)
    expected = sum(part.flatten(1) @ weight for part, weight in zip(parts, weights, strict=True))
    torch.testing.assert_close(model(batch), expected + model.readout.bias, atol=1e-4, rtol=1e-4)


def test_branches_add_up(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 6)
    model = make(layout, wide=True, dnn_hidden=(4,))
    embedded = model.embedding(batch)
    assert model.dnn is not None
    assert model.wide is not None
    branches = model.dnn(embedded.flatten(1)) + model.wide(batch).sum(dim=(1, 2))
    together = model(batch)
    model.dnn = model.wide = None
    torch.testing.assert_close(together, model(batch) + branches)


def test_attention_and_dnn_see_the_same_dropped_embeddings(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 6)
    model = make(layout, embedding_dropout=0.5, dnn_hidden=(4,)).train()
    seen = []
    assert model.dnn is not None
    model.layers[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model.dnn.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model(batch)
    attention_input, dnn_input = seen
    assert torch.equal(attention_input.flatten(1), dnn_input)
    kept = dnn_input != 0
    clean = model.embedding(batch).flatten(1)
    torch.testing.assert_close(dnn_input[kept], 2 * clean[kept])  # inverted scaling, single coordinates
    assert 0.3 < float(kept.float().mean()) < 0.7


def test_presets_are_what_they_are_documented_to_be():
    chosen = {name: resolve("autoint", preset=name) for name in presets("autoint")}
    default = resolve("autoint")
    assert set(chosen) == {"reference", "paper", "tutorial"}
    assert {k for k in default if default[k] != chosen["reference"][k]} == {"missing"}
    paper = {k: v for k, v in chosen["paper"].items() if v != chosen["reference"][k]}
    assert paper == {
        "scale": False,
        "qkv_bias": False,
        "qkv_activation": None,
        "residual_activation": None,
        "layer_norm": False,
    }
    tutorial = {k: v for k, v in chosen["tutorial"].items() if v != chosen["paper"][k]}
    assert tutorial == {
        "embedding_dim": 32,
        "attention_dim": 32,
        "residual_projection": False,
        "output_projection": True,
        "scale": True,
        "readout": "all",
        "missing": "learned",
        "dropout": 0.1,
    }
    joint = resolve("autoint+", preset="reference")
    assert joint["dnn_hidden"] == [400, 400]
    assert joint["missing"] == "zero"


@torch.no_grad()
def test_initial_weights_are_those_of_the_authors_but_for_zero_output_biases():
    torch.manual_seed(0)
    layout = Layout(tuple(FieldLayout(f"f{i}", "categorical", 100) for i in range(40)))
    model = build("autoint+", layout, {"wide": True})
    assert isinstance(model, AutoInt)
    assert model.dnn is not None
    assert model.dnn.head is not None
    assert model.wide is not None
    assert float(model.readout.weight.std()) == pytest.approx(math.sqrt(2 / (40 * 64 + 1)), rel=0.1)
    assert float(model.embedding.table.weight.std()) == pytest.approx(0.01, rel=0.05)
    assert float(model.wide.table.weight.std()) == pytest.approx(0.001, rel=0.05)
    assert not model.readout.bias.any()
    assert not model.dnn.head.bias.any()


@pytest.mark.parametrize("settings", [{}, {"dnn_hidden": (400, 400), "readout": "all"}])
def test_near_zero_at_first_where_that_is_asked_for(settings: dict[str, object]) -> None:
    torch.manual_seed(0)
    model = build("autoint", CRITEO, resolve("autoint", settings=settings)).eval()
    batch = Batch(torch.randint(2, 5, (64, 26)), torch.randn(64, 13))
    assert model(batch).std() > 0.5
    model.begin_near_zero()
    assert model(batch).abs().max() < 0.5
