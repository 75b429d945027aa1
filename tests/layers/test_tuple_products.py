"""Products of field tuples against loops over single numbers in float64: values, gradients, pieces, memory."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fieldwise.layers import tuple_products as module
from fieldwise.layers.tuple_products import summed_tuple_products, tuple_products

F, D, B = 5, 3, 4
ORDERS = [2, 3, 4]


def draw(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def every_tuple(order: int, fields: int = F) -> list[tuple[int, ...]]:
    return list(itertools.combinations(range(fields), order))


def places(tuples: list[tuple[int, ...]]) -> Tensor:
    """Positions [p, G], a row per place in the tuple."""
    return torch.tensor(tuples).t()


def product(x: Tensor, fields: tuple[int, ...], t: int, row: int) -> Tensor:
    return torch.stack([x[field, t, row] for field in fields]).prod()


def slow_products(x: Tensor, tuples: list[tuple[int, ...]]) -> Tensor:
    """[G, D, B], one number at a time."""
    rows = [product(x, fields, t, row) for fields in tuples for t in range(D) for row in range(B)]
    return torch.stack(rows).view(len(tuples), D, B)


def slow_sums(x: Tensor, tuples: list[tuple[int, ...]], weights: Tensor | None) -> Tensor:
    """[G, B], one number at a time."""
    values = []
    for (g, fields), row in itertools.product(enumerate(tuples), range(B)):
        terms = [product(x, fields, t, row) * (1 if weights is None else weights[g, t]) for t in range(D)]
        values.append(torch.stack(terms).sum())
    return torch.stack(values).view(len(tuples), B)


def gradients(value: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Of a sum in which every number of `value` counts differently."""
    counts = torch.linspace(-1, 2, value.numel(), dtype=value.dtype).view_as(value)
    return torch.autograd.grad((value * counts).sum(), inputs)


@pytest.mark.parametrize("order", ORDERS)
def test_products_equal_enumeration(order: int) -> None:
    x, tuples = draw(F, D, B), every_tuple(order)  # each field stands in several tuples
    expected = slow_products(x, tuples)
    got = tuple_products(x, places(tuples))
    assert got.shape == (math.comb(F, order), D, B)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(gradients(got, x), gradients(expected, x))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_equal_enumeration(order: int, weighted: bool) -> None:
    x, tuples = draw(F, D, B), every_tuple(order)
    weights = draw(len(tuples), D, seed=1) if weighted else None
    inputs = (x,) if weights is None else (x, weights)
    expected = slow_sums(x, tuples, weights)
    got = summed_tuple_products(x, places(tuples), weights)
    assert got.shape == (math.comb(F, order), B)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(gradients(got, *inputs), gradients(expected, *inputs))


def test_a_tuple_may_stand_twice_and_a_field_twice_in_it() -> None:
    tuples = [(0, 1, 1), (3, 3, 3), (0, 1, 1), (4, 2, 0)]
    x, weights = draw(F, D, B), draw(4, D, seed=1)
    expected, got = slow_products(x, tuples), tuple_products(x, places(tuples))
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(gradients(got, x), gradients(expected, x))
    expected, got = slow_sums(x, tuples, weights), summed_tuple_products(x, places(tuples), weights)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(gradients(got, x, weights), gradients(expected, x, weights))


@pytest.mark.parametrize("order", ORDERS)
def test_gradients_by_differences(order: int) -> None:
    fields = places(every_tuple(order, 4))
    x, weights = draw(4, 2, 2), draw(fields.shape[1], 2, seed=1)
    assert torch.autograd.gradcheck(lambda x: tuple_products(x, fields), (x,))
    assert torch.autograd.gradcheck(lambda x: summed_tuple_products(x, fields), (x,))
    assert torch.autograd.gradcheck(lambda x, w: summed_tuple_products(x, fields, w), (x, weights))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("tuples_at_a_time", [1, 3])
def test_pieces_make_no_difference(order: int, tuples_at_a_time: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = places(every_tuple(order))
    count = fields.shape[1]
    x, weights = draw(F, D, B), draw(count, D, seed=1)

    def everything() -> list[Tensor]:
        products, sums = tuple_products(x, fields), summed_tuple_products(x, fields)
        weighted = summed_tuple_products(x, fields, weights)
        gradient = [gradients(products, x), gradients(sums, x), gradients(weighted, x, weights)]
        return [products, sums, weighted, *itertools.chain(*gradient)]

    assert len(module.pieces(x, count)) == 1
    whole = everything()
    monkeypatch.setattr(module, "NUMBERS_AT_A_TIME", tuples_at_a_time * D * B + 1)
    assert len(module.pieces(x, count)) == math.ceil(count / tuples_at_a_time) > 1
    for one, many in zip(whole, everything(), strict=True):
        torch.testing.assert_close(many, one)


def test_a_tuple_larger_than_a_piece_is_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    x, tuples = draw(F, D, B), every_tuple(2)
    monkeypatch.setattr(module, "NUMBERS_AT_A_TIME", 1)
    torch.testing.assert_close(tuple_products(x, places(tuples)), slow_products(x, tuples))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("count", "rows"), [(0, B), (2, 0)])
def test_no_tuples_and_no_rows(order: int, count: int, rows: int) -> None:
    x, weights = draw(F, D, rows), draw(count, D, seed=1)
    fields = torch.stack([torch.arange(count) + place for place in range(order)])
    products, sums = tuple_products(x, fields), summed_tuple_products(x, fields)
    weighted = summed_tuple_products(x, fields, weights)
    assert products.shape == (count, D, rows)
    assert sums.shape == weighted.shape == (count, rows)
    for gradient in (*gradients(products, x), *gradients(sums, x), *gradients(weighted, x, weights)):
        assert not gradient.any()


class _Largest(TorchDispatchMode):
    """Notes how many numbers the largest tensor has that any operation gives."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


@pytest.mark.parametrize("weighted", [False, True])
def test_sums_hold_neither_the_products_nor_their_gradients(weighted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    x, fields = draw(8, 16, 32), places(every_tuple(3, 8))
    count = fields.shape[1]
    weights = draw(count, 16, seed=1) if weighted else None
    monkeypatch.setattr(module, "NUMBERS_AT_A_TIME", 2048)
    with _Largest() as largest:
        summed_tuple_products(x, fields, weights).sum().backward()  # type: ignore[no-untyped-call]
    assert largest.numbers == x.numel() == 4096
    with _Largest() as largest:
        tuple_products(x, fields).sum().backward()  # type: ignore[no-untyped-call]
    assert largest.numbers == count * 16 * 32 == 28_672  # the means of measuring see what is there to be seen
