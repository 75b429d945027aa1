"""Field-aware products: every field has another vector for each field that it meets."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def slot_of(field: Tensor, other: Tensor) -> Tensor:
    """Which of its F - 1 vectors a field uses for another one: j - 1 for j > i and j for j < i, as i needs none."""
    return other - (other > field).long()


def partners_of(fields: int) -> Tensor:
    """For the vector of field i for field j, the place of that of field j for field i.

    Places count through all vectors of a row: i (F - 1) + slot.

    Args:
        fields: F.

    Returns:
        int64 [F (F - 1)].

    Example:
        >>> partners_of(3)  # the vectors of 0 for 1, 0 for 2, 1 for 0, 1 for 2, 2 for 0, 2 for 1
        tensor([2, 4, 0, 5, 1, 3])
    """
    field = torch.arange(fields).repeat_interleave(fields - 1)
    slot = torch.arange(fields - 1).repeat(fields)
    other = slot + (slot >= field).long()
    return other * (fields - 1) + slot_of(other, field)


def field_aware_products(x: Tensor, partners: Tensor) -> Tensor:
    """Sum over pairs i < j of <x_i for j, x_j for i>.

    Swapping each vector with its partner is a permutation S that undoes itself, so the sum is x . S x / 2 and its
    gradient S x: one gather serves both ways, where gathering the pairs' two sides would have to scatter their
    gradients back. In float32 at least, for the sum is a logit.

    Args:
        x: The F - 1 vectors of each field.
        partners: See `partners_of`.

    Shape:
        [B, F, F - 1, D] and [F (F - 1)] -> [B].

    Example:
        >>> x = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # two fields, a vector each for the other one
        >>> field_aware_products(x, partners_of(2))
        tensor([11.])
    """
    products: Tensor = _FieldAwareProducts.apply(x.flatten(1, 2), partners)  # type: ignore[no-untyped-call]
    return products


class _FieldAwareProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, partners: Tensor) -> Tensor:
        size, width = x.shape[0], x.shape[1] * x.shape[2]
        swapped = x.index_select(1, partners)
        ctx.save_for_backward(swapped)
        precise = torch.promote_types(x.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            rows, columns = x.reshape(size, 1, width).to(precise), swapped.view(size, width, 1).to(precise)
            return 0.5 * torch.bmm(rows, columns).view(size)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (swapped,) = ctx.saved_tensors
        return swapped * grad.to(swapped.dtype).view(-1, 1, 1), None
