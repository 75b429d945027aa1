"""FieldEmbedding against a float64 loop over rows and fields, and its promises about rows, gradients and `OOV`."""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fieldwise.data.batch import PADDING, Batch
from fieldwise.errors import DataError, SettingsError
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layout import MISSING, OOV, FieldLayout, Kind, Layout

KINDS: tuple[Kind, ...] = ("categorical", "numeric", "multi_valued")
NAN = math.nan


def make_layout(*kinds: Kind, size: int = 5) -> Layout:
    return Layout(tuple(FieldLayout(f"f{i}", kind, 2 if kind == "numeric" else size) for i, kind in enumerate(kinds)))


def make_batch(layout: Layout, size: int, generator: torch.Generator) -> Batch:
    """Random ids with missing ones, NaN among the numbers, and lists of one to four ids padded to the longest."""
    fields = layout.fields

    def ids(field: int, *shape: int) -> Tensor:
        return torch.randint(0, fields[field].size, shape, generator=generator)

    columns = [ids(f, size, 1) for f in layout.categorical]
    numeric = torch.randn(size, len(layout.numeric), generator=generator)
    numeric[torch.rand(numeric.shape, generator=generator) < 0.3] = NAN
    lists = []
    for f in layout.multi_valued:
        lengths = torch.randint(1, 5, (size, 1), generator=generator)
        lists.append(ids(f, size, 4).masked_fill(torch.arange(4) >= lengths, PADDING))
    categorical = torch.cat(columns, dim=1) if columns else torch.zeros(size, 0, dtype=torch.int64)
    return Batch(categorical=categorical, numeric=numeric, multi_valued=tuple(lists))


def reference(layer: FieldEmbedding, batch: Batch) -> Tensor:
    """[B, F, D] in float64, one value at a time."""
    layout, table = layer.layout, layer.table.weight.detach().double()
    zero = torch.zeros(layer.dim, dtype=torch.float64)
    result = torch.zeros(len(batch), len(layout), layer.dim, dtype=torch.float64)
    for row in range(len(batch)):
        for position, (field, start) in enumerate(zip(layout, layout.offsets, strict=True)):
            missing = zero if layer.missing == "zero" else table[start + MISSING]

            def vector(token: int, start: int = start, missing: Tensor = missing) -> Tensor:
                return missing if token == MISSING else table[start + token]

            if field.kind == "categorical":
                column = layout.categorical.index(position)
                result[row, position] = vector(int(batch.categorical[row, column]))
            elif field.kind == "numeric":
                x = float(batch.numeric[row, layout.numeric.index(position)])
                result[row, position] = missing if math.isnan(x) else x * table[start + OOV]
            else:
                ids = batch.multi_valued[layout.multi_valued.index(position)][row].tolist()
                vectors = [vector(token) for token in ids if token != PADDING]
                total = sum(vectors, zero)
                result[row, position] = total / max(len(vectors), 1) if layer.pooling == "mean" else total
    return result


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=7),
    missing=st.sampled_from(["learned", "zero"]),
    pooling=st.sampled_from(["mean", "sum"]),
    size=st.integers(0, 5),
    seed=st.integers(0, 2**16),
)
def test_equals_the_slow_reference_for_any_order_of_kinds(kinds, missing, pooling, size, seed):
    layout = make_layout(*kinds)
    layer = FieldEmbedding(layout, 3, missing=missing, pooling=pooling, init_std=1.0)
    batch = make_batch(layout, size, torch.Generator().manual_seed(seed))
    got = layer(batch)
    assert got.shape == (size, len(layout), 3)
    torch.testing.assert_close(got.double(), reference(layer, batch), atol=1e-6, rtol=1e-5)


def test_hand_computed_row():
    layout = make_layout("multi_valued", "numeric", "categorical", size=4)  # rows: 1-4, 5-6, 7-10
    layer = FieldEmbedding(layout, 1)
    with torch.no_grad():
        layer.table.weight.copy_(torch.arange(11.0).unsqueeze(-1))
    batch = Batch(
        categorical=torch.tensor([[2], [MISSING]]),
        numeric=torch.tensor([[-0.5], [NAN]]),
        multi_valued=(torch.tensor([[2, 3, PADDING], [MISSING, PADDING, PADDING]]),),
    )
    assert layer(batch).squeeze(-1).tolist() == [[(3 + 4) / 2, -0.5 * 6, 9], [1, 5, 7]]


@pytest.mark.parametrize("missing", ["learned", "zero"])
def test_gradients_reach_exactly_the_rows_that_were_read(missing):
    layout = make_layout("categorical", "numeric", "multi_valued")  # rows: 1-5, 6-7, 8-12
    layer = FieldEmbedding(layout, 2, missing=missing)
    batch = Batch(
        categorical=torch.tensor([[3], [MISSING]]),
        numeric=torch.tensor([[2.0], [NAN]]),
        multi_valued=(torch.tensor([[2, PADDING], [MISSING, PADDING]]),),
    )
    layer(batch).sum().backward()
    gradient = layer.table.weight.grad
    assert gradient.isfinite().all()
    learned = [] if missing == "zero" else [1, 6, 8]
    assert gradient.any(dim=1).nonzero().flatten().tolist() == sorted([4, 7, 10, *learned])
    assert gradient[7].tolist() == [2.0, 2.0]


