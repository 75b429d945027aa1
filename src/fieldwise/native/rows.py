"""Adam on some rows of a table by `rows.cpp`: the same as `fieldwise.optim.rows.RowAdam` in torch, up to rounding."""

from __future__ import annotations

import ctypes
import functools
import math
from pathlib import Path

import torch
from torch import Tensor

from fieldwise.native.build import library_or_reason
from fieldwise.native.threads import torch_threads


class _Step(ctypes.Structure):
    """`struct Step` of the C++ source, member by member."""

    _fields_ = (
        ("count", ctypes.c_int64),
        ("dim", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("rows", "grad", "weight", "first", "second")),
        *((name, ctypes.c_float) for name in ("beta2", "epsilon", "rest1", "rest2", "rate", "correction")),
        ("threads", ctypes.c_int32),
        ("parallel", ctypes.c_void_p),
    )


@functools.cache
def compiled() -> ctypes.CDLL | str:
    """The compiled kernel, or why there is none."""
    library = library_or_reason(Path(__file__).with_name("rows.cpp"))
    if not isinstance(library, str):
        library.fieldwise_row_adam.restype = None
    return library


def why_not() -> str | None:
    """Why the kernel cannot be had on this machine; None where it can. The first call may compile for a second."""
    library = compiled()
    return library if isinstance(library, str) else None


def row_adam(
    rows: Tensor,
    gradient: Tensor,
    weight: Tensor,
    first: Tensor,
    second: Tensor,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
) -> None:
    """One step of Adam (Kingma & Ba, 2015, algorithm 1) on rows of a table and of its moments, in place.

    The result does not depend on the number of threads.

    Args:
        rows: int64, each row once.
        gradient: Of these rows. It and the following are float32, contiguous and on the CPU.
        weight: The table.
        first, second: Its moments.
        step: Its number, from 1.
        lr, betas, eps: As in Adam.

    Shape:
        rows: [n].
        gradient: [n, D].
        weight, first, second: [V, D].

    Raises:
        RuntimeError: Where `why_not` gives a reason.
        ValueError: For tensors of another kind.
    """
    library = compiled()
    if isinstance(library, str):
        raise RuntimeError(f"there is no kernel for rows here: {library}")
    rows, gradient = rows.contiguous(), gradient.contiguous()
    for tensor in (gradient, weight, first, second):
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu" or not tensor.is_contiguous():
            raise ValueError(f"expected contiguous float32 on the CPU, got {tensor.dtype} on {tensor.device}")
    beta1, beta2 = betas
    call = _Step(
        count=len(rows),
        dim=weight.shape[1],
        rows=rows.data_ptr(),
        grad=gradient.data_ptr(),
        weight=weight.data_ptr(),
        first=first.data_ptr(),
        second=second.data_ptr(),
        beta2=beta2,
        epsilon=eps,
        rest1=1.0 - beta1,
        rest2=1.0 - beta2,
        rate=lr / (1.0 - beta1**step),
        correction=math.sqrt(1.0 - beta2**step),
        threads=torch.get_num_threads(),
        parallel=torch_threads(),
    )
    library.fieldwise_row_adam(ctypes.byref(call))
