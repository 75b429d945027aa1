"""Products of the vectors of field tuples of any order, without laying out what can be computed piece by piece.

Vectors lie field by field with the rows of the batch innermost, x [F, D, B]: picking the vectors of a tuple then copies
whole blocks. Tuples are positions into F, fields [p, G], one row per place in the tuple.

In training on a CPU a compiled kernel computes them where it can (`fieldwise.native.tuple_products`), else torch does.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fieldwise.native import tuple_products as native
from fieldwise.native.switch import kernels_wanted

NUMBERS_AT_A_TIME = 1 << 18
"""1 MB of float32: a few pieces of this size fit the cache of a core."""


def tuple_products(x: Tensor, fields: Tensor, weights: Tensor | None = None) -> Tensor:
    """The element-wise product of each tuple's vectors.

    Args:
        x: The fields' vectors.
        fields: The tuples as positions into F.
        weights: Factors of the products; None for none.

    Shape:
        [F, D, B], [p, G] and [G, D] -> [G, D, B].
    """
    return _of(x, fields, weights, summed=False)


def summed_tuple_products(x: Tensor, fields: Tensor, weights: Tensor | None = None) -> Tensor:
    """The sum over D of each tuple's product.

    On a CPU neither the products nor their gradients are ever held at once: memory is that of the values. Elsewhere
    they are computed in one piece, [G, D, B].

    Args:
        x: The fields' vectors.
        fields: The tuples as positions into F.
        weights: Of the numbers of each product in its sum; None for a plain sum.

    Shape:
        [F, D, B], [p, G] and [G, D] -> [G, B].
    """
    return _of(x, fields, weights, summed=True)


def _of(x: Tensor, fields: Tensor, weights: Tensor | None, *, summed: bool) -> Tensor:
    if torch.compiler.is_exporting():
        return _whole(x, fields, weights, summed=summed)
    fused = (
        kernels_wanted()
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and (weights is None or weights.dtype == torch.float32)
        and len(fields) <= native.MOST_FACTORS
        and native.why_not() is None
    )
    form = _Kernel if fused else _InPieces
    products: Tensor = form.apply(x, fields, weights, summed)  # type: ignore[no-untyped-call]
    return products


def _whole(x: Tensor, fields: Tensor, weights: Tensor | None, *, summed: bool) -> Tensor:
    """The readable form, in one piece: what is exported, for a program for any number of rows is not cut by them."""
    product = functools.reduce(torch.mul, (x.index_select(0, places) for places in fields.unbind()))
    if not summed:
        return product if weights is None else product * weights.unsqueeze(2)
    return product.sum(dim=1) if weights is None else torch.bmm(weights.unsqueeze(1), product).squeeze(1)


class _Kernel(torch.autograd.Function):
    """Both kinds of products by the compiled kernel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, fields: Tensor, weights: Tensor | None, summed: bool) -> Tensor:
        x, fields = x.contiguous(), fields.contiguous()
        weights = None if weights is None else weights.contiguous()
        ctx.save_for_backward(x, fields, weights)
        ctx.summed = summed
        return native.products(x, fields, weights, summed=summed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, fields, weights = ctx.saved_tensors
        grad_x, grad_weights = native.products_backward(x, fields, weights, grad, summed=ctx.summed)
        return grad_x, None, grad_weights, None


class _InPieces(torch.autograd.Function):
    """Both kinds of products by torch."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, fields: Tensor, weights: Tensor | None, summed: bool) -> Tensor:
        ctx.save_for_backward(x, fields, weights)
        ctx.summed = summed
        count, (_, dim, rows) = fields.shape[1], x.shape
        output = x.new_empty((count, rows) if summed else (count, dim, rows))
        for piece in pieces(x, count):
            factors, of = [x.index_select(0, f[piece]) for f in fields], output[piece]
            product = _multiply(factors, out=None if summed else of)
            if summed and weights is None:
                torch.sum(product, dim=1, out=of)
            elif summed and weights is not None:
                torch.bmm(weights[piece].unsqueeze(1), product, out=of.unsqueeze(1))
            elif weights is not None:
                product.mul_(weights[piece].unsqueeze(2))
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, fields, weights = ctx.saved_tensors
        grad_x = torch.zeros_like(x)
        grad_weights = None if weights is None else torch.empty_like(weights)
        for piece in pieces(x, fields.shape[1]):
            places = [f[piece] for f in fields]
            factors = [x.index_select(0, f) for f in places]
            share = grad[piece].unsqueeze(1) if ctx.summed else grad[piece]
            if weights is not None and grad_weights is not None:
                product = _multiply(factors)
                if ctx.summed:
                    torch.bmm(product, share.transpose(1, 2), out=grad_weights[piece].unsqueeze(2))
                else:
                    torch.sum(product.mul_(share), dim=2, out=grad_weights[piece])
                share = weights[piece].unsqueeze(2) * share
            _add_gradients(grad_x, places, factors, share)
        return grad_x, None, grad_weights, None


def pieces(x: Tensor, count: int) -> list[slice]:
    """Ranges of tuples whose vectors fit the cache."""
    step = max(1, NUMBERS_AT_A_TIME // max(1, x[0].numel())) if x.device.type == "cpu" else max(1, count)
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
