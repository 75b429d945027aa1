"""Products of field tuples by `tuple_products.cpp`: the same as `fieldwise.layers.tuple_products`, up to rounding."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

import torch
from torch import Tensor

from fieldwise.native.build import library_or_reason
from fieldwise.native.threads import torch_threads

MOST_FACTORS = 8
"""Fields of a tuple; `MOST_FACTORS` of the C++ source."""

_BLOCK = 64
"""Rows that are computed at once; `BLOCK` of the C++ source."""

_SHARES = 16
"""Into how many parts rows are cut at most, whatever the threads: sums over rows then do not depend on these."""


class _Work(ctypes.Structure):
    """`struct Work` of the C++ source, member by member."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("fields", "dim", "rows", "tuples")),
        *((name, ctypes.c_void_p) for name in ("places", "x", "weights", "output", "grad", "grad_x", "grad_weights")),
        *((name, ctypes.c_int32) for name in ("order", "summed", "back", "shares", "threads")),
        ("parallel", ctypes.c_void_p),
    )


@functools.cache
def compiled() -> ctypes.CDLL | str:
    """The compiled kernel, or why there is none."""
    library = library_or_reason(Path(__file__).with_name("tuple_products.cpp"))
    if not isinstance(library, str):
        library.fieldwise_tuple_products.restype = ctypes.c_int32
    return library


def why_not() -> str | None:
    """Why the kernel cannot be had on this machine; None where it can. The first call may compile for some seconds."""
    library = compiled()
    return library if isinstance(library, str) else None


def products(x: Tensor, places: Tensor, weights: Tensor | None, *, summed: bool) -> Tensor:
    """The product of each tuple's vectors, times its weights.

    Args:
        x: The fields' vectors. All tensors are contiguous and on the CPU, the numbers float32.
        places: The tuples as positions into F, int64, which are not checked; p is from 2 to `MOST_FACTORS`.
        weights: None for none.
        summed: Over D.

    Shape:
        [F, D, B], [p, G] and [G, D] -> [G, B] if summed, else [G, D, B].

    Raises:
        RuntimeError: Where `why_not` gives a reason.
        MemoryError: Where memory does not suffice.
        ValueError: For tensors of another kind.
    """
    count, (_, dim, rows) = places.shape[1], x.shape
    output = x.new_empty((count, rows) if summed else (count, dim, rows))
    _run(x, places, weights, summed=summed, output=output)
    return output


def products_backward(
    x: Tensor, places: Tensor, weights: Tensor | None, grad: Tensor, *, summed: bool
) -> tuple[Tensor, Tensor | None]:
    """The gradients of `x` and `weights` from that of what `products` gives; it and the errors as there.

    The result does not depend on the number of threads.
    """
    grad_x, shares = torch.empty_like(x), _shares(x)
    grad_weights = None if weights is None else weights.new_empty(shares, *weights.shape)
    _run(x, places, weights, summed=summed, grad=grad.contiguous(), grad_x=grad_x, grad_weights=grad_weights)
    return grad_x, None if grad_weights is None else grad_weights.sum(dim=0)


def _shares(x: Tensor) -> int:
    """Parts that the rows are cut into."""
    return max(1, min(_SHARES, -(-x.shape[2] // _BLOCK)))


def _run(
    x: Tensor,
    places: Tensor,
    weights: Tensor | None,
    *,
    summed: bool,
    output: Tensor | None = None,
    grad: Tensor | None = None,
    grad_x: Tensor | None = None,
    grad_weights: Tensor | None = None,
) -> None:
    library = compiled()
    if isinstance(library, str):
        raise RuntimeError(f"there is no kernel for products here: {library}")
    _require(torch.float32, x, weights, grad)
    _require(torch.int64, places)
    (fields, dim, rows), (order, count) = x.shape, places.shape
    if not 2 <= order <= MOST_FACTORS:
        raise ValueError(f"expected tuples of 2 to {MOST_FACTORS} fields, got {order}")
    work = _Work(
        fields=fields,
        dim=dim,
        rows=rows,
        tuples=count,
        places=places.data_ptr(),
        x=x.data_ptr(),
        weights=_address(weights),
        output=_address(output),
        grad=_address(grad),
        grad_x=_address(grad_x),
        grad_weights=_address(grad_weights),
        order=order,
        summed=summed,
        back=grad is not None,
        shares=_shares(x),
        threads=torch.get_num_threads(),
        parallel=torch_threads(),
    )
    if library.fieldwise_tuple_products(ctypes.byref(work)):
        raise MemoryError("there is no memory left for the products of field tuples")


def _require(dtype: torch.dtype, *tensors: Tensor | None) -> None:
    for tensor in tensors:
        if tensor is not None and not (
            tensor.dtype == dtype and tensor.device.type == "cpu" and tensor.is_contiguous()
        ):
            raise ValueError(f"expected contiguous {dtype} on the CPU, got {tensor.dtype} on {tensor.device}")


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
