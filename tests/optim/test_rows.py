"""Row optimisers: equal to the dense ones where all rows are read, and nothing moves that was not read."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fieldwise.errors import SettingsError
from fieldwise.optim.rows import RowAdagrad, RowAdam, RowGradients, TableAdam, clip_gradients, join_gradients

ROWS, DIM = 12, 3


def table(*, sparse: bool) -> nn.Embedding:
    torch.manual_seed(0)
    return nn.Embedding(ROWS, DIM, padding_idx=0, sparse=sparse)


def loss_of(embedding: nn.Embedding, ids: Tensor, target: Tensor) -> Tensor:
    return ((embedding(ids) - target) ** 2 * torch.arange(1.0, DIM + 1)).sum()


def steps(embedding: nn.Embedding, optimizer: torch.optim.Optimizer, batches: list[Tensor]) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    for ids in batches:
        optimizer.zero_grad()
        target = torch.randn(*ids.shape, DIM, generator=generator)
        loss_of(embedding, ids, target).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return embedding.weight.detach()


def every_row(count: int) -> list[Tensor]:
    """Batches that read every row, some of them several times, in random order; the padding row too."""
    generator = torch.Generator().manual_seed(2)
    batches = []
    for _ in range(count):
        ids = torch.cat([torch.arange(ROWS), torch.randint(0, ROWS, (9,), generator=generator)])
        batches.append(ids[torch.randperm(len(ids), generator=generator)])
    return batches


def test_row_adam_is_adam_where_every_row_is_read() -> None:
    dense, sparse = table(sparse=False), table(sparse=True)
    expected = steps(dense, torch.optim.Adam(dense.parameters(), lr=0.1, betas=(0.8, 0.95)), every_row(20))
    got = steps(sparse, RowAdam(sparse.parameters(), lr=0.1, betas=(0.8, 0.95)), every_row(20))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_row_adam_is_sparse_adam_on_any_rows(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    batches = [torch.randint(0, ROWS, (4, 2), generator=generator) for _ in range(30)]
    theirs, ours = table(sparse=True), table(sparse=True)
    expected = steps(theirs, torch.optim.SparseAdam(list(theirs.parameters()), lr=0.05), batches)
    got = steps(ours, RowAdam(ours.parameters(), lr=0.05), batches)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_table_adam_is_adam_on_any_rows(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    batches = [torch.randint(0, ROWS, (4, 2), generator=generator) for _ in range(30)]
    theirs, ours = table(sparse=False), table(sparse=True)
    expected = steps(theirs, torch.optim.Adam(theirs.parameters(), lr=0.05), batches)
    got = steps(ours, TableAdam(ours.parameters(), lr=0.05), batches)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [TableAdam, RowAdam, RowAdagrad])
def test_repeated_rows_may_stay_repeated(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On CUDA the sums are not brought together, for how many they are is known to the device alone."""
    batches = every_row(5)
    together = table(sparse=True)
    expected = steps(together, kind(together.parameters(), lr=0.1, l2=0.1, weight_decay=0.1), batches)

    def repeated(self: Any, parameter: nn.Parameter, grad: Tensor) -> RowGradients:
        rows = grad._indices()[0]
        first = torch.tensor([rows.tolist().index(row) for row in rows.tolist()])
        return RowGradients(rows, torch.zeros_like(grad._values()).index_add_(0, first, grad._values()), first)

    monkeypatch.setattr(kind, "sum_rows", repeated)
    apart = table(sparse=True)
    got = steps(apart, kind(apart.parameters(), lr=0.1, l2=0.1, weight_decay=0.1), batches)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


def test_clipping_sees_each_row_once() -> None:
    ids, target = torch.tensor([1, 2, 2, 5, 1]), torch.zeros(5, DIM)
    dense, sparse = table(sparse=False), table(sparse=True)
    loss_of(dense, ids, target).backward()  # type: ignore[no-untyped-call]
    loss_of(sparse, ids, target).backward()  # type: ignore[no-untyped-call]
    assert dense.weight.grad is not None
    other = torch.tensor([3.0, 4.0])
    norm = float(torch.cat([dense.weight.grad.flatten(), other]).norm())
    optimizer = RowAdagrad(sparse.parameters())
    sums = optimizer.sum_repeated()
    assert [len(rows) for rows in sums] == [3]  # 1, 2 and 5
    clip_gradients([other, *sums], norm / 2)
    torch.testing.assert_close(other, torch.tensor([1.5, 2.0]), rtol=1e-4, atol=0)
    assert float(torch.cat([s.flatten() for s in [*sums, other]]).norm()) == pytest.approx(norm / 2, rel=1e-4)
    clip_gradients([other], 100.0)
    torch.testing.assert_close(other, torch.tensor([1.5, 2.0]), rtol=1e-4, atol=0)


