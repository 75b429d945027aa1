"""Products of the vectors of field tuples of any order, without laying out what can be computed piece by piece.

Vectors lie field by field with the rows of the batch innermost, x [F, D, B]: picking the vectors of a tuple then copies
whole blocks. Tuples are given as p tensors of positions [G] into F, one per place in the tuple.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_NUMBERS_AT_A_TIME = 1 << 18
"""1 MB of float32: a few pieces of this size fit the cache of a core."""


def tuple_products(x: Tensor, fields: Sequence[Tensor]) -> Tensor:
    """The element-wise product of each tuple's vectors, [F, D, B] -> [G, D, B]."""
    products: Tensor = _Products.apply(x, *fields)  # type: ignore[no-untyped-call]
    return products


def summed_tuple_products(x: Tensor, fields: Sequence[Tensor], weights: Tensor | None = None) -> Tensor:
    """The sum over D of each tuple's product, [F, D, B] -> [G, B]; weighted by weights [G, D] where given.

    On a CPU neither the products nor their gradients are ever held at once: memory is that of the values. Elsewhere
    they are computed in one piece, [G, D, B].
    """
    values: Tensor = _SummedProducts.apply(x, weights, *fields)  # type: ignore[no-untyped-call]
    return values


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *fields: Tensor) -> Tensor:
        ctx.save_for_backward(x, *fields)
        products = x.new_empty(len(fields[0]), *x.shape[1:])
        for piece in _pieces(x, len(fields[0])):
            _multiply([x.index_select(0, f[piece]) for f in fields], out=products[piece])
        return products

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, *fields = ctx.saved_tensors
        grad_x = torch.zeros_like(x)
        for piece in _pieces(x, len(fields[0])):
            places = [f[piece] for f in fields]
            _add_gradients(grad_x, places, [x.index_select(0, f) for f in places], grad[piece])
        return grad_x, *[None] * len(fields)


class _SummedProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor | None, *fields: Tensor) -> Tensor:
        ctx.save_for_backward(x, weights, *fields)
        values = x.new_empty(len(fields[0]), x.shape[2])
        for piece in _pieces(x, len(fields[0])):
            product = _multiply([x.index_select(0, f[piece]) for f in fields])
            if weights is None:
                torch.sum(product, dim=1, out=values[piece])
            else:
                torch.bmm(weights[piece].unsqueeze(1), product, out=values[piece].unsqueeze(1))
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weights, *fields = ctx.saved_tensors
        grad_x = torch.zeros_like(x)
        grad_weights = None if weights is None else torch.empty_like(weights)
        for piece in _pieces(x, len(fields[0])):
            places = [f[piece] for f in fields]
            factors = [x.index_select(0, f) for f in places]
            outer = grad[piece].unsqueeze(1)
            if weights is not None and grad_weights is not None:
                torch.bmm(_multiply(factors), outer.transpose(1, 2), out=grad_weights[piece].unsqueeze(2))
                outer = weights[piece].unsqueeze(2) * outer
            _add_gradients(grad_x, places, factors, outer)
        return grad_x, grad_weights, *[None] * len(fields)


def _pieces(x: Tensor, count: int) -> list[slice]:
    """Ranges of tuples whose vectors fit the cache."""
    step = max(1, _NUMBERS_AT_A_TIME // max(1, x[0].numel())) if x.device.type == "cpu" else max(1, count)
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def _multiply(factors: Sequence[Tensor], out: Tensor | None = None) -> Tensor:
    product = torch.mul(factors[0], factors[1], out=out)
    for factor in factors[2:]:
        product = product.mul_(factor)
    return product


def _add_gradients(total: Tensor, places: Sequence[Tensor], factors: Sequence[Tensor], grad: Tensor) -> None:
    """Add to total [F, D, B] what each place of the tuples gets: grad times the product of the other factors."""
    for r, place in enumerate(places):
        share = grad * factors[1 - r if len(factors) == 2 else (r + 1) % len(factors)]
        for s, factor in enumerate(factors):
            if len(factors) > 2 and s not in (r, (r + 1) % len(factors)):
                share.mul_(factor)
        total.index_add_(0, place, share)
