"""DeepFM: its parts worked out one by one, published counts, presets."""

from __future__ import annotations

import itertools

import pytest
import torch

from fieldwise.architecture import Architecture, Interaction, summarise_fields
from fieldwise.layers.interactions import RAW
from fieldwise.layers.products import pooled_pairs
from fieldwise.layout import FieldLayout, Layout
from fieldwise.models import CTRModel, build, count_parameters, presets, resolve
from fieldwise.models.deepfm import DeepFM

AVAZU_24 = Layout(tuple(FieldLayout(f"f{i}", "categorical", 4) for i in range(24)))
ONE = Layout((FieldLayout("only", "categorical", 8),))


def scattered(layout: Layout, **settings: object) -> DeepFM:
    """A model in float64 with every parameter well away from its start."""
    model = build("deepfm", layout, settings).double().eval()
    assert isinstance(model, DeepFM)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
            if name.endswith("table.weight"):
                parameter[0] = 0.0
    return model


def factorisation_machine(model: DeepFM, batch) -> torch.Tensor:
    """First order and pairs [B], pair by pair."""
    vectors, weights = model.embedding.embedding(batch).split([model.embedding.dim, 1], dim=2)
    logit = model.embedding.bias + weights.sum(dim=(1, 2))
    for i, j in itertools.combinations(range(len(model.layout)), 2):
        logit = logit + (vectors[:, i] * vectors[:, j]).sum(dim=1)
    return logit


@pytest.mark.parametrize("kinds", ["mixed", "categorical", "numeric", "multi_valued"])
def test_without_hidden_layers_it_is_the_factorisation_machine(layouts, make_batch, kinds):
    layout, batch = layouts[kinds], make_batch(layouts[kinds], 9)
    model = scattered(layout, dnn_hidden=())
    assert model.dnn is None
    torch.testing.assert_close(model(batch), factorisation_machine(model, batch))
    machine = build("fm", layout).double().eval()
    machine.load_state_dict(model.state_dict())
    assert torch.equal(model(batch), machine(batch))


def test_a_silent_head_leaves_the_factorisation_machine(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 9)
    model = scattered(layout)
    with torch.no_grad():
        model.dnn.head.weight.zero_()
        model.dnn.head.bias.zero_()
    torch.testing.assert_close(model(batch), factorisation_machine(model, batch))


def test_logits_of_pairs_and_network_are_added_over_the_same_vectors(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 9)
    model = scattered(layout, dnn_hidden=(7, 5))
    vectors, _ = model.embedding(batch)
    deep = vectors.flatten(1)
    for layer in (0, 2):
        deep = (deep @ model.dnn.layers[layer].weight.T + model.dnn.layers[layer].bias).clamp(min=0)
    deep = deep @ model.dnn.head.weight[0] + model.dnn.head.bias
    torch.testing.assert_close(model(batch), factorisation_machine(model, batch) + deep)


def test_without_pairs_it_is_wide_and_deep(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 9)
    model, wide_deep = scattered(layout), build("wide_deep", layout).double().eval()
    wide_deep.load_state_dict(model.state_dict())
    vectors, _ = model.embedding(batch)
    torch.testing.assert_close(model(batch) - pooled_pairs(vectors).sum(dim=1), wide_deep(batch))


def test_one_field_has_no_pairs(make_batch):
    batch, model = make_batch(ONE, 6), scattered(ONE)
    wide_deep = build("wide_deep", ONE).double().eval()
    wide_deep.load_state_dict(model.state_dict())
    torch.testing.assert_close(model(batch), wide_deep(batch))
    assert model(make_batch(ONE, 0)).shape == (0,)


def test_published_parameter_counts():
    model = build("deepfm", AVAZU_24, resolve("deepfm", preset="aim-avazu"))
    assert isinstance(model, DeepFM)
    assert sum(parameter.numel() for parameter in model.dnn.parameters()) == 2_636_201
    assert count_parameters(model, embeddings=False) == 2_636_201 + 1
    assert count_parameters(model) == 2_636_201 + 1 + AVAZU_24.num_rows * (40 + 1)


def test_presets_are_those_of_the_papers():
    assert set(presets("deepfm")) == {"autoint-paper", "aim-avazu", "aim-criteo"}
    autoint = resolve("deepfm", preset="autoint-paper")
    assert (autoint["embedding_dim"], autoint["dnn_hidden"], autoint["dnn_norm"]) == (16, [400, 400], None)
    for name, dim in (("aim-avazu", 40), ("aim-criteo", 20)):
        chosen = resolve("deepfm", preset=name)
        assert (chosen["embedding_dim"], chosen["dnn_hidden"], chosen["dnn_norm"]) == (dim, [700] * 5, "layer")
        assert chosen["missing"] == "zero"


