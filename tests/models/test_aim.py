"""AIM: its logit by hand, the identities that join it to other models, dead gates, counts, and architectures given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import fieldwise as fw
from fieldwise.architecture import Architecture, Interaction, summarise_fields
from fieldwise.data.batch import Batch
from fieldwise.errors import PredictorFormatError, SettingsError
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.gates import INITIAL_SHARE
from fieldwise.layers.interactions import Interactions, gates_of
from fieldwise.layers.mlp import BatchNorm
from fieldwise.layout import FIRST_TOKEN, FieldLayout, Layout
from fieldwise.models import CTRModel, build, count_parameters, presets, resolve
from fieldwise.models.aim import AIM, EmbeddingSearch
from fieldwise.models.registry import build_for_search
from fieldwise.models.searchable import Searchable
from fieldwise.optim.grda import GRDA
from fieldwise.settings import TrainingSettings, resolve_settings
from fieldwise.training.optimizers import GateTraining
from fieldwise.training.trainer import Trainer

MakeBatch = Callable[..., Batch]

FUNCTIONS = ["inner", "vector_kernel", "scalar_kernel", "outer"]
DIM = 3
KINDS = ["mixed", "categorical", "numeric", "multi_valued"]


def found_in(layout: Layout, interactions: list[tuple[str, str]], **settings: Any) -> Architecture:
    """interactions: function and the numbers of the fields, such as ("inner", "02")."""
    return Architecture(
        embedding_dim=DIM,
        fields=summarise_fields(layout),
        interactions=tuple(
            Interaction(fields=tuple(f"f{number}" for number in fields), function=function)
            for function, fields in interactions
        ),
        **settings,
    )


SOME = [("inner", "02"), ("inner", "34"), ("outer", "01"), ("vector_kernel", "014"), ("scalar_kernel", "123")]


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


def aim(layout: Layout, architecture: Architecture | None = None, **settings: Any) -> AIM:
    model = scattered(AIM(layout, architecture=architecture, **{"embedding_dim": DIM, **settings}))
    assert isinstance(model, AIM)
    return model


def normalised(x: Tensor, eps: float) -> Tensor:
    return (x - x.mean(dim=0)) / (x.var(dim=0, correction=0) + eps).sqrt()


def loss_of(model: CTRModel, batch: Batch) -> Tensor:
    assert batch.label is not None
    return F.binary_cross_entropy_with_logits(model(batch), batch.label.double())


@pytest.fixture
def mixed(layouts: dict[str, Layout], make_batch: MakeBatch) -> tuple[Layout, Batch]:
    return layouts["mixed"], make_batch(layouts["mixed"], 12)


# The logit


@pytest.mark.parametrize("gates", [True, False])
@pytest.mark.parametrize("hidden", [(), (7, 5)])
def test_the_logit_by_hand(mixed: tuple[Layout, Batch], gates: bool, hidden: tuple[int, ...]) -> None:
    layout, batch = mixed
    model = aim(layout, found_in(layout, SOME), gates=gates, dnn_hidden=hidden)
    found = model.interactions.embed(batch)
    values, features = model.interactions.features(found.vectors)  # these have tests of their own
    logit = found.first_order
    for order in (2, 3):
        signals = values[order]
        if gates:
            of_order = gates_of(model.gates, order)
            signals = of_order.weight * normalised(signals, of_order.norm.eps)
        logit = logit + signals.sum(dim=1)
    if hidden:
        assert model.dnn is not None
        for place in (0, 2):
            linear = model.dnn.layers[place]
            assert isinstance(linear, nn.Linear)
            features = (features @ linear.weight.T + linear.bias).clamp(min=0)
        assert model.dnn.head is not None
        logit = logit + features @ model.dnn.head.weight[0] + model.dnn.head.bias
    else:
        assert model.dnn is None
    torch.testing.assert_close(model(batch), logit)


def test_a_silent_network_leaves_the_interactions(mixed: tuple[Layout, Batch]) -> None:
    layout, batch = mixed
    model = aim(layout, found_in(layout, SOME), dnn_hidden=(5,))
    assert model.dnn is not None
    assert model.dnn.head is not None
    with torch.no_grad():
        model.dnn.head.weight.zero_()
        model.dnn.head.bias.zero_()
    alone = aim(layout, found_in(layout, SOME), dnn_hidden=())
    alone.load_state_dict({name: value for name, value in model.state_dict().items() if not name.startswith("dnn.")})
    torch.testing.assert_close(model(batch), alone(batch))


@pytest.mark.parametrize("hidden", [(), (5,)])
def test_parts_of_the_logit_may_have_learned_weights(mixed: tuple[Layout, Batch], hidden: tuple[int, ...]) -> None:
    layout, batch = mixed
    architecture = found_in(layout, SOME)
    plain = aim(layout, architecture, gates=False, dnn_hidden=hidden)
    weighted = aim(layout, architecture, gates=False, dnn_hidden=hidden, part_weights="learned")
    weights = weighted.part_weights
    assert plain.part_weights is None
    assert weights is not None
    assert weights.shape == (3 + len(hidden),)  # first order, orders 2 and 3, MLP
    with torch.no_grad():
        weighted.load_state_dict(plain.state_dict() | {"part_weights": torch.ones_like(weights)})
        torch.testing.assert_close(weighted(batch), plain(batch))
        weights.copy_(torch.tensor([-1.5, 2.0, 0.5, 3.0])[: len(weights)])
        found = plain.interactions.embed(batch)
        bias = plain.interactions.embedding.bias
        parts = [found.first_order - bias]
        parts += [plain.interactions.values(found.vectors, order).sum(dim=1) for order in (2, 3)]
        if plain.dnn is not None:
            parts.append(plain.dnn(plain.interactions.features(found.vectors)[1]))
        expected = bias + sum(weight * part for weight, part in zip(weights, parts, strict=True))
        torch.testing.assert_close(weighted(batch), expected)


def test_learned_weights_of_parts_are_drawn_as_the_authors_do(layouts: dict[str, Layout]) -> None:
    torch.manual_seed(0)
    drawn = [AIM(layouts["categorical"], dnn_hidden=(), part_weights="learned").part_weights for _ in range(200)]
    weights = torch.cat([weight.detach() for weight in drawn if weight is not None])
    assert weights.numel() == 400
    assert weights.abs().max() <= 6**0.5
    assert float(weights.std()) == pytest.approx(2**0.5, rel=0.1)  # of U(-sqrt(6), sqrt(6))


# Identities


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("missing", ["learned", "zero"])
def test_inner_products_of_all_pairs_without_gates_are_a_factorisation_machine(
    layouts: dict[str, Layout], make_batch: MakeBatch, kinds: str, missing: Any
) -> None:
    layout = layouts[kinds]
    batch = make_batch(layout, 12)
    everything = Architecture.everything(layout, functions=["inner"], embedding_dim=DIM)
    model = aim(layout, everything, gates=False, dnn_hidden=(), missing=missing)
    machine = scattered(build("fm", layout, {"embedding_dim": DIM, "missing": missing}))
    (table,) = model.interactions.embedding.tables
    assert isinstance(table, FieldEmbedding)
    weights = {"embedding.embedding.table.weight": table.table.weight}
    machine.load_state_dict(weights | {"embedding.bias": model.interactions.embedding.bias})
    torch.testing.assert_close(model(batch), machine(batch))


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("part_weights", ["fixed", "learned"])
def test_without_interactions_it_is_a_logistic_regression(
    layouts: dict[str, Layout], make_batch: MakeBatch, kinds: str, part_weights: Any
) -> None:
    layout = layouts[kinds]
    batch = make_batch(layout, 12)
    model = aim(layout, found_in(layout, []), dnn_hidden=(5,), part_weights=part_weights)
    assert model.dnn is None
    assert len(model.gates) == 0
    (table,) = model.interactions.embedding.tables
    assert isinstance(table, FieldEmbedding)
    scale: Tensor | float = 1.0 if model.part_weights is None else model.part_weights[0]
    regression = scattered(build("lr", layout))
    bias = model.interactions.embedding.bias
    regression.load_state_dict({"weights.table.weight": table.table.weight * scale, "bias": bias})
    torch.testing.assert_close(model(batch), regression(batch))


def columns_of(layer: Interactions, architecture: Architecture) -> dict[tuple[int, int, int], tuple[Tensor, int, int]]:
    """Slot, field and dimension -> where its numbers are: table, first row, column. Slot -1: the first-order weight."""
    places = {}
    for table in layer.embedding.tables:
        assert isinstance(table, FieldEmbedding)
        for local, field in enumerate(table.fields):
            start, column = table.layout.offsets[local], 0
            for number, (order, function) in enumerate(layer.slots):
                read = f"f{field}" in layer.read_by((order, function))
                for dimension in architecture.kept_dimensions(order, function, f"f{field}") if read else ():
                    places[number, field, dimension] = table.table.weight, start, column
                    column += 1
            places[-1, field, 0] = table.table.weight, start, column
    return places


@pytest.mark.parametrize("training", [True, False])
def test_compact_tables_give_the_logits_of_masked_full_ones(mixed: tuple[Layout, Batch], training: bool) -> None:
    layout, batch = mixed
    rng = np.random.default_rng(0)
    dimensions = {
        order: {
            function: {
                name: tuple(sorted(rng.choice(DIM, rng.integers(1, DIM + 1), replace=False).tolist()))
                for name in layout.names
            }
            for function in FUNCTIONS
        }
        for order in (2, 3)
    }
    whole, small = found_in(layout, SOME), found_in(layout, SOME, dimensions=dimensions)
    full, compact = (aim(layout, architecture, dnn_hidden=(5,)) for architecture in (whole, small))
    theirs, ours = columns_of(full.interactions, whole), columns_of(compact.interactions, small)
    assert len(ours) < len(theirs)
    mask = torch.zeros(len(full.interactions.slots), len(layout), DIM, 1, dtype=torch.float64)
    with torch.no_grad():
        rest = {name: value for name, value in full.state_dict().items() if ".tables." not in name}
        compact.load_state_dict(compact.state_dict() | rest)
        for place, (table, start, column) in ours.items():
            size = layout.fields[place[1]].size
            table[start : start + size, column] = theirs[place][0][theirs[place][1] :][:size, theirs[place][2]]
            if place[0] >= 0:
                mask[place] = 1.0
    full.interactions.embedding.register_forward_hook(lambda layer, inputs, found: (found[0] * mask, found[1]))
    full.train(training)
    compact.train(training)
    assert full.interactions.embed(batch).vectors[:, :, :, 0].ne(0).sum() == mask.sum()
    torch.testing.assert_close(compact(batch), full(batch))
    for model in (full, compact):
        loss_of(model, batch).backward()  # type: ignore[no-untyped-call]
    for place, (table, start, column) in ours.items():
        size = layout.fields[place[1]].size
        other, there, where = theirs[place]
        assert table.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(table.grad[start:][:size, column], other.grad[there:][:size, where])


def test_columns_may_be_normalised_before_they_are_gathered_into_pairs(mixed: tuple[Layout, Batch]) -> None:
    layout, batch = mixed
    everything = Architecture.everything(layout, functions=["inner", "scalar_kernel"], embedding_dim=DIM)
    model = scattered(EmbeddingSearch(layout, everything))
    assert isinstance(model, EmbeddingSearch)
    found = model.interactions.embed(batch)
    vectors = found.vectors.permute(0, 3, 1, 2)  # [S, B, F, D]
    gates = gates_of(model.gates, 2)
    beta, eps = gates.weight.view(2, len(layout), DIM), gates.norm.eps
    first, second = (list(fields) for fields in zip(*combinations(range(len(layout)), 2), strict=True))
    logit = found.first_order
    for slot, function in enumerate(model.interactions.functions):
        # As the authors have it: each side of the pairs [B, P, D] is normalised by itself.
        left = normalised(vectors[slot][:, first], eps) * beta[slot, first]
        right = normalised(vectors[slot][:, second], eps) * beta[slot, second]
        values = (left * right).sum(dim=2)
        kernels = list(function.parameters())
        logit = logit + (values * kernels[0] if kernels else values).sum(dim=1)
    torch.testing.assert_close(model(batch), logit)


# Counts


def categorical(fields: int, num_rows: int) -> Layout:
    """A layout of categorical fields whose table has this many rows, the one of no field included."""
    size, more = divmod(num_rows - 1, fields)
    return Layout(tuple(FieldLayout(f"f{i}", "categorical", size + (i < more)) for i in range(fields)))


AVAZU, CRITEO = categorical(24, 645_195), categorical(39, 1_178_909)


@pytest.mark.parametrize(
    ("layout", "dim", "shared", "published"),
    [
        (AVAZU, 40, False, 103_876_395),
        (AVAZU, 40, True, 26_452_995),
        (CRITEO, 20, False, 95_491_629),
        (CRITEO, 20, True, 24_757_089),
    ],
)
def test_published_parameter_counts(layout: Layout, dim: int, shared: bool, published: int) -> None:
    everything = Architecture.everything(layout, functions=FUNCTIONS, embedding_dim=dim)
    with torch.device("meta"):  # shapes without memory
        model = AIM(
            layout, architecture=everything.model_copy(update={"shared_embedding": shared}), dnn_hidden=(700,) * 5
        )
    tables = count_parameters(model) - count_parameters(model, embeddings=False)
    assert tables == published
    assert sum(p.numel() for p in model.interactions.embedding.parameters()) == published + 1
    pairs = len(layout) * (len(layout) - 1) // 2
    kernels, gates = pairs * dim + pairs + 2 * dim, 4 * pairs
    # The network reads vectors, not values: 3 D + 1 numbers for each pair, not 4.
    width = pairs * (3 * dim + 1)
    network = width * 700 + 700 + 4 * (700 * 700 + 700) + 700 + 1
    assert count_parameters(model, embeddings=False) == kernels + gates + network + 1


def test_presets_are_those_of_the_paper() -> None:
    assert set(presets("aim")) == {"aim-avazu", "aim-criteo"}
    for name, dim in (("aim-avazu", 40), ("aim-criteo", 20)):
        chosen = resolve("aim", preset=name)
        assert (chosen["embedding_dim"], chosen["dnn_hidden"], chosen["dnn_norm"]) == (dim, [700] * 5, "layer")
        assert (chosen["missing"], chosen["gates"], chosen["part_weights"]) == ("zero", True, "fixed")


# Searching


def test_it_searches_without_a_network_and_with_gates(layouts: dict[str, Layout]) -> None:
    layout = layouts["mixed"]
    model = build_for_search("aim", layout, {"gates": False, "embedding_dim": DIM})
    assert isinstance(model, AIM)
    assert isinstance(model, Searchable)
    assert model.dnn is None
    assert [len(gates_of(model.gates, order).weight) for order in (2,)] == [4 * 10]
    assert [i.function for i in model.interactions.interactions[::10]] == FUNCTIONS


def test_a_dead_gate_stops_the_gradient_of_its_embeddings_but_has_one_of_its_own(mixed: tuple[Layout, Batch]) -> None:
    layout, batch = mixed
    architecture = found_in(layout, [("inner", "13"), ("inner", "34"), ("outer", "13")])
    model = aim(layout, architecture, dnn_hidden=())
    gates = gates_of(model.gates, 2).weight
    with torch.no_grad():
        gates[0] = 0.0
    loss_of(model, batch).backward()  # type: ignore[no-untyped-call]
    assert gates.grad is not None
    assert gates.grad.all()
    moved = {}
    for (slot, field, _), (table, start, column) in columns_of(model.interactions, architecture).items():
        assert table.grad is not None
        gradient = table.grad[start : start + layout.fields[field].size, column]
        moved[slot, field] = moved.get((slot, field), False) or bool(gradient.any())
    assert moved == {
        (0, 1): False,  # the first field of the dead pair, which no other inner product reads
        **dict.fromkeys([(0, 3), (0, 4), (1, 1), (1, 3)], True),
        **dict.fromkeys([(-1, field) for field in range(5)], True),
    }


def test_searched_gates_are_moved_by_grda_alone(layouts: dict[str, Layout]) -> None:
    layout = layouts["mixed"]
    model = AIM(layout, architecture=found_in(layout, SOME), dnn_hidden=(4,))
    pairs, triples = gates_of(model.gates, 2).weight, gates_of(model.gates, 3).weight
    settings = TrainingSettings(embedding_weight_decay=0.1, embedding_l2=0.1, device="cpu")

    def owners(trainer: Trainer, weight: nn.Parameter) -> list[str]:
        groups = [(name, group) for name, owner in trainer.optimizers.items() for group in owner.param_groups]
        return [name for name, group in groups if any(weight is other for other in group["params"])]

    trainer = Trainer(model, settings=settings, gates=GateTraining([triples], 0.1, 0.05, 0.6))
    assert owners(trainer, triples) == ["gates"]
    assert owners(trainer, pairs) == ["network"]  # of an order that was searched before
    assert all(len(owners(trainer, parameter)) == 1 for parameter in model.parameters())
    (group,) = trainer.optimizers["gates"].param_groups
    assert isinstance(trainer.optimizers["gates"], GRDA)
    assert group.keys() == {"params", "lr", "c", "mu"}  # there is no decay
    assert trainer.optimizers["network"].param_groups[0]["weight_decay"] == 0
    assert owners(Trainer(model, settings=settings), triples) == ["network"]


# Embedding dimensions


@pytest.mark.parametrize("share", [False, True])
def test_positions_have_gates_by_order_slot_and_field(layouts: dict[str, Layout], share: bool) -> None:
    layout = layouts["mixed"]
    model = EmbeddingSearch(layout, found_in(layout, SOME), share_dimensions=share)
    assert model.interactions.slots == [(2, "inner"), (2, "outer"), (3, "vector_kernel"), (3, "scalar_kernel")]
    assert model.slots_of(2) == [0, 1]
    assert model.slots_of(3) == [2, 3]
    for order in (2, 3):
        gates = gates_of(model.gates, order)
        assert gates.weight.shape == ((1 if share else 2) * 5 * DIM,)
        assert gates.copies == (2 if share else 1)
    # What is normalised has gates; the interactions have neither.
    normal = {name for name, module in model.named_modules() if isinstance(module, BatchNorm)}
    assert normal == {"gates.2.norm", "gates.3.norm"}


@pytest.mark.parametrize("share", [False, True])
def test_gated_positions_by_hand(mixed: tuple[Layout, Batch], share: bool) -> None:
    layout, batch = mixed
    model = scattered(EmbeddingSearch(layout, found_in(layout, SOME), share_dimensions=share))
    assert isinstance(model, EmbeddingSearch)
    found = model.interactions.embed(batch)
    gated = torch.zeros_like(found.vectors)
    for slot, (order, _) in enumerate(model.interactions.slots):
        gates = gates_of(model.gates, order)
        own = slot - model.slots_of(order)[0]
        beta = gates.weight.view(-1, len(layout), DIM)[0 if share else own]
        for field in range(len(layout)):
            for dimension in range(DIM):
                number = found.vectors[slot, field, dimension]
                gated[slot, field, dimension] = beta[field, dimension] * normalised(number, gates.norm.eps)
    torch.testing.assert_close(model(batch), found.first_order + model.interactions.sum(gated))


@pytest.mark.parametrize("order", [2, 3, 4])
def test_gated_positions_begin_beneath_the_first_order_part(order: int) -> None:
    torch.manual_seed(0)
    layout = Layout(tuple(FieldLayout(f"f{i}", "categorical", 500) for i in range(5)))
    everything = Architecture.everything(layout, order=order, functions=FUNCTIONS, embedding_dim=16)
    model = EmbeddingSearch(layout, everything)
    batch = Batch(torch.randint(FIRST_TOKEN, 500, (2000, 5)), torch.zeros(2000, 0))
    # First-order weights and the bias are drawn as zeros. One draw of a few projections is far from their mean.
    assert INITIAL_SHARE / 3 < float(model(batch).detach().std()) < 3 * INITIAL_SHARE


@pytest.mark.parametrize("share", [False, True])
def test_positions_whose_gates_are_open_are_kept(layouts: dict[str, Layout], share: bool) -> None:
    layout = layouts["mixed"]
    model = EmbeddingSearch(layout, found_in(layout, SOME), share_dimensions=share)
    everything = tuple(range(DIM))
    whole = dict.fromkeys(layout.names, everything)
    read = {
        2: {"inner": ["f0", "f2", "f3", "f4"], "outer": ["f0", "f1"]},
        3: {"vector_kernel": ["f0", "f1", "f4"], "scalar_kernel": ["f1", "f2", "f3"]},
    }
    expected = {
        order: {function: {name: whole[name] for name in names} for function, names in functions.items()}
        for order, functions in read.items()
    }
    assert model.kept_dimensions() == expected
    with torch.no_grad():
        pairs = gates_of(model.gates, 2).weight.view(-1, 5, DIM)
        pairs[0, 0] = torch.tensor([0.3, 0.0, -0.1])
        pairs[0, 3] = 0.0
        pairs[-1, 1, 0] = 0.0
    expected[2]["inner"] |= {"f0": (0, 2), "f3": ()}
    expected[2]["outer"] |= {"f1": (1, 2)}
    if share:
        expected[2]["outer"] |= {"f0": (0, 2)}
    assert model.kept_dimensions() == expected
    kept = found_in(layout, SOME, dimensions=model.kept_dimensions())
    # inner(f3, f4) has no dimension left on one side.
    assert len(Interactions(layout, kept).interactions) == len(SOME) - 1


def test_positions_of_a_shared_embedding(layouts: dict[str, Layout]) -> None:
    layout = layouts["mixed"]
    model = EmbeddingSearch(layout, found_in(layout, SOME, shared_embedding=True))
    with torch.no_grad():
        gates_of(model.gates, 2).weight.view(5, DIM)[1, 2] = 0.0
    kept = model.kept_dimensions()
    assert {order: list(functions) for order, functions in kept.items()} == {2: ["shared"], 3: ["shared"]}
    assert kept[2]["shared"]["f1"] == (0, 1)
    found = found_in(layout, SOME, shared_embedding=True, dimensions=kept)
    assert found.kept_dimensions(2, "outer", "f1") == (0, 1)


def test_without_interactions_no_position_is_searched(mixed: tuple[Layout, Batch]) -> None:
    layout, batch = mixed
    model = scattered(EmbeddingSearch(layout, found_in(layout, [])))
    assert isinstance(model, EmbeddingSearch)
    assert model.kept_dimensions() == {}
    torch.testing.assert_close(model(batch), model.interactions.embed(batch).first_order)


# Architectures that are given

QUICK: dict[str, Any] = {"epochs": 1, "batch_size": 128, "dnn_hidden": [4], "learning_rate": 0.01}
FIELDS = {"user": "categorical", "device": "categorical", "price": "numeric", "tags": "multi_valued"}


@pytest.fixture(scope="module")
def searched(clicks: pa.Table) -> Architecture:
    """What a search might have found in the clicks."""
    table = fw.train(clicks, label="click", model="lr", settings={"epochs": 1}, progress=False)
    return Architecture(
        embedding_dim=DIM,
        fields=summarise_fields(table.model.encoder.layout),
        interactions=(
            Interaction(fields=("user", "device"), function="vector_kernel", gate=0.9),
            Interaction(fields=("price", "tags"), function="outer", gate=0.5),
            Interaction(fields=("user", "device", "tags"), function="inner", gate=-0.2),
        ),
        dimensions={2: {"vector_kernel": {"user": (0, 2), "device": (0, 1, 2)}}, 3: {"inner": {"tags": (1,)}}},
    )


def train(clicks: pa.Table, architecture: object) -> fw.Predictor:
    settings = {**QUICK, "architecture": architecture}
    return fw.train(clicks, label="click", model="aim", settings=settings, progress=False)


@pytest.fixture(scope="module")
def predictor(clicks: pa.Table, searched: Architecture) -> fw.Predictor:
    return train(clicks, searched)


def test_a_predictor_is_saved_and_loaded_bit_equal(
    predictor: fw.Predictor, searched: Architecture, clicks: pa.Table, tmp_path: Path
) -> None:
    assert predictor.architecture == searched
    loaded = fw.load(predictor.save(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.predict(clicks), predictor.predict(clicks))
    assert loaded.architecture == searched
    assert loaded.settings == predictor.settings


def test_an_architecture_is_given_in_any_form(
    predictor: fw.Predictor, searched: Architecture, clicks: pa.Table, tmp_path: Path
) -> None:
    path = searched.save(tmp_path / "found" / "architecture.json")
    expected = predictor.settings.model_settings["architecture"]
    forms = [path, str(path), path.parent, str(path.parent), searched, json.loads(path.read_text()), expected]
    for form in forms:
        settings = resolve_settings(model="aim", overrides={"architecture": form})
        assert settings.model_settings["architecture"] == expected
        assert not settings.wants_search
    given_a_path = train(clicks, str(path))
    np.testing.assert_array_equal(given_a_path.predict(clicks), predictor.predict(clicks))
    assert given_a_path.architecture == searched


def test_what_is_wrong_with_a_given_architecture_is_said(searched: Architecture, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no architecture"):
        resolve_settings(model="aim", overrides={"architecture": str(tmp_path / "none")})
    with pytest.raises(SettingsError, match="setting 'architecture'"):
        resolve_settings(model="aim", overrides={"architecture": 7})
    content = json.loads(searched.to_json())
    content["interactions"][0]["fields"] = ["user", "Devise"]
    with pytest.raises(SettingsError, match=r"setting 'architecture'.* 'Devise' is not one of its fields"):
        resolve_settings(model="aim", overrides={"architecture": content})
    (tmp_path / "architecture.json").write_text(json.dumps(content))
    with pytest.raises(SettingsError, match=r"architecture\.json: interaction 1, .* did you mean 'device'"):
        resolve_settings(model="aim", overrides={"architecture": tmp_path})


def test_a_predictor_file_cannot_name_another_file_to_read(
    predictor: fw.Predictor, searched: Architecture, tmp_path: Path
) -> None:
    model = predictor.save(tmp_path / "model")
    for other in (searched.save(tmp_path / "other" / "architecture.json"), tmp_path / "other"):
        settings = json.loads((model / "settings.json").read_bytes())
        settings["model_settings"]["architecture"] = str(other)
        content = json.dumps(settings).encode()
        (model / "settings.json").write_bytes(content)
        manifest = json.loads((model / "manifest.json").read_bytes())
        manifest["files"]["settings.json"] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        (model / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(PredictorFormatError, match=r"settings\.json.* 'architecture' cannot be"):
            fw.load(model)
    with pytest.raises(SettingsError, match="'architecture' cannot be"):
        build("aim", predictor.model.encoder.layout, {"architecture": str(other)})


def test_an_architecture_of_other_data_is_refused_before_training(searched: Architecture, clicks: pa.Table) -> None:
    with pytest.raises(SettingsError, match=r"inner\(user, device, tags\) needs the field 'tags', which the data lack"):
        train(clicks.drop_columns(["tags", "price"]), searched.with_interactions(searched.of(3)))