def test_table_is_read_by_one_gather():
    layout = make_layout("categorical", "numeric", "multi_valued", "categorical", "multi_valued")
    layer = FieldEmbedding(layout, 2)
    reads = []
    layer.table.register_forward_hook(lambda module, args, output: reads.append(len(args[0])))
    size, batch = 7, make_batch(layout, 7, torch.Generator().manual_seed(0))
    layer(batch)
    assert reads == [2 * size + 2 + 2 * 4 * size]  # numeric rows once, not once per row of the batch


def test_the_row_of_padding_is_zero_and_stays_zero():
    layout = make_layout("multi_valued")
    layer = FieldEmbedding(layout, 2, missing="zero", init_std=1.0)
    assert not layer.table.weight[0].any()
    assert layer.table.weight[1:].all()
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1, weight_decay=0.1)
    batch = make_batch(layout, 6, torch.Generator().manual_seed(0))
    for _ in range(3):
        optimizer.zero_grad()
        layer(batch).square().sum().backward()
        optimizer.step()
    assert not layer.table.weight[0].any()


def test_a_list_of_padding_only_is_the_zero_vector():
    layer = FieldEmbedding(make_layout("multi_valued"), 2)
    batch = Batch(torch.zeros(1, 0, dtype=torch.int64), torch.zeros(1, 0), (torch.tensor([[PADDING]]),))
    assert layer(batch).tolist() == [[[0.0, 0.0]]]


def test_the_state_is_the_table_alone():
    layer = FieldEmbedding(make_layout("categorical", "numeric"), 2)
    assert list(layer.state_dict()) == ["table.weight"]


def test_init_std_is_the_spread_of_the_table():
    torch.manual_seed(0)
    layer = FieldEmbedding(make_layout("categorical", size=5000), 4, init_std=0.01)
    assert float(layer.table.weight[1:].detach().std()) == pytest.approx(0.01, rel=0.03)


class TestFillOther:
    layout = make_layout("categorical", "numeric", "multi_valued", "categorical", size=4)  # 1-4, 5-6, 7-10, 11-14

    def filled(self, counts: list[int], **arguments: int) -> tuple[list[int], list[float]]:
        layer = FieldEmbedding(self.layout, 1)
        with torch.no_grad():
            layer.table.weight.copy_(torch.arange(15.0).unsqueeze(-1))
        positions = layer.fill_oov(torch.tensor(counts), **arguments)
        assert layer.table.weight.requires_grad
        assert layer.table.weight.grad_fn is None
        return positions, layer.table.weight.flatten().tolist()

    def test_rare_other_becomes_the_weighted_mean_of_the_tokens(self):
        #         0 | missing other tokens | numeric | ...
        counts = [0, 5, 31, 30, 10, 9, 9, 5, 32, 7, 7, 5, 0, 0, 6]
        positions, weights = self.filled(counts)
        expected = [float(row) for row in range(15)]
        expected[2] = (30 * 3 + 10 * 4) / 40
        expected[12] = 14.0
        assert positions == [0, 3]
        assert weights == pytest.approx(expected)

    def test_the_threshold_is_an_argument(self):
        counts = [0, 0, 3, 1, 1, 0, 0, 0, 2, 1, 1, 0, 3, 1, 1]
        assert self.filled(counts, min_occurrences=3)[0] == [2]

    def test_a_field_without_counted_tokens_stays(self):
        positions, weights = self.filled([0] * 15)
        assert positions == []
        assert weights == [float(row) for row in range(15)]

    def test_counts_of_another_shape_are_refused(self):
        with pytest.raises(DataError, match=r"\(15,\), got \(3,\)"):
            FieldEmbedding(self.layout, 1).fill_oov(torch.zeros(3, dtype=torch.int64))


