"""FunctionEmbedding: full tables by hand, compact ones equal to masked full ones, and what every table must get."""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from torch import Tensor

from fieldwise.data.batch import PADDING, Batch
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.function_embedding import Dimensions, FunctionEmbedding
from fieldwise.layout import FIRST_TOKEN, OOV, FieldLayout, Kind, Layout
from fieldwise.models import build
from fieldwise.training.trainer import fill_oov

KINDS: tuple[Kind, ...] = ("numeric", "categorical", "multi_valued", "categorical", "numeric", "multi_valued")
LAYOUT = Layout(tuple(FieldLayout(f"f{i}", kind, 2 if kind == "numeric" else 6) for i, kind in enumerate(KINDS)))
SLOTS, DIM, ROWS = 2, 4, 20

# Slot by field: everything, some, one and nothing; fields 1 and 3 keep equally many in all, field 5 nothing at all.
DIMENSIONS: Dimensions = [
    [(0, 1, 2, 3), (1, 3), (0, 2), (0, 1, 2), (), ()],
    [(0, 1, 2, 3), (0, 2), (1,), (3,), (2,), ()],
]

each_missing = pytest.mark.parametrize("missing", ["learned", "zero"])
Missing = Literal["learned", "zero"]


def make_batch(size: int = ROWS) -> Batch:
    """Random ids and numbers, some missing, and lists of one to three ids."""
    generator = torch.Generator().manual_seed(0)
    numeric = torch.randn(size, 2, generator=generator, dtype=torch.float64)
    lists = []
    for _ in LAYOUT.multi_valued:
        ids = torch.randint(6, (size, 3), generator=generator)
        lengths = torch.randint(1, 4, (size, 1), generator=generator)
        lists.append(ids.masked_fill(torch.arange(3) >= lengths, PADDING))
    return Batch(
        categorical=torch.randint(6, (size, 2), generator=generator),
        numeric=numeric.masked_fill(torch.rand(size, 2, generator=generator) < 0.2, math.nan),
        multi_valued=tuple(lists),
    )


def make(
    dimensions: Dimensions | None = None, *, slots: int = SLOTS, missing: Missing = "learned", dim: int = DIM
) -> FunctionEmbedding:
    """In float64, with every number well away from its start."""
    layer = FunctionEmbedding(LAYOUT, slots, dim, dimensions=dimensions, missing=missing).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        for table in tables_of(layer):
            table.table.weight[0] = 0.0
    return layer


def tables_of(layer: FunctionEmbedding) -> list[FieldEmbedding]:
    return [table for table in layer.tables if isinstance(table, FieldEmbedding)]


def kept_and_whole(
    compact: FunctionEmbedding, full: FunctionEmbedding, dimensions: Dimensions
) -> list[tuple[Tensor, slice, Tensor, slice, list[int]]]:
    """Per field: its compact table and rows, the full table, the rows there, and the columns there that are kept."""
    (whole,) = tables_of(full)
    found = []
    for table in tables_of(compact):
        for local, f in enumerate(table.fields):
            size = LAYOUT.fields[f].size
            here, there = table.layout.offsets[local], LAYOUT.offsets[f]
            columns = [s * DIM + t for s, kept in enumerate(dimensions) for t in kept[f]] + [len(dimensions) * DIM]
            rows = slice(here, here + size), slice(there, there + size)
            found.append((table.table.weight, rows[0], whole.table.weight, rows[1], columns))
    return found


@each_missing
def test_full_tables_hold_the_slots_side_by_side_and_the_first_order_weight(missing: Missing) -> None:
    layer, batch = make(missing=missing), make_batch()
    vectors, first_order = layer(batch)
    (table,) = tables_of(layer)
    numbers = table(batch)  # [B, F, S D + 1]; FieldEmbedding has tests of its own
    assert vectors.shape == (SLOTS, len(LAYOUT), DIM, ROWS)
    for slot in range(SLOTS):
        assert torch.equal(vectors[slot], numbers[:, :, slot * DIM : (slot + 1) * DIM].permute(1, 2, 0))
    torch.testing.assert_close(first_order, numbers[:, :, -1].sum(dim=1) + layer.bias)


@each_missing
def test_compact_tables_equal_masked_full_ones_in_values_and_gradients(missing: Missing) -> None:
    full, compact, batch = make(missing=missing), make(DIMENSIONS, missing=missing), make_batch()
    mask = torch.zeros(SLOTS, len(LAYOUT), DIM, 1, dtype=torch.float64)
    for s, kept in enumerate(DIMENSIONS):
        for f, numbers in enumerate(kept):
            mask[s, f, list(numbers)] = 1.0
    with torch.no_grad():
        for small, rows, whole, whole_rows, columns in kept_and_whole(compact, full, DIMENSIONS):
            small[rows] = whole[whole_rows][:, columns]
        compact.bias.copy_(full.bias)

    losses = []
    counts = torch.randn(mask.expand(-1, -1, -1, ROWS).shape, generator=torch.Generator().manual_seed(2)).double()
    results = []
    for layer, kept in ((full, mask), (compact, torch.ones_like(mask))):
        vectors, first_order = layer(batch)
        results.append((vectors * kept, first_order))
        losses.append((vectors * kept * counts).sum() + first_order.square().sum())
        losses[-1].backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(results[1], results[0])
    assert not results[1][0][mask.expand(-1, -1, -1, ROWS) == 0].any()

    assert len(tables_of(compact)) == len({len(columns) for *_, columns in kept_and_whole(compact, full, DIMENSIONS)})
    for small, rows, whole, whole_rows, columns in kept_and_whole(compact, full, DIMENSIONS):
        assert small.shape[1] == len(columns)
        assert small.grad is not None
        assert whole.grad is not None
        torch.testing.assert_close(small.grad[rows], whole.grad[whole_rows][:, columns])
        removed = sorted(set(range(whole.shape[1])) - set(columns))
        assert not whole.grad[whole_rows][:, removed].any()
    torch.testing.assert_close(compact.bias.grad, full.bias.grad)


