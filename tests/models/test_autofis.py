"""AutoFIS: its three bases by hand, the embeddings that they read, and architectures without interactions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldwise.architecture import Architecture, Interaction, summarise_fields
from fieldwise.data.batch import Batch
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.interactions import gates_of
from fieldwise.layout import Layout
from fieldwise.models import CTRModel, build, count_parameters, presets, resolve
from fieldwise.models.autofis import AutoFIS
from fieldwise.models.registry import build_for_search, search_defaults
from fieldwise.models.searchable import Searchable

MakeBatch = Callable[..., Batch]

DIM = 3
BASES = ["fm", "deepfm", "ipnn"]
SOME = ["02", "34", "12", "014", "123"]

each_base = pytest.mark.parametrize("base", BASES)


def found_in(layout: Layout, interactions: list[str], **settings: Any) -> Architecture:
    """interactions: the numbers of their fields."""
    return Architecture(
        model="autofis",
        embedding_dim=DIM,
        fields=summarise_fields(layout),
        interactions=tuple(
            Interaction(fields=tuple(f"f{number}" for number in fields), function="inner") for fields in interactions
        ),
        **settings,
    )


def scattered(model: CTRModel) -> CTRModel:
    """In float64 with every parameter well away from its start."""
    model.double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
            if name.endswith("table.weight"):
                parameter[0] = 0.0
    return model


def autofis(layout: Layout, base: Any, architecture: Architecture | None = None, **settings: Any) -> AutoFIS:
    chosen = {"embedding_dim": DIM, "dnn_hidden": (7, 5), **settings}
    model = scattered(AutoFIS(layout, architecture=architecture, base=base, **chosen))
    assert isinstance(model, AutoFIS)
    return model


def gated(model: AutoFIS, vectors: Tensor) -> list[Tensor]:
    """alpha_u * BN(inner product of the fields of u) for every interaction, [B] each, from the vectors [S, F, D, B]."""
    signals = []
    numbers = dict.fromkeys(model.interactions.orders, 0)
    for interaction in model.interactions.interactions:
        slot = model.interactions.slots.index((interaction.order, "inner"))
        fields = [model.layout.names.index(name) for name in interaction.fields]
        value = vectors[slot, fields].prod(dim=0).sum(dim=0)
        gates = gates_of(model.gates, interaction.order)
        normal = (value - value.mean()) / (value.var(correction=0) + gates.norm.eps).sqrt()
        signals.append(gates.weight[numbers[interaction.order]] * normal)
        numbers[interaction.order] += 1
    return signals


def network(model: AutoFIS, x: Tensor) -> Tensor:
    """The MLP, layer by layer."""
    assert model.dnn is not None
    assert model.dnn.head is not None
    for place in (0, 2):
        linear = model.dnn.layers[place]
        assert isinstance(linear, nn.Linear)
        x = (x @ linear.weight.T + linear.bias).clamp(min=0)
    return x @ model.dnn.head.weight[0] + model.dnn.head.bias


@pytest.fixture
def mixed(layouts: dict[str, Layout], make_batch: MakeBatch) -> tuple[Layout, Batch]:
    return layouts["mixed"], make_batch(layouts["mixed"], 12)


@pytest.mark.parametrize("interactions", [SOME, ["".join(pair) for pair in combinations("01234", 2)], ["014"], []])
@each_base
def test_the_logit_by_hand(mixed: tuple[Layout, Batch], base: str, interactions: list[str]) -> None:
    layout, batch = mixed
    model = autofis(layout, base, found_in(layout, interactions))
    found = model.interactions.embed(batch)
    signals = gated(model, found.vectors)
    assert len(signals) == len(interactions)
    if base == "ipnn":
        vectors = found.vectors[model.interactions.slots.index((2, "inner"))].permute(2, 0, 1).flatten(1)
        expected = network(model, torch.cat([vectors, *(signal.unsqueeze(1) for signal in signals)], dim=1))
    else:
        expected = found.first_order + sum(signals, torch.zeros(12, dtype=torch.float64))
    if base == "deepfm":
        vectors = found.vectors[model.interactions.slots.index((2, "inner"))].permute(2, 0, 1).flatten(1)
        expected = expected + network(model, vectors)
    torch.testing.assert_close(model(batch), expected)


def test_the_first_order_part_is_that_of_a_factorisation_machine(mixed: tuple[Layout, Batch]) -> None:
    layout, batch = mixed
    model, machine = autofis(layout, "fm"), scattered(build("fm", layout, {"embedding_dim": DIM}))
    (table,) = model.interactions.embedding.tables
    assert isinstance(table, FieldEmbedding)
    weights = {"embedding.embedding.table.weight": table.table.weight}
    machine.load_state_dict(weights | {"embedding.bias": model.interactions.embedding.bias})
    found = model.interactions.embed(batch)
    values = model.interactions.values(found.vectors, 2)
    torch.testing.assert_close(found.first_order + values.sum(dim=1), machine(batch))
    gates = gates_of(model.gates, 2)
    expected = found.first_order + F.batch_norm(values, None, None, training=True, eps=gates.norm.eps) @ gates.weight
    torch.testing.assert_close(model(batch), expected)


@each_base
def test_pairs_and_network_read_one_embedding(layouts: dict[str, Layout], base: str) -> None:
    layout = layouts["mixed"]
    model = AutoFIS(layout, base=base, embedding_dim=DIM)  # type: ignore[arg-type]
    assert model.interactions.slots == [(2, "inner")]
    tables = count_parameters(model) - count_parameters(model, embeddings=False)
    assert tables == layout.num_rows * (DIM + (base != "ipnn"))  # IPNN has no first-order terms
    # All fields are there for the network, also those that no interaction reads.
    few = AutoFIS(layout, base=base, architecture=found_in(layout, ["02"]))  # type: ignore[arg-type]
    batch = Batch(torch.ones(1, 2, dtype=torch.int64), torch.ones(1, 2), (torch.ones(1, 1, dtype=torch.int64),))
    embedded = few.interactions.embed(batch).vectors[0].ne(0).all(dim=1).flatten().tolist()
    assert embedded == [True, base != "fm", True, base != "fm", base != "fm"]


@each_base
def test_triples_have_an_embedding_of_their_own(mixed: tuple[Layout, Batch], base: str) -> None:
    layout, batch = mixed
    model = autofis(layout, base, found_in(layout, SOME))
    assert model.interactions.slots == [(2, "inner"), (3, "inner")]
    vectors = model.interactions.embed(batch).vectors
    assert not torch.isclose(vectors[0], vectors[1])[vectors[1] != 0].any()
    assert set(model.gates) == {"2", "3"}


@each_base
def test_an_architecture_with_one_embedding_per_order(mixed: tuple[Layout, Batch], base: str) -> None:
    layout, batch = mixed
    own, shared = (autofis(layout, base, found_in(layout, SOME, shared_embedding=shared)) for shared in (False, True))
    assert shared.interactions.slots == [(2, "shared"), (3, "shared")]
    shared.load_state_dict(own.state_dict())
    torch.testing.assert_close(shared(batch), own(batch))


@pytest.mark.parametrize("kinds", ["mixed", "categorical", "numeric", "multi_valued"])
def test_without_interactions_the_machine_is_a_logistic_regression(
    layouts: dict[str, Layout], make_batch: MakeBatch, kinds: str
) -> None:
    layout = layouts[kinds]
    batch = make_batch(layout, 9)
    model, regression = autofis(layout, "fm", found_in(layout, [])), scattered(build("lr", layout))
    (table,) = model.interactions.embedding.tables
    assert isinstance(table, FieldEmbedding)
    bias = model.interactions.embedding.bias
    regression.load_state_dict({"weights.table.weight": table.table.weight, "bias": bias})
    torch.testing.assert_close(model(batch), regression(batch))


@each_base
@pytest.mark.parametrize("interactions", [SOME, []])
@pytest.mark.parametrize("rows", [0, 1, 8])
def test_every_base_takes_any_batch(
    layouts: dict[str, Layout], make_batch: MakeBatch, base: str, interactions: list[str], rows: int
) -> None:
    layout = layouts["mixed"]
    model = AutoFIS(layout, base=base, architecture=found_in(layout, interactions))  # type: ignore[arg-type]
    for training in (True, False):
        logit = model.train(training)(make_batch(layout, rows))
        assert logit.shape == (rows,)
        assert logit.isfinite().all()


def test_it_searches_as_it_is_by_inner_products(layouts: dict[str, Layout]) -> None:
    defaults = search_defaults("autofis")
    assert defaults == {
        "functions": ("inner",),
        "embedding_sizes": False,
        "threshold": 0.65,
    }
    for base in BASES:
        model = build_for_search("autofis", layouts["mixed"], {"base": base, "dnn_hidden": [4]})
        assert isinstance(model, AutoFIS)
        assert isinstance(model, Searchable)
        assert (model.dnn is None) == (base == "fm")  # the network is there while it searches
        assert len(gates_of(model.gates, 2).weight) == 10


def test_presets_are_those_of_the_aim_paper() -> None:
    assert set(presets("autofis")) == {"aim-avazu", "aim-criteo"}
    for name, dim in (("aim-avazu", 40), ("aim-criteo", 20)):
        chosen = resolve("autofis", preset=name)
        assert (chosen["embedding_dim"], chosen["dnn_hidden"], chosen["dnn_norm"]) == (dim, [700] * 5, "layer")
        assert (chosen["base"], chosen["missing"]) == ("deepfm", "zero")