@pytest.mark.parametrize("options", [{"l2": 0.1}, {"weight_decay": 0.1}])
def test_decay_equals_the_dense_one_on_rows_that_are_read(options: dict[str, float]) -> None:
    dense, sparse = table(sparse=False), table(sparse=True)
    kind: Any = torch.optim.Adam if "l2" in options else torch.optim.AdamW
    reference = kind(dense.parameters(), lr=0.1, weight_decay=0.1)
    expected = steps(dense, reference, every_row(5))
    got = steps(sparse, RowAdam(sparse.parameters(), lr=0.1, **options), every_row(5))
    # The padding row gets no gradient; dense decay shrinks it all the same, ours must not move it.
    torch.testing.assert_close(got[1:], expected[1:], rtol=1e-5, atol=1e-6)
    assert torch.equal(got[0], torch.zeros(DIM))


def test_row_adagrad_by_hand() -> None:
    embedding = table(sparse=True)
    weight = embedding.weight.detach().clone()
    optimizer = RowAdagrad(embedding.parameters(), lr=0.5, eps=0.25)
    total = torch.zeros(ROWS)
    for ids in (torch.tensor([1, 2, 2]), torch.tensor([2, 5])):
        optimizer.zero_grad()
        loss_of(embedding, ids, torch.zeros(len(ids), DIM)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        for row in set(ids.tolist()):
            repeats = ids.tolist().count(row)
            gradient = repeats * 2 * weight[row] * torch.arange(1.0, DIM + 1)
            total[row] += (gradient**2).mean()
            weight[row] -= 0.5 * gradient / (total[row].sqrt() + 0.25)
    torch.testing.assert_close(embedding.weight.detach(), weight)


@pytest.mark.parametrize("kind", [RowAdam, RowAdagrad])
@pytest.mark.parametrize("options", [{}, {"l2": 0.1}, {"weight_decay": 0.1}])
def test_rows_that_were_not_read_never_move(kind: Any, options: dict[str, float]) -> None:
    embedding = table(sparse=True)
    before = embedding.weight.detach().clone()
    optimizer = kind(embedding.parameters(), **options)
    steps(embedding, optimizer, [torch.tensor([0, 3, 3, 7])] * 4)
    moved = (embedding.weight.detach() != before).any(dim=1).nonzero().squeeze(1).tolist()
    assert moved == [3, 7]


@pytest.mark.parametrize("kind", [TableAdam, RowAdam, RowAdagrad])
def test_the_state_is_saved_and_taken_up(kind: Any) -> None:
    batches = every_row(6)
    whole = table(sparse=True)
    expected = steps(whole, kind(whole.parameters(), lr=0.1), batches[:3])
    first = table(sparse=True)
    optimizer = kind(first.parameters(), lr=0.1)
    steps(first, optimizer, batches[:3])
    assert torch.equal(first.weight, expected)
    second = table(sparse=True)
    second.load_state_dict(first.state_dict())
    resumed = kind(second.parameters(), lr=0.1)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))  # torch shares the tensors otherwise
    assert torch.equal(steps(second, resumed, batches[3:]), steps(first, optimizer, batches[3:]))


def test_an_empty_batch_changes_nothing() -> None:
    embedding = table(sparse=True)
    before = embedding.weight.detach().clone()
    steps(embedding, RowAdam(embedding.parameters()), [torch.empty(0, dtype=torch.int64)])
    assert torch.equal(embedding.weight, before)


def test_wrong_use_is_refused() -> None:
    embedding = table(sparse=False)
    with pytest.raises(SettingsError, match="needs sparse gradients"):
        steps(embedding, RowAdam(embedding.parameters()), [torch.tensor([1])])
    for options, message in (({"lr": 0.0}, "above 0"), ({"l2": -1.0}, "l2 must"), ({"weight_decay": -1.0}, "decay")):
        with pytest.raises(SettingsError, match=message):
            RowAdam(embedding.parameters(), **options)


def test_gradients_of_parts_join_to_what_autograd_adds_up() -> None:
    embedding, parts = table(sparse=True), [torch.tensor([1, 2, 2]), torch.tensor([3]), torch.tensor([2, 5, 1, 0])]
    target = torch.ones(DIM)
    single = []
    for ids in parts:
        embedding.weight.grad = None
        loss_of(embedding, ids, target).backward()  # type: ignore[no-untyped-call]
        single.append(embedding.weight.grad)
    embedding.weight.grad = None
    for ids in parts:
        loss_of(embedding, ids, target).backward()  # type: ignore[no-untyped-call]
    joined, added = join_gradients(single), embedding.weight.grad
    assert joined._indices().tolist() == [[1, 2, 2, 3, 2, 5, 1]]
    torch.testing.assert_close(joined.to_dense(), added.to_dense())
    assert join_gradients(single[:1]) is single[0]