def test_fields_that_keep_equally_many_numbers_share_a_table() -> None:
    layer = make(DIMENSIONS)
    assert [table.fields for table in tables_of(layer)] == [(5,), (4,), (2,), (1, 3), (0,)]
    assert [table.dim for table in tables_of(layer)] == [1, 2, 4, 5, 9]


def test_a_field_without_positions_has_zeros_and_its_first_order_weight() -> None:
    layer, batch = make(DIMENSIONS), make_batch()
    vectors, first_order = layer(batch)
    assert not vectors[:, 5].any()
    assert not vectors[0, 4].any()
    assert vectors[1, 4, 2].any()
    with torch.no_grad():
        tables_of(layer)[0].table.weight[1:] += 1.0  # of all tokens of field 5
    torch.testing.assert_close(layer(batch)[1], first_order + 1.0)


@pytest.mark.parametrize("slots", [0, SLOTS])
@each_missing
def test_the_first_order_part_is_a_logistic_regression(slots: int, missing: Missing) -> None:
    dimensions = [kept[:] for kept in DIMENSIONS[:slots]]
    layer, batch = make(dimensions, slots=slots, missing=missing), make_batch()
    regression = build("lr", LAYOUT, {"missing": missing}).double()
    weights, bias = regression.get_parameter("weights.table.weight"), regression.get_parameter("bias")
    with torch.no_grad():
        for table in tables_of(layer):
            for local, f in enumerate(table.fields):
                start, there, size = table.layout.offsets[local], LAYOUT.offsets[f], LAYOUT.fields[f].size
                weights[there : there + size, 0] = table.table.weight[start : start + size, -1]
        bias.copy_(layer.bias)
    vectors, first_order = layer(batch)
    assert vectors.shape == (slots, len(LAYOUT), DIM, ROWS)
    torch.testing.assert_close(first_order, regression(batch))


def test_without_slots_gradients_reach_the_first_order_weights() -> None:
    layer = make(slots=0)
    assert [table.dim for table in tables_of(layer)] == [1]
    vectors, first_order = layer(make_batch())
    (vectors.sum() + first_order.sum()).backward()
    gradient = tables_of(layer)[0].table.weight.grad
    assert gradient is not None
    assert gradient.any()
    assert layer.bias.grad == ROWS


@each_missing
def test_no_rows(missing: Missing) -> None:
    vectors, first_order = make(DIMENSIONS, missing=missing)(make_batch(0))
    assert vectors.shape == (SLOTS, len(LAYOUT), DIM, 0)
    assert first_order.shape == (0,)


def test_it_starts_with_small_vectors_and_no_first_order_part() -> None:
    torch.manual_seed(0)
    layout = Layout((FieldLayout("a", "categorical", 5000), FieldLayout("b", "categorical", 7)))
    layer = FunctionEmbedding(layout, 2, 4, dimensions=[[(0, 2), ()], [(1,), (3,)]], init_std=0.02)
    for table in tables_of(layer):
        assert not table.table.weight[:, -1].any()
    wide = tables_of(layer)[-1].table.weight.detach()
    assert float(wide[1:, :-1].std()) == pytest.approx(0.02, rel=0.05)
    assert layer.bias.item() == 0.0


@pytest.mark.parametrize("dimensions", [None, DIMENSIONS])
def test_parameters_are_the_kept_numbers_the_first_order_weights_and_the_bias(dimensions: Dimensions | None) -> None:
    layer = make(dimensions)
    kept = [sum(len(p[f]) for p in dimensions) if dimensions else SLOTS * DIM for f in range(len(LAYOUT))]
    rows = sum(field.size * (numbers + 1) for field, numbers in zip(LAYOUT, kept, strict=True))
    zeros = sum(table.dim for table in tables_of(layer))  # every table has the row of no field
    assert sum(parameter.numel() for parameter in layer.parameters()) == rows + zeros + 1


def test_the_state_is_the_tables_and_the_bias() -> None:
    assert sorted(make(DIMENSIONS).state_dict()) == ["bias", *(f"tables.{n}.table.weight" for n in range(5))]


def test_unseen_tokens_get_a_meaning_in_every_table() -> None:
    layer = make(DIMENSIONS)
    counts = torch.zeros(LAYOUT.num_rows, dtype=torch.int64)
    for f in (*LAYOUT.categorical, *LAYOUT.multi_valued):
        start = LAYOUT.offsets[f]
        counts[start + FIRST_TOKEN : start + LAYOUT.fields[f].size] = torch.tensor([4, 3, 2, 1])
    assert fill_oov(layer, counts) == (1, 2, 3, 5)
    for table in tables_of(layer):
        for local, f in enumerate(table.fields):
            if f in LAYOUT.numeric:
                continue
            start, weight = table.layout.offsets[local], table.table.weight
            tokens = weight[start + FIRST_TOKEN : start + LAYOUT.fields[f].size]
            mean = (tokens * torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64).unsqueeze(1)).sum(dim=0)
            torch.testing.assert_close(weight[start + OOV], mean)