def test_each_pair_is_counted_once_and_no_field_with_itself(make_batch):
    # Trap of the identity: without its factor of one half every pair would count twice.
    layout = Layout((FieldLayout("a", "categorical", 8), FieldLayout("b", "categorical", 8)))
    batch = make_batch(layout, 5)
    model: CTRModel = scattered(layout, dnn_hidden=())
    vectors, first_order = model.embedding(batch)
    torch.testing.assert_close(model(batch) - first_order, (vectors[:, 0] * vectors[:, 1]).sum(dim=1))


def read_by_the_network(model: DeepFM, batch) -> torch.Tensor:
    """What the MLP gets for the batch, [B, width]."""
    seen = []
    handle = model.dnn.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model(batch)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("kinds", ["mixed", "categorical", "numeric", "multi_valued"])
def test_an_architecture_of_all_pairs_by_inner_products(layouts, make_batch, kinds):
    layout = layouts[kinds]
    batch = make_batch(layout, 9)
    everything = Architecture.everything(layout, functions=["inner"], embedding_dim=3)
    model = scattered(layout, architecture=everything, dnn_hidden=(7, 5))
    assert model.embedding.slots == [RAW, (2, "inner")]
    table = model.embedding.embedding.tables[0](batch)  # [B, F, raw, pairs and first-order weight]
    raw, vectors, weights = table.split([3, 3, 1], dim=2)
    expected = model.embedding.embedding.bias + weights.sum(dim=(1, 2))
    for i, j in itertools.combinations(range(len(layout)), 2):
        expected = expected + (vectors[:, i] * vectors[:, j]).sum(dim=1)
    assert torch.equal(read_by_the_network(model, batch), raw.flatten(1))
    torch.testing.assert_close(model(batch), expected + model.dnn(raw.flatten(1)))


def test_found_functions_enter(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 9)
    chosen = [("vector_kernel", "03"), ("outer", "12"), ("outer", "014")]
    interactions = tuple(Interaction(fields=tuple(f"f{n}" for n in fields), function=f) for f, fields in chosen)
    architecture = Architecture(embedding_dim=3, fields=summarise_fields(layout), interactions=interactions)
    model = scattered(layout, architecture=architecture, dnn_hidden=(7,))
    assert model.embedding.slots == [RAW, (2, "vector_kernel"), (2, "outer"), (3, "outer")]
    vectors, logit = model.embedding.embedding(batch)
    kernel, pair, triple = (next(function.parameters()) for function in model.embedding.functions)
    logit = logit + (kernel[0].unsqueeze(1) * vectors[1, 0] * vectors[1, 3]).sum(dim=0)
    logit = logit + (pair[0] @ vectors[2, 1]) * (pair[1] @ vectors[2, 2])
    logit = logit + (triple[0] @ vectors[3, 0]) * (triple[1] @ vectors[3, 1]) * (triple[2] @ vectors[3, 4])
    raw = vectors[0].permute(2, 0, 1).flatten(1)
    torch.testing.assert_close(model(batch), logit + model.dnn(raw))


def test_an_architecture_without_a_network_is_that_of_the_factorisation_machine(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 9)
    everything = Architecture.everything(layout, functions=["inner", "outer"], embedding_dim=3)
    model = scattered(layout, architecture=everything, dnn_hidden=())
    assert RAW not in model.embedding.slots  # nothing would read it
    machine = build("fm", layout, {"architecture": everything}).double()
    machine.load_state_dict(model.state_dict())
    assert torch.equal(model(batch), machine(batch))


def test_an_architecture_without_interactions_is_wide_and_deep(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 9)
    nothing = Architecture(embedding_dim=16, fields=summarise_fields(layout))
    model, wide_deep = scattered(layout, architecture=nothing), build("wide_deep", layout).double()
    embedding = model.embedding.embedding
    weights = {"embedding.embedding.table.weight": embedding.tables[0].table.weight, "embedding.bias": embedding.bias}
    network = {name: value for name, value in model.state_dict().items() if name.startswith("dnn.")}
    wide_deep.load_state_dict(weights | network)
    torch.testing.assert_close(model(batch), wide_deep(batch))
