"""IPNN, KPNN and PIN: what their large network reads, the identities that join them, counts, one field only."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fieldwise.architecture import Architecture, Interaction, summarise_fields
from fieldwise.layers.interactions import RAW
from fieldwise.layers.products import inner_products, pairs_of, pooled_pairs
from fieldwise.layout import FieldLayout, Layout
from fieldwise.models import CTRModel, build, count_parameters, presets, resolve

NAMES = ["ipnn", "kpnn", "pin"]
ONE = {kind: Layout((FieldLayout("only", kind, 8),)) for kind in ("categorical", "multi_valued")}
CRITEO = Layout(tuple(FieldLayout(f"f{i}", "categorical", 4) for i in range(39)))


def scattered(name: str, layout: Layout, **settings: object) -> CTRModel:
    """A model in float64 with every parameter well away from its start."""
    model = build(name, layout, settings).double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
            if parameter_name.endswith("table.weight"):
                parameter[0] = 0.0
    return model


def read_by_the_network(model: CTRModel, batch) -> torch.Tensor:
    """What the large network gets for the batch, [B, width]."""
    seen = []
    handle = model.dnn.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model(batch)
    handle.remove()
    return seen[0]


def test_products_of_ipnn_add_up_to_the_pairs_of_a_factorisation_machine(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 9)
    model = scattered("ipnn", layout)
    embedded = model.embedding(batch)
    read = read_by_the_network(model, batch)
    width = len(layout) * 16
    assert torch.equal(read[:, :width], embedded.flatten(1))
    assert read.shape[1] == width + len(layout) * (len(layout) - 1) // 2
    torch.testing.assert_close(read[:, width:].sum(dim=1), pooled_pairs(embedded).sum(dim=1))


def test_kpnn_with_identity_kernels_is_ipnn(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 9)
    inner, kernel = scattered("ipnn", layout), scattered("kpnn", layout)
    with torch.no_grad():
        eye = torch.eye(16, dtype=torch.float64).expand_as(kernel.products.kernels)
        kernel.load_state_dict({**inner.state_dict(), "products.kernels": eye})
    torch.testing.assert_close(kernel(batch), inner(batch))


@pytest.mark.parametrize("raw", [True, False])
def test_pin_sees_the_embeddings_through_the_pairs_unless_told_otherwise(layouts, make_batch, raw):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 9)
    model = scattered("pin", layout, raw_embeddings=raw, sub_widths=(7, 3))
    read = read_by_the_network(model, batch)
    embedded = model.embedding(batch)
    pairs = model.subs(embedded).flatten(1)
    assert pairs.shape[1] == 10 * 3
    assert torch.equal(read, torch.cat([embedded.flatten(1), pairs], dim=1) if raw else pairs)


def test_pin_of_products_alone_is_ipnn_without_its_embeddings(layouts, make_batch):
    # A sub-network that adds up e_i * e_j is an inner product.
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 9)
    model = scattered("pin", layout, sub_widths=(1,), sub_layer_norm=False)
    with torch.no_grad():
        model.subs.weights[0].copy_(torch.cat([torch.zeros(32), torch.ones(16)]).view(1, 48, 1).expand(10, -1, -1))
        model.subs.biases[0].zero_()
    torch.testing.assert_close(
        read_by_the_network(model, batch), read_by_the_network(scattered("ipnn", layout), batch)[:, 5 * 16 :]
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ONE)
def test_one_field_has_no_pairs_and_the_network_reads_its_vector(name, kind, make_batch):
    layout = ONE[kind]
    model, batch = build(name, layout), make_batch(layout, 6)
    read = read_by_the_network(model, batch)
    assert torch.equal(read, model.embedding(batch).flatten(1))
    F.binary_cross_entropy_with_logits(model(batch), batch.label).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model(make_batch(layout, 0)).shape == (0,)


def test_parameter_counts():
    pairs, dnn_rest = 741, (400 * 400 + 400) + (400 + 1)
    ipnn = count_parameters(build("ipnn", CRITEO), embeddings=False)
    assert ipnn == (39 * 16 + pairs) * 400 + 400 + dnn_rest
    assert count_parameters(build("kpnn", CRITEO), embeddings=False) == ipnn + pairs * 16 * 16
    subs = pairs * (48 * 40 + 40 + 40 * 5 + 5)
    assert count_parameters(build("pin", CRITEO), embeddings=False) == subs + pairs * 5 * 400 + 400 + dnn_rest


def test_presets_are_those_of_the_aim_paper():
    assert set(presets("ipnn")) == {"aim-avazu", "aim-criteo"}
    for name, dim in (("aim-avazu", 40), ("aim-criteo", 20)):
        chosen = resolve("ipnn", preset=name)
        assert (chosen["embedding_dim"], chosen["dnn_hidden"], chosen["dnn_norm"]) == (dim, [700] * 5, "layer")
        assert chosen["missing"] == "zero"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_the_large_network_is_normalised_where_asked(name, norm, layouts, make_batch):
    model = build(name, layouts["mixed"], {"dnn_norm": norm, "dnn_dropout": 0.1})
    assert model(make_batch(layouts["mixed"], 8)).isfinite().all()


@pytest.mark.parametrize("kinds", ["mixed", "categorical", "numeric", "multi_valued"])
def test_ipnn_of_an_architecture_with_all_pairs_by_inner_products(kinds, layouts, make_batch):
    layout = layouts[kinds]
    batch = make_batch(layout, 9)
    everything = Architecture.everything(layout, functions=["inner"], embedding_dim=3)
    model = scattered("ipnn", layout, architecture=everything)
    assert model.embedding.slots == [RAW, (2, "inner")]
    raw, vectors = model.embedding.embedding.tables[0](batch).split([3, 3], dim=2)
    read = read_by_the_network(model, batch)
    products = inner_products(vectors, *pairs_of(len(layout)))
    torch.testing.assert_close(read, torch.cat([raw.flatten(1), products], dim=1))
    # With the pairs' vectors those of the network it is the network without an architecture.
    plain = scattered("ipnn", layout, embedding_dim=3)
    with torch.no_grad():
        table = model.embedding.embedding.tables[0].table.weight
        table[:, 3:6] = table[:, :3]
        network = {name: value for name, value in model.state_dict().items() if name.startswith("dnn.")}
        plain.load_state_dict(network | {"embedding.table.weight": table[:, :3]})
    torch.testing.assert_close(model(batch), plain(batch))


def test_ipnn_reads_the_values_of_found_functions(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 9)
    chosen = [("outer", "014"), ("scalar_kernel", "03"), ("outer", "12"), ("outer", "03")]
    interactions = tuple(Interaction(fields=tuple(f"f{n}" for n in fields), function=f) for f, fields in chosen)
    architecture = Architecture(embedding_dim=3, fields=summarise_fields(layout), interactions=interactions)
    model = scattered("ipnn", layout, architecture=architecture)
    assert model.embedding.slots == [RAW, (2, "scalar_kernel"), (2, "outer"), (3, "outer")]
    vectors, _ = model.embedding.embedding(batch)
    kernel, pair, triple = (next(function.parameters()) for function in model.embedding.functions)
    values = [
        kernel[0] * (vectors[1, 0] * vectors[1, 3]).sum(dim=0),
        (pair[0] @ vectors[2, 0]) * (pair[1] @ vectors[2, 3]),
        (pair[0] @ vectors[2, 1]) * (pair[1] @ vectors[2, 2]),
        (triple[0] @ vectors[3, 0]) * (triple[1] @ vectors[3, 1]) * (triple[2] @ vectors[3, 4]),
    ]
    raw = vectors[0].permute(2, 0, 1).flatten(1)
    expected = torch.cat([raw, torch.stack(values, dim=1)], dim=1)
    torch.testing.assert_close(read_by_the_network(model, batch), expected)


def test_ipnn_of_an_architecture_without_interactions_reads_the_embeddings(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 9)
    model = scattered("ipnn", layout, architecture=Architecture(embedding_dim=3, fields=summarise_fields(layout)))
    raw = model.embedding.embedding(batch)[0][0].permute(2, 0, 1).flatten(1)
    assert torch.equal(read_by_the_network(model, batch), raw)