@pytest.mark.parametrize(
    "batch",
    [
        Batch(torch.ones(3, 1, dtype=torch.int64), torch.zeros(3, 2)),
        Batch(torch.ones(3, 2, dtype=torch.int64), torch.zeros(3, 1)),
        Batch(torch.ones(3, 2, dtype=torch.int64), torch.zeros(3, 2), (torch.ones(3, 1, dtype=torch.int64),)),
    ],
)
def test_a_batch_with_other_columns_is_refused(batch):
    layer = FieldEmbedding(make_layout("categorical", "categorical", "numeric", "numeric"), 2)
    with pytest.raises(DataError, match="2, 2 and 0"):
        layer(batch)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 0}, "at least 1"),
        ({"dim": 2, "missing": "none"}, "missing"),
        ({"dim": 2, "pooling": "max"}, "pooling"),
        ({"dim": 2, "init_std": -1.0}, "init_std"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(SettingsError, match=message):
        FieldEmbedding(make_layout("numeric"), **arguments)


@pytest.mark.parametrize("missing", ["learned", "zero"])
def test_sparse_gradients_are_the_dense_ones(missing: Literal["learned", "zero"]) -> None:
    layout = Layout(
        (FieldLayout("a", "categorical", 5), FieldLayout("n", "numeric", 2), FieldLayout("m", "multi_valued", 4))
    )
    batch = Batch(
        torch.tensor([[0], [2], [2], [4]]),
        torch.tensor([[1.0], [math.nan], [2.0], [0.5]]),
        (torch.tensor([[0, -1], [2, 3], [3, -1], [3, 3]]),),
    )
    found = []
    for sparse in (False, True):
        torch.manual_seed(0)
        embedding = FieldEmbedding(layout, 3, missing=missing)
        embedding.table.sparse = sparse
        output = embedding(batch)
        (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum().backward()  # type: ignore[no-untyped-call]
        assert embedding.table.weight.grad is not None
        assert embedding.table.weight.grad.is_sparse == sparse
        found.append(embedding.table.weight.grad.to_dense())
    torch.testing.assert_close(found[1], found[0])
    assert not found[1][0].any()


class TestSomeFields:
    """An embedding of some fields of a layout reads batches and counts of the whole."""

    layout = make_layout("categorical", "numeric", "multi_valued", "numeric", "categorical", "multi_valued", size=4)

    def pair(
        self, fields: tuple[int, ...], missing: Literal["learned", "zero"]
    ) -> tuple[FieldEmbedding, FieldEmbedding]:
        """Some fields, and all of them with the same vectors."""
        some = FieldEmbedding(self.layout, 3, fields=fields, missing=missing, init_std=1.0)
        every = FieldEmbedding(self.layout, 3, missing=missing, init_std=1.0)
        with torch.no_grad():
            some.table.weight[1:] = every.table.weight[self.rows(fields)]
        return some, every

    def rows(self, fields: tuple[int, ...]) -> list[int]:
        """Rows of the fields in the table of the whole layout."""
        return [self.layout.offsets[f] + n for f in fields for n in range(self.layout.fields[f].size)]

    @pytest.mark.parametrize("fields", [(0,), (3,), (5,), (1, 3), (0, 2, 4), (1, 2, 5), (2, 3, 4, 5), tuple(range(6))])
    @pytest.mark.parametrize("missing", ["learned", "zero"])
    def test_equal_the_columns_of_the_whole(self, fields: tuple[int, ...], missing: Literal["learned", "zero"]) -> None:
        some, every = self.pair(fields, missing)
        assert some.table.num_embeddings == 1 + len(self.rows(fields))
        batch = make_batch(self.layout, 8, torch.Generator().manual_seed(0))
        got, whole = some(batch), every(batch)
        torch.testing.assert_close(got, whole[:, fields])
        counts = torch.linspace(-1, 1, got.numel()).view_as(got)
        (got * counts).sum().backward()  # type: ignore[no-untyped-call]
        (whole[:, fields] * counts).sum().backward()  # type: ignore[no-untyped-call]
        torch.testing.assert_close(some.table.weight.grad[1:], every.table.weight.grad[self.rows(fields)])

    def test_fill_oov_reads_the_counts_of_the_whole_layout(self) -> None:
        fields = (1, 2, 4)  # in the whole layout: 5-6, 7-10, 13-16; here: 1-2, 3-6, 7-10
        some, every = self.pair(fields, "learned")
        counts = torch.tensor([0, 0, 0, 5, 5, 0, 0, 0, 40, 1, 1, 0, 0, 0, 2, 1, 3, 0, 0, 9, 9])
        assert every.fill_oov(counts) == [0, 4, 5]
        assert some.fill_oov(counts) == [4]
        torch.testing.assert_close(some.table.weight[1:], every.table.weight[self.rows(fields)])
        assert some.fill_oov(counts, min_occurrences=50) == [2, 4]
        with pytest.raises(DataError, match=r"shape \(21,\), got \(11,\)"):
            some.fill_oov(torch.zeros(11, dtype=torch.int64))

    def test_batches_without_the_columns_of_the_whole_are_refused(self) -> None:
        some = FieldEmbedding(self.layout, 3, fields=(0, 1, 2))
        own = make_batch(some.layout, 4, torch.Generator().manual_seed(0))
        with pytest.raises(DataError, match=r"1 categorical, 1 numeric and 1 multi-valued .* 2, 2 and 2"):
            some(own)

    @pytest.mark.parametrize("fields", [(2, 0), (1, 1), (5, 6), (-1, 0)])
    def test_fields_out_of_order_or_out_of_range_are_refused(self, fields: tuple[int, ...]) -> None:
        with pytest.raises(SettingsError, match="ascending positions from 0 to 5, each once"):
            FieldEmbedding(self.layout, 3, fields=fields)
