"""Interactions of an architecture: their order, their values by hand, their slots, and what is left out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fieldwise.architecture import Architecture, Interaction, summarise_fields
from fieldwise.data.batch import Batch
from fieldwise.errors import SettingsError
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.interactions import RAW, Interactions, Slot, interaction_gates
from fieldwise.layout import FieldLayout, Layout

DIM, ROWS = 4, 6
LAYOUT = Layout(tuple(FieldLayout(name, "categorical", 8) for name in "abcde"))
SCRAMBLED = [
    ("outer", "bd"),
    ("inner", "abe"),
    ("inner", "ce"),
    ("scalar_kernel", "acd"),
    ("vector_kernel", "ab"),
    ("inner", "ab"),
    ("outer", "ab"),
    ("inner", "abcd"),
    ("inner", "bc"),
    ("vector_kernel", "bcd"),
]


def make_architecture(
    interactions: list[tuple[str, str]], *, layout: Layout = LAYOUT, **settings: object
) -> Architecture:
    """interactions: function and the one-letter names of the fields."""
    return Architecture.model_validate(
        {
            "embedding_dim": DIM,
            "fields": summarise_fields(layout),
            "interactions": tuple(Interaction(fields=tuple(fields), function=f) for f, fields in interactions),
            **settings,
        }
    )


def make(architecture: Architecture, *, layout: Layout = LAYOUT, also: tuple[Slot, ...] = ()) -> Interactions:
    """In float64 with every number well away from its start."""
    layer = Interactions(layout, architecture, also=also).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        for module in layer.modules():
            if isinstance(module, FieldEmbedding):
                module.table.weight[0] = 0.0
    return layer


def make_batch(fields: int = 5, rows: int = ROWS) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(torch.randint(8, (rows, fields), generator=generator), torch.zeros(rows, 0))


def by_hand(layer: Interactions, vectors: Tensor, layout: Layout = LAYOUT) -> list[Tensor]:
    """The vector [W, B] of each of `layer.interactions`, one interaction at a time."""
    groups = list(dict.fromkeys((i.order, i.function) for i in layer.interactions))
    shared = any(name == "shared" for _, name in layer.slots)
    found: dict[tuple[int, str], int] = {}
    result = []
    for interaction in layer.interactions:
        group = interaction.order, interaction.function
        number = found[group] = found.get(group, -1) + 1
        weights = dict(layer.functions[groups.index(group)].named_parameters())
        slot = layer.slots.index((interaction.order, "shared" if shared else interaction.function))
        factors = [vectors[slot, layout.names.index(name)] for name in interaction.fields]  # [D, B] each
        product = torch.stack(factors).prod(dim=0)
        if interaction.function == "vector_kernel":
            product = product * weights["kernel"][number].unsqueeze(1)
        elif interaction.function == "scalar_kernel":
            product = product * weights["kernel"][number]
        elif interaction.function == "outer":
            projected = [weights["projections"][r] @ factor for r, factor in enumerate(factors)]
            product = torch.stack(projected).prod(dim=0, keepdim=True)
        result.append(product)
    return result


def named(layer: Interactions) -> list[tuple[str, str]]:
    return [(i.function, "".join(i.fields)) for i in layer.interactions]


def test_interactions_come_by_order_function_and_fields() -> None:
    layer = make(make_architecture(SCRAMBLED))
    assert named(layer) == [
        ("inner", "ab"),
        ("inner", "bc"),
        ("inner", "ce"),
        ("vector_kernel", "ab"),
        ("outer", "ab"),
        ("outer", "bd"),
        ("inner", "abe"),
        ("vector_kernel", "bcd"),
        ("scalar_kernel", "acd"),
        ("inner", "abcd"),
    ]
    assert layer.orders == (2, 3, 4)
    assert [len(layer.of_order(order)) for order in (2, 3, 4, 5)] == [6, 3, 1, 0]
    assert layer.slots == list(dict.fromkeys((i.order, i.function) for i in layer.interactions))


@pytest.mark.parametrize("shared", [False, True])
def test_values_and_vectors_by_hand(shared: bool) -> None:
    layer = make(make_architecture(SCRAMBLED, shared_embedding=shared))
    vectors = layer.embed(make_batch()).vectors
    expected = by_hand(layer, vectors)
    sums: dict[int, list[Tensor]] = {order: [] for order in layer.orders}
    for interaction, vector in zip(layer.interactions, expected, strict=True):
        sums[interaction.order].append(vector.sum(dim=0))
    values, features = layer.features(vectors)
    assert list(values) == [2, 3, 4]
    for order in layer.orders:
        of_order = torch.stack(sums[order], dim=1)  # [B, G]
        torch.testing.assert_close(layer.values(vectors, order), of_order)
        torch.testing.assert_close(values[order], of_order)
    torch.testing.assert_close(features, torch.cat(expected).t())
    assert features.shape == (ROWS, layer.width)
    assert layer.width == 8 * DIM + 2 * 1  # `outer` has one number
    torch.testing.assert_close(layer.sum(vectors), features.sum(dim=1))


def test_gradients_by_hand() -> None:
    layer = make(make_architecture(SCRAMBLED))
    vectors = layer.embed(make_batch()).vectors.detach().requires_grad_()
    inputs = [vectors, *(p for function in layer.functions for p in function.parameters())]
    expected = torch.cat(by_hand(layer, vectors)).t()
    counts = torch.linspace(-1, 2, expected.numel(), dtype=torch.float64).view_as(expected)
    wanted = torch.autograd.grad((expected * counts).sum(), inputs)
    _, features = layer.features(vectors)
    torch.testing.assert_close(torch.autograd.grad((features * counts).sum(), inputs), wanted)
    summed = torch.autograd.grad(torch.cat(by_hand(layer, vectors)).sum(), inputs)
    torch.testing.assert_close(torch.autograd.grad(layer.sum(vectors).sum(), inputs), summed)


def test_fields_go_by_the_order_of_the_data() -> None:
    # A newer file may have other columns first, and columns that the search has not seen.
    data = Layout(tuple(FieldLayout(name, "categorical", 8) for name in "exdcba"))
    layer = make(make_architecture([("outer", "ab"), ("inner", "ae"), ("outer", "bd")]), layout=data)
    assert named(layer) == [("inner", "ea"), ("outer", "db"), ("outer", "ba")]
    found = layer.embed(make_batch(6))
    expected = torch.stack([vector.sum(dim=0) for vector in by_hand(layer, found.vectors, data)], dim=1)
    torch.testing.assert_close(layer.values(found.vectors, 2), expected)
    with torch.no_grad():
        for table in layer.embedding.tables:
            assert isinstance(table, FieldEmbedding)
            if 1 in table.fields:  # "x", which no interaction reads
                assert table.dim == 1
                table.table.weight[1:] += 2.0
    members = sum(1 in table.fields and len(table.fields) for table in layer.embedding.tables)  # type: ignore[operator]
    torch.testing.assert_close(layer.embed(make_batch(6)).first_order, found.first_order + 2.0 * members)


def test_a_field_that_the_data_lack_is_refused() -> None:
    data = Layout(tuple(FieldLayout(name, "categorical", 8) for name in ("user", "movie", "hours")))
    old = Layout(tuple(FieldLayout(name, "categorical", 8) for name in ("user", "movie", "hour")))
    architecture = Architecture.everything(old, functions=["inner"], embedding_dim=DIM)
    message = r"the architecture's interaction inner\(user, hour\) needs the field 'hour', .* did you mean 'hours'"
    with pytest.raises(SettingsError, match=message):
        Interactions(data, architecture)


def test_an_unknown_function_is_refused() -> None:
    with pytest.raises(SettingsError, match="unknown interaction function 'outter'; did you mean 'outer'"):
        make(make_architecture([("outter", "ab")]))


def test_vectors_have_the_kept_dimensions_of_the_fields_that_are_read() -> None:
    dimensions = {2: {"inner": {"a": (0, 2), "b": (1,)}, "outer": {"d": (3,)}}, 3: {"inner": {"a": (1,)}}}
    layer = make(make_architecture([("inner", "ab"), ("outer", "bd"), ("inner", "abe")], dimensions=dimensions))
    vectors = layer.embed(make_batch()).vectors
    kept = (vectors != 0).any(dim=3)
    everything = list(range(DIM))
    expected = {
        (2, "inner"): {"a": [0, 2], "b": [1]},
        (2, "outer"): {"b": everything, "d": [3]},
        (3, "inner"): {"a": [1], "b": everything, "e": everything},
    }
    assert layer.slots == list(expected)
    for number, slot in enumerate(layer.slots):
        found = {name: kept[number, f].nonzero().flatten().tolist() for f, name in enumerate(LAYOUT.names)}
        assert {name: places for name, places in found.items() if places} == expected[slot]
        assert layer.read_by(slot) == set(expected[slot])
    # By original dimension: a and b of the pair have none in common, so that their inner product is zero.
    assert not layer.values(vectors, 2)[:, 0].any()
    torch.testing.assert_close(torch.cat(by_hand(layer, vectors)).t(), layer.features(vectors)[1])
    # Nothing is stored for what is not kept: c has its first-order weight alone.
    widths = {f: table.dim for table in layer.embedding.tables for f in table.fields}  # type: ignore[union-attr]
    assert widths == {0: 2 + 1 + 1, 1: 1 + 4 + 4 + 1, 2: 1, 3: 1 + 1, 4: 4 + 1}


def test_interactions_of_a_field_without_positions_are_left_out() -> None:
    dimensions = {2: {"inner": {"b": ()}}, 3: {"inner": {"a": (), "e": (1,)}}}
    pairs = [("inner", "ab"), ("inner", "cd"), ("outer", "ab"), ("inner", "abe")]
    layer = make(make_architecture(pairs, dimensions=dimensions))
    assert named(layer) == [("inner", "cd"), ("outer", "ab")]
    assert layer.orders == (2,)
    assert layer.slots == [(2, "inner"), (2, "outer")]
    assert layer.values(layer.embed(make_batch()).vectors, 2).shape == (ROWS, 2)


def test_functions_may_share_an_embedding_per_order() -> None:
    dimensions = {2: {"shared": {"a": (1, 2), "d": ()}}}
    layer = make(make_architecture(SCRAMBLED, shared_embedding=True, dimensions=dimensions))
    assert layer.slots == [(2, "shared"), (3, "shared"), (4, "shared")]
    assert ("outer", "bd") not in named(layer)
    assert layer.read_by(layer.slots[0]) == {"a", "b", "c", "e"}
    vectors = layer.embed(make_batch()).vectors
    assert (vectors[0, 0] != 0).any(dim=1).tolist() == [False, True, True, False]


def test_further_slots_are_embedded_in_full() -> None:
    architecture = make_architecture([("inner", "ab"), ("outer", "cd")], dimensions={2: {"inner": {"a": (0,)}}})
    layer = make(architecture, also=(RAW, (2, "inner")))
    assert layer.slots == [RAW, (2, "inner"), (2, "outer")]
    vectors = layer.embed(make_batch()).vectors
    assert vectors[:2].all()
    assert layer.read_by(layer.slots[0]) == layer.read_by(layer.slots[1]) == set(LAYOUT.names)
    assert layer.read_by(layer.slots[2]) == {"c", "d"}
    for slot in layer.slots:
        flat = layer.slot(vectors, slot)
        assert flat.shape == (ROWS, 5 * DIM)
        assert torch.equal(flat.view(ROWS, 5, DIM), vectors[layer.slots.index(slot)].permute(2, 0, 1))


def test_an_architecture_without_interactions() -> None:
    layer, batch = make(make_architecture([])), make_batch()
    found = layer.embed(batch)
    assert found.vectors.shape == (0, 5, DIM, ROWS)
    assert (layer.interactions, layer.orders, layer.slots, layer.width) == ((), (), [], 0)
    assert layer.sum(found.vectors).tolist() == [0.0] * ROWS
    assert layer.values(found.vectors, 2).shape == (ROWS, 0)
    values, features = layer.features(found.vectors)
    assert values == {}
    assert features.shape == (ROWS, 0)
    assert len(interaction_gates(layer)) == 0
    assert found.first_order.all()


def test_no_rows() -> None:
    layer = make(make_architecture(SCRAMBLED))
    found = layer.embed(make_batch(rows=0))
    assert layer.values(found.vectors, 3).shape == (0, 3)
    assert layer.features(found.vectors)[1].shape == (0, layer.width)
    assert layer.sum(found.vectors).shape == (0,)


def test_products_keep_their_digits_where_the_network_computes_in_bfloat16() -> None:
    layer = make(make_architecture(SCRAMBLED)).float()
    vectors = layer.embed(make_batch()).vectors
    with torch.autocast("cpu", torch.bfloat16):
        values, (others, features) = layer.values(vectors, 2), layer.features(vectors)
    assert values.dtype == features.dtype == torch.float32
    assert torch.equal(values, layer.values(vectors, 2))
    assert torch.equal(others[3], layer.features(vectors)[0][3])


def test_the_state_has_no_positions_or_fields() -> None:
    # They follow from the architecture; weights saved with one are of no use with another.
    names = make(make_architecture(SCRAMBLED)).state_dict()
    assert all(name.startswith(("embedding.tables.", "functions.")) or name == "embedding.bias" for name in names)
